//! Runs the process: serves health and metrics, waits to lead, starts the controllers.

use super::flags::Flags;
use super::identity::Identities;
use super::options::Options;
use super::registry;
use super::selection::Selection;
use crate::controllers;
use crate::scaffold::{Context, Informers};
use component::Supervisor;
use component::daemon::{Daemon, identity};
use component::leading::{FIELDS, LeaderElection};
use component::serve::Endpoints;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Port of the secure endpoint.
const PORT: u16 = 10257;
const NAME: &str = "kube-controller-manager";

/// What the `leaderElection` part of a configuration becomes.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    leader_election: LeaderElection,
}

/// The work of the daemon.
pub async fn run(daemon: Daemon<Flags>) -> anyhow::Result<()> {
    let Daemon { options: flags, given, shown, supervisor, .. } = daemon;
    let options = flags.options()?;
    flags.metrics.apply()?;
    let selection = Selection::parse(&flags.controllers, registry::canonical)?;
    let leading = leader_election(&given)?;
    let agent = component::version::user_agent(NAME);
    let client = client::connect(flags.kubeconfig.as_deref(), &agent).await?;
    serve(&flags, shown, &supervisor).await?;
    let owner = supervisor.child();
    let identities = match (flags.use_service_account_credentials, &flags.kubeconfig) {
        (true, Some(kubeconfig)) => Identities::each(client.clone(), kubeconfig, &agent, owner.clone()).await?,
        (true, None) => anyhow::bail!("--use-service-account-credentials needs --kubeconfig"),
        (false, _) => Identities::One(client.clone()),
    };

    let lead = {
        let client = client.clone();
        async move { lead(client, identities, options, &selection, &owner).await }
    };
    if !leading.leader_elect {
        tokio::select! {
            () = lead => {}
            () = supervisor.stopping() => {}
        }
        return Ok(());
    }
    let stop = supervisor.clone();
    let ended =
        client::leader::run(client, leading.config(identity()), lead, async move { stop.stopping().await }).await;
    match ended {
        client::leader::Ended::Stopped => Ok(()),
        // Another one leads now: nothing of this process may go on.
        client::leader::Ended::Lost => anyhow::bail!("leaderelection lost"),
        client::leader::Ended::LeadReturned => Ok(()),
    }
}

/// Starts the controllers and waits for the stop.
async fn lead(
    client: kube::Client,
    identities: Identities,
    options: Options,
    selection: &Selection,
    supervisor: &Supervisor,
) {
    let informers = Arc::new(Informers::new(client.clone(), supervisor.clone()));
    let context = Context { client, informers, options: Arc::new(options), supervisor: supervisor.clone() };
    registry::start(&context, &identities, selection);
    supervisor.stopping().await;
}

/// The flags over the defaults, checked.
fn leader_election(given: &[(String, String)]) -> anyhow::Result<LeaderElection> {
    let defaults = Configuration { leader_election: LeaderElection::named(NAME) };
    let configuration = component::layers::layered(&defaults, None, &FIELDS, given)?;
    configuration.leader_election.validate().map_err(|why| anyhow::anyhow!("leader election: {why}"))?;
    Ok(configuration.leader_election)
}

async fn serve(flags: &Flags, shown: BTreeMap<String, String>, supervisor: &Supervisor) -> anyhow::Result<()> {
    let mut endpoints = Endpoints::new(NAME);
    endpoints.flags = shown;
    controllers::attach_detach::metrics::register(&mut endpoints.registry);
    flags.serving.start(NAME, PORT, endpoints.router(), supervisor).await?;
    Ok(())
}
