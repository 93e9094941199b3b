//! What a person at a terminal may do next about an error. Scripts get the error alone.

use crate::cli::Global;
use crate::config::{ConfigError, Merged};
use crate::files::objects::NoKind;
use crate::http::{Refused, Unanswered};
use crate::targets::TargetError;
use crate::writing::Failures;
use apimachinery::Value;

/// Most names that are told.
const MANY: usize = 8;

/// The hint for an error, if there is anything to say.
pub fn hint(error: &anyhow::Error, global: &Global) -> Option<String> {
    if let Some(Failures(failures)) = error.downcast_ref() {
        return failures.iter().find_map(|failure| hint(failure, global));
    }
    if let Some(error) = error.downcast_ref::<ConfigError>() {
        return of_kubeconfig(error, &names(global));
    }
    if let Some(TargetError::NoSuchType { near, .. }) = error.downcast_ref() {
        return Some(match near.as_slice() {
            [] => "`kubectl api-resources` lists the types that there are.".to_owned(),
            near => format!("Did you mean {}?", near.join(", ")),
        });
    }
    if let Some(NoKind { near, .. }) = error.downcast_ref() {
        return Some(match near.as_slice() {
            [] => "`kubectl api-resources` lists the kinds that there are.".to_owned(),
            near => format!("Did you mean {}?", near.join(", ")),
        });
    }
    if let Some(refused) = error.downcast_ref::<Refused>() {
        return match refused.code {
            401 => Some("`kubectl config view --minify` shows as whom the server was asked.".to_owned()),
            403 => Denied::read(&refused.message).map(|denied| denied.told()),
            _ => None,
        };
    }
    error.downcast_ref::<Unanswered>().map(|_| {
        "`kubectl config view --minify` shows where the address comes from, `kubectl config get-contexts` what else there is."
            .to_owned()
    })
}

/// The contexts, clusters and users of the kubeconfig, by the names that errors have for them.
type Names = [(&'static str, Vec<String>); 3];

fn names(global: &Global) -> Names {
    let merged = Merged::read(global).unwrap_or(Merged { configs: Vec::new() });
    let of = |list: &str| -> Vec<String> {
        let entries = merged.entries(list).into_iter();
        entries.filter_map(|(entry, _)| entry.get("name").and_then(Value::as_str).map(str::to_owned)).collect()
    };
    [("context", of("contexts")), ("cluster", of("clusters")), ("auth info", of("users"))]
}

fn of_kubeconfig(error: &ConfigError, names: &Names) -> Option<String> {
    let entry = match error {
        ConfigError::Missing { entry, .. } => *entry,
        ConfigError::Invalid { complaints, .. } if complaints.iter().any(|c| c.starts_with("context was not")) => {
            "context"
        }
        _ => return None,
    };
    let (_, known) = names.iter().find(|(of, _)| *of == entry)?;
    let what = if entry == "auth info" { "user" } else { entry };
    Some(match known.len() {
        0 => format!("The kubeconfig has no {what} at all; --kubeconfig or KUBECONFIG names another one."),
        1..=MANY => format!("The kubeconfig has: {}", known.join(", ")),
        more => format!("The kubeconfig has {more}, among them: {}", known[..MANY].join(", ")),
    })
}

/// What a server does not let somebody do.
///
/// Upstream: `apiserver/pkg/endpoints/handlers/responsewriters/errors.go` (`forbiddenMessage`).
#[derive(Debug, PartialEq, Eq)]
struct Denied {
    user: String,
    verb: String,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    /// A path that is no resource's.
    Path(String),
    /// A resource, `deployments.apps/scale`, in a namespace or in all of the cluster.
    Resource { resource: String, namespace: Option<String> },
}

impl Denied {
    fn read(message: &str) -> Option<Self> {
        let (user, rest) = message.split_once("User \"")?.1.split_once("\" cannot ")?;
        let (verb, rest) = rest.split_once(' ')?;
        let quoted = |rest: &str| Some(rest.split_once('"')?.1.split_once('"')?.0.to_owned());
        let what = match rest.strip_prefix("path ") {
            Some(path) => What::Path(quoted(path)?),
            None => {
                let rest = rest.strip_prefix("resource ")?;
                let (plural, subresource) = {
                    let resource = quoted(rest)?;
                    let (plural, sub) = resource.split_once('/').unwrap_or((&resource, ""));
                    (plural.to_owned(), if sub.is_empty() { String::new() } else { format!("/{sub}") })
                };
                let group = rest.split_once(" in API group ").and_then(|(_, rest)| quoted(rest)).unwrap_or_default();
                let group = if group.is_empty() { group } else { format!(".{group}") };
                let namespace = rest.split_once(" in the namespace ").and_then(|(_, rest)| quoted(rest));
                What::Resource { resource: format!("{plural}{group}{subresource}"), namespace }
            }
        };
        // What is to be typed must be nothing that a shell would read otherwise.
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-._:/@*".contains(c));
        let parts = match &what {
            What::Path(path) => vec![path.as_str()],
            What::Resource { resource, namespace } => vec![resource.as_str(), namespace.as_deref().unwrap_or("")],
        };
        let fine = parts.into_iter().chain([user, verb]).all(plain);
        fine.then(|| Self { user: user.to_owned(), verb: verb.to_owned(), what })
    }

    /// The rule that is missing, as somebody who may would make it.
    fn told(&self) -> String {
        let Self { user, verb, what } = self;
        let subject = match user.strip_prefix("system:serviceaccount:") {
            Some(account) => format!("--serviceaccount={account}"),
            None => format!("--user={user}"),
        };
        let (kind, rule, place, name) = match what {
            What::Path(path) => ("clusterrole", format!("--non-resource-url={path}"), String::new(), "path".to_owned()),
            What::Resource { resource, namespace: None } => {
                ("clusterrole", format!("--resource={resource}"), String::new(), resource.replace('/', "."))
            }
            What::Resource { resource, namespace: Some(namespace) } => {
                ("role", format!("--resource={resource}"), format!(" -n {namespace}"), resource.replace('/', "."))
            }
        };
        let name = format!("{verb}-{name}");
        format!(
            "Who administers the cluster can allow it:\n  kubectl create {kind} {name} --verb={verb} {rule}{place}\n  kubectl create {kind}binding {name} --{kind}={name} {subject}{place}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: impl Into<anyhow::Error>) -> Option<String> {
        hint(&error.into(), &Global { kubeconfig: Some("/dev/null".into()), ..Global::default() })
    }

    fn denied(message: &str) -> Option<String> {
        let (reason, details) = ("Forbidden".to_owned(), Value::Null);
        told(Refused { code: 403, reason, message: message.to_owned(), details })
    }

    #[test]
    fn the_missing_rule_is_told() {
        let lead = "Who administers the cluster can allow it:\n  kubectl create ";
        for (message, want) in [
            (
                r#"pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "d""#,
                "role list-pods --verb=list --resource=pods -n d\n  kubectl create rolebinding list-pods --role=list-pods --user=x -n d",
            ),
            (
                r#"deployments.apps "w" is forbidden: User "system:serviceaccount:a:b" cannot patch resource "deployments/scale" in API group "apps" in the namespace "d""#,
                "role patch-deployments.apps.scale --verb=patch --resource=deployments.apps/scale -n d\n  kubectl create rolebinding patch-deployments.apps.scale --role=patch-deployments.apps.scale --serviceaccount=a:b -n d",
            ),
            (
                r#"nodes is forbidden: User "x" cannot list resource "nodes" in API group "" at the cluster scope"#,
                "clusterrole list-nodes --verb=list --resource=nodes\n  kubectl create clusterrolebinding list-nodes --clusterrole=list-nodes --user=x",
            ),
            (
                r#"forbidden: User "x" cannot get path "/metrics""#,
                "clusterrole get-path --verb=get --non-resource-url=/metrics\n  kubectl create clusterrolebinding get-path --clusterrole=get-path --user=x",
            ),
        ] {
            assert_eq!(denied(message), Some(format!("{lead}{want}")), "{message}");
        }
        for message in ["no", r#"User "a; rm" cannot list resource "pods""#, r#"User "$(x)" cannot get path "/x""#] {
            assert_eq!(denied(message), None, "{message}");
        }
    }

    #[test]
    fn what_there_is_instead_is_told() {
        let missing = |entry| ConfigError::Missing { entry, name: "x".into() };
        let names = |count: usize| {
            [
                ("context", (0..count).map(|i| format!("c{i}")).collect()),
                ("cluster", vec!["one".to_owned()]),
                ("auth info", Vec::new()),
            ]
        };
        let told_of = |entry, count| of_kubeconfig(&missing(entry), &names(count)).unwrap_or_default();
        assert_eq!(told_of("context", 2), "The kubeconfig has: c0, c1");
        assert_eq!(told_of("context", 9), "The kubeconfig has 9, among them: c0, c1, c2, c3, c4, c5, c6, c7");
        assert_eq!(told_of("cluster", 0), "The kubeconfig has: one");
        assert!(told_of("auth info", 0).starts_with("The kubeconfig has no user at all"));
        let near = |near: &[&str]| TargetError::NoSuchType {
            name: "x".into(),
            near: near.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(told(near(&["pods", "nodes"])).as_deref(), Some("Did you mean pods, nodes?"));
        assert!(told(near(&[])).is_some_and(|text| text.contains("api-resources")));
        assert_eq!(told(anyhow::anyhow!("no")), None);
    }
}
