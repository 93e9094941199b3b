//! A fake systemd-logind on a message bus of its own, which is Debian's `dbus-daemon`.

use futures::FutureExt as _;
use parking_lot::Mutex;
use rustix::fs::{OFlags, fcntl_setfl};
use std::io::{BufRead as _, BufReader, ErrorKind, PipeReader, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use zbus::object_server::SignalEmitter;

const PATH: &str = "/org/freedesktop/login1";

/// What the fake was asked for.
#[derive(Default)]
struct State {
    delay: u64,
    /// The other ends of the locks that were given out.
    locks: Vec<PipeReader>,
    asked: Vec<[String; 4]>,
    reloads: Vec<(String, String, i32)>,
}

/// The bus, and on it the fake.
pub(super) struct FakeLogind {
    daemon: Child,
    pub(super) address: String,
    connection: zbus::Connection,
    state: Arc<Mutex<State>>,
}

struct Manager(Arc<Mutex<State>>);

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Manager {
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::fdo::Result<zbus::zvariant::OwnedFd> {
        let failed = |e: std::io::Error| zbus::fdo::Error::IOError(e.to_string());
        let (ours, theirs) = std::io::pipe().map_err(failed)?;
        fcntl_setfl(&ours, OFlags::NONBLOCK).map_err(|e| failed(e.into()))?;
        let mut state = self.0.lock();
        state.locks.push(ours);
        state.asked.push([what, who, why, mode].map(str::to_owned));
        Ok(OwnedFd::from(theirs).into())
    }

    #[zbus(property, name = "InhibitDelayMaxUSec")]
    fn longest_delay(&self) -> u64 {
        self.0.lock().delay
    }

    #[zbus(signal)]
    async fn prepare_for_shutdown(emitter: &SignalEmitter<'_>, start: bool) -> zbus::Result<()>;
}

/// systemd, as far as it tells logind to read its configuration again.
struct Units {
    state: Arc<Mutex<State>>,
    configuration: PathBuf,
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Units {
    fn kill_unit(&self, name: &str, whom: &str, signal: i32) {
        let mut state = self.state.lock();
        state.reloads.push((name.to_owned(), whom.to_owned(), signal));
        let text = std::fs::read_to_string(self.configuration.join("99-kubelet.conf")).unwrap_or_default();
        let seconds = text.lines().find_map(|line| line.strip_prefix("InhibitDelayMaxSec=")?.parse::<u64>().ok());
        state.delay = seconds.map_or(state.delay, |seconds| seconds * 1_000_000);
    }
}

impl FakeLogind {
    /// `None` where there is no `dbus-daemon`.
    pub(super) async fn start(folder: &Path) -> Option<Self> {
        let config = folder.join("bus.conf");
        let text = format!(
            "<busconfig><type>system</type><listen>unix:path={}</listen><policy context=\"default\">\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>\
             <allow own=\"*\"/><allow user=\"*\"/></policy></busconfig>",
            folder.join("bus").display()
        );
        std::fs::write(&config, text).expect("a configuration");
        let mut command = Command::new("dbus-daemon");
        command.arg(format!("--config-file={}", config.display())).args(["--nofork", "--nosyslog", "--print-address"]);
        let mut daemon = command.stdout(Stdio::piped()).spawn().ok()?;
        let mut address = String::new();
        let out = daemon.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut address).expect("its address");
        let address = address.trim().to_owned();
        let state = Arc::new(Mutex::new(State { delay: 5_000_000, ..State::default() }));
        let units = Units { state: state.clone(), configuration: folder.join("logind.conf.d") };
        let builder = zbus::connection::Builder::address(address.as_str()).expect("an address");
        let connection = builder
            .serve_at(PATH, Manager(state.clone()))
            .and_then(|b| b.serve_at("/org/freedesktop/systemd1", units))
            .and_then(|b| b.name("org.freedesktop.login1"))
            .and_then(|b| b.name("org.freedesktop.systemd1"))
            .expect("what is served")
            .build()
            .await
            .expect("a connection");
        Some(Self { daemon, address, connection, state })
    }

    /// Says that the node shuts down, or that it does not after all.
    pub(super) async fn announce(&self, start: bool) {
        let emitter = SignalEmitter::new(&self.connection, PATH).expect("an emitter");
        Manager::prepare_for_shutdown(&emitter, start).await.expect("a signal");
    }

    /// How many locks were asked for, and with what words.
    pub(super) fn asked(&self) -> Vec<[String; 4]> {
        self.state.lock().asked.clone()
    }

    pub(super) fn reloads(&self) -> Vec<(String, String, i32)> {
        self.state.lock().reloads.clone()
    }

    /// How many locks are held.
    pub(super) fn held(&self) -> usize {
        let is_held = |mut lock: &PipeReader| lock.read(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
        self.state.lock().locks.iter().filter(|lock| is_held(lock)).count()
    }
}

impl Drop for FakeLogind {
    fn drop(&mut self) {
        let _ = self.connection.clone().close().now_or_never();
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
