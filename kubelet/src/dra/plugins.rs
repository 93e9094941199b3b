//! The plugins of all drivers; and what is to be done when a driver has none that answers.
//!
//! Upstream: `pkg/kubelet/cm/dra/plugin/dra_plugin_manager.go`.

use super::api::Offers;
use super::plugin::{Plugin, choose};
use crate::plugins::{Handler, HandlerError};
use async_trait::async_trait;
use component::Supervisor;
use parking_lot::Mutex;
use proto::pluginregistration::PluginInfo;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The type by which drivers register.
pub const KIND: &str = "DRAPlugin";
/// How long a driver may be away before what it offers is deleted: enough to be replaced, and not
/// so long that many pods are sent here in vain.
pub const WIPING_DELAY: Duration = Duration::from_secs(30);
const RECONNECT: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// A plugin and how many connections to it are open.
#[derive(Clone)]
struct Registered {
    plugin: Plugin,
    connections: watch::Receiver<usize>,
    /// Rung when it is not registered any more.
    gone: Arc<Notify>,
}

impl Registered {
    fn is_open(&self) -> bool {
        *self.connections.borrow() > 0
    }
}

/// The plugins of a driver, in the order in which they came.
#[derive(Default)]
struct Driver {
    plugins: Vec<Registered>,
    /// Whether what it offers is to be deleted.
    is_wiping: bool,
}

/// All plugins. Cheap to clone.
#[derive(Clone)]
pub struct Plugins {
    drivers: Arc<Mutex<HashMap<String, Driver>>>,
    offers: Arc<dyn Offers>,
    supervisor: Supervisor,
    delay: Duration,
}

impl Plugins {
    /// Without any.
    pub fn new(offers: Arc<dyn Offers>, supervisor: Supervisor) -> Self {
        Self { drivers: Arc::default(), offers, supervisor, delay: WIPING_DELAY }
    }

    /// Deletes what all drivers offer on the node: it is not known yet whether they come back.
    pub fn start(&self) {
        let offers = Arc::clone(&self.offers);
        self.supervisor.spawn_until_stop("dra-wipe", async move { wipe(&*offers, None, || true).await });
    }

    /// The plugin of a driver: the newest that answers, or the newest of all.
    pub fn get(&self, driver: &str) -> Option<Plugin> {
        let drivers = self.drivers.lock();
        let plugins = &drivers.get(driver)?.plugins;
        let newest = plugins.iter().rev().find(|registered| registered.is_open()).or_else(|| plugins.last());
        newest.map(|registered| registered.plugin.clone())
    }

    fn is_usable(&self, driver: &str) -> bool {
        let drivers = self.drivers.lock();
        drivers.get(driver).is_some_and(|driver| driver.plugins.iter().any(Registered::is_open))
    }

    fn add(&self, driver: &str, endpoint: &Path, services: &[String]) -> Result<(), HandlerError> {
        let version = choose(services).map_err(|why| {
            let endpoint = endpoint.display();
            let what = "invalid supported gRPC versions of DRA driver plugin";
            HandlerError::Invalid(format!("{what} {driver} at endpoint {endpoint}: {why}"))
        })?;
        let (sender, connections) = watch::channel(0);
        let plugin = Plugin::new(endpoint, version, sender);
        let registered = Registered { plugin, connections, gone: Arc::new(Notify::new()) };
        {
            let mut drivers = self.drivers.lock();
            let known = drivers.entry(driver.to_owned()).or_default();
            if known.plugins.iter().any(|other| other.plugin.endpoint() == endpoint) {
                let endpoint = endpoint.display();
                let why = format!("endpoint {endpoint} already registered for DRA driver plugin {driver}");
                return Err(HandlerError::Refused(why));
            }
            known.plugins.push(registered.clone());
        }
        tracing::info!(driver, endpoint = %endpoint.display(), "Registered DRA plugin");
        let (this, driver) = (self.clone(), driver.to_owned());
        self.supervisor.spawn_until_stop("dra-plugin", async move { this.attend(&driver, registered).await });
        Ok(())
    }

    /// Keeps the connection up, so that it is noticed when the plugin goes.
    async fn attend(&self, driver: &str, mut registered: Registered) {
        loop {
            if !registered.is_open() {
                registered.plugin.connect().await;
            }
            if registered.is_open() {
                tokio::select! {
                    () = registered.gone.notified() => return,
                    _ = registered.connections.wait_for(|count| *count == 0) => {}
                }
            }
            self.watch_usability(driver);
            tokio::select! {
                () = registered.gone.notified() => return,
                () = tokio::time::sleep(RECONNECT) => {}
            }
        }
    }

    fn remove(&self, driver: &str, endpoint: &Path) {
        {
            let mut drivers = self.drivers.lock();
            let Some(known) = drivers.get_mut(driver) else { return };
            known.plugins.retain(|registered| {
                let stays = registered.plugin.endpoint() != endpoint;
                if !stays {
                    registered.gone.notify_one();
                }
                stays
            });
        }
        tracing::info!(driver, endpoint = %endpoint.display(), "Unregistered DRA plugin");
        self.watch_usability(driver);
    }

    /// If no plugin of the driver answers, what it offers is deleted after a while.
    fn watch_usability(&self, driver: &str) {
        if self.is_usable(driver) {
            return;
        }
        {
            let mut drivers = self.drivers.lock();
            let Some(known) = drivers.get_mut(driver).filter(|known| !known.is_wiping) else { return };
            known.is_wiping = true;
        }
        let (this, driver) = (self.clone(), driver.to_owned());
        self.supervisor.spawn_until_stop("dra-wipe", async move { this.wipe_later(&driver).await });
    }

    async fn wipe_later(&self, driver: &str) {
        let opened = async {
            loop {
                if self.is_usable(driver) {
                    return;
                }
                tokio::time::sleep(RECONNECT).await;
            }
        };
        if tokio::time::timeout(self.delay, opened).await.is_err() {
            wipe(&*self.offers, Some(driver), || !self.is_usable(driver)).await;
        }
        let mut drivers = self.drivers.lock();
        if let Some(known) = drivers.get_mut(driver) {
            known.is_wiping = false;
            if known.plugins.is_empty() {
                drivers.remove(driver);
            }
        }
    }
}

/// Tries until it is done, or not wanted any more.
async fn wipe(offers: &dyn Offers, driver: Option<&str>, is_wanted: impl Fn() -> bool) {
    let mut wait = FIRST_RETRY;
    while is_wanted() && !offers.wipe(driver).await {
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_RETRY);
    }
}

#[async_trait]
impl Handler for Plugins {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn take(&self, info: &PluginInfo, endpoint: &Path) -> Result<(), HandlerError> {
        if info.name.is_empty() {
            return Err(HandlerError::Invalid("DRA driver name is empty".to_owned()));
        }
        self.add(&info.name, endpoint, &info.supported_versions)
    }

    async fn let_go(&self, name: &str, endpoint: &Path) {
        self.remove(name, endpoint);
    }
}
