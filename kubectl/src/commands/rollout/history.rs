//! `rollout history`: the revisions of a workload, from its replica sets or controller revisions.

use super::workloads;
use crate::apply::CHANGE_CAUSE;
use crate::cli::rollout::History;
use crate::commands::Session;
use crate::describe::pod_template;
use crate::files::Manifest;
use crate::print::{self, Printer, Set};
use crate::selected::list;
use crate::writing::{Failures, member};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::collections::BTreeMap;

/// The annotation that numbers a replica set.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";

/// What a workload was: by revision, the object that keeps it.
pub(super) type Revisions = BTreeMap<i64, Value>;

pub(super) async fn run(session: &Session, flags: &History) -> anyhow::Result<()> {
    if flags.revision < 0 {
        bail!("revision must be a positive integer: {}", flags.revision);
    }
    let selected = workloads(session, &flags.workloads).await?;
    let mut failures = Vec::new();
    for manifest in &selected.objects {
        failures.extend(one(session, flags, manifest).await.err());
    }
    Failures::with_unread(failures, selected.failures)
}

async fn one(session: &Session, flags: &History, manifest: &Manifest) -> anyhow::Result<()> {
    let revisions = revisions(session, manifest).await?;
    if let Some(mut printer) = Printer::of(&flags.printing, Set::Objects, false)?.map(Printer::typed) {
        // A template without a form is one for the workload itself.
        if flags.printing.output.is_empty() {
            return Ok(printer.print(&mut std::io::stdout().lock(), &manifest.object)?);
        }
        return objects(flags, manifest, &revisions, printer);
    }
    let title = print::name(&manifest.resource, &manifest.object);
    match flags.revision {
        0 => crate::outln!("{title} \n{}", table(&revisions)),
        revision => {
            let Some(kept) = revisions.get(&revision) else { bail!("unable to find the specified revision") };
            let template = template(kept, &manifest.object)?;
            crate::outln!("{title} with revision #{revision}\n{}", pod_template(&template));
        }
    }
    Ok(())
}

fn objects(flags: &History, manifest: &Manifest, revisions: &Revisions, mut printer: Printer) -> anyhow::Result<()> {
    let chosen: Vec<&Value> = match flags.revision {
        0 => revisions.values().collect(),
        revision => match revisions.get(&revision) {
            Some(kept) => vec![kept],
            None => bail!("unable to find the specified revision"),
        },
    };
    for kept in chosen {
        let object = match kept.get("data") {
            Some(_) => applied(kept, &manifest.object)?,
            None => kept.clone(),
        };
        let object = match flags.printing.show_managed_fields {
            true => object,
            false => print::without_managed_fields(object),
        };
        printer.print(&mut std::io::stdout().lock(), &object)?;
    }
    Ok(())
}

/// Whether upstream knows a kind as one that makes pods, be it without revisions.
pub(super) fn is_visited(kind: &str) -> bool {
    matches!(
        kind,
        "CronJob" | "DaemonSet" | "Deployment" | "Job" | "Pod" | "ReplicaSet" | "ReplicationController" | "StatefulSet"
    )
}

/// The revisions of a workload.
pub(super) async fn revisions(session: &Session, manifest: &Manifest) -> anyhow::Result<Revisions> {
    let object = &manifest.object;
    let plural = match manifest.resource.kind.as_str() {
        "Deployment" => "replicasets",
        "DaemonSet" | "StatefulSet" => "controllerrevisions",
        kind if is_visited(kind) => bail!("no history viewer has been implemented for {kind:?}"),
        kind => bail!("error retrieving history for {kind:?}, no visitor method exists for {{ {kind}}}"),
    };
    let resource = crate::discovery::Resource {
        group: "apps".into(),
        version: "v1".into(),
        plural: plural.into(),
        singular: plural.trim_end_matches('s').into(),
        kind: if plural == "replicasets" { "ReplicaSet" } else { "ControllerRevision" }.into(),
        namespaced: true,
        ..manifest.resource.clone()
    };
    let selector = label_selector(&object["spec"]["selector"]);
    let all = list(session, &resource, Some(&manifest.namespace), &selector, "").await?;
    let own = |kept: &Value| kept.controller().is_some_and(|owner| owner.uid == object.uid());
    Ok(all.into_iter().filter(own).filter_map(|kept| Some((revision(&kept)?, kept))).collect())
}

fn revision(kept: &Value) -> Option<i64> {
    match kept.get("revision") {
        Some(number) => number.as_i64(),
        None => kept.annotations()?.get(REVISION)?.as_str()?.parse().ok(),
    }
}

/// A selector of the API as a query parameter.
pub(crate) fn label_selector(selector: &Value) -> String {
    let mut parts = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        parts.push(format!("{key}={}", value.as_str().unwrap_or_default()));
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        parts.push(match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.join(",")
}

fn table(revisions: &Revisions) -> String {
    if revisions.is_empty() {
        return "No rollout history found.".into();
    }
    let mut rows = vec![("REVISION".to_owned(), "CHANGE-CAUSE".to_owned())];
    for (revision, kept) in revisions {
        let cause = kept.annotations().and_then(|a| a.get(CHANGE_CAUSE)?.as_str()).filter(|c| !c.is_empty());
        rows.push((revision.to_string(), cause.unwrap_or("<none>").to_owned()));
    }
    let width = rows.iter().map(|(revision, _)| revision.len()).max().unwrap_or(0) + 2;
    rows.iter().map(|(revision, cause)| format!("{revision:width$}{cause}\n")).collect()
}

/// The pod template of a revision.
fn template(kept: &Value, workload: &Value) -> anyhow::Result<Value> {
    let mut template = bare_template(kept, workload)?;
    let cause = kept.annotations().and_then(|a| a.get(CHANGE_CAUSE));
    if let Some(cause) = cause.filter(|_| kept.get("data").is_none()) {
        let annotations = member(member(&mut template, "metadata"), "annotations");
        *member(annotations, CHANGE_CAUSE) = cause.clone();
    }
    Ok(template)
}

/// The same without why it came about.
pub(super) fn bare_template(kept: &Value, workload: &Value) -> anyhow::Result<Value> {
    match kept.get("data") {
        Some(_) => Ok(applied(kept, workload)?["spec"]["template"].clone()),
        None => Ok(kept["spec"]["template"].clone()),
    }
}

/// The workload as a controller revision kept it.
fn applied(kept: &Value, workload: &Value) -> anyhow::Result<Value> {
    crate::commands::patch::locally(workload.clone(), crate::writing::PatchKind::Strategic, &kept["data"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_become_parameters() {
        let selector = json!({"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["d", "e"]}, {"key": "f", "operator": "DoesNotExist"}, {"key": "g", "operator": "Exists"}]});
        assert_eq!(label_selector(&selector), "a=b,c in (d,e),!f,g");
    }

    #[test]
    fn revisions_are_listed_with_their_cause() {
        let kept = |cause: &str| json!({"metadata": {"annotations": {CHANGE_CAUSE: cause, REVISION: "3"}}});
        assert_eq!(revision(&kept("x")), Some(3));
        let all = Revisions::from([(1, kept("")), (12, kept("apply"))]);
        assert_eq!(table(&all), "REVISION  CHANGE-CAUSE\n1         <none>\n12        apply\n");
        assert_eq!(table(&Revisions::new()), "No rollout history found.");
    }
}
