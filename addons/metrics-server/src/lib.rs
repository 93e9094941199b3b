//! What nodes and pods use, as the API group `metrics.k8s.io`: for `kubectl top`, autoscalers and dashboards.
//!
//! Every kubelet is asked for `/metrics/resource` from time to time; the last two answers are kept in memory
//! and make the rates. Pods and nodes are known by informers, for their labels.
//!
//! Upstream: `kubernetes-sigs/metrics-server`.
#![warn(missing_docs)]

pub mod api;
pub mod exposition;
pub mod objects;
pub mod options;
pub mod scrape;
pub mod store;

pub use options::Options;

use api::Api;
use component::daemon::Daemon;
use component::serve::{Endpoints, Guard, Policy};
use component::version;
use objects::Known;
use parking_lot::RwLock;
use scrape::Scraper;
use std::sync::Arc;
use store::Store;

const NAME: &str = "metrics-server";
/// `--secure-port`, unless it is given.
const PORT: u16 = 10250;

/// Runs the server until it is told to stop.
pub async fn run(daemon: Daemon<Options>) -> anyhow::Result<()> {
    let Daemon { options, supervisor, .. } = &daemon;
    let agent = version::user_agent(NAME);
    let client = client::connect(options.kubeconfig.as_deref(), &agent).await?;
    let known = Known::watch(&client, options, supervisor);
    let store = Arc::new(RwLock::new(Store::default()));
    let scraper = Scraper::new(options, &agent, known.nodes.clone(), Arc::clone(&store)).await?;

    let mut endpoints = Endpoints::new(NAME);
    endpoints.flags.clone_from(&daemon.shown);
    let synced = known.clone();
    endpoints.readyz.add("metadata-informer-sync", move || match synced.is_synced() {
        true => Ok(()),
        false => Err("the first lists are not complete".to_owned()),
    });
    let kept = Arc::clone(&store);
    endpoints.readyz.add("metric-storage-ready", move || match kept.read().is_ready() {
        true => Ok(()),
        false => Err("no metrics to serve".to_owned()),
    });
    let api = Arc::new(Api { store, known });
    let router = api::routes(endpoints.router(), &api);
    let policy = Policy { attributes: Arc::new(|parts| vec![api::attributes(parts)]), ..Policy::default() };
    let guard = Guard { policy, reviews: Some(client) };
    options.serving.start_guarded(NAME, PORT, router, guard, supervisor).await?;
    supervisor.spawn_until_stop("scraper", scraper.run());
    supervisor.stopping().await;
    Ok(())
}
