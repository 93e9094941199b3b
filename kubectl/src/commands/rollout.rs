//! `rollout`.
//!
//! Upstream: `kubectl/pkg/cmd/rollout`, `kubectl/pkg/polymorphichelpers`.

mod change;
mod history;
mod status;
mod undo;

pub(crate) use history::label_selector;

use super::Session;
use crate::cli::rollout::{Rollout, Workloads};
use crate::selected::{Query, Selected, resolve};
use anyhow::bail;

pub(super) async fn run(session: &Session, command: &Rollout) -> anyhow::Result<()> {
    match command {
        Rollout::History(flags) => history::run(session, flags).await,
        Rollout::Pause(flags) => change::run(session, flags, change::Kind::Pause).await,
        Rollout::Restart(flags) => change::run(session, flags, change::Kind::Restart).await,
        Rollout::Resume(flags) => change::run(session, flags, change::Kind::Resume).await,
        Rollout::Status(flags) => status::run(session, flags).await,
        Rollout::Undo(flags) => undo::run(session, flags).await,
    }
}

async fn workloads(session: &Session, flags: &Workloads) -> anyhow::Result<Selected> {
    if flags.words.is_empty() && !flags.files.any() {
        bail!("required resource not specified");
    }
    // A type alone means all of it.
    let one_type = matches!(flags.words.as_slice(), [word] if !word.contains('/'));
    let all = one_type && flags.selector.is_empty();
    let query = Query::new(&flags.words, &flags.files).selector(&flags.selector).all(all).typed();
    let discovery = query.discovery(session).await?;
    resolve(session, &discovery, &query).await
}

/// The same for a command that tells if there are none.
async fn some_workloads(session: &Session, flags: &Workloads) -> anyhow::Result<Selected> {
    let selected = workloads(session, flags).await?;
    if selected.objects.is_empty() && selected.failures.is_empty() {
        eprintln!("No resources found in {} namespace.", session.namespace);
    }
    Ok(selected)
}
