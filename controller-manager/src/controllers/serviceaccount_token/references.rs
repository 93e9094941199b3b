//! Removes Secrets that are gone from the lists of their accounts.

use crate::objects::secrets::{ACCOUNT_NAME, annotation};
use crate::scaffold::context::namespaced;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use client::ObjectKey;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::PostParams;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The Secrets that are gone, by account. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Gone {
    by_account: Arc<Mutex<HashMap<ObjectKey, HashSet<String>>>>,
}

impl Gone {
    /// Takes note of a Secret that is gone; gives its account.
    pub(super) fn remember(&self, secret: &Secret) -> ObjectKey {
        let namespace = secret.metadata.namespace.clone().unwrap_or_default();
        let account = ObjectKey { namespace, name: annotation(secret, ACCOUNT_NAME).to_owned() };
        let name = secret.metadata.name.clone().unwrap_or_default();
        self.by_account.lock().entry(account.clone()).or_default().insert(name);
        account
    }

    fn of(&self, account: &ObjectKey) -> HashSet<String> {
        self.by_account.lock().get(account).cloned().unwrap_or_default()
    }

    fn done(&self, account: &ObjectKey, names: &HashSet<String>) {
        let mut by_account = self.by_account.lock();
        if let Some(left) = by_account.get_mut(account) {
            left.retain(|name| !names.contains(name));
            if left.is_empty() {
                by_account.remove(account);
            }
        }
    }
}

/// The account without these Secrets; `None` if it names none of them.
fn without(account: &ServiceAccount, gone: &HashSet<String>) -> Option<ServiceAccount> {
    let is_gone = |name: &Option<String>| name.as_ref().is_some_and(|name| gone.contains(name));
    if !account.secrets.iter().flatten().any(|reference| is_gone(&reference.name)) {
        return None;
    }
    let mut after = account.clone();
    after.secrets.iter_mut().for_each(|secrets| secrets.retain(|reference| !is_gone(&reference.name)));
    Some(after)
}

pub(super) struct References {
    pub(super) client: kube::Client,
    pub(super) gone: Gone,
}

impl Controller for References {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let gone = self.gone.of(key);
        if !gone.is_empty() && !key.name.is_empty() {
            let api = namespaced::<ServiceAccount>(&self.client, &key.namespace);
            let account = api.get_opt(&key.name).await.at(|| format!("read service account {key}"))?;
            if let Some(after) = account.and_then(|account| without(&account, &gone)) {
                match api.replace(&key.name, &PostParams::default(), &after).await {
                    Err(error) if is_not_found(&error) => {}
                    written => drop(written.at(|| format!("remove secrets of service account {key}"))?),
                }
            }
        }
        self.gone.done(key, &gone);
        Ok(Next::OnChange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_gone_is_forgotten_once_it_is_removed() {
        let secret: Secret = serde_json::from_value(
            json!({"metadata": {"name": "s", "namespace": "n", "annotations": {ACCOUNT_NAME: "a"}}}),
        )
        .unwrap();
        let gone = Gone::default();
        let key = gone.remember(&secret);
        assert_eq!(key.to_string(), "n/a");
        let account: ServiceAccount =
            serde_json::from_value(json!({"metadata": {"name": "a"}, "secrets": [{"name": "s"}, {"name": "t"}]}))
                .unwrap();
        let names = gone.of(&key);
        let after = without(&account, &names).unwrap();
        assert_eq!(after.secrets.as_ref().unwrap().len(), 1);
        assert_eq!(without(&after, &names), None);
        gone.done(&key, &names);
        assert!(gone.of(&key).is_empty() && gone.by_account.lock().is_empty());
    }
}
