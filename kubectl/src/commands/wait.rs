//! `wait`: until objects are there, are gone, have a condition or a value.
//!
//! Upstream: `kubectl/pkg/cmd/wait`.

mod condition;
mod follow;

use super::Session;
use super::set::NOT_LOCAL;
use crate::cli::Files;
use crate::cli::wait::Wait;
use crate::files::Manifest;
use crate::print::{Printer, Set, name_of};
use crate::selected::{self, Query};
use crate::writing::{Failures, is_not_found};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::time;
use condition::Condition;
use std::time::Duration;
use tokio::time::Instant;

/// What a negative timeout means.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// Look once.
    Once,
    /// Until then.
    Until(Instant),
}

pub(super) async fn run(session: &Session, flags: &Wait) -> anyhow::Result<()> {
    let mut printer = Printer::of(&flags.print, Set::Objects, false)?;
    let conditions = condition::parse(&flags.conditions)?;
    let patience = patience(&flags.timeout)?;
    let files = Files { filenames: flags.filenames.clone(), recursive: flags.recursive, kustomize: String::new() };
    let query = Query {
        selector: &flags.selector,
        field_selector: &flags.field_selector,
        all: flags.all,
        all_namespaces: flags.all_namespaces,
        local: flags.local,
        ..Query::new(&flags.words, &files)
    };
    if flags.local && !flags.words.is_empty() {
        bail!(NOT_LOCAL);
    }
    let discovery = query.discovery(session).await?;
    if conditions.contains(&Condition::Create) {
        follow::created(session, &discovery, &query, patience).await?;
    }
    let for_delete = conditions.contains(&Condition::Delete);
    let mut selected = selected::resolve(session, &discovery, &query).await?;
    if for_delete {
        selected.failures.retain(|error| !is_not_found(error));
    }
    let mut failures = Vec::new();
    if selected.objects.is_empty() && selected.failures.is_empty() && !for_delete {
        bail!("no matching resources found");
    }
    for manifest in &selected.objects {
        for condition in &conditions {
            match one(session, manifest, condition, patience).await {
                Ok(object) => tell(printer.as_mut(), &object, flags.print.show_managed_fields)?,
                Err(error) => {
                    failures.push(error);
                    break;
                }
            }
        }
    }
    Failures::with_unread(failures, selected.failures)
}

fn patience(text: &str) -> anyhow::Result<Patience> {
    let (text, negative) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
    let Some(duration) = time::parse_go_duration(text) else {
        bail!(
            "invalid argument {text:?} for \"--timeout\" flag: time: invalid duration {text:?}\nSee 'kubectl wait --help' for usage."
        );
    };
    Ok(match (negative, duration.is_zero()) {
        (_, true) => Patience::Once,
        (true, false) => Patience::Until(Instant::now() + WEEK),
        (false, false) => Patience::Until(Instant::now() + duration),
    })
}

/// Waits for one condition of one object; the object that has it.
async fn one(
    session: &Session,
    manifest: &Manifest,
    condition: &Condition,
    patience: Patience,
) -> anyhow::Result<Value> {
    if *condition == Condition::Create {
        return Ok(manifest.object.clone());
    }
    if manifest.object.name().is_empty() {
        bail!("resource name must be provided");
    }
    let until = match patience {
        Patience::Once => return follow::once(session, manifest, condition).await,
        Patience::Until(until) => until,
    };
    let place = format!("{}/{}", manifest.resource.plural, manifest.object.name());
    match tokio::time::timeout_at(until, follow::until(session, manifest, condition)).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("timed out waiting for the condition on {place}"),
    }
}

fn tell(printer: Option<&mut Printer>, object: &Value, managed_fields: bool) -> anyhow::Result<()> {
    let Some(printer) = printer else {
        crate::outln!("{} condition met", name_of(object));
        return Ok(());
    };
    let mut object = object.clone();
    if !managed_fields && printer.shows_objects() {
        object = crate::print::without_managed_fields(object);
    }
    Ok(printer.print(&mut std::io::stdout().lock(), &object)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_timeouts() {
        assert_eq!(patience("0").expect("fine"), Patience::Once);
        assert!(matches!(patience("-1s").expect("fine"), Patience::Until(at) if at > Instant::now() + WEEK / 2));
        assert!(matches!(patience("2m").expect("fine"), Patience::Until(_)));
        assert!(patience("soon").is_err());
    }
}
