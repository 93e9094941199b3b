//! Roles and their bindings.
//!
//! Upstream: `kubectl/pkg/util/rbac`.

use super::sections::Sections;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

/// What one line of a role allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    verbs: Vec<String>,
    group: Option<String>,
    resource: Option<String>,
    name: Option<String>,
    url: Option<String>,
}

pub(super) fn role(out: &mut Sections, role: &Value) {
    head(out, role);
    out.line(0, "PolicyRule:");
    out.head(1, &["Resources", "Non-Resource URLs", "Resource Names", "Verbs"]);
    for rule in rules(role.items("rules")) {
        let (url, name) = (rule.url.as_deref().unwrap_or_default(), rule.name.as_deref().unwrap_or_default());
        out.line(1, format_args!("{}\t[{url}]\t[{name}]\t[{}]", rule.target(), rule.verbs.join(" ")));
    }
}

fn head(out: &mut Sections, object: &Value) {
    out.field(0, "Name", object.name());
    out.labels("Labels", object.labels());
    out.annotations("Annotations", object.annotations());
}

/// Rules taken apart and put together again by resource, sorted.
fn rules(rules: &[Value]) -> Vec<Rule> {
    let mut compact: Vec<Rule> = Vec::new();
    for part in rules.iter().flat_map(parts) {
        let same = |r: &&mut Rule| {
            part.url.is_none()
                && (&r.group, &r.resource, &r.name, &r.url) == (&part.group, &part.resource, &part.name, &None)
        };
        match compact.iter_mut().find(same) {
            Some(rule) => {
                rule.verbs.extend(part.verbs.into_iter().filter(|v| !rule.verbs.contains(v)).collect::<Vec<_>>())
            }
            None => compact.push(part),
        }
    }
    compact.sort_by_key(Rule::sorted_by);
    compact
}

fn parts(rule: &Value) -> Vec<Rule> {
    let names: Vec<Option<&str>> = match rule.items("resourceNames") {
        [] => vec![None],
        _ => rule.texts("resourceNames").map(Some).collect(),
    };
    let mut parts = Vec::new();
    for group in rule.texts("apiGroups") {
        for resource in rule.texts("resources") {
            for verb in rule.texts("verbs") {
                parts.extend(names.iter().map(|name| Rule {
                    verbs: vec![verb.to_owned()],
                    group: Some(group.to_owned()),
                    resource: Some(resource.to_owned()),
                    name: name.map(str::to_owned),
                    url: None,
                }));
            }
        }
    }
    for url in rule.texts("nonResourceURLs") {
        parts.extend(rule.texts("verbs").map(|verb| Rule {
            verbs: vec![verb.to_owned()],
            url: Some(url.to_owned()),
            ..Rule::default()
        }));
    }
    parts
}

impl Rule {
    /// `deployments.apps/scale`.
    fn target(&self) -> String {
        let Some(resource) = &self.resource else { return String::new() };
        let (resource, sub) = resource.split_once('/').map_or((resource.as_str(), None), |(r, s)| (r, Some(s)));
        let mut target = resource.to_owned();
        if let Some(group) = self.group.as_ref().filter(|g| !g.is_empty()) {
            target.push_str(&format!(".{group}"));
        }
        if let Some(sub) = sub {
            target.push_str(&format!("/{sub}"));
        }
        target
    }

    /// Upstream sorts by the text of its structure.
    fn sorted_by(&self) -> String {
        let list = |part: &Option<String>| part.clone().unwrap_or_default();
        format!(
            "Verbs:[{}],APIGroups:[{}],Resources:[{}],ResourceNames:[{}],NonResourceURLs:[{}],",
            self.verbs.join(" "),
            list(&self.group),
            list(&self.resource),
            list(&self.name),
            list(&self.url)
        )
    }
}

pub(super) fn binding(out: &mut Sections, binding: &Value) {
    head(out, binding);
    out.line(0, "Role:");
    out.field(1, "Kind", binding["roleRef"].text("kind"));
    out.field(1, "Name", binding["roleRef"].text("name"));
    out.line(0, "Subjects:");
    out.head(1, &["Kind", "Name", "Namespace"]);
    for subject in binding.items("subjects") {
        let (kind, name) = (subject.text("kind"), subject.text("name"));
        out.line(1, format_args!("{kind}\t{name}\t{}", subject.text("namespace")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn rules_are_compact_and_sorted() {
        let role = json!({"metadata": {"name": "r"}, "rules": [
            {"apiGroups": ["", "apps"], "resources": ["pods", "deployments/scale"], "verbs": ["get", "list"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["watch", "get"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a", "b"], "verbs": ["get"]},
            {"nonResourceURLs": ["/healthz"], "verbs": ["get"]}]});
        let mut out = Sections::new(Timestamp::UNIX_EPOCH);
        super::role(&mut out, &role);
        let lines = [
            "Name:         r",
            "Labels:       <none>",
            "Annotations:  <none>",
            "PolicyRule:",
            "  Resources               Non-Resource URLs  Resource Names  Verbs",
            "  ---------               -----------------  --------------  -----",
            "  deployments/scale       []                 []              [get list]",
            "  pods.apps               []                 []              [get list]",
            "  deployments.apps/scale  []                 []              [get list]",
            "  pods                    []                 []              [get list watch]",
            "  secrets                 []                 [a]             [get]",
            "  secrets                 []                 [b]             [get]",
            "                          [/healthz]         []              [get]",
            "",
        ];
        let mut got: Vec<String> = out.aligned().lines().map(str::to_owned).collect();
        let mut want: Vec<String> = lines[..13].iter().map(|l| (*l).to_owned()).collect();
        got.sort();
        want.sort();
        assert_eq!(got, want);
    }
}
