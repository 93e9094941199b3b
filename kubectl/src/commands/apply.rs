//! `apply`: client-side with a three-way patch, or server-side.

use super::create::{DryRun, report};
use super::{Session, command_line, with_query};
use crate::apply::{CHANGE_CAUSE, annotate, last_applied, patch, with_last_applied};
use crate::cli::Apply;
use crate::files::{self, Manifest};
use crate::http::Refused;
use http::Method;
use serde_json::json;

pub(super) async fn run(session: &Session, apply: &Apply) -> anyhow::Result<()> {
    let dry_run = DryRun::parse(&apply.dry_run)?;
    let discovery = session.discovery().await?;
    for mut manifest in files::read(&apply.files, &discovery, &session.namespace)? {
        if apply.record == "true" {
            annotate(&mut manifest.object, CHANGE_CAUSE, command_line());
        }
        match apply.server_side {
            true => server_side(session, apply, &manifest, dry_run).await?,
            false => client_side(session, apply, &manifest, dry_run).await?,
        }
    }
    Ok(())
}

async fn client_side(session: &Session, apply: &Apply, manifest: &Manifest, dry_run: DryRun) -> anyhow::Result<()> {
    let wanted = with_last_applied(&manifest.object);
    let parameters =
        [("dryRun", dry_run.parameter()), ("fieldManager", "kubectl-client-side-apply"), ("fieldValidation", "Strict")];
    let current = match session.client.get(&manifest.path(), "application/json").await {
        Ok(current) => current,
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|r| r.code == 404) => {
            let created = match dry_run {
                DryRun::Client => wanted,
                _ => {
                    session
                        .client
                        .write(
                            Method::POST,
                            &with_query(&manifest.collection(), &parameters),
                            "application/json",
                            &wanted,
                        )
                        .await?
                }
            };
            return report(&apply.output, manifest, &created, "created", dry_run);
        }
        Err(error) => return Err(error),
    };
    let last = last_applied(&current);
    if last.is_none() {
        eprintln!(
            "Warning: resource {} is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is required by kubectl-rs apply. kubectl-rs apply should only be used on resources created declaratively by either kubectl-rs create --save-config or kubectl-rs apply. The missing annotation will be patched automatically.",
            manifest.display().replacen('/', "s/", 1)
        );
    }
    let (content_type, change) = patch(last.as_ref(), &wanted, &current);
    if change == json!({}) {
        return report(&apply.output, manifest, &current, "unchanged", dry_run);
    }
    let patched = match dry_run {
        DryRun::Client => current,
        _ => {
            session
                .client
                .write(Method::PATCH, &with_query(&manifest.path(), &parameters), content_type, &change)
                .await?
        }
    };
    report(&apply.output, manifest, &patched, "configured", dry_run)
}

async fn server_side(session: &Session, apply: &Apply, manifest: &Manifest, dry_run: DryRun) -> anyhow::Result<()> {
    let force = if apply.force_conflicts { "true" } else { "false" };
    let parameters =
        [("dryRun", dry_run.parameter()), ("fieldManager", "kubectl"), ("fieldValidation", "Strict"), ("force", force)];
    let path = with_query(&manifest.path(), &parameters);
    let applied = session.client.write(Method::PATCH, &path, "application/apply-patch+yaml", &manifest.object).await?;
    report(&apply.output, manifest, &applied, "serverside-applied", dry_run)
}
