//! Rules of RBAC, taken apart, compared, put together.
//!
//! Upstream: `component-helpers/auth/rbac/validation`, `kubectl/pkg/util/rbac`.

use apimachinery::Value;
use serde_json::json;

/// A rule of a role or of a review.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Rule {
    pub(super) verbs: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) urls: Vec<String>,
}

impl Rule {
    pub(super) fn of(value: &Value) -> Self {
        let list = |key: &str| {
            let list = value[key].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            verbs: list("verbs"),
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
            urls: list("nonResourceURLs"),
        }
    }

    /// The rules of a role.
    pub(super) fn all_of(rules: &Value) -> Vec<Self> {
        rules.as_array().into_iter().flatten().map(Self::of).collect()
    }

    pub(super) fn to_value(&self) -> Value {
        let mut value = json!({"verbs": self.verbs});
        let lists = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            value[key] = json!(list);
        }
        value
    }

    /// `{Verbs:[get] APIGroups:[] …}`, how upstream shows a rule.
    pub(super) fn shown(&self) -> String {
        let list = |list: &[String]| format!("[{}]", list.join(" "));
        format!(
            "{{Verbs:{} APIGroups:{} Resources:{} ResourceNames:{} NonResourceURLs:{}}}",
            list(&self.verbs),
            list(&self.groups),
            list(&self.resources),
            list(&self.names),
            list(&self.urls)
        )
    }

    /// `deployments.apps/scale`, of the first resource and group.
    pub(super) fn resource(&self) -> String {
        let Some(first) = self.resources.first() else { return String::new() };
        let (plural, subresource) = first.split_once('/').map_or((first.as_str(), None), |(p, s)| (p, Some(s)));
        let group = self.groups.first().filter(|g| !g.is_empty()).map_or_else(String::new, |g| format!(".{g}"));
        let subresource = subresource.map_or_else(String::new, |s| format!("/{s}"));
        format!("{plural}{group}{subresource}")
    }

    /// Rules with one verb, one resource, one name, one URL each.
    fn parts(&self) -> Vec<Rule> {
        let one = |text: &String| vec![text.clone()];
        let mut parts = Vec::new();
        for group in &self.groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let part =
                        Rule { verbs: one(verb), groups: one(group), resources: one(resource), ..Rule::default() };
                    match self.names.is_empty() {
                        true => parts.push(part),
                        false => parts.extend(self.names.iter().map(|n| Rule { names: one(n), ..part.clone() })),
                    }
                }
            }
        }
        for url in &self.urls {
            parts.extend(self.verbs.iter().map(|v| Rule { verbs: one(v), urls: one(url), ..Rule::default() }));
        }
        parts
    }

    /// Whether this rule allows all that a part does.
    fn covers(&self, part: &Rule) -> bool {
        let all = |mine: &[String], theirs: &[String]| has(mine, "*") || theirs.iter().all(|t| has(mine, t));
        let names = self.names.is_empty() || (!part.names.is_empty() && part.names.iter().all(|n| has(&self.names, n)));
        let urls = part.urls.iter().all(|url| self.urls.iter().any(|own| covers_url(own, url)));
        all(&self.verbs, &part.verbs)
            && all(&self.groups, &part.groups)
            && part.resources.iter().all(|r| covers_resource(&self.resources, r))
            && names
            && urls
    }
}

fn has(list: &[String], text: &str) -> bool {
    list.iter().any(|l| l == text)
}

fn covers_resource(own: &[String], resource: &str) -> bool {
    let of_all = resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
    has(own, "*") || has(own, resource) || of_all.is_some_and(|r| has(own, &r))
}

fn covers_url(own: &str, url: &str) -> bool {
    own == url || (own.ends_with('*') && url.starts_with(own.trim_end_matches('*')))
}

/// The parts of rules that others do not allow.
pub(super) fn uncovered(owner: &[Rule], servant: &[Rule]) -> Vec<Rule> {
    servant.iter().flat_map(Rule::parts).filter(|part| !owner.iter().any(|rule| rule.covers(part))).collect()
}

/// Rules by resource, each with all its verbs, in upstream's order.
pub(super) fn compact(rules: &[Rule]) -> Vec<Rule> {
    let mut compact: Vec<Rule> = Vec::new();
    for part in rules.iter().flat_map(Rule::parts) {
        let same = |r: &&mut Rule| {
            part.urls.is_empty() && r.groups == part.groups && r.resources == part.resources && r.names == part.names
        };
        match compact.iter_mut().find(same) {
            Some(rule) => {
                rule.verbs.extend(part.verbs.into_iter().filter(|v| !rule.verbs.contains(v)).collect::<Vec<_>>())
            }
            None => compact.push(part),
        }
    }
    compact.sort_by_key(|rule| {
        let list = |list: &[String]| format!("[{}]", list.join(" "));
        format!(
            "&PolicyRule{{Verbs:{},APIGroups:{},Resources:{},ResourceNames:{},NonResourceURLs:{},}}",
            list(&rule.verbs),
            list(&rule.groups),
            list(&rule.resources),
            list(&rule.names),
            list(&rule.urls)
        )
    });
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Rule {
        Rule::of(&json!({"verbs": verbs, "apiGroups": [group], "resources": resources}))
    }

    #[test]
    fn puts_verbs_of_a_resource_together() {
        let rules = [rule(&["get"], "", &["pods", "pods/log"]), rule(&["list"], "", &["pods"])];
        let compact = compact(&rules);
        let shown: Vec<(String, String)> = compact.iter().map(|r| (r.resource(), r.verbs.join(" "))).collect();
        assert_eq!(shown, [("pods".into(), "get list".into()), ("pods/log".into(), "get".into())]);
        assert_eq!(rule(&["*"], "apps", &["deployments/scale"]).resource(), "deployments.apps/scale");
    }

    #[test]
    fn finds_what_is_not_allowed() {
        let owner = [
            rule(&["get", "list"], "", &["pods", "*/scale"]),
            Rule::of(&json!({"verbs": ["get"], "nonResourceURLs": ["/a*"]})),
        ];
        for (servant, want) in [
            (rule(&["get"], "", &["pods"]), 0),
            (rule(&["get", "delete"], "", &["pods"]), 1),
            (rule(&["get"], "", &["x/scale"]), 0),
            (rule(&["get"], "apps", &["pods"]), 1),
            (Rule::of(&json!({"verbs": ["get"], "nonResourceURLs": ["/api", "/b"]})), 1),
            (Rule::of(&json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]})), 0),
        ] {
            assert_eq!(uncovered(&owner, std::slice::from_ref(&servant)).len(), want, "{servant:?}");
        }
    }
}
