//! The daemon: constructs everything and ends with the supervisor, or when leadership is lost.

use crate::bind::Binder;
use crate::config::KIND;
use crate::informers::Informers;
use crate::options::{Options, configuration};
use crate::scheduler::Scheduler;
use client::Recorder;
use client::leader::{self, Ended};
use component::daemon::{self, Daemon};
use component::serve::Endpoints;
use component::{kinds, version};
use std::path::Path;
use std::sync::Arc;

const NAME: &str = "kube-scheduler";
const PORT: u16 = 10259;

/// Runs the scheduler.
pub async fn run(daemon: Daemon<Options>) -> anyhow::Result<()> {
    let config = configuration(&daemon)?;
    let scheduler = Arc::new(Scheduler::new(&config)?);
    let kubeconfig = Some(config.client_connection.kubeconfig.as_str()).filter(|path| !path.is_empty());
    let client = client::connect(kubeconfig.map(Path::new), &version::user_agent(NAME)).await?;
    let supervisor = &daemon.supervisor;

    let mut endpoints = Endpoints::new(NAME);
    scheduler.metrics().register(&mut endpoints.registry);
    endpoints.configz = Some(("componentconfig", kinds::show(&config, &KIND)));
    endpoints.flags.clone_from(&daemon.shown);
    let informers = Arc::new(Informers::start(&client, &scheduler, supervisor));
    let ready = Arc::clone(&informers);
    endpoints.readyz.add("informer-sync", move || match ready.are_synced() {
        true => Ok(()),
        false => Err("the first lists are not complete".to_owned()),
    });
    daemon.options.serving.start(NAME, PORT, endpoints.router(), supervisor).await?;

    let (recorder, send) = Recorder::new(client.clone(), "default-scheduler", "");
    supervisor.spawn_until_stop("events", send);
    let binder = Binder::new(client.clone(), recorder, supervisor.clone());
    let lead = async {
        informers.synced().await;
        scheduler.run(binder).await;
    };
    if !config.leader_election.leader_elect {
        tokio::select! {
            () = lead => {}
            () = supervisor.stopping() => {}
        }
        return Ok(());
    }
    let candidate = config.leader_election.config(daemon::identity());
    match leader::run(client, candidate, lead, supervisor.stopping()).await {
        Ended::Lost => anyhow::bail!("leaderelection lost"),
        Ended::Stopped | Ended::LeadReturned => Ok(()),
    }
}
