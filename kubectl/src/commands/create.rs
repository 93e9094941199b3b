//! `create`.

use super::{Session, command_line, with_query};
use crate::apply::{CHANGE_CAUSE, annotate, with_last_applied};
use crate::cli::Create;
use crate::files;
use crate::print::{self, Output};
use anyhow::bail;
use apimachinery::Value;
use http::Method;
use serde_json::json;

pub(super) async fn run(session: &Session, create: &Create) -> anyhow::Result<()> {
    let dry_run = DryRun::parse(&create.dry_run)?;
    let discovery = session.discovery().await?;
    let manifests = match create.words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => files::read(&create.files, &discovery, &session.namespace)?,
        ["namespace" | "ns", name] => {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            let resource = discovery.find("namespaces").cloned();
            let Some(resource) = resource else { bail!("the server doesn't have a resource type \"namespaces\"") };
            vec![files::Manifest { source: String::new(), object, resource, namespace: String::new() }]
        }
        [other, ..] => bail!("unknown command \"{other}\" for \"kubectl-rs create\""),
    };
    for mut manifest in manifests {
        if create.record == "true" {
            annotate(&mut manifest.object, CHANGE_CAUSE, command_line());
        }
        if create.save_config == "true" {
            manifest.object = with_last_applied(&manifest.object);
        }
        let created = match dry_run {
            DryRun::Client => manifest.object.clone(),
            _ => {
                let path = with_query(
                    &manifest.collection(),
                    &[
                        ("dryRun", dry_run.parameter()),
                        ("fieldManager", "kubectl-create"),
                        ("fieldValidation", "Strict"),
                    ],
                );
                session.client.write(Method::POST, &path, "application/json", &manifest.object).await?
            }
        };
        report(&create.output, &manifest, &created, "created", dry_run)?;
    }
    Ok(())
}

/// `--dry-run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DryRun {
    None,
    Client,
    Server,
}

impl DryRun {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        match text {
            "none" => Ok(DryRun::None),
            "client" | "unchanged" => Ok(DryRun::Client),
            "server" => Ok(DryRun::Server),
            other => bail!("Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\"."),
        }
    }

    pub(super) fn parameter(self) -> &'static str {
        if self == DryRun::Server { "All" } else { "" }
    }

    pub(super) fn suffix(self) -> &'static str {
        match self {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }
}

/// Says what was done, in the asked form.
pub(super) fn report(
    output: &str,
    manifest: &files::Manifest,
    object: &Value,
    done: &str,
    dry_run: DryRun,
) -> anyhow::Result<()> {
    match Output::parse(output)? {
        Output::Json => crate::out!("{}", print::json(object)),
        Output::Yaml => crate::out!("{}", print::yaml(object)),
        Output::Name => crate::outln!("{}", print::name(&manifest.resource, object)),
        Output::Table | Output::Wide => {
            crate::outln!("{} {done}{}", print::name(&manifest.resource, object), dry_run.suffix())
        }
    }
    Ok(())
}
