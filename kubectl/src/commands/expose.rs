//! `expose`.
//!
//! Upstream: `kubectl/pkg/cmd/expose`.

use super::{Session, create, patch};
use crate::cli::expose::Expose;
use crate::files::Manifest;
use crate::generate::{exposure, typed};
use crate::http::parsed;
use crate::selected::{Query, resolve};
use crate::writing::{Failures, PatchKind, Writing, record, warn_of_record};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(super) async fn run(session: &Session, flags: &Expose) -> anyhow::Result<()> {
    warn_of_record(flags.record.record);
    let writing = Writing::new(&flags.dry_run.dry_run, &flags.field_manager, &flags.printing)?.typed();
    let query = Query::new(&flags.words, &flags.files).as_written().typed();
    let discovery = query.discovery(session).await?;
    let Some(resource) = discovery.for_kind("v1", "Service").cloned() else {
        bail!("the server doesn't have a resource type \"services\"");
    };
    let selected = resolve(session, &discovery, &query).await?;
    let mut failures = Vec::new();
    for manifest in &selected.objects {
        let kind = manifest.resource.kind.as_str();
        if !matches!(kind, "ReplicationController" | "Service" | "Pod" | "Deployment" | "ReplicaSet") {
            let group = manifest.resource.group.as_str();
            let dot = if group.is_empty() { "" } else { "." };
            failures.push(anyhow::anyhow!("cannot expose a {kind}{dot}{group}"));
            continue;
        }
        let service = exposure::service(flags, &manifest.object)?;
        let mut service = overridden(typed(&service), &flags.overrides, &flags.override_type)?;
        record(&mut service, flags.record.record);
        if session.namespace_given && !writing.sends() {
            service.set_meta("namespace", session.namespace.as_str());
        }
        let made = Manifest {
            source: String::new(),
            object: service,
            resource: resource.clone(),
            namespace: session.namespace.clone(),
        };
        match create::one(session, &writing, &made, flags.save_config && writing.sends()).await {
            Ok(object) => writing.done(&made, &object, "exposed")?,
            Err(error) => failures.push(error),
        }
    }
    Failures::with_unread(failures, selected.failures)
}

/// Go's words for a list where an object should be.
const NO_OBJECT: &str = "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type \
                         struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
                         \"json:\\\"kind,omitempty\\\"\" }";

/// `--overrides`: a patch on what was generated.
pub(super) fn overridden(object: Value, overrides: &str, kind: &str) -> anyhow::Result<Value> {
    if overrides.is_empty() {
        return Ok(object);
    }
    let kind = match kind {
        "json" => PatchKind::Json,
        "merge" => PatchKind::Merge,
        "strategic" => PatchKind::Strategic,
        other => bail!("invalid override type: {other}"),
    };
    let value = match (parsed(overrides.as_bytes()), kind) {
        (Ok(value), _) => value,
        (Err(why), PatchKind::Json) => bail!(why),
        (Err(_), PatchKind::Strategic) => bail!("invalid JSON document"),
        (Err(_), _) => bail!("Invalid JSON Patch"),
    };
    match (kind, &value) {
        (PatchKind::Json, _) | (_, Value::Object(_)) => patch::locally(object, kind, &value),
        (_, Value::Array(_)) => bail!(NO_OBJECT),
        _ => bail!("Invalid JSON Patch"),
    }
}
