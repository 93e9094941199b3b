//! `delete`.

use super::{Session, with_query};
use crate::cli::Delete;
use crate::discovery::Resource;
use crate::files;
use crate::http::Refused;
use crate::print;
use crate::targets;
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use http::Method;
use http_body_util::BodyExt;
use serde_json::json;

/// One object to delete.
struct Victim {
    resource: Resource,
    namespace: String,
    name: String,
}

impl Victim {
    fn path(&self) -> String {
        format!("{}/{}", self.resource.path(Some(&self.namespace)), self.name)
    }
}

pub(super) async fn run(session: &Session, delete: &Delete) -> anyhow::Result<()> {
    let grace = match (delete.force, delete.grace_period) {
        (true, -1) => 0,
        (false, 0) => bail!("--grace-period=0 must be combined with --force, or use --now"),
        (true, n) if n > 0 => bail!("--force and --grace-period greater than 0 cannot be specified together"),
        (_, n) => n,
    };
    if delete.force {
        eprintln!(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely."
        );
    }
    let mut deleted = Vec::new();
    for victim in victims(session, delete).await? {
        if remove(session, delete, &victim, grace).await? {
            let what = if grace == 0 && delete.force { "force deleted" } else { "deleted" };
            let name = print::name(&victim.resource, &json!({"metadata": {"name": victim.name}}));
            match (delete.output.as_str(), victim.resource.namespaced) {
                ("name", _) => crate::outln!("{name}"),
                (_, true) => crate::outln!(
                    "{} \"{}\" {what} from {} namespace",
                    victim.resource.display(),
                    victim.name,
                    victim.namespace
                ),
                _ => crate::outln!("{} \"{}\" {what}", victim.resource.display(), victim.name),
            }
            deleted.push(victim);
        }
    }
    if delete.wait == "true" {
        for victim in &deleted {
            gone(session, victim).await?;
        }
    }
    Ok(())
}

async fn victims(session: &Session, delete: &Delete) -> anyhow::Result<Vec<Victim>> {
    let discovery = session.discovery().await?;
    if !delete.files.filenames.is_empty() {
        let manifests = files::read(&delete.files, &discovery, &session.namespace)?;
        let victim = |m: files::Manifest| Victim {
            name: m.object.name().to_owned(),
            resource: m.resource,
            namespace: m.namespace,
        };
        return Ok(manifests.into_iter().map(victim).collect());
    }
    let mut victims = Vec::new();
    for target in targets::parse(&discovery, "delete", &delete.resources)? {
        match target.name {
            Some(name) => {
                victims.push(Victim { resource: target.resource, namespace: session.namespace.clone(), name })
            }
            None if delete.all || !delete.selection.selector.is_empty() => {
                victims.extend(selected(session, delete, &target.resource).await?);
            }
            None => bail!("resource(s) were provided, but no name was specified"),
        }
    }
    Ok(victims)
}

async fn selected(session: &Session, delete: &Delete, resource: &Resource) -> anyhow::Result<Vec<Victim>> {
    let namespace = (!delete.selection.all_namespaces).then_some(session.namespace.as_str());
    let path = with_query(&resource.path(namespace), &[("labelSelector", &delete.selection.selector)]);
    let list = session.client.get(&path, "application/json").await?;
    let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let victim =
        |o: &Value| Victim { resource: resource.clone(), namespace: o.namespace().into(), name: o.name().into() };
    Ok(items.iter().map(victim).collect())
}

/// Asks for the deletion; `false` if the object was not there and that is fine.
async fn remove(session: &Session, delete: &Delete, victim: &Victim, grace: i64) -> anyhow::Result<bool> {
    let policy = match delete.cascade.as_str() {
        "background" | "true" => "Background",
        "foreground" => "Foreground",
        "orphan" | "false" => "Orphan",
        other => bail!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\""),
    };
    let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
    if grace >= 0 {
        options["gracePeriodSeconds"] = grace.into();
    }
    match session.client.write(Method::DELETE, &victim.path(), "application/json", &options).await {
        Err(error) if delete.ignore_not_found && error.downcast_ref::<Refused>().is_some_and(|r| r.code == 404) => {
            Ok(false)
        }
        outcome => outcome.map(|_| true),
    }
}

/// Waits until the object is gone, by a watch on its name.
async fn gone(session: &Session, victim: &Victim) -> anyhow::Result<()> {
    loop {
        let object = match session.client.get(&victim.path(), "application/json").await {
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|r| r.code == 404) => return Ok(()),
            object => object?,
        };
        let selector = format!("metadata.name={}", victim.name);
        let path = with_query(
            &victim.resource.path(Some(&victim.namespace)),
            &[("watch", "true"), ("fieldSelector", &selector), ("resourceVersion", object.resource_version())],
        );
        let mut body = session.client.stream(&path, "application/json").await?;
        let mut seen = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            seen.extend_from_slice(&data);
            if seen.windows(10).any(|w| w == b"\"DELETED\",") {
                return Ok(());
            }
        }
    }
}
