//! The `ServiceCIDR` named `kubernetes`: this server's own ranges of service addresses, and that they
//! are ready.
//!
//! Upstream: `pkg/controlplane/controller/defaultservicecidr`.

use super::followed::Followed;
use super::{BootstrapError, body, context, create};
use apimachinery::meta::ObjectMeta;
use apimachinery::{Value, time};
use apiserver_registry::{Context, Registry, Verb};
use apiserver_storage::Match;
use ipnet::IpNet;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "kubernetes";
/// How often the object is looked at if nothing else gives reason to.
const INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Wait before a write is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What there is to do about the object.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// There is none.
    Create,
    /// It has one of this server's two ranges.
    Widen(Value),
    /// Nobody has said yet whether its ranges are ready.
    MarkReady(Value),
    /// It is as it should be, or what is odd about it is its administrator's business.
    Nothing,
}

/// Writes the object, and says of its ranges that they are ready.
pub async fn ensure_service_cidr(registry: &Registry) -> Result<(), BootstrapError> {
    let ranges = ranges(&registry.options.service_ranges);
    let wanted = object(&ranges);
    let cx = context(&wanted, Verb::Update)?;
    // One step leads to the next; the last look returns when the cache has what was written, too.
    for _ in 0..3 {
        let current = registry.store.get(&cx.resource, &cx.resource.key("", NAME), Match::MostRecent).await?;
        match step(current.map(|current| current.value()).as_ref(), &ranges) {
            Step::Create => create(registry, wanted.clone()).await?,
            Step::Widen(changed) => update(registry, &cx, &changed).await?,
            Step::MarkReady(changed) => {
                let subresource = cx.resource.subresource("status").cloned();
                let cx = Context { subresource, ..context(&wanted, Verb::Update)? };
                update(registry, &cx, &changed).await?;
            }
            Step::Nothing => return Ok(()),
        }
    }
    Ok(())
}

/// Writes it again when it goes, for ever.
pub async fn keep_service_cidr(registry: Arc<Registry>) {
    let mut followed = Followed::new(object(&[]));
    loop {
        let wait = match ensure_service_cidr(&registry).await {
            Ok(()) => INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "cannot write the default range of service addresses");
                RETRY
            }
        };
        tokio::select! {
            () = followed.changed(&registry) => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn update(registry: &Registry, cx: &Context, object: &Value) -> Result<(), BootstrapError> {
    let written = registry.update(cx, body(object)).await;
    written.map(drop).map_err(|source| BootstrapError::Refused { name: NAME.to_owned(), source })
}

fn step(current: Option<&Value>, ranges: &[String]) -> Step {
    let Some(current) = current else { return Step::Create };
    if current.is_deleting() {
        return Step::Nothing;
    }
    let present: Vec<&str> = current
        .pointer("/spec/cidrs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if let (2, [one]) = (ranges.len(), present.as_slice())
        && *one == ranges[0]
    {
        let mut changed = current.clone();
        changed["spec"]["cidrs"] = json!(ranges);
        return Step::Widen(changed);
    }
    if present != ranges {
        tracing::warn!(?present, ?ranges, "the default ServiceCIDR has other ranges than this server");
        return Step::Nothing;
    }
    let conditions = current.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_ready = |condition: &Value| condition.get("type").and_then(Value::as_str) == Some("Ready");
    let known = conditions.iter().find(|condition| is_ready(condition)).and_then(|c| c.get("status")?.as_str());
    match known {
        Some("True" | "False") => Step::Nothing,
        _ => {
            let mut conditions: Vec<Value> = conditions.into_iter().filter(|condition| !is_ready(condition)).collect();
            conditions.push(json!({
                "type": "Ready", "status": "True", "reason": "", "lastTransitionTime": time::now(),
                "message": "Kubernetes default Service CIDR is ready",
            }));
            let mut changed = current.clone();
            changed["status"] = json!({"conditions": conditions});
            Step::MarkReady(changed)
        }
    }
}

fn object(ranges: &[String]) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": NAME},
        "spec": {"cidrs": ranges},
    })
}

/// Ranges by their network.
fn ranges(ranges: &[IpNet]) -> Vec<String> {
    ranges.iter().map(|range| range.trunc().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lead_to_ranges_that_are_ready() {
        let own = ranges(&["10.96.0.7/16".parse().expect("a range")]);
        assert_eq!(own, ["10.96.0.0/16"]);
        assert_eq!(step(None, &own), Step::Create);
        let Step::MarkReady(mut ready) = step(Some(&object(&own)), &own) else { panic!("not marked") };
        assert_eq!(ready["status"]["conditions"][0]["status"], "True");
        assert_eq!(step(Some(&ready), &own), Step::Nothing);
        ready["status"]["conditions"][0]["status"] = "False".into();
        assert_eq!(step(Some(&ready), &own), Step::Nothing, "others know why");
        ready["status"]["conditions"][0]["status"] = "Unknown".into();
        let Step::MarkReady(again) = step(Some(&ready), &own) else { panic!("not marked") };
        assert_eq!(again["status"]["conditions"].as_array().map(Vec::len), Some(1));
        let both = [own[0].clone(), "fd00::/112".to_owned()];
        let Step::Widen(wide) = step(Some(&ready), &both) else { panic!("not widened") };
        assert_eq!(wide["spec"]["cidrs"], json!(both));
        assert_eq!(step(Some(&object(&["10.0.0.0/24".to_owned()])), &own), Step::Nothing);
        ready["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(step(Some(&ready), &both), Step::Nothing);
    }
}
