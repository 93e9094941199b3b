//! What a deletion makes of an object: a pure decision.

use super::options::{DeleteOptions, Policy};
use crate::metadata::{generation, grace_period, seconds_after};
use crate::strategies::{member, pods};
use crate::strategy::{Dependents, Ending, Strategy};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apiserver_extensions::status;
use jiff::Timestamp;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// The decision.
#[derive(Debug, PartialEq)]
pub(super) enum Plan {
    /// It is being deleted already, and this request changes nothing.
    Wait,
    /// It stays for now, in this state.
    Mark(Value),
    /// It goes; this is its last state.
    Remove(Value),
}

/// Decides for an object in its present state.
pub(super) fn plan(strategy: &Strategy, object: &Value, options: &DeleteOptions, now: Timestamp) -> Plan {
    match strategy.ending {
        Ending::Namespace => namespace(strategy, object, options, now),
        Ending::Graceful => graceful(strategy, object, options, now),
        Ending::Definition => immediate(strategy, definition(object), options, now),
        Ending::Immediate => immediate(strategy, object.clone(), options, now),
    }
}

/// A custom resource definition outlives its objects: its first deletion says so and is held until
/// they are gone.
fn definition(object: &Value) -> Value {
    let mut definition = object.clone();
    if object.is_deleting() {
        return definition;
    }
    let mut finalizers: Vec<Value> = object.finalizers().into_iter().map(Value::from).collect();
    if !finalizers.iter().any(|f| f == status::CLEANUP) {
        finalizers.push(status::CLEANUP.into());
    }
    definition.set_meta("finalizers", finalizers);
    status::set(&mut definition, &status::deletion_pending());
    definition
}

fn immediate(strategy: &Strategy, mut object: Value, options: &DeleteOptions, now: Timestamp) -> Plan {
    set_finalizers(strategy, &mut object, options);
    if object.finalizers().is_empty() {
        return Plan::Remove(object);
    }
    if !object.is_deleting() {
        mark(&mut object, now, 0);
    }
    Plan::Mark(object)
}

/// Pods: the first deletion starts the grace period, later ones can only shorten it.
fn graceful(strategy: &Strategy, object: &Value, options: &DeleteOptions, now: Timestamp) -> Plan {
    let mut pod = object.clone();
    let period = match (object.is_deleting(), grace_period(object), options.grace_period) {
        (false, ..) => {
            let period = pods::grace_seconds(object, options.grace_period);
            mark(&mut pod, now, period);
            period
        }
        (true, None, _) => 0,
        (true, Some(_), None) => return Plan::Wait,
        // The kubelet's last word has been said; what holds the pod is a finalizer.
        (true, Some(running), Some(asked)) if asked >= running && running > 0 => return Plan::Wait,
        (true, Some(running), Some(asked)) => {
            shorten(&mut pod, running, asked.min(running));
            asked.min(running)
        }
    };
    set_finalizers(strategy, &mut pod, options);
    match period == 0 && pod.finalizers().is_empty() {
        true => Plan::Remove(pod),
        false if pod == *object => Plan::Wait,
        false => Plan::Mark(pod),
    }
}

/// A namespace ends when the namespace controller has emptied it.
fn namespace(strategy: &Strategy, object: &Value, options: &DeleteOptions, now: Timestamp) -> Plan {
    let held = object.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty());
    let mut namespace = object.clone();
    if !object.is_deleting() {
        set_finalizers(strategy, &mut namespace, &options.of_namespace());
        namespace.set_meta("deletionTimestamp", seconds_after(now, 0));
        member(&mut namespace, "status").insert("phase".into(), "Terminating".into());
        return Plan::Mark(namespace);
    }
    match held {
        true => Plan::Wait,
        false => immediate(strategy, namespace, options, now),
    }
}

/// Marks an object as being deleted, which counts as a change of what is declared.
fn mark(object: &mut Value, now: Timestamp, period: i64) {
    object.set_meta("deletionTimestamp", seconds_after(now, period));
    object.set_meta("deletionGracePeriodSeconds", period);
    match generation(object) {
        0 => {}
        count => object.set_meta("generation", count + 1),
    }
}

/// Moves the end of a running grace period forward.
fn shorten(object: &mut Value, running: i64, asked: i64) {
    let end = object.meta_str("deletionTimestamp").parse::<Timestamp>();
    if let Ok(end) = end {
        object.set_meta("deletionTimestamp", seconds_after(end, asked - running));
    }
    object.set_meta("deletionGracePeriodSeconds", asked);
}

/// Adds or removes the garbage collector's finalizers, as the request or else the kind wants it.
fn set_finalizers(strategy: &Strategy, object: &mut Value, options: &DeleteOptions) {
    if strategy.dependents == Dependents::Unsupported {
        return;
    }
    let present = object.finalizers();
    let wanted = match policy(strategy, &present, options) {
        Policy::Orphan => Some(ORPHAN),
        Policy::Foreground => Some(FOREGROUND),
        Policy::Background => None,
    };
    let others = present.iter().copied().filter(|f| *f != ORPHAN && *f != FOREGROUND);
    let list: Vec<Value> = others.chain(wanted).map(Value::from).collect();
    let same = list.len() == present.len() && list.iter().all(|f| present.iter().any(|p| f == p));
    match (same, list.is_empty()) {
        (true, _) => {}
        (false, true) => {
            object.metadata_mut().remove("finalizers");
        }
        (false, false) => object.set_meta("finalizers", list),
    }
}

/// The request's policy, else the one that an earlier deletion left, else the kind's.
fn policy(strategy: &Strategy, present: &[&str], options: &DeleteOptions) -> Policy {
    let left = present.iter().find_map(|finalizer| match *finalizer {
        ORPHAN => Some(Policy::Orphan),
        FOREGROUND => Some(Policy::Foreground),
        _ => None,
    });
    let kinds = match strategy.dependents {
        Dependents::Orphan => Policy::Orphan,
        Dependents::Delete | Dependents::Unsupported => Policy::Background,
    };
    options.policy.or(left).unwrap_or(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::DEFAULT;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().expect("a time")
    }

    fn decide(strategy: &Strategy, object: &Value, options: Value) -> Plan {
        plan(strategy, object, &DeleteOptions::parse(&options).expect("options"), now())
    }

    #[test]
    fn objects_without_finalizers_go_at_once() {
        let object = json!({"metadata": {"name": "a"}});
        assert_eq!(decide(&DEFAULT, &object, json!({})), Plan::Remove(object));
    }

    #[test]
    fn finalizers_hold_an_object() {
        let marked = |finalizers: Value| {
            Plan::Mark(json!({"metadata": {"generation": 2, "finalizers": finalizers,
                "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0}}))
        };
        let object = |finalizers: Value| json!({"metadata": {"generation": 1, "finalizers": finalizers}});
        let orphaning = Strategy { dependents: Dependents::Orphan, ..DEFAULT };
        for (strategy, present, options, want) in [
            (DEFAULT, json!(["x"]), json!({}), json!(["x"])),
            (DEFAULT, json!([]), json!({"propagationPolicy": "Foreground"}), json!(["foregroundDeletion"])),
            (DEFAULT, json!(["x"]), json!({"orphanDependents": true}), json!(["x", "orphan"])),
            (DEFAULT, json!(["orphan"]), json!({}), json!(["orphan"])),
            (DEFAULT, json!(["orphan"]), json!({"propagationPolicy": "Foreground"}), json!(["foregroundDeletion"])),
            (orphaning, json!([]), json!({}), json!(["orphan"])),
        ] {
            assert_eq!(decide(&strategy, &object(present), options), marked(want));
        }
        let background = json!({"propagationPolicy": "Background"});
        assert!(matches!(decide(&orphaning, &object(json!([])), background), Plan::Remove(_)));
    }

    #[test]
    fn pods_get_their_grace_period() {
        let running =
            json!({"metadata": {"generation": 1}, "spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}});
        let Plan::Mark(first) = decide(&pods::STRATEGY, &running, json!({})) else { panic!("graceful") };
        assert_eq!(
            first["metadata"],
            json!({"generation": 2, "deletionTimestamp": "2026-01-01T00:00:30Z",
            "deletionGracePeriodSeconds": 30})
        );
        assert_eq!(decide(&pods::STRATEGY, &first, json!({})), Plan::Wait);
        assert_eq!(decide(&pods::STRATEGY, &first, json!({"gracePeriodSeconds": 60})), Plan::Wait);
        let Plan::Mark(shorter) = decide(&pods::STRATEGY, &first, json!({"gracePeriodSeconds": 5})) else {
            panic!("shortened")
        };
        assert_eq!(
            shorter["metadata"],
            json!({"generation": 2, "deletionTimestamp": "2026-01-01T00:00:05Z",
            "deletionGracePeriodSeconds": 5})
        );
        assert!(matches!(decide(&pods::STRATEGY, &shorter, json!({"gracePeriodSeconds": 0})), Plan::Remove(_)));
        assert!(matches!(decide(&pods::STRATEGY, &json!({"spec": {}}), json!({})), Plan::Remove(_)));
    }

    #[test]
    fn a_finalizer_keeps_a_dead_pod() {
        let pod = json!({"metadata": {"finalizers": ["x"], "deletionTimestamp": "2026-01-01T00:00:30Z",
            "deletionGracePeriodSeconds": 30}, "spec": {"nodeName": "n"}});
        let Plan::Mark(dead) = decide(&pods::STRATEGY, &pod, json!({"gracePeriodSeconds": 0})) else {
            panic!("marked")
        };
        assert_eq!(dead["metadata"]["deletionGracePeriodSeconds"], 0);
        assert_eq!(decide(&pods::STRATEGY, &dead, json!({"gracePeriodSeconds": 0})), Plan::Wait);
    }

    #[test]
    fn namespaces_wait_for_their_controller() {
        let strategy = Strategy { ending: Ending::Namespace, ..DEFAULT };
        let active =
            json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        let Plan::Mark(terminating) = decide(&strategy, &active, json!({})) else { panic!("marked") };
        assert_eq!(terminating["status"]["phase"], "Terminating");
        assert_eq!(decide(&strategy, &terminating, json!({})), Plan::Wait);
        let empty = json!({"metadata": {"name": "n", "deletionTimestamp": "t"}, "spec": {}});
        assert!(matches!(decide(&strategy, &empty, json!({})), Plan::Remove(_)));
    }
}
