//! `kube-system/kube-apiserver-legacy-service-account-token-tracking`: since when servers note on
//! token Secrets that they are used, which is what their cleaner goes by.
//!
//! Upstream: `pkg/controlplane/controller/legacytokentracking`.

use super::followed::{Followed, NAMESPACE};
use super::{BootstrapError, body, context, create};
use apimachinery::Value;
use apiserver_registry::{Registry, Verb};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "kube-apiserver-legacy-service-account-token-tracking";
const SINCE: &str = "since";
/// How often the map is looked at if nothing else gives reason to. One that somebody deletes comes
/// back after this time.
const INTERVAL: Duration = Duration::from_secs(30 * 60);
/// Wait before a write is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Writes the map if there is none, or if it says no date.
pub async fn track_tokens(registry: &Registry) -> Result<(), BootstrapError> {
    let mut map = own_map();
    let cx = context(&map, Verb::Update)?;
    match registry.store.cached(&cx.resource, &cx.resource.key(NAMESPACE, NAME)).map(|current| current.value()) {
        None => {
            map["data"] = json!({SINCE: today()});
            create(registry, map).await
        }
        Some(current) if says_a_date(&current) => Ok(()),
        Some(mut current) => {
            match current.get_mut("data").and_then(Value::as_object_mut) {
                Some(data) => drop(data.insert(SINCE.into(), today().into())),
                None => current["data"] = json!({SINCE: today()}),
            }
            let written = registry.update(&cx, body(&current)).await;
            written.map(drop).map_err(|source| BootstrapError::Refused { name: NAME.to_owned(), source })
        }
    }
}

/// Mends the map when somebody breaks it, for ever.
pub async fn keep_token_tracking(registry: Arc<Registry>) {
    let mut map = Followed::new(own_map());
    loop {
        let wait = match track_tokens(&registry).await {
            Ok(()) => INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "cannot write since when the use of tokens is noted");
                RETRY
            }
        };
        // What was deleted on purpose does not come back at once.
        tokio::select! {
            () = changed_to_exist(&mut map, &registry) => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn changed_to_exist(map: &mut Followed, registry: &Registry) {
    loop {
        map.changed(registry).await;
        let Some(resource) = apimachinery::resources::find("", "v1", "configmaps") else { return };
        if registry.store.cached(resource, &resource.key(NAMESPACE, NAME)).is_some() {
            return;
        }
    }
}

/// The map without its data.
fn own_map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": NAMESPACE}})
}

fn today() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).date().to_string()
}

fn says_a_date(map: &Value) -> bool {
    let since = map.get("data").and_then(|data| data.get(SINCE)).and_then(Value::as_str).unwrap_or_default();
    since.len() == "2006-01-02".len() && since.parse::<Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days() {
        for (since, want) in [("2026-01-02", true), ("2026-13-02", false), ("20260102", false), ("", false)] {
            assert_eq!(says_a_date(&json!({"data": {"since": since}})), want, "{since}");
        }
        assert!(!says_a_date(&json!({})));
        assert!(says_a_date(&json!({"data": {"since": today()}})));
    }
}
