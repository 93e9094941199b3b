//! The daemon: constructs everything and ends with the supervisor, or when leadership is lost.

use crate::bind::Binder;
use crate::config::KIND;
use crate::extender::Extender;
use crate::informers::{Informers, Keep};
use crate::options::{Options, configuration};
use crate::scheduler::Scheduler;
use crate::scheduler::extended::{Extenders, Objects};
use client::Recorder;
use client::config::{Rate, Tuning};
use client::leader::{self, Ended};
use component::daemon::{self, Daemon};
use component::serve::Endpoints;
use component::{kinds, version};
use std::path::Path;
use std::sync::{Arc, OnceLock};

const NAME: &str = "kube-scheduler";
const PORT: u16 = 10259;

/// Runs the scheduler.
pub async fn run(daemon: Daemon<Options>) -> anyhow::Result<()> {
    let config = configuration(&daemon)?;
    daemon.options.metrics.apply()?;
    let scheduler = Arc::new(Scheduler::new(&config)?);
    let kubeconfig = Some(config.client_connection.kubeconfig.as_str()).filter(|path| !path.is_empty());
    let rate = Rate::of(config.client_connection.qps, config.client_connection.burst);
    let tuning = Tuning { server: None, rate };
    let agent = version::user_agent(NAME);
    let connect = || client::config::connect_tuned(kubeconfig.map(Path::new), &agent, &tuning);
    let client = connect().await?;
    let supervisor = &daemon.supervisor;
    let mut extenders = Vec::new();
    for extender in &config.extenders {
        extenders.push(Extender::new(extender, &agent).await?);
    }

    let mut endpoints = Endpoints::new(NAME);
    let sized = Arc::clone(&scheduler);
    scheduler.metrics().register(&mut endpoints.registry, move || sized.sizes());
    endpoints.configz = Some(("componentconfig", kinds::show(&config.effective(), &KIND)));
    endpoints.flags.clone_from(&daemon.shown);
    let informers: Arc<OnceLock<Arc<Informers>>> = Arc::default();
    let keep = if extenders.is_empty() { Keep::Needed } else { Keep::Whole };
    let start = || {
        let started = Arc::new(Informers::start(&client, &scheduler, supervisor, keep));
        if !extenders.is_empty() {
            scheduler.extend(Extenders { list: extenders.clone(), objects: Arc::clone(&started) as Arc<dyn Objects> });
        }
        started
    };
    // Who reads the cluster only as the leader is ready before.
    let is_delayed = config.delay_cache_until_active && config.leader_election.leader_elect;
    if !is_delayed {
        informers.get_or_init(start);
    }
    let ready = Arc::clone(&informers);
    endpoints.readyz.add("informer-sync", move || match ready.get().is_none_or(|informers| informers.are_synced()) {
        true => Ok(()),
        false => Err("the first lists are not complete".to_owned()),
    });
    daemon.options.serving.start(NAME, PORT, endpoints.router(), supervisor).await?;

    // As upstream, events have a rate of their own.
    let (recorder, send) = Recorder::new(connect().await?, "default-scheduler", "");
    supervisor.spawn_until_stop("events", send);
    let binder = Binder::new(client.clone(), recorder, supervisor.clone());
    let lead = async {
        informers.get_or_init(start).synced().await;
        Arc::clone(&scheduler).run(binder).await;
    };
    if !config.leader_election.leader_elect {
        tokio::select! {
            () = lead => {}
            () = supervisor.stopping() => {}
        }
        return Ok(());
    }
    let candidate = config.leader_election.config(daemon::identity());
    match leader::run(client.clone(), candidate, lead, supervisor.stopping()).await {
        Ended::Lost => anyhow::bail!("leaderelection lost"),
        Ended::Stopped | Ended::LeadReturned => Ok(()),
    }
}
