//! Talking to systemd-logind: holding a shutdown up, and hearing of one.
//!
//! Upstream: `pkg/kubelet/nodeshutdown/systemd/inhibit_linux.go`.

use futures::{Stream, StreamExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zbus::Connection;
use zbus::zvariant::OwnedFd;

/// Where logind looks for more configuration.
const CONFIGURATION: &str = "/etc/systemd/logind.conf.d";
const OWN_FILE: &str = "99-kubelet.conf";
/// `SIGHUP`: read the configuration again.
const HANG_UP: i32 = 1;

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Manager {
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::Result<OwnedFd>;
    #[zbus(property(emits_changed_signal = "false"), name = "InhibitDelayMaxUSec")]
    fn longest_delay(&self) -> zbus::Result<u64>;
    #[zbus(signal)]
    fn prepare_for_shutdown(&self, start: bool) -> zbus::Result<()>;
}

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Units {
    fn kill_unit(&self, name: &str, whom: &str, signal: i32) -> zbus::Result<()>;
}

/// Why logind cannot be talked to; upstream's words.
#[derive(Debug, thiserror::Error)]
pub enum LogindError {
    #[error("cannot reach the system bus")]
    Bus(#[source] zbus::Error),
    #[error("failed reading InhibitDelayMaxUSec property from logind")]
    Delay(#[source] zbus::Error),
    #[error("failed creating systemd inhibitor")]
    Inhibit(#[source] zbus::Error),
    #[error("unable to reload logind conf")]
    Reload(#[source] zbus::Error),
    #[error("failed to monitor shutdown")]
    Monitor(#[source] zbus::Error),
    #[error("failed writing logind shutdown inhibit override file {path}")]
    Override { path: String, source: std::io::Error },
    #[error(
        "node shutdown manager was timed out after {tries} attempts waiting for logind InhibitDelayMaxSec to update to \
         {wanted:?} (ShutdownGracePeriod), current value is {delay:?}"
    )]
    StillShort { tries: u32, wanted: Duration, delay: Duration },
}

/// Which bus logind is on, and where it reads its configuration.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its address; `None` for the system's.
    pub bus: Option<String>,
    /// Where it looks for more configuration.
    pub configuration: PathBuf,
}

impl Default for Place {
    fn default() -> Self {
        Self { bus: None, configuration: CONFIGURATION.into() }
    }
}

/// While this is held, a shutdown waits, for as long as logind lets it.
#[derive(Debug)]
pub struct Lock {
    _held: OwnedFd,
}

/// A connection to logind.
#[derive(Debug)]
pub struct Logind {
    manager: ManagerProxy<'static>,
    units: UnitsProxy<'static>,
    configuration: PathBuf,
}

impl Logind {
    pub async fn connect(place: &Place) -> Result<Self, LogindError> {
        let connect = async {
            let connection = match &place.bus {
                None => Connection::system().await?,
                Some(address) => zbus::connection::Builder::address(address.as_str())?.build().await?,
            };
            let manager = ManagerProxy::builder(&connection);
            let manager = manager.cache_properties(zbus::proxy::CacheProperties::No).build().await?;
            zbus::Result::Ok((manager, UnitsProxy::new(&connection).await?))
        };
        let (manager, units) = connect.await.map_err(LogindError::Bus)?;
        Ok(Self { manager, units, configuration: place.configuration.clone() })
    }

    /// How long logind lets a shutdown wait.
    pub async fn longest_delay(&self) -> Result<Duration, LogindError> {
        self.manager.longest_delay().await.map(Duration::from_micros).map_err(LogindError::Delay)
    }

    /// Tells logind to let a shutdown wait for so long. It does not say when it has taken it up.
    pub async fn lengthen_delay(&self, delay: Duration) -> Result<(), LogindError> {
        write_delay(&self.configuration, delay)?;
        self.units.kill_unit("systemd-logind.service", "all", HANG_UP).await.map_err(LogindError::Reload)
    }

    /// Holds a shutdown up from now on.
    pub async fn inhibit(&self) -> Result<Lock, LogindError> {
        let why = "Kubelet needs time to handle node shutdown";
        let held = self.manager.inhibit("shutdown", "kubelet", why, "delay").await;
        held.map(|held| Lock { _held: held }).map_err(LogindError::Inhibit)
    }

    /// Whether the node shuts down, at each change. It ends with the connection.
    pub async fn shutdowns(&self) -> Result<impl Stream<Item = bool> + Send + Unpin + use<>, LogindError> {
        let signals = self.manager.receive_prepare_for_shutdown().await.map_err(LogindError::Monitor)?;
        let read = |signal: PrepareForShutdown| async move {
            let start = signal.args().map(|args| args.start);
            start.inspect_err(|error| tracing::error!(%error, "PrepareForShutdown is not of the form expected")).ok()
        };
        Ok(Box::pin(signals.filter_map(read)))
    }
}

fn write_delay(folder: &Path, delay: Duration) -> Result<(), LogindError> {
    let path = folder.join(OWN_FILE);
    let text = format!("# Kubelet logind override\n[Login]\nInhibitDelayMaxSec={}\n", delay.as_secs());
    let write = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
    write.map_err(|source| LogindError::Override { path: path.display().to_string(), source })
}
