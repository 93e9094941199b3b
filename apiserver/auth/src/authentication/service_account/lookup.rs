//! The objects that tokens are bound to.

use super::{LEEWAY, Reference, ServiceAccountTokens};
use apimachinery::meta::ObjectMeta;
use apimachinery::resources::{self, ResourceInfo};
use apiserver_storage::{Match, Object};
use std::sync::Arc;

/// What a token is told whose object is gone.
const INVALIDATED: &str = "service account token has been invalidated";

/// A core/v1 resource.
pub(crate) fn core(plural: &str) -> Option<&'static Arc<ResourceInfo>> {
    resources::find("", "v1", plural)
}

impl ServiceAccountTokens {
    /// The service account as this token means it.
    pub(super) async fn account(&self, namespace: &str, account: &Reference) -> Result<Arc<Object>, String> {
        let name = &account.name;
        let missing = || format!("serviceaccounts {name:?} not found");
        let object = self.find("serviceaccounts", namespace, name).await.ok_or_else(missing)?;
        if object.uid() != account.uid {
            return Err(format!("service account UID ({}) does not match claim ({})", object.uid(), account.uid));
        }
        match deleted_for(&object, LEEWAY) {
            true => Err(format!("service account {namespace}/{name} has been deleted")),
            false => Ok(object),
        }
    }

    /// Whether an object that a token is bound to is still the same, and not gone.
    pub(super) async fn bound_object(
        &self,
        plural: &'static str,
        what: &str,
        namespace: &str,
        reference: &Reference,
    ) -> Result<(), String> {
        let object = self.find(plural, namespace, &reference.name).await.ok_or(INVALIDATED)?;
        if object.uid() != reference.uid {
            let (now, claimed) = (object.uid(), &reference.uid);
            return Err(format!("{what} UID ({now}) does not match service account {what} ref claim ({claimed})"));
        }
        if deleted_for(&object, LEEWAY) { Err(INVALIDATED.into()) } else { Ok(()) }
    }

    /// An object from memory, or from etcd if it is so new that memory does not know it.
    pub(super) async fn find(&self, plural: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let resource = core(plural)?;
        let key = resource.key(namespace, name);
        match self.store.cached(resource, &key) {
            Some(object) => Some(object),
            None => self.store.get(resource, &key, Match::MostRecent).await.ok().flatten(),
        }
    }
}

/// Whether the object's deletion began more than so many seconds ago.
pub(super) fn deleted_for(object: &Object, seconds: i64) -> bool {
    // Only deletions in progress need a look inside.
    if memchr::memmem::find(object.json(), b"\"deletionTimestamp\"").is_none() {
        return false;
    }
    let value = object.value();
    let deleted = value.meta_str("deletionTimestamp").parse::<jiff::Timestamp>();
    deleted.is_ok_and(|at| at.as_second() < jiff::Timestamp::now().as_second() - seconds)
}
