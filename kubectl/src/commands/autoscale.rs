//! `autoscale`: a horizontal pod autoscaler for a workload.
//!
//! Upstream: `kubectl/pkg/cmd/autoscale`.

use super::{Session, create};
use crate::cli::Autoscale;
use crate::discovery::Resource;
use crate::files::Manifest;
use crate::generate::typed;
use crate::selected::{Query, resolve};
use crate::writing::{Failures, Writing, record, warn_of_record};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::quantity::Quantity;
use serde_json::json;

pub(super) async fn run(session: &Session, flags: &Autoscale) -> anyhow::Result<()> {
    warn_of_record(flags.record.record);
    check(flags)?;
    let metrics = metrics(flags)?;
    let writing = Writing::late(&flags.dry_run.dry_run, &flags.field_manager, &flags.printing)?.typed();
    let query = Query::new(&flags.words, &flags.files).as_written();
    let discovery = query.discovery(session).await?;
    let selected = resolve(session, &discovery, &query).await?;
    let mut failures = Vec::new();
    if selected.objects.is_empty() && selected.failures.is_empty() {
        bail!("no objects passed to autoscale");
    }
    // Looked for only now: what is to be scaled comes first.
    let resource = discovery.for_kind("autoscaling/v2", "HorizontalPodAutoscaler").cloned();
    let Some(resource) = resource.filter(|_| !selected.objects.is_empty()) else {
        Failures::outcome(selected.failures)?;
        bail!("the server doesn't have a resource type \"horizontalpodautoscalers\"");
    };
    for manifest in &selected.objects {
        if let Err(error) = scales(&manifest.resource) {
            failures.push(error);
            continue;
        }
        let mut object = autoscaler(flags, manifest, &metrics);
        if session.namespace_given {
            object.set_meta("namespace", session.namespace.as_str());
        }
        record(&mut object, flags.record.record);
        let made = Manifest {
            source: String::new(),
            object: typed(&object),
            resource: resource.clone(),
            namespace: manifest.namespace.clone(),
        };
        match create::one(session, &writing, &made, flags.save_config).await {
            Ok(object) => writing.done(&made, &object, "autoscaled")?,
            Err(error) => failures.push(error),
        }
    }
    Failures::with_unread(failures, selected.failures)
}

/// Only what has a scale can be scaled.
fn scales(resource: &Resource) -> anyhow::Result<()> {
    if resource.subresources.iter().any(|(name, _)| name == "scale") {
        return Ok(());
    }
    let Resource { group, version, plural, kind, .. } = resource;
    bail!(
        "cannot autoscale a {kind}: could not find scale subresource for {group}/{version}, Resource={plural} in discovery information"
    )
}

fn check(flags: &Autoscale) -> anyhow::Result<()> {
    if flags.max == -1 {
        bail!("required flag(s) \"max\" not set");
    }
    if flags.max < 1 {
        bail!("--max=MAXPODS is required and must be at least 1, max: {}", flags.max);
    }
    if flags.max < flags.min {
        bail!("--max=MAXPODS must be larger or equal to --min=MINPODS, max: {}, min: {}", flags.max, flags.min);
    }
    if flags.cpu_percent >= 0 {
        eprintln!(
            "Flag --cpu-percent has been deprecated, Use --cpu with percentage or resource quantity format (e.g., '70%' for utilization or '500m' for milliCPU)."
        );
        if !flags.cpu.is_empty() {
            bail!("--cpu-percent and --cpu are mutually exclusive");
        }
    }
    Ok(())
}

fn metrics(flags: &Autoscale) -> anyhow::Result<Vec<Value>> {
    let cpu = match flags.cpu_percent {
        percent if percent >= 0 => format!("{percent}%"),
        _ => flags.cpu.clone(),
    };
    let given = [("cpu", cpu.as_str()), ("memory", flags.memory.as_str())];
    given.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| metric(name, text)).collect()
}

/// `80%` of the requests, or an amount such as `500m`.
fn metric(name: &str, text: &str) -> anyhow::Result<Value> {
    let target = match text.strip_suffix('%') {
        Some(number) => match number.parse::<i32>() {
            Ok(percent) if percent > 0 => json!({"type": "Utilization", "averageUtilization": percent}),
            _ => bail!("invalid percentage value: {number}"),
        },
        None => match text.parse::<Quantity>() {
            Ok(amount) => json!({"type": "AverageValue", "averageValue": amount.to_string()}),
            Err(_) => bail!("invalid resource {name} value: {text}"),
        },
    };
    Ok(json!({"type": "Resource", "resource": {"name": name, "target": target}}))
}

fn autoscaler(flags: &Autoscale, manifest: &Manifest, metrics: &[Value]) -> Value {
    let name = if flags.name.is_empty() { manifest.object.name() } else { &flags.name };
    let mut spec = json!({"maxReplicas": flags.max, "scaleTargetRef": {
        "apiVersion": manifest.resource.api_version(), "kind": manifest.resource.kind, "name": manifest.object.name()}});
    if flags.min > 0 {
        spec["minReplicas"] = flags.min.into();
    }
    if !metrics.is_empty() {
        spec["metrics"] = metrics.into();
    }
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_shares_or_amounts() {
        assert_eq!(metric("cpu", "80%").expect("fine")["resource"]["target"]["averageUtilization"], 80);
        assert_eq!(metric("memory", "1024Mi").expect("fine")["resource"]["target"]["averageValue"], "1Gi");
        assert!(metric("cpu", "x%").is_err() && metric("cpu", "x").is_err());
    }
}
