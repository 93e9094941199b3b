//! `auth reconcile`: makes roles allow at least what manifests say, and bindings bind at least
//! whom they name.
//!
//! Upstream: `kubectl/pkg/cmd/auth/reconcile.go`, `component-helpers/auth/rbac/reconciliation`.

use super::Session;
use super::rules::{Rule, uncovered};
use crate::cli::auth::Reconcile;
use crate::discovery::{Discovery, Resource};
use crate::files::{self, Manifest};
use crate::writing::{DryRun, Failures, Writing, code, is_not_found};
use anyhow::{Context, bail};
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};
use http::Method;
use serde_json::json;

const GROUP: &str = "rbac.authorization.k8s.io";
/// The annotation of objects that want to be left alone.
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
/// How often a conflict is met with another look.
const ATTEMPTS: usize = 4;

pub(super) async fn run(session: &Session, flags: &Reconcile) -> anyhow::Result<()> {
    flags.files.required()?;
    if !flags.words.is_empty() {
        bail!("no arguments are allowed");
    }
    let writing = Writing::new(&flags.dry_run.dry_run, "", &flags.printing)
        .context("error accessing --dry-run flag for command reconcile")?
        .typed();
    if writing.dry_run == DryRun::Server {
        bail!("--dry-run=server for command reconcile is not supported yet");
    }
    let discovery = with_older_versions(Discovery::builtin());
    let read = files::read_checked(&flags.files, &discovery, session, files::Check::Registered).await?;
    let mut failures = read.failures;
    for manifest in read.manifests {
        failures.extend(one(session, flags, &writing, &manifest).await.err());
    }
    Failures::outcome(failures)
}

/// What must be done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Nothing,
    Create,
    Update,
    /// A binding's role cannot be changed.
    Recreate,
}

/// What an object should be, and how it differs.
#[derive(Debug)]
struct Plan {
    operation: Operation,
    object: Value,
    missing: Vec<String>,
    extra: Vec<String>,
    protected: bool,
}

async fn one(session: &Session, flags: &Reconcile, writing: &Writing<'_>, manifest: &Manifest) -> anyhow::Result<()> {
    let resource = &manifest.resource;
    if resource.group == GROUP && resource.version != "v1" {
        bail!("only {GROUP}/v1 is supported: not *{}.{}", resource.version, resource.kind);
    }
    let is_role = match (resource.group.as_str(), resource.kind.as_str()) {
        (GROUP, "Role" | "ClusterRole") => true,
        (GROUP, "RoleBinding" | "ClusterRoleBinding") => false,
        _ => return Ok(()),
    };
    let remove = if is_role { flags.remove_extra_permissions } else { flags.remove_extra_subjects };
    let mut attempt = 1;
    let (plan, object) = loop {
        let live = match session.client.get(&manifest.path(), "application/json").await {
            Ok(live) => Some(live),
            Err(error) if is_not_found(&error) => None,
            Err(error) => return Err(error),
        };
        let plan = plan(&manifest.object, live.as_ref(), is_role, remove);
        if plan.protected || !writing.sends() {
            break (None, plan);
        }
        match write(session, manifest, live.as_ref(), &plan).await {
            // It came, went or changed just now.
            Err(error) if matches!(code(&error), Some(404 | 409)) && attempt < ATTEMPTS => attempt += 1,
            written => break (Some(written?), plan),
        }
    };
    let shown = plan.unwrap_or_else(|| object.object.clone());
    writing.done(manifest, &shown, "reconciled")?;
    tell(&object, is_role, remove);
    Ok(())
}

async fn write(session: &Session, manifest: &Manifest, live: Option<&Value>, plan: &Plan) -> anyhow::Result<Value> {
    let client = &session.client;
    match plan.operation {
        Operation::Nothing => return Ok(plan.object.clone()),
        Operation::Update => {
            return client.write(Method::PUT, &manifest.path(), "application/json", &plan.object).await;
        }
        Operation::Recreate => {
            let uid = live.map(ObjectMeta::uid).unwrap_or_default();
            let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
            client.write(Method::DELETE, &manifest.path(), "application/json", &options).await?;
        }
        Operation::Create if manifest.resource.namespaced => ensure_namespace(session, &manifest.namespace).await?,
        Operation::Create => {}
    }
    client.write(Method::POST, &manifest.collection(), "application/json", &plan.object).await
}

/// Makes a namespace that is not there. Who may not look or create may still be right.
async fn ensure_namespace(session: &Session, name: &str) -> anyhow::Result<()> {
    let fine = |error: anyhow::Error, codes: [u16; 2]| match code(&error) {
        Some(code) if codes.contains(&code) => Ok(()),
        _ => Err(error),
    };
    match session.client.get(&format!("/api/v1/namespaces/{name}"), "application/json").await {
        Ok(_) => return Ok(()),
        Err(error) => fine(error, [403, 404])?,
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    match session.client.write(Method::POST, "/api/v1/namespaces", "application/json", &namespace).await {
        Ok(_) => Ok(()),
        Err(error) => fine(error, [403, 409]),
    }
}

/// Versions that no server has any more are known, to be refused by name.
fn with_older_versions(mut discovery: Discovery) -> Discovery {
    let current: Vec<Resource> = discovery.resources.iter().filter(|r| r.group == GROUP).cloned().collect();
    for version in ["v1beta1", "v1alpha1"] {
        discovery.resources.extend(current.iter().map(|r| Resource { version: version.into(), ..r.clone() }));
    }
    discovery
}

fn plan(wanted: &Value, live: Option<&Value>, is_role: bool, remove: bool) -> Plan {
    let key = if is_role { "rules" } else { "subjects" };
    let Some(live) = live else {
        let missing = shown(&wanted[key], is_role);
        return Plan {
            operation: Operation::Create,
            object: wanted.clone(),
            missing,
            extra: Vec::new(),
            protected: false,
        };
    };
    let protected = live.annotations().and_then(|a| a.get(AUTO_UPDATE)) == Some(&Value::from("false"));
    if !is_role && wanted["roleRef"] != live["roleRef"] {
        let object = wanted.clone();
        return Plan { operation: Operation::Recreate, object, missing: Vec::new(), extra: Vec::new(), protected };
    }
    let mut object = live.clone();
    for marks in ["annotations", "labels"] {
        let mut merged = wanted.metadata().and_then(|m| m.get(marks)?.as_object()).cloned().unwrap_or_default();
        merged.extend(live.metadata().and_then(|m| m.get(marks)?.as_object()).cloned().unwrap_or_default());
        if !merged.is_empty() {
            object.set_meta(marks, Value::Object(merged));
        }
    }
    let (missing, extra) = match is_role {
        true => plan_rules(wanted, live, &mut object, remove),
        false => plan_subjects(wanted, live, &mut object, remove),
    };
    if is_role {
        plan_aggregation(wanted, live, &mut object, remove);
    }
    let operation = if object == *live { Operation::Nothing } else { Operation::Update };
    Plan { operation, object, missing, extra, protected }
}

fn plan_rules(wanted: &Value, live: &Value, object: &mut Value, remove: bool) -> (Vec<String>, Vec<String>) {
    let (wanted_rules, live_rules) = (Rule::all_of(&wanted["rules"]), Rule::all_of(&live["rules"]));
    let missing = uncovered(&live_rules, &wanted_rules);
    // An aggregated role's rules are the aggregator's business.
    let aggregated = !wanted["aggregationRule"].is_null() && !live["aggregationRule"].is_null();
    let extra = if aggregated { Vec::new() } else { uncovered(&wanted_rules, &live_rules) };
    if remove && !(missing.is_empty() && extra.is_empty()) {
        object["rules"] = wanted["rules"].clone();
    } else if !remove && !missing.is_empty() {
        let mut rules = live["rules"].as_array().cloned().unwrap_or_default();
        rules.extend(missing.iter().map(Rule::to_value));
        object["rules"] = rules.into();
    }
    (missing.iter().map(Rule::shown).collect(), extra.iter().map(Rule::shown).collect())
}

fn plan_aggregation(wanted: &Value, live: &Value, object: &mut Value, remove: bool) {
    let selectors =
        |value: &Value| value["aggregationRule"]["clusterRoleSelectors"].as_array().cloned().unwrap_or_default();
    let (wants, has) = (selectors(wanted), selectors(live));
    let missing: Vec<&Value> = wants.iter().filter(|s| !has.contains(s)).collect();
    let extra = has.iter().any(|s| !wants.contains(s));
    if wanted["aggregationRule"].is_null() {
        object.as_object_mut().map(|o| o.remove("aggregationRule"));
    } else if remove && (extra || !missing.is_empty()) {
        object["aggregationRule"] = wanted["aggregationRule"].clone();
    } else if !missing.is_empty() {
        let all: Vec<&Value> = has.iter().chain(missing).collect();
        object["aggregationRule"] = json!({"clusterRoleSelectors": all});
    }
}

fn plan_subjects(wanted: &Value, live: &Value, object: &mut Value, remove: bool) -> (Vec<String>, Vec<String>) {
    let (wants, has) = (subjects(wanted), subjects(live));
    let only = |one: &[Value], other: &[Value]| -> Vec<Value> {
        let mut only: Vec<Value> = Vec::new();
        for subject in one.iter().filter(|s| !other.contains(s)) {
            if !only.contains(subject) {
                only.push(subject.clone());
            }
        }
        only
    };
    let (missing, extra) = (only(&wants, &has), only(&has, &wants));
    if remove && !(missing.is_empty() && extra.is_empty()) {
        object["subjects"] = wants.into();
    } else if !remove && !missing.is_empty() {
        let all: Vec<Value> = has.into_iter().chain(missing.clone()).collect();
        object["subjects"] = all.into();
    }
    (shown(&missing.into(), false), shown(&extra.into(), false))
}

/// The subjects, each with the API group that it has by default.
fn subjects(object: &Value) -> Vec<Value> {
    let list = object["subjects"].as_array().cloned().unwrap_or_default();
    let complete = |mut subject: Value| {
        if subject.is_object()
            && subject["kind"] != "ServiceAccount"
            && subject["apiGroup"].as_str().unwrap_or_default().is_empty()
        {
            subject["apiGroup"] = "rbac.authorization.k8s.io".into();
        }
        subject
    };
    list.into_iter().map(complete).collect()
}

fn shown(list: &Value, is_role: bool) -> Vec<String> {
    let subject = |value: &Value| {
        let empty = Map::new();
        let map = value.as_object().unwrap_or(&empty);
        let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        format!(
            "{{Kind:{} APIGroup:{} Name:{} Namespace:{}}}",
            text("kind"),
            text("apiGroup"),
            text("name"),
            text("namespace")
        )
    };
    let list = list.as_array().into_iter().flatten();
    list.map(|v| if is_role { Rule::of(v).shown() } else { subject(v) }).collect()
}

fn tell(plan: &Plan, is_role: bool, remove: bool) {
    let what = match plan.operation {
        Operation::Nothing => return,
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Recreate => "recreate",
    };
    let caveat = match plan.protected {
        true => format!(", but object opted out ({AUTO_UPDATE}: false)"),
        false => String::new(),
    };
    eprintln!("\treconciliation required {what}{caveat}");
    let things = if is_role { "rules" } else { "subjects" };
    for (title, list) in [("missing", &plan.missing), ("extra", &plan.extra)] {
        if !list.is_empty() && (title == "missing" || remove) {
            eprintln!("\t{title} {things} {}:", if title == "missing" { "added" } else { "removed" });
            list.iter().for_each(|one| eprintln!("\t\t{one}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_get_what_is_missing() {
        let rule = |verb: &str| json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]});
        let wanted = json!({"metadata": {"name": "r"}, "rules": [rule("get"), rule("list")]});
        let live = json!({"metadata": {"name": "r"}, "rules": [rule("get"), rule("delete")]});
        let plan_of = |live: Option<&Value>, remove| plan(&wanted, live, true, remove);
        assert_eq!(plan_of(None, false).operation, Operation::Create);
        assert_eq!(plan_of(Some(&wanted), false).operation, Operation::Nothing);
        let union = plan_of(Some(&live), false);
        assert_eq!((union.operation, union.object["rules"].as_array().map(Vec::len)), (Operation::Update, Some(3)));
        assert_eq!(union.missing, ["{Verbs:[list] APIGroups:[] Resources:[pods] ResourceNames:[] NonResourceURLs:[]}"]);
        assert_eq!(plan_of(Some(&live), true).object["rules"], wanted["rules"]);
    }

    #[test]
    fn bindings_of_another_role_are_made_anew() {
        let binding =
            |role: &str, name: &str| json!({"roleRef": {"name": role}, "subjects": [{"kind": "User", "name": name}]});
        let plan_of = |live: &Value, remove| plan(&binding("a", "me"), Some(live), false, remove);
        assert_eq!(plan_of(&binding("b", "me"), false).operation, Operation::Recreate);
        let union = plan_of(&binding("a", "you"), false);
        assert_eq!(union.object["subjects"].as_array().map(Vec::len), Some(2));
        let stomped = plan_of(&binding("a", "you"), true);
        assert_eq!(stomped.object["subjects"].as_array().map(Vec::len), Some(1));
        assert_eq!(stomped.extra, ["{Kind:User APIGroup:rbac.authorization.k8s.io Name:you Namespace:}"]);
    }
}
