//! A daemon's life: read the options, log, run, stop on a signal, end within a bounded time or at
//! the next signal.
//!
//! Upstream: `apiserver/pkg/server/signal.go`.

use crate::flags::{self, Common, Parsed, Start};
use crate::{Gates, Supervisor, logging, memory};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long tasks may take to end after a signal, unless the daemon says otherwise.
pub const GRACE: Duration = Duration::from_secs(15);

/// What a daemon is started with.
#[derive(Debug)]
pub struct Daemon<O> {
    /// Its name.
    pub name: &'static str,
    /// Its own options.
    pub options: O,
    /// The options that all daemons share.
    pub common: Common,
    /// Flags given explicitly, for [`crate::layers`].
    pub given: Vec<(String, String)>,
    /// All flags with their values, for `/flagz`.
    pub shown: BTreeMap<String, String>,
    /// The feature gates.
    pub gates: Gates,
    /// How long it may take to end after that.
    pub grace: Grace,
    /// Owns its tasks; stops on SIGTERM and SIGINT.
    pub supervisor: Supervisor,
}

/// How long a daemon may take to end after a signal.
#[derive(Clone, Debug)]
pub struct Grace(Arc<Mutex<Duration>>);

impl Default for Grace {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(GRACE)))
    }
}

impl Grace {
    /// Takes longer by this much, for a daemon that goes on serving after the signal.
    pub fn extend(&self, by: Duration) {
        *self.0.lock() += by;
    }

    fn get(&self) -> Duration {
        *self.0.lock()
    }
}

/// Runs a daemon: `start` returns when it is over, at the latest soon after the supervisor stops.
/// An error is printed as one line `Error: …` and ends the process with code 1.
pub fn main<O, F, Fut>(name: &'static str, start: F) -> ExitCode
where
    O: clap::Args,
    F: FnOnce(Daemon<O>) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    use_small_pages();
    let arguments = std::env::args().skip(1);
    let parsed = flags::parse::<O>(name, arguments, |variable| std::env::var(variable).ok());
    let start_with = match parsed {
        Ok(Parsed::Start(start_with)) => start_with,
        Ok(Parsed::Print(text)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&error.into()),
    };
    match run(name, start_with, start) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// The gates that a daemon heeds.
const BUILT_GATES: &[&str] = &["ConstrainedImpersonation", "KubeletEnsureSecretPulledImages"];

fn run<O, F, Fut>(name: &'static str, start_with: Start<O>, start: F) -> anyhow::Result<()>
where
    F: FnOnce(Daemon<O>) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let Start { options, common, given, shown, unbuilt, version } = start_with;
    version.iter().try_for_each(|version| crate::version::report(version))?;
    logging::init(&common);
    for flag in &unbuilt {
        tracing::warn!(flag, "flag --{flag} is known but not built; it has no effect");
    }
    let gates = Gates::parse(&common.feature_gates)?;
    for gate in gates.unbuilt(BUILT_GATES) {
        tracing::warn!(gate, "feature gate {gate} is known but not built; it has no effect");
    }
    tracing::info!(version = crate::version::git_version(), "starting {name}");
    let supervisor = Supervisor::new();
    let grace = Grace::default();
    let daemon =
        Daemon { name, options, common, given, shown, gates, grace: grace.clone(), supervisor: supervisor.clone() };
    runtime()?.block_on(live(name, supervisor, &grace, start(daemon)))
}

/// Keeps the kernel from backing the heap with huge pages: the first small allocation of each would
/// make 2 MiB resident, three times what an idle daemon needs in all.
fn use_small_pages() {
    // Only memory is lost where the kernel does not know the switch.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Bytes of each thread's stack, of which only what is used is resident: what recurses is bounded, but not by Rust's 2 MiB.
const STACK: usize = 16 << 20;

/// Few threads: a daemon idles nearly always, and each thread's stack and heap count.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(1, 8);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).thread_stack_size(STACK).on_thread_park(memory::before_sleep).enable_all().build()
}

async fn live(
    name: &'static str,
    supervisor: Supervisor,
    grace: &Grace,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut work = std::pin::pin!(work);
    let outcome = tokio::select! {
        outcome = &mut work => Some(outcome),
        () = signals.next() => None,
        never = memory::keep_small() => match never {},
    };
    let end = async {
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => stopped(name, &supervisor, grace, work).await,
        };
        if !supervisor.shutdown(GRACE).await {
            tracing::warn!("some tasks did not end within {GRACE:?}");
        }
        outcome
    };
    tokio::select! {
        outcome = end => outcome,
        () = signals.next() => give_up(name),
    }
}

/// The signals that end a daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Who sends a second signal does not want to wait.
#[expect(clippy::disallowed_methods, reason = "whatever still runs is cut off")]
fn give_up(name: &str) -> ! {
    tracing::warn!("stopping {name} at once");
    std::process::exit(1)
}

async fn stopped(
    name: &str,
    supervisor: &Supervisor,
    grace: &Grace,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    tracing::info!("stopping {name}");
    crate::notify::stopping();
    supervisor.stop();
    tokio::time::timeout(grace.get(), work).await.unwrap_or(Ok(()))
}

/// The error with its causes in one line.
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("Error: {error:#}");
    ExitCode::FAILURE
}

/// `hostname_uuid`: who this process is among candidates for a lease.
pub fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    format!("{}_{}", host.trim(), random.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_daemon_that_ends_by_itself_ends_its_tasks() {
        let supervisor = Supervisor::new();
        supervisor.spawn_until_stop("forever", std::future::pending());
        live("test", supervisor.clone(), &Grace::default(), async { Ok(()) }).await.unwrap();
        assert!(supervisor.is_stopping());
    }

    #[tokio::test]
    async fn stopping_waits_for_the_work_to_end() {
        let supervisor = Supervisor::new();
        let stop = supervisor.clone();
        let work = async move {
            stop.stopping().await;
            anyhow::bail!("ended by the stop")
        };
        let outcome = stopped("test", &supervisor, &Grace::default(), work).await;
        assert_eq!(outcome.unwrap_err().to_string(), "ended by the stop");
    }

    #[test]
    fn an_identity_is_unique() {
        assert_ne!(identity(), identity());
        assert!(identity().contains('_'));
    }
}
