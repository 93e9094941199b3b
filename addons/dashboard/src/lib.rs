//! The dashboard: pages about the cluster, and the apiserver behind them with the rights of who looks.
//!
//! Invariant: this program has no rights of its own. What it sends to the apiserver carries the credential of a
//! session, and nothing reaches a session but through [`guard`] and [`path`].
//!
//! Upstream: `kubernetes/dashboard` v2.7, for what its users expect; `docs/dashboard.md` says what differs.
#![warn(missing_docs)]

pub mod assets;
pub mod credential;
pub mod documents;
pub mod guard;
pub mod limit;
pub mod login;
pub mod options;
pub mod path;
pub mod proxy;
pub mod server;
pub mod session;
pub mod terminal;
pub mod upstream;

use crate::options::Options;
use crate::server::App;
use crate::session::{Lifetime, Sessions};
use crate::upstream::Upstream;
use anyhow::Context;
use component::daemon::Daemon;
use component::serve::{Access, ClientAuthority, Protocol, Server, Tls};
use std::sync::Arc;

/// Runs the dashboard until it is told to stop.
pub async fn run(daemon: Daemon<Options>) -> anyhow::Result<()> {
    let Daemon { options, supervisor, .. } = daemon;
    let upstream = Upstream::new(&options).await.context("reaching the apiserver")?;
    let identity = options.identity()?;
    let sessions = Arc::new(Sessions::new(Lifetime::of_seconds(options.token_ttl)));
    supervisor.spawn_until_stop("session expiry", Arc::clone(&sessions).expire());
    let app = App::new(upstream, sessions, supervisor.clone());
    let tls = Tls::new(identity, ClientAuthority::None).await?;
    let server = Server::bind((options.bind_address, options.port).into()).await?;
    let address = server.address();
    supervisor.spawn_until_stop("certificate reload", Arc::clone(&tls).keep_current());
    let serve = server.run(Protocol::Tls(tls), app.router(), Access::Open, supervisor.clone());
    supervisor.spawn("pages", serve);
    tracing::info!(%address, "serving");
    supervisor.stopping().await;
    Ok(())
}
