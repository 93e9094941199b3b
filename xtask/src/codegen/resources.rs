//! The table of resources.

use super::Table;
use super::facts::{Facts, list, word};
use serde_json::Value;
use std::collections::HashMap;

const VERBS: &[(&str, char)] = &[
    ("get", 'g'),
    ("list", 'l'),
    ("watch", 'w'),
    ("create", 'c'),
    ("update", 'u'),
    ("patch", 'p'),
    ("delete", 'd'),
    ("deletecollection", 'D'),
];

/// Groups with resources that are stored in another version than the one they are served in.
const STORED_ELSEWHERE: &[&str] = &["autoscaling", "events.k8s.io", "admissionregistration.k8s.io"];

pub(super) fn generate(facts: &Facts, now: &str) -> anyhow::Result<Table> {
    let kept = kept(now);
    let mut table = Table::default();
    for line in now.lines().take_while(|line| line.starts_with('#')) {
        table.text.push_str(line);
        table.text.push('\n');
    }
    for (group, versions) in &facts.groups {
        for version in versions.iter().filter(|v| facts.served.contains(&(group.clone(), (*v).clone()))) {
            let group_word = if group.is_empty() { "core" } else { group };
            table.text.push_str(&format!("version {group_word} {version}\n"));
            let resources = facts.discovery.get(&(group.clone(), version.clone())).map_or(&[][..], Vec::as_slice);
            for resource in resources.iter().filter(|r| !word(&r["name"]).contains('/')) {
                let place = Place { facts, group, version, kept: &kept };
                place.lines(resource, resources, &mut table);
            }
        }
    }
    Ok(table)
}

/// Marks of the present table that the facts do not say, by group, version and resource.
fn kept(now: &str) -> HashMap<(String, String, String), Vec<String>> {
    let mut kept = HashMap::new();
    let (mut group, mut version) = (String::new(), String::new());
    for line in now.lines().filter(|l| !l.starts_with(['#', '/'])) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["version", g, v] => (group, version) = (if *g == "core" { "" } else { g }.to_owned(), (*v).to_owned()),
            [resource, marks @ ..] => {
                let marks = marks.iter().filter(|m| **m == "virtual" || m.starts_with("select="));
                let marks = marks.map(|m| (*m).to_owned()).collect();
                kept.insert((group.clone(), version.clone(), (*resource).to_owned()), marks);
            }
            [] => {}
        }
    }
    kept
}

struct Place<'a> {
    facts: &'a Facts,
    group: &'a str,
    version: &'a str,
    kept: &'a HashMap<(String, String, String), Vec<String>>,
}

impl Place<'_> {
    fn lines(&self, resource: &Value, all: &[Value], table: &mut Table) {
        let name = word(&resource["name"]);
        table.text.push_str(&self.line(&name, resource));
        table.text.push('\n');
        if !self.kept.contains_key(&self.key(&name)) {
            table.doubts.push(format!("{}/{}/{name}: what can be selected", self.group, self.version));
        }
        for subresource in all {
            if let Some(part) = word(&subresource["name"]).strip_prefix(&format!("{name}/")) {
                let (kind, verbs) = (word(&subresource["kind"]), verbs(subresource));
                let place = match word(&subresource["version"]) {
                    version if version.is_empty() => String::new(),
                    version => format!("@{}/{version}", word(&subresource["group"])),
                };
                table.text.push_str(&format!("/{part} {kind}{place} {verbs}\n"));
            }
        }
    }

    fn key(&self, name: &str) -> (String, String, String) {
        (self.group.to_owned(), self.version.to_owned(), name.to_owned())
    }

    fn line(&self, name: &str, resource: &Value) -> String {
        let singular = word(&resource["singularName"]);
        let singular = if singular.is_empty() { "-".to_owned() } else { singular };
        let scope = if resource["namespaced"] == true { "n" } else { "c" };
        let kind = word(&resource["kind"]);
        let verbs = verbs(resource);
        let mut words = vec![name.to_owned(), kind.clone(), singular, scope.into(), verbs.clone()];
        for (mark, member) in [("short", "shortNames"), ("cat", "categories")] {
            let names: Vec<String> = list(&resource[member]).iter().map(word).collect();
            if !names.is_empty() {
                words.push(format!("{mark}={}", names.join(",")));
            }
        }
        let kept = self.kept.get(&self.key(name)).map_or(&[][..], Vec::as_slice);
        if verbs.contains('g') {
            words.extend(self.prefix(name));
            words.extend(kept.iter().filter(|m| *m == "virtual").cloned());
        }
        words.extend(self.stored(name, &kind));
        words.extend(kept.iter().filter(|m| *m != "virtual").cloned());
        words.join(" ")
    }

    fn prefix(&self, name: &str) -> Option<String> {
        let prefix = self.facts.prefixes.get(&(self.group.to_owned(), name.to_owned()))?;
        (prefix != name).then(|| format!("at={prefix}"))
    }

    fn stored(&self, name: &str, kind: &str) -> Option<String> {
        let stored = self.facts.stored.get(&self.key(name))?;
        let elsewhere = *stored != format!("{}/{}/{kind}", self.group, self.version);
        let core = if stored.starts_with('/') { "core" } else { "" };
        (elsewhere && STORED_ELSEWHERE.contains(&self.group)).then(|| format!("as={core}{stored}"))
    }
}

fn verbs(resource: &Value) -> String {
    let has = |verb: &str| list(&resource["verbs"]).iter().any(|v| v == verb);
    VERBS.iter().filter(|(verb, _)| has(verb)).map(|(_, letter)| letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn writes_what_discovery_says_and_keeps_the_rest() {
        let resources = vec![
            json!({"name": "as", "kind": "A", "singularName": "a", "namespaced": true, "verbs": ["list", "get", "create"], "shortNames": ["x"]}),
            json!({"name": "as/scale", "kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": ["get"]}),
        ];
        let mut facts = Facts { groups: vec![("g".into(), vec!["v1".into(), "v2".into()])], ..Facts::default() };
        facts.served.insert(("g".into(), "v1".into()));
        facts.discovery.insert(("g".into(), "v1".into()), resources);
        facts.prefixes.insert(("g".into(), "as".into()), "alphas".into());
        let now = "# table\nversion g v1\nas A a n g select=spec.x\n";
        let table = generate(&facts, now).expect("a table");
        assert_eq!(
            table.text,
            "# table\nversion g v1\nas A a n glc short=x at=alphas select=spec.x\n/scale Scale@autoscaling/v1 g\n"
        );
        assert!(table.doubts.is_empty());
        assert_eq!(generate(&facts, "# table\n").expect("a table").doubts, ["g/v1/as: what can be selected"]);
    }
}
