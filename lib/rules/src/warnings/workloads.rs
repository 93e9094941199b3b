//! What runs pods: names, templates, jobs.
//!
//! Upstream: `pkg/registry/{apps,batch,core}/*/strategy.go`, `pkg/api/job/warnings.go`.

use super::storage::claim_spec;
use super::{Sink, pods};
use crate::tree::Tree;
use crate::validation::check::At;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const SPEC: At<'static> = At::root("spec");
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// A new one. `plural` has a template of pods.
pub(super) fn create(plural: &str, object: &Value, warn: &mut Sink<'_>) {
    if !matches!(plural, "statefulsets" | "daemonsets" | "podtemplates") {
        pods::host_name(object, "Pod names and hostnames", warn);
    }
    content(plural, object, warn);
    if plural == "statefulsets" {
        stateful_set(object, None, warn);
    }
}

/// A changed one: its template is looked at if anything of it counts as a change.
pub(super) fn update(plural: &str, new: &Value, old: &Value, warn: &mut Sink<'_>) {
    let is_changed = match plural {
        "daemonsets" => number(new) != number(old),
        _ => new.generation() != old.generation(),
    };
    match plural {
        // Upstream looks at the template that was.
        "replicationcontrollers" if is_changed => content(plural, old, warn),
        _ if is_changed => content(plural, new, warn),
        _ => {}
    }
    match plural {
        "statefulsets" => stateful_set(new, Some("Spec"), warn),
        "cronjobs" if new.at("spec").is_some_and(|spec| spec.text("schedule").contains("TZ")) => {
            let page = "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/";
            warn(format!(
                "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see {page} for more details"
            ));
        }
        _ => {}
    }
}

fn number(set: &Value) -> Option<&Value> {
    set.annotations().and_then(|all| all.get(TEMPLATE_GENERATION))
}

fn content(plural: &str, object: &Value, warn: &mut Sink<'_>) {
    let spec = object.at("spec");
    match plural {
        "podtemplates" => template(&At::root("template"), object.at("template"), warn),
        "jobs" => job(&SPEC, spec, warn),
        "cronjobs" => {
            let at = SPEC.child("jobTemplate");
            job(&at.child("spec"), spec.and_then(|s| s.at("jobTemplate")).and_then(|t| t.at("spec")), warn);
        }
        _ => template(&SPEC.child("template"), spec.and_then(|s| s.at("template")), warn),
    }
}

fn template(at: &At<'_>, template: Option<&Value>, warn: &mut Sink<'_>) {
    if let Some(template) = template {
        pods::template(at, template, warn);
    }
}

fn job(at: &At<'_>, spec: Option<&Value>, warn: &mut Sink<'_>) {
    const MANY_COMPLETIONS: i64 = 100_000;
    const MUCH_PARALLELISM: i64 = 10_000;
    let Some(spec) = spec else { return };
    let is_large = spec.int("completions") > MANY_COMPLETIONS && spec.int("parallelism") > MUCH_PARALLELISM;
    if is_large && spec.text("completionMode") == "Indexed" {
        let path = at.path();
        warn(format!(
            "{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        ));
    }
    template(&at.child("template"), spec.at("template"), warn);
}

/// Upstream names the specification of a changed template of claims, but not that of a new one.
fn stateful_set(set: &Value, below: Option<&'static str>, warn: &mut Sink<'_>) {
    let Some(spec) = set.at("spec") else { return };
    let at = SPEC.child("volumeClaimTemplates");
    for (index, claim) in spec.items("volumeClaimTemplates").iter().enumerate() {
        let at = at.index(index);
        match below {
            Some(name) => claim_spec(&at.child(name), claim.at("spec"), warn),
            None => claim_spec(&at, claim.at("spec"), warn),
        }
    }
    if spec.int("revisionHistoryLimit") < 0 {
        let advice = "a negative value retains all historical revisions; a value >= 0 is recommended";
        warn(format!("spec.revisionHistoryLimit: {advice}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warnings::testing::said;
    use serde_json::json;

    fn with_grace(seconds: i64, generation: i64) -> Value {
        let template = json!({"spec": {"terminationGracePeriodSeconds": seconds}});
        json!({"metadata": {"name": "a", "generation": generation}, "template": template, "spec": {
            "template": template, "jobTemplate": {"spec": {"template": template}}}})
    }

    #[test]
    fn templates_are_where_they_are() {
        for (plural, want) in [
            ("deployments", "spec.template"),
            ("podtemplates", "template"),
            ("jobs", "spec.template"),
            ("cronjobs", "spec.jobTemplate.spec.template"),
            ("statefulsets", "spec.template"),
        ] {
            let texts = said(|warn| create(plural, &with_grace(-1, 1), warn));
            assert_eq!(texts.len(), 1, "{plural}");
            assert!(texts[0].starts_with(&format!("{want}.spec.terminationGracePeriodSeconds: ")), "{texts:?}");
        }
    }

    #[test]
    fn names_become_those_of_hosts() {
        let object = json!({"metadata": {"name": "a.b"}});
        for (plural, want) in [("deployments", 1), ("jobs", 1), ("cronjobs", 1), ("daemonsets", 0)] {
            assert_eq!(said(|warn| create(plural, &object, warn)).len(), want, "{plural}");
        }
        assert_eq!(
            said(|warn| create("jobs", &object, warn)),
            [
                "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
            ]
        );
    }

    #[test]
    fn only_changes_count() {
        let (right, wrong) = (with_grace(1, 1), with_grace(-1, 2));
        for (plural, new, old, want) in [
            ("deployments", &wrong, &right, 1),
            ("deployments", &wrong, &wrong, 0),
            ("replicationcontrollers", &wrong, &right, 0),
            ("replicationcontrollers", &right, &wrong, 1),
            ("daemonsets", &wrong, &right, 0),
        ] {
            assert_eq!(said(|warn| update(plural, new, old, warn)).len(), want, "{plural}");
        }
    }

    #[test]
    fn jobs_and_sets() {
        let large = |mode: &str| json!({"completions": 100_001, "parallelism": 10_001, "completionMode": mode});
        assert_eq!(said(|warn| job(&SPEC, Some(&large("Indexed")), warn)).len(), 1);
        assert!(said(|warn| job(&SPEC, Some(&large("NonIndexed")), warn)).is_empty());
        let claim = json!({"spec": {"resources": {"requests": {"storage": "1500m"}}}});
        let set = json!({"spec": {"revisionHistoryLimit": -1, "volumeClaimTemplates": [claim]}});
        for (below, want) in [(None, ""), (Some("Spec"), ".Spec")] {
            let texts = said(|warn| stateful_set(&set, below, warn));
            let start = format!("spec.volumeClaimTemplates[0]{want}.resources.requests[storage]: ");
            assert!(texts[0].starts_with(&start), "{texts:?}");
            assert_eq!(texts.len(), 2);
        }
        let zoned = json!({"spec": {"schedule": "TZ=UTC * * * * *"}});
        assert_eq!(said(|warn| update("cronjobs", &zoned, &zoned, warn)).len(), 1);
    }
}
