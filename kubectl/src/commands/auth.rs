//! `auth`: what one may do and who one is.
//!
//! Upstream: `kubectl/pkg/cmd/auth`.

mod can_i;
mod reconcile;
mod rules;
mod whoami;

use super::Session;
use crate::cli::auth::Auth;
use std::process::ExitCode;

pub(super) async fn run(session: &Session, command: &Auth) -> anyhow::Result<ExitCode> {
    match command {
        Auth::CanI(flags) => can_i::run(session, flags).await,
        Auth::Reconcile(flags) => reconcile::run(session, flags).await.map(|()| ExitCode::SUCCESS),
        Auth::WhoAmI(flags) => whoami::run(session, flags).await.map(|()| ExitCode::SUCCESS),
    }
}
