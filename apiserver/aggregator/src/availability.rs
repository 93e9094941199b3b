//! Whether an aggregated server can be reached, as its `Available` condition says.
//!
//! Upstream: `kube-aggregator/pkg/controllers/status/remote/remote_available_controller.go`.

use crate::service::{Reference, condition, text};
use apimachinery::meta::list_mut;
use apimachinery::{Map, Value, time};
use apiserver_registry::backends::{is_ready, port_name};
use serde_json::json;

/// What the condition says; messages are upstream's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The server answers.
    Passed,
    /// It cannot be reached, or does not answer.
    Failed { reason: &'static str, message: String },
}

impl Verdict {
    fn failed(reason: &'static str, message: String) -> Self {
        Verdict::Failed { reason, message }
    }

    /// The server did not answer its discovery document.
    pub(crate) fn discovery(why: String) -> Self {
        Self::failed("FailedDiscoveryCheck", why)
    }
}

/// What can be told without asking the server: `None` if it must be asked.
pub(crate) fn unreachable(reference: &Reference, service: Option<&Value>, slices: &[Value]) -> Option<Verdict> {
    let Reference { namespace, name, port, .. } = reference;
    let Some(service) = service else {
        let message = format!("service/{name} in {namespace:?} is not present");
        return Some(Verdict::failed("ServiceNotFound", message));
    };
    // Services of other types may lead elsewhere; only asking can tell.
    if service.pointer("/spec/type").and_then(Value::as_str).unwrap_or("ClusterIP") != "ClusterIP" {
        return None;
    }
    let Some(port_name) = port_name(service, *port) else {
        let message = format!("service/{name} in {namespace:?} is not listening on port {port}");
        return Some(Verdict::failed("ServicePortError", message));
    };
    if slices.is_empty() {
        let message = format!("cannot find endpointslices for service/{name} in {namespace:?}");
        return Some(Verdict::failed("EndpointsNotFound", message));
    }
    if !slices.iter().any(|s| has_endpoint(s, port_name)) {
        let message = format!(
            "endpointslices for service/{name} in {namespace:?} have no addresses with port name {port_name:?}"
        );
        return Some(Verdict::failed("MissingEndpoints", message));
    }
    None
}

fn has_endpoint(slice: &Value, port: &str) -> bool {
    let any = |key: &str, is: &dyn Fn(&Value) -> bool| {
        slice.get(key).and_then(Value::as_array).is_some_and(|list| list.iter().any(is))
    };
    any("endpoints", &is_ready) && any("ports", &|p| text(p, "name") == port && p.get("port").is_some())
}

/// Puts the verdict into the object's conditions; `false` if it stands there already.
pub(crate) fn record(object: &mut Value, verdict: &Verdict) -> bool {
    let (status, reason, message) = match verdict {
        Verdict::Passed => ("True", "Passed", "all checks passed"),
        Verdict::Failed { reason, message } => ("False", *reason, message.as_str()),
    };
    let before = condition(object).cloned().unwrap_or(Value::Null);
    if (text(&before, "status"), text(&before, "reason"), text(&before, "message")) == (status, reason, message) {
        return false;
    }
    let since = match text(&before, "status") == status {
        true => text(&before, "lastTransitionTime").to_owned(),
        false => time::now(),
    };
    let condition = json!({
        "type": "Available", "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
    });
    let Some(object) = object.as_object_mut() else { return false };
    let status = object.entry("status").or_insert_with(|| Map::new().into());
    let Some(status) = status.as_object_mut() else { return false };
    let conditions = list_mut(status, "conditions");
    match conditions.iter_mut().find(|c| text(c, "type") == "Available") {
        Some(place) => *place = condition,
        None => conditions.push(condition),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Trust;

    fn reason(service: Option<Value>, slices: &[Value]) -> Option<(&'static str, String)> {
        let reference = Reference { namespace: "ns".into(), name: "api".into(), port: 7443, trust: Trust::Anything };
        unreachable(&reference, service.as_ref(), slices).map(|verdict| match verdict {
            Verdict::Failed { reason, message } => (reason, message),
            Verdict::Passed => ("Passed", String::new()),
        })
    }

    #[test]
    fn what_can_be_told_without_asking() {
        let service = |port: u16| json!({"spec": {"ports": [{"name": "https", "port": port}]}});
        let slice = |ready: bool, name: &str| {
            json!({"endpoints": [{"addresses": ["1.2.3.4"], "conditions": {"ready": ready}}],
                "ports": [{"name": name, "port": 443}]})
        };
        for (service, slices, want) in [
            (None, vec![], Some(("ServiceNotFound", "service/api in \"ns\" is not present"))),
            (
                Some(service(1)),
                vec![],
                Some(("ServicePortError", "service/api in \"ns\" is not listening on port 7443")),
            ),
            (
                Some(service(7443)),
                vec![],
                Some(("EndpointsNotFound", "cannot find endpointslices for service/api in \"ns\"")),
            ),
            (
                Some(service(7443)),
                vec![slice(false, "https"), slice(true, "x")],
                Some((
                    "MissingEndpoints",
                    "endpointslices for service/api in \"ns\" have no addresses with port name \"https\"",
                )),
            ),
            (Some(service(7443)), vec![slice(false, "https"), slice(true, "https")], None),
            (Some(json!({"spec": {"type": "ExternalName"}})), vec![], None),
        ] {
            let got = reason(service, &slices);
            assert_eq!(got.as_ref().map(|(r, m)| (*r, m.as_str())), want);
        }
    }

    #[test]
    fn conditions_keep_their_time_while_their_status_stays() {
        let mut object = json!({"status": {"conditions": [
            {"type": "Available", "status": "False", "reason": "X", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Other", "status": "True"}]}});
        assert!(record(&mut object, &Verdict::discovery("no".into())));
        assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert!(record(&mut object, &Verdict::Passed));
        assert_ne!(object["status"]["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert_eq!(object["status"]["conditions"][0]["message"], "all checks passed");
        assert_eq!(object["status"]["conditions"].as_array().map(Vec::len), Some(2));
        assert!(!record(&mut object, &Verdict::Passed));
        let mut fresh = json!({});
        assert!(record(&mut fresh, &Verdict::Passed));
    }
}
