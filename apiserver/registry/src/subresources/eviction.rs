//! `pods/eviction`: a deletion that asks the disruption budgets first.
//!
//! Upstream: `pkg/registry/core/pod/storage/eviction.go`.

use super::{admit_posted, decode_body, for_resource};
use crate::failure::Failure;
use crate::strategies::{member, text};
use crate::transaction::{self, Now};
use crate::verbs::{Target, created, delete, read};
use crate::{Body, Context, Registry, Reply, metadata};
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::go::Plain;
use apimachinery::gvk::{GroupResource, GroupVersionKind};
use apimachinery::meta::{ObjectMeta, list_mut};
use apimachinery::selector::LabelSelector;
use apimachinery::status::{Cause, Details, Reason, Status};
use apimachinery::{Value, resources, time};
use apiserver_storage::{Change, Match, Object};
use serde_json::json;
use std::sync::Arc;

/// More evictions than this, unseen by the budget's controller, and it is waited for.
const MAX_DISRUPTED: usize = 2000;

pub(super) async fn evict(registry: &Registry, cx: &Context, body: Body) -> Result<Reply, Status> {
    let (mut eviction, _) = decode_body(cx, &body)?;
    metadata::ensure_namespace(cx, &mut eviction)?;
    if eviction.name() != cx.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    check_options(cx, &eviction)?;
    check_dry_run(cx, &eviction)?;
    admit_posted(registry, cx, &mut eviction).await?;
    let mut options = eviction.get("deleteOptions").cloned().unwrap_or_else(|| json!({}));
    let on_pod = for_resource(cx, cx.resource.clone(), &cx.name);
    let pod = read::fetch(registry, &on_pod, Match::MostRecent).await?.value();
    let pinned_to = match ask(registry, &on_pod, &pod).await? {
        Answer::Free => None,
        Answer::FreeAsOf { budget, version } => pin(&mut options, &version).then_some(budget),
    };
    match (remove(registry, &on_pod, options).await, pinned_to) {
        // It became another pod meanwhile, maybe a healthy one: the client may ask again.
        (Err(status), Some(budget)) if status.reason == Reason::Conflict => Err(unsettled(&budget)),
        (gone, _) => gone.map(|()| created()),
    }
}

/// Refuses to give up a pod that cannot be read.
fn check_options(cx: &Context, eviction: &Value) -> Result<(), Status> {
    const IGNORES: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";
    if eviction.pointer("/deleteOptions").and_then(|options| options.get(IGNORES)) != Some(&true.into()) {
        return Ok(());
    }
    let why = "can not be set for pod eviction, try after removing the option";
    let kind = FieldErrorKind::Invalid("true".into(), why.into());
    let error = FieldError { path: Path::new("deleteOptions").child(IGNORES), kind };
    Err(Status::invalid(&GroupVersionKind::new("policy", "v1", "Eviction"), &cx.name, &[error]))
}

/// Refuses a trial that the body does not mean as one, or the other way round.
fn check_dry_run(cx: &Context, eviction: &Value) -> Result<(), Status> {
    let given = eviction.pointer("/deleteOptions/dryRun").filter(|words| **words != json!([]));
    match given.filter(|words| cx.dry_run && **words != json!(["All"])) {
        None => Ok(()),
        Some(words) => {
            let why = "Non-matching dry-run options in request and content";
            Err(Status::plain(500, Reason::Unknown, format!("{why}: [All] and {}", Plain(words))))
        }
    }
}

/// What the budgets say of a pod that may go.
enum Answer {
    /// It may go.
    Free,
    /// It may go as long as it is in the state of this version.
    FreeAsOf {
        /// The budget that says so.
        budget: String,
        /// That version.
        version: String,
    },
}

async fn ask(registry: &Registry, cx: &Context, pod: &Value) -> Result<Answer, Status> {
    // A pod that does not run disturbs nobody by going.
    if pod.is_deleting() || matches!(text(pod, "/status/phase"), "Succeeded" | "Failed" | "Pending") {
        return Ok(Answer::Free);
    }
    let budgets = budgets(registry, pod);
    match budgets.as_slice() {
        [] => Ok(Answer::Free),
        [budget] if !counts(pod, budget) => {
            Ok(Answer::FreeAsOf { budget: budget.name().to_owned(), version: pod.resource_version().to_owned() })
        }
        [budget] => spend(registry, cx, budget.name()).await.map(|()| Answer::Free),
        _ => Err(Status::plain(
            500,
            Reason::Unknown,
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )),
    }
}

fn budgets(registry: &Registry, pod: &Value) -> Vec<Value> {
    let Some(resource) = resources::find("policy", "v1", "poddisruptionbudgets") else { return Vec::new() };
    let all = registry.store.cached_list(resource, Some(pod.namespace()));
    all.iter().map(|budget| budget.value()).filter(|budget| selects(budget, pod)).collect()
}

fn selects(budget: &Value, pod: &Value) -> bool {
    let selector = budget.pointer("/spec/selector").unwrap_or(&Value::Null);
    match LabelSelector::from_value(selector) {
        // Empty in policy/v1 selects every pod of the namespace.
        Ok(Some(selector)) => selector.matches(|key| pod.labels()?.get(key)?.as_str()),
        _ => false,
    }
}

/// Whether the pod counts as healthy: if it does not, and enough others are, its going costs nothing.
fn counts(pod: &Value, budget: &Value) -> bool {
    let ready = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let ready = ready.into_iter().any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True");
    let always = text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow";
    let (current, desired) = (number(budget, "currentHealthy"), number(budget, "desiredHealthy"));
    ready || !(always || current >= desired && desired > 0)
}

fn number(budget: &Value, key: &str) -> i64 {
    budget.pointer(&format!("/status/{key}")).and_then(Value::as_i64).unwrap_or_default()
}

/// Takes one disruption out of the budget.
async fn spend(registry: &Registry, cx: &Context, name: &str) -> Result<(), Status> {
    let resource =
        resources::find("policy", "v1", "poddisruptionbudgets").ok_or_else(|| Status::internal("no budgets"))?;
    let on_budget = for_resource(cx, resource.clone(), name);
    let target = Target::of(&on_budget)?;
    let mut change = Now(|current: &Arc<Object>| -> Result<Change, Failure> {
        let budget = spent(current.value(), &cx.name)?;
        Ok(if cx.dry_run { Change::Keep } else { Change::Put(budget) })
    });
    let written = transaction::run(&registry.store, &target, &mut change).await;
    written.map(drop).map_err(|failure| failure.status(&resource.group_resource(), name))
}

fn spent(mut budget: Value, pod: &str) -> Result<Value, Status> {
    let generation = metadata::generation(&budget);
    if number(&budget, "observedGeneration") < generation {
        return Err(unsettled(budget.name()));
    }
    let allowed = number(&budget, "disruptionsAllowed");
    let disrupted = budget.pointer("/status/disruptedPods").and_then(Value::as_object).map_or(0, |m| m.len());
    let refused =
        |why: &str| Status::forbidden(&GroupResource::new("policy", "poddisruptionbudget"), budget.name(), why);
    if allowed < 0 {
        return Err(refused("pdb disruptions allowed is negative"));
    }
    if disrupted > MAX_DISRUPTED {
        return Err(refused("DisruptedPods map too big - too many evictions not confirmed by PDB controller"));
    }
    if allowed == 0 {
        let (desired, current) = (number(&budget, "desiredHealthy"), number(&budget, "currentHealthy"));
        let name = budget.name();
        let message = format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently");
        return Err(exhausted(message, 0));
    }
    let status = member(&mut budget, "status");
    status.insert("disruptionsAllowed".into(), (allowed - 1).into());
    let pods = status.entry("disruptedPods").or_insert_with(|| json!({}));
    if let Some(pods) = pods.as_object_mut() {
        pods.insert(pod.to_owned(), time::now().into());
    }
    Ok(budget)
}

fn unsettled(budget: &str) -> Status {
    exhausted(format!("The disruption budget {budget} is still being processed by the server."), 10)
}

fn exhausted(message: String, retry_after_seconds: u32) -> Status {
    let cause = Cause { reason: "DisruptionBudget".into(), message, field: String::new() };
    let details = Details { causes: vec![cause], retry_after_seconds, ..Details::default() };
    let why = "Cannot evict pod as it would violate the pod's disruption budget.";
    Status { details: Some(Box::new(details)), ..Status::plain(429, Reason::TooManyRequests, why) }
}

/// Whether the client left it open which version goes: then it is this one.
fn pin(options: &mut Value, version: &str) -> bool {
    let preconditions = member(options, "preconditions");
    let is_open = !preconditions.contains_key("resourceVersion");
    if is_open {
        preconditions.insert("resourceVersion".into(), version.into());
    }
    is_open
}

/// Marks the pod, then deletes it. Which version goes is a matter of before the mark.
async fn remove(registry: &Registry, cx: &Context, mut options: Value) -> Result<(), Status> {
    let marked = mark_disrupted(registry, cx, &options).await?;
    if let (Some(marked), Some(version)) = (marked, options.pointer_mut("/preconditions/resourceVersion")) {
        *version = marked.revision().to_string().into();
    }
    delete::delete_with(registry, cx, &options).await
}

/// The pod says why it goes, if it stays long enough to say so.
async fn mark_disrupted(registry: &Registry, cx: &Context, options: &Value) -> Result<Option<Arc<Object>>, Status> {
    if cx.dry_run {
        return Ok(None);
    }
    let target = Target::of(cx)?;
    let mut change = Now(|current: &Arc<Object>| -> Result<Change, Failure> {
        let mut pod = current.value();
        delete::check_preconditions(cx, options, &pod, current.revision())?;
        add_condition(&mut pod);
        Ok(Change::Put(pod))
    });
    let written = transaction::run(&registry.store, &target, &mut change).await;
    written.map(Some).map_err(|failure| failure.status(&cx.resource.group_resource(), &cx.name))
}

fn add_condition(pod: &mut Value) {
    let list = list_mut(member(pod, "status"), "conditions");
    if list.iter().any(|c| text(c, "/type") == "DisruptionTarget") {
        return;
    }
    list.push(json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": time::now()}));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(allowed: i64) -> Value {
        json!({"metadata": {"name": "b", "generation": 1}, "spec": {"selector": {"matchLabels": {"a": "b"}}},
            "status": {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2}})
    }

    #[test]
    fn spending_takes_one_and_notes_the_pod() {
        let spent = spent(budget(1), "p").expect("allowed");
        assert_eq!(number(&spent, "disruptionsAllowed"), 0);
        assert!(spent["status"]["disruptedPods"]["p"].is_string());
    }

    #[test]
    fn an_empty_budget_is_a_429() {
        let status = super::spent(budget(0), "p").expect_err("refused");
        let cause = &status.details.as_ref().expect("details").causes[0];
        assert_eq!((status.code, cause.reason.as_str()), (429, "DisruptionBudget"));
        assert_eq!(cause.message, "The disruption budget b needs 2 healthy pods and has 2 currently");
        let mut fresh = budget(1);
        fresh.set_meta("generation", 2);
        assert_eq!(super::spent(fresh, "p").expect_err("refused").code, 429);
    }

    #[test]
    fn unready_pods_cost_nothing_while_enough_others_are_healthy() {
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert!(counts(&ready, &budget(0)));
        assert!(!counts(&json!({}), &budget(0)));
        let mut low = budget(0);
        low["status"]["currentHealthy"] = 1.into();
        assert!(counts(&json!({}), &low));
        low["spec"]["unhealthyPodEvictionPolicy"] = "AlwaysAllow".into();
        assert!(!counts(&json!({}), &low));
    }
}
