//! What a namespace's `kube-root-ca.crt` should be.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Name of the ConfigMap.
pub(super) const CONFIG_MAP: &str = "kube-root-ca.crt";
const FILE: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
const TEXT: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints \
                    such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
                    distributions of Kubernetes clusters.";

/// What to do in one namespace.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// It is as it should be, or the namespace is going away.
    Nothing,
    /// There is none.
    Create(Box<ConfigMap>),
    /// Somebody changed it: put it back.
    Restore(Box<ConfigMap>),
}

pub(super) fn plan(namespace: &Namespace, current: Option<&ConfigMap>, root_ca: &str) -> Change {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    if phase == Some("Terminating") {
        return Change::Nothing;
    }
    let mut wanted = current.cloned().unwrap_or_else(|| ConfigMap {
        metadata: ObjectMeta {
            namespace: namespace.metadata.name.clone(),
            name: Some(CONFIG_MAP.to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    });
    wanted.data = Some([(FILE.to_owned(), root_ca.to_owned())].into());
    wanted.metadata.annotations.get_or_insert_default().insert(DESCRIPTION.to_owned(), TEXT.to_owned());
    match current {
        None => Change::Create(Box::new(wanted)),
        Some(current) if *current == wanted => Change::Nothing,
        Some(_) => Change::Restore(Box::new(wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn namespace(phase: &str) -> Namespace {
        serde_json::from_value(json!({"metadata": {"name": "n"}, "status": {"phase": phase}})).unwrap()
    }

    #[test]
    fn created_kept_restored() {
        let Change::Create(made) = plan(&namespace("Active"), None, "CA") else { panic!("not created") };
        assert_eq!(made.data.as_ref().unwrap()[FILE], "CA");
        assert_eq!(plan(&namespace("Active"), Some(&made), "CA"), Change::Nothing);

        let mut spoiled = (*made).clone();
        spoiled.data = Some([("other".to_owned(), "x".to_owned())].into());
        assert_eq!(plan(&namespace("Active"), Some(&spoiled), "CA"), Change::Restore(made));
    }

    #[test]
    fn not_in_a_dying_namespace() {
        assert_eq!(plan(&namespace("Terminating"), None, "CA"), Change::Nothing);
    }
}
