//! Which pods of a node a drain removes.
//!
//! Upstream: `kubectl/pkg/drain/filters.go`.

use crate::writing::Failures;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::time;
use jiff::Timestamp;

/// What the flags allow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filter {
    pub(super) force: bool,
    pub(super) ignore_daemon_sets: bool,
    pub(super) delete_empty_dirs: bool,
    /// Seconds; 0 for never.
    pub(super) skip_deleted_after: u64,
}

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes.
    Remove,
    /// It goes, and that is worth a warning.
    RemoveWarned(String),
    /// It stays without a word.
    Leave,
    /// It stays, and that is worth a warning.
    LeaveWarned(&'static str),
    /// It must not go: nothing is drained.
    Refuse(String),
}

impl Filter {
    /// Judges a pod. `missing` is what the server says of its daemon set if that is gone.
    pub(super) fn judge(&self, pod: &Value, missing: Option<&str>, now: Option<Timestamp>) -> Verdict {
        let after = self.skip_deleted_after;
        if after > 0 && deleted_for(pod, now).is_some_and(|seconds| seconds > after) {
            return Verdict::Leave;
        }
        let ended = matches!(pod.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed"));
        let mut warning = None;
        if !ended && pod.controller().is_some_and(|o| o.kind == "DaemonSet") {
            match (missing, self.force, self.ignore_daemon_sets) {
                (Some(why), true, _) => warning = Some(why.to_owned()),
                (Some(why), false, _) => return Verdict::Refuse(why.to_owned()),
                (None, _, false) => {
                    return Verdict::Refuse("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)".into());
                }
                (None, _, true) => return Verdict::LeaveWarned("ignoring DaemonSet-managed Pods"),
            }
        }
        if pod.annotations().is_some_and(|a| a.contains_key("kubernetes.io/config.mirror")) {
            return Verdict::Leave;
        }
        let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
        if !ended && volumes.into_iter().flatten().any(|v| v.get("emptyDir").is_some()) {
            if !self.delete_empty_dirs {
                return Verdict::Refuse("Pods with local storage (use --delete-emptydir-data to override)".into());
            }
            warning = Some("deleting Pods with local storage".into());
        }
        if !ended && pod.controller().is_none() {
            if !self.force {
                return Verdict::Refuse("Pods that declare no controller (use --force to override)".into());
            }
            warning = Some("deleting Pods that declare no controller".into());
        }
        warning.map_or(Verdict::Remove, Verdict::RemoveWarned)
    }
}

/// Seconds since a pod's deletion was asked for.
pub(super) fn deleted_for(pod: &Value, now: Option<Timestamp>) -> Option<u64> {
    let since = time::parse(pod.meta_str("deletionTimestamp")).ok()?;
    u64::try_from(now?.as_second() - since.as_second()).ok()
}

/// The pods that go; warnings are printed, refusals are the error.
pub(super) fn conclude(judged: Vec<(Value, Verdict)>) -> anyhow::Result<Vec<Value>> {
    let (mut refusals, mut warnings): (Groups, Groups) = Default::default();
    let mut pods = Vec::new();
    for (pod, verdict) in judged {
        let name = format!("{}/{}", pod.namespace(), pod.name());
        match verdict {
            Verdict::Remove => pods.push(pod),
            Verdict::RemoveWarned(why) => {
                warnings.add(&why, name);
                pods.push(pod);
            }
            Verdict::Leave => {}
            Verdict::LeaveWarned(why) => warnings.add(why, name),
            Verdict::Refuse(why) => refusals.add(&why, name),
        }
    }
    let refused = |(why, names): (String, Vec<String>)| anyhow::anyhow!("cannot delete {why}: {}", names.join(", "));
    Failures::among_others(refusals.0.into_iter().map(refused).collect())?;
    let warned: Vec<String> =
        warnings.0.into_iter().map(|(why, names)| format!("{why}: {}", names.join(", "))).collect();
    if !warned.is_empty() {
        eprintln!("Warning: {}", warned.join("; "));
    }
    Ok(pods)
}

/// Names under the reason that they share.
#[derive(Default)]
struct Groups(Vec<(String, Vec<String>)>);

impl Groups {
    fn add(&mut self, why: &str, name: String) {
        match self.0.iter_mut().find(|(other, _)| other == why) {
            Some((_, names)) => names.push(name),
            None => self.0.push((why.to_owned(), vec![name])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(kind: Option<&str>, phase: &str, volumes: Value) -> Value {
        let owners = kind
            .map(|kind| json!([{"kind": kind, "name": "o", "controller": true, "apiVersion": "apps/v1", "uid": "u"}]));
        json!({"metadata": {"name": "p", "namespace": "ns", "ownerReferences": owners.unwrap_or_else(|| json!([]))},
            "spec": {"volumes": volumes}, "status": {"phase": phase}})
    }

    #[test]
    fn pods_are_judged() {
        let none = Filter::default();
        let all = Filter { force: true, ignore_daemon_sets: true, delete_empty_dirs: true, skip_deleted_after: 0 };
        let empty_dir = json!([{"name": "v", "emptyDir": {}}]);
        let judge = |filter: &Filter, pod: &Value| filter.judge(pod, None, None);
        let refused = |verdict: Verdict| matches!(verdict, Verdict::Refuse(_));
        assert_eq!(judge(&none, &pod(Some("ReplicaSet"), "Running", json!([]))), Verdict::Remove);
        assert!(refused(judge(&none, &pod(None, "Running", json!([])))));
        assert_eq!(judge(&none, &pod(None, "Failed", empty_dir.clone())), Verdict::Remove);
        assert!(refused(judge(&none, &pod(Some("ReplicaSet"), "Running", empty_dir.clone()))));
        assert!(matches!(judge(&all, &pod(Some("ReplicaSet"), "Running", empty_dir)), Verdict::RemoveWarned(_)));
        assert!(refused(judge(&none, &pod(Some("DaemonSet"), "Running", json!([])))));
        assert!(matches!(judge(&all, &pod(Some("DaemonSet"), "Running", json!([]))), Verdict::LeaveWarned(_)));
        let orphan = pod(Some("DaemonSet"), "Running", json!([]));
        assert!(refused(none.judge(&orphan, Some("gone"), None)));
        assert_eq!(all.judge(&orphan, Some("gone"), None), Verdict::RemoveWarned("gone".into()));
    }

    #[test]
    fn refusals_come_per_reason() {
        let judged = vec![
            (pod(None, "Running", json!([])), Verdict::Refuse("x".into())),
            (pod(None, "Running", json!([])), Verdict::Refuse("x".into())),
        ];
        let error = conclude(judged).expect_err("refused");
        let Failures(list) = error.downcast_ref().expect("failures");
        assert_eq!(list[0].to_string(), "cannot delete x: ns/p, ns/p");
    }
}
