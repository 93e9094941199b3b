//! Which requests a schema is about.
//!
//! Upstream: `apiserver/pkg/util/flowcontrol/rule.go`.

use crate::config::{Distinguisher, FlowSchema};
use apiserver_registry::UserInfo;

/// A request, as far as schemas look at it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub user: &'a UserInfo,
    /// `get`, `list`, …; for paths that are no resources the method in lower case.
    pub verb: &'a str,
    /// Whether it is about a resource.
    pub is_resource: bool,
    /// API group.
    pub group: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Subresource or empty.
    pub subresource: &'a str,
    /// Namespace; empty for cluster-scoped requests.
    pub namespace: &'a str,
    /// The path, for requests that are about no resource.
    pub path: &'a str,
}

/// One of `spec.rules`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Policy {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) resources: Vec<ResourceRule>,
    pub(crate) paths: Vec<NonResourceRule>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Subject {
    /// A user, or one service account.
    User(String),
    Group(String),
    /// All service accounts of a namespace: the start of their user names.
    AccountsOf(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResourceRule {
    pub(crate) verbs: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) cluster_scope: bool,
    pub(crate) namespaces: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NonResourceRule {
    pub(crate) verbs: Vec<String>,
    pub(crate) urls: Vec<String>,
}

impl FlowSchema {
    /// Whether the schema is about this request.
    pub fn matches(&self, request: &Request<'_>) -> bool {
        self.policies.iter().any(|policy| policy.matches(request))
    }

    /// What tells this request's flow from others of the schema.
    pub fn flow<'a>(&self, request: &Request<'a>) -> &'a str {
        match self.distinguisher {
            Distinguisher::None => "",
            Distinguisher::ByUser => &request.user.name,
            Distinguisher::ByNamespace => request.namespace,
        }
    }
}

impl Policy {
    fn matches(&self, request: &Request<'_>) -> bool {
        self.subjects.iter().any(|subject| subject.is(request.user))
            && match request.is_resource {
                true => self.resources.iter().any(|rule| rule.matches(request)),
                false => self.paths.iter().any(|rule| rule.matches(request)),
            }
    }
}

impl Subject {
    fn is(&self, user: &UserInfo) -> bool {
        match self {
            Subject::User(name) => name == "*" || *name == user.name,
            Subject::Group(name) => name == "*" || user.groups.contains(name),
            Subject::AccountsOf(prefix) => user.name.starts_with(prefix),
        }
    }
}

impl ResourceRule {
    fn matches(&self, request: &Request<'_>) -> bool {
        let in_scope = match request.namespace {
            "" => self.cluster_scope,
            namespace => names(&self.namespaces, namespace),
        };
        in_scope && names(&self.verbs, request.verb) && names(&self.groups, request.group) && self.names(request)
    }

    fn names(&self, request: &Request<'_>) -> bool {
        self.resources.iter().any(|r| {
            r == "*"
                || match request.subresource {
                    "" => r == request.resource,
                    subresource => r.split_once('/') == Some((request.resource, subresource)),
                }
        })
    }
}

impl NonResourceRule {
    fn matches(&self, request: &Request<'_>) -> bool {
        let url = |rule: &String| match rule.strip_suffix('*') {
            Some(prefix) => request.path.starts_with(prefix),
            None => rule == request.path,
        };
        names(&self.verbs, request.verb) && self.urls.iter().any(url)
    }
}

fn names(list: &[String], name: &str) -> bool {
    list.iter().any(|n| n == "*" || n == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::Value;
    use serde_json::json;

    fn schema(rule: Value) -> FlowSchema {
        FlowSchema::of(&json!({"spec": {"rules": [rule], "distinguisherMethod": {"type": "ByNamespace"}}}))
    }

    fn user(name: &str, group: &str) -> UserInfo {
        UserInfo { name: name.into(), groups: vec![group.into()], ..UserInfo::default() }
    }

    fn request(user: &UserInfo) -> Request<'_> {
        Request {
            user,
            verb: "list",
            is_resource: true,
            group: "apps",
            resource: "deployments",
            subresource: "",
            namespace: "ns",
            path: "",
        }
    }

    const ALL: &str =
        r#"[{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}]"#;

    #[test]
    fn subjects() {
        let all: Value = serde_json::from_str(ALL).expect("json");
        for (subject, name, group, want) in [
            (json!({"kind": "User", "user": {"name": "a"}}), "a", "g", true),
            (json!({"kind": "User", "user": {"name": "a"}}), "b", "g", false),
            (json!({"kind": "User", "user": {"name": "*"}}), "b", "g", true),
            (json!({"kind": "Group", "group": {"name": "g"}}), "b", "g", true),
            (json!({"kind": "Group", "group": {"name": "h"}}), "b", "g", false),
            (
                json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "*"}}),
                "system:serviceaccount:n:x",
                "",
                true,
            ),
            (
                json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "y"}}),
                "system:serviceaccount:n:x",
                "",
                false,
            ),
        ] {
            let schema = schema(json!({"subjects": [subject], "resourceRules": all}));
            assert_eq!(schema.matches(&request(&user(name, group))), want, "{subject} {name}");
        }
    }

    #[test]
    fn rules() {
        let user = user("a", "g");
        let anybody = json!([{"kind": "Group", "group": {"name": "*"}}]);
        let of = |request: Request<'_>, groups: &str, resources: &str, cluster: bool, namespace: &str| {
            let rule = json!({"verbs": ["list"], "apiGroups": [groups], "resources": [resources],
                "clusterScope": cluster, "namespaces": [namespace]});
            schema(json!({"subjects": anybody, "resourceRules": [rule]})).matches(&request)
        };
        let plain = request(&user);
        assert!(of(plain, "apps", "deployments", false, "ns") && of(plain, "*", "*", false, "*"));
        assert!(!of(plain, "", "deployments", false, "ns") && !of(plain, "apps", "deployments", true, "other"));
        let status = Request { subresource: "status", ..plain };
        assert!(of(status, "*", "deployments/status", false, "*") && !of(status, "*", "deployments", false, "*"));
        let cluster = Request { namespace: "", ..plain };
        assert!(of(cluster, "*", "*", true, "*") && !of(cluster, "*", "*", false, "*"));
        assert!(!of(Request { verb: "get", ..plain }, "*", "*", true, "*"));
    }

    #[test]
    fn paths_and_flows() {
        let user = user("a", "g");
        let schema = schema(json!({
            "subjects": [{"kind": "Group", "group": {"name": "*"}}],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/debug/*"]}],
        }));
        for (path, want) in [("/healthz", true), ("/healthz/etcd", false), ("/debug/x", true), ("/version", false)] {
            let request = Request { is_resource: false, verb: "get", path, ..request(&user) };
            assert_eq!(schema.matches(&request), want, "{path}");
        }
        assert_eq!(schema.flow(&request(&user)), "ns");
    }
}
