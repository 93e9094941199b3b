//! Which service accounts a namespace lacks.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Every namespace has these.
const WANTED: [&str; 1] = ["default"];

/// The accounts to create; none in a namespace that is going away.
pub(super) fn missing(namespace: &Namespace, exists: impl Fn(&str) -> bool) -> Vec<ServiceAccount> {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    if namespace.metadata.deletion_timestamp.is_some() || phase == Some("Terminating") {
        return Vec::new();
    }
    WANTED.into_iter().filter(|name| !exists(name)).map(|name| account(namespace, name)).collect()
}

fn account(namespace: &Namespace, name: &str) -> ServiceAccount {
    ServiceAccount {
        metadata: ObjectMeta {
            namespace: namespace.metadata.name.clone(),
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_live_namespace_gets_its_account_once() {
        let live: Namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
        let made = missing(&live, |_| false);
        assert_eq!(made[0].metadata.name.as_deref(), Some("default"));
        assert_eq!(made[0].metadata.namespace.as_deref(), Some("n"));
        assert!(missing(&live, |_| true).is_empty());
    }

    #[test]
    fn a_dying_namespace_gets_none() {
        let dying: Namespace =
            serde_json::from_value(json!({"metadata": {"name": "n"}, "status": {"phase": "Terminating"}})).unwrap();
        assert!(missing(&dying, |_| false).is_empty());
    }
}
