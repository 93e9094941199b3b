//! `pods/eviction`: a deletion that asks the disruption budgets first.
//!
//! Upstream: `pkg/registry/core/pod/storage/eviction.go`.

mod budget;

use super::{admit_posted, decode_body, for_resource};
use crate::failure::Failure;
use crate::strategies::{member, text};
use crate::transaction::{self, Now};
use crate::verbs::{Target, created, delete, read};
use crate::{Body, Context, Registry, Reply, metadata};
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::go::Plain;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::{ObjectMeta, list_mut};
use apimachinery::selector::LabelSelector;
use apimachinery::status::{Reason, Status};
use apimachinery::{Value, resources, time};
use apiserver_storage::{Change, Match, Object};
use serde_json::json;
use std::sync::Arc;

/// How often a pod that changes while it goes is looked at again.
const ATTEMPTS: usize = 20;

pub(super) async fn evict(registry: &Registry, cx: &Context, body: Body) -> Result<Reply, Status> {
    let (mut eviction, _) = decode_body(cx, &body)?;
    metadata::ensure_namespace(cx, &mut eviction)?;
    if eviction.name() != cx.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    check_options(cx, &eviction)?;
    let options = options(cx, &eviction)?;
    admit_posted(registry, cx, &mut eviction).await?;
    let on_pod = for_resource(cx, cx.resource.clone(), &cx.name);
    let Some(pod) = evict_undisturbing(registry, &on_pod, &options).await? else { return Ok(created()) };
    let was_open = is_open(&options);
    let gone = match ask(registry, &on_pod, &pod, is_trial(&options)).await? {
        Answer::Free => remove(registry, &on_pod, options).await,
        Answer::FreeAsOf { budget, version } => match remove(registry, &on_pod, pinned(options, &version)).await {
            // It became another pod meanwhile, maybe a healthy one: the client may ask again.
            Err(status) if status.reason == Reason::Conflict && was_open => Err(budget::unsettled(&budget)),
            gone => gone,
        },
    };
    gone.map(|()| created())
}

/// Evicts a pod whose going disturbs nobody; `Some` is one that has budgets to be asked.
///
/// One that does not run yet may begin to while it goes, which is why it is this version that goes. Another is looked at
/// again, unless the client meant a version.
async fn evict_undisturbing(registry: &Registry, cx: &Context, options: &Value) -> Result<Option<Value>, Status> {
    let mut attempts = 0;
    loop {
        let pod = read::fetch(registry, cx, Match::MostRecent).await?.value();
        let is_over = pod.is_deleting() || matches!(text(&pod, "/status/phase"), "Succeeded" | "Failed");
        if !is_over && text(&pod, "/status/phase") != "Pending" {
            return Ok(Some(pod));
        }
        let as_of = match is_open(options) && !is_over {
            true => pinned(options.clone(), pod.resource_version()),
            false => options.clone(),
        };
        attempts += 1;
        match remove(registry, cx, as_of).await {
            Err(status) if status.reason == Reason::Conflict && is_open(options) && attempts < ATTEMPTS => {}
            gone => return gone.map(|()| None),
        }
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

/// The options of the deletion: what the request says of a trial counts for a body that says nothing of it.
fn options(cx: &Context, eviction: &Value) -> Result<Value, Status> {
    let mut options = eviction.get("deleteOptions").filter(|o| !o.is_null()).cloned().unwrap_or_else(|| json!({}));
    match options.get("dryRun").filter(|words| **words != json!([]) && !words.is_null()) {
        Some(words) if cx.dry_run && *words != json!(["All"]) => {
            let why = "Non-matching dry-run options in request and content";
            return Err(Status::plain(500, Reason::Unknown, format!("{why}: [All] and {}", Plain(words))));
        }
        None if cx.dry_run => options["dryRun"] = json!(["All"]),
        _ => {}
    }
    Ok(options)
}

/// Whether nothing is written.
fn is_trial(options: &Value) -> bool {
    options.get("dryRun").and_then(Value::as_array).is_some_and(|words| !words.is_empty())
}

/// Whether the client left it open which version goes.
fn is_open(options: &Value) -> bool {
    options.pointer("/preconditions/resourceVersion").is_none_or(Value::is_null)
}

/// Only this version goes.
fn pinned(mut options: Value, version: &str) -> Value {
    member(&mut options, "preconditions").insert("resourceVersion".into(), version.into());
    options
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

async fn ask(registry: &Registry, cx: &Context, pod: &Value, is_trial: bool) -> Result<Answer, Status> {
    let budgets = budgets(registry, pod);
    match budgets.as_slice() {
        [] => Ok(Answer::Free),
        [budget] if !budget::counts(pod, budget) => {
            Ok(Answer::FreeAsOf { budget: budget.name().to_owned(), version: pod.resource_version().to_owned() })
        }
        [budget] => spend(registry, cx, budget.name(), is_trial).await.map(|()| Answer::Free),
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

/// Takes one disruption out of the budget.
async fn spend(registry: &Registry, cx: &Context, name: &str, is_trial: bool) -> Result<(), Status> {
    let resource =
        resources::find("policy", "v1", "poddisruptionbudgets").ok_or_else(|| Status::internal("no budgets"))?;
    let on_budget = for_resource(cx, resource.clone(), name);
    let target = Target::of(&on_budget)?;
    let mut change = Now(|current: &Arc<Object>| -> Result<Change, Failure> {
        let budget = budget::spent(current.value(), &cx.name)?;
        Ok(if is_trial { Change::Keep } else { Change::Put(budget) })
    });
    let written = transaction::run(&registry.store, &target, &mut change).await;
    written.map(drop).map_err(|failure| failure.status(&resource.group_resource(), name))
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
    if is_trial(options) {
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
    let mut condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": time::now()});
    match list.iter_mut().find(|c| text(c, "/type") == "DisruptionTarget") {
        Some(old) => {
            if text(old, "/status") == "True" {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => list.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_says_once_why_it_goes() {
        let mut pod = json!({"status": {"conditions": [{"type": "DisruptionTarget", "status": "True",
            "reason": "PreemptionByScheduler", "lastTransitionTime": "t"}]}});
        add_condition(&mut pod);
        let conditions = pod["status"]["conditions"].as_array().expect("a list");
        assert_eq!(conditions.len(), 1);
        assert_eq!(
            (&conditions[0]["reason"], &conditions[0]["lastTransitionTime"]),
            (&json!("EvictionByEvictionAPI"), &json!("t"))
        );
    }

    #[test]
    fn a_trial_may_be_asked_for_in_the_body_or_the_request() {
        let mut cx = crate::context::testing::context("", "pods");
        for (dry_run, body, want) in [
            (false, json!({}), Some(false)),
            (true, json!({}), Some(true)),
            (true, json!({"deleteOptions": {"dryRun": []}}), Some(true)),
            (false, json!({"deleteOptions": {"dryRun": ["All"]}}), Some(true)),
            (true, json!({"deleteOptions": {"dryRun": ["x"]}}), None),
        ] {
            cx.dry_run = dry_run;
            assert_eq!(options(&cx, &body).ok().map(|options| is_trial(&options)), want, "{dry_run} {body}");
        }
    }
}
