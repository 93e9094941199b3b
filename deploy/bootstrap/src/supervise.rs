//! Runs the processes of a plan, and starts again those that end.
//!
//! The supervisor is a process of its own that outlives `up`; its state is the folder `run`. On
//! SIGHUP it reads its plan again and touches only what differs. Killed and started again, it takes
//! over the processes that still run.

use crate::layout::Layout;
use crate::plan::Process;
use crate::processes::{self, MARK};
use anyhow::Context;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet};

/// First pause before a process that ended is started again; doubled up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// A process that ran this long has shown that it can.
const STEADY: Duration = Duration::from_secs(10);
/// How long a process may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(20);
/// A log that is longer is cut when its process starts.
const MAX_LOG: u64 = 64 << 20;

/// The processes that run now: name → process ID, as `run/pids.json` shows them.
type Pids = Arc<Mutex<BTreeMap<String, u32>>>;

/// Reads the plan and supervises its processes until SIGTERM.
pub fn run(layout: &Layout) -> anyhow::Result<()> {
    // A plan that cannot be read must not replace a supervisor's process ID.
    let plan = read_plan(layout)?;
    std::fs::write(layout.run("supervisor.pid"), std::process::id().to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(supervise(layout, plan)))?;
    std::fs::remove_file(layout.run("supervisor.pid")).ok();
    Ok(())
}

fn read_plan(layout: &Layout) -> anyhow::Result<Vec<Process>> {
    let text = std::fs::read_to_string(layout.run("plan.json")).context("reading the plan")?;
    serde_json::from_str(&text).context("reading the plan")
}

async fn supervise(layout: &Layout, plan: Vec<Process>) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut reload = signal(SignalKind::hangup())?;
    let mut running = Running { layout: layout.clone(), pids: read_pids(layout), tasks: Vec::new() };
    running.follow(plan).await;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reload.recv() => match read_plan(layout) {
                Ok(plan) => running.follow(plan).await,
                Err(error) => eprintln!("keeping the old plan: {error:#}"),
            },
        }
    }
    running.follow(Vec::new()).await;
    Ok(())
}

/// The processes that are kept running, in the order of their plan.
struct Running {
    layout: Layout,
    pids: Pids,
    tasks: Vec<Kept>,
}

/// A process that is kept running until `stop` is dropped.
struct Kept {
    process: Process,
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops what is not in the plan, last started first, and starts what is missing.
    async fn follow(&mut self, plan: Vec<Process>) {
        let (mut keep, stop): (Vec<Kept>, Vec<Kept>) =
            std::mem::take(&mut self.tasks).into_iter().partition(|kept| plan.contains(&kept.process));
        // Each process may still need those that started before it.
        for kept in stop.into_iter().rev() {
            drop(kept.stop);
            kept.task.await.ok();
        }
        for process in plan {
            let kept = match keep.iter().position(|kept| kept.process == process) {
                Some(index) => keep.swap_remove(index),
                None => self.start(process),
            };
            self.tasks.push(kept);
        }
    }

    fn start(&self, process: Process) -> Kept {
        let (stop, stopped) = watch::channel(());
        let task = keep_running(self.layout.clone(), process.clone(), self.pids.clone(), stopped);
        Kept { process, stop, task: tokio::task::spawn_local(task) }
    }
}

/// Until `stopped` is closed: one process after the other.
async fn keep_running(layout: Layout, process: Process, pids: Pids, mut stopped: watch::Receiver<()>) {
    let mut pause = MIN_PAUSE;
    loop {
        let started = Instant::now();
        match Live::take_over(&layout, &process, &pids).map_or_else(|| Live::spawn(&layout, &process), Ok) {
            Ok(mut live) => {
                note(&layout, &pids, &process.name, Some(live.pid()));
                let ended = tokio::select! {
                    () = live.ended() => true,
                    _ = stopped.changed() => false,
                };
                if !ended {
                    live.end().await;
                }
                note(&layout, &pids, &process.name, None);
            }
            Err(error) => eprintln!("{}: {error:#}", process.name),
        }
        pause = if started.elapsed() >= STEADY { MIN_PAUSE } else { (pause * 2).min(MAX_PAUSE) };
        if stopped.has_changed().is_err() || tokio::time::timeout(pause, stopped.changed()).await.is_ok() {
            return;
        }
    }
}

/// A process that runs.
enum Live {
    /// Started by this supervisor.
    Child(Child, Pid),
    /// Started by a former one.
    TakenOver(AsyncFd<OwnedFd>, Pid),
}

impl Live {
    fn spawn(layout: &Layout, process: &Process) -> anyhow::Result<Self> {
        let child = spawn(layout, process)?;
        let pid = child.id().and_then(|id| Pid::from_raw(id as i32)).context("it ended at once")?;
        Ok(Self::Child(child, pid))
    }

    /// The process that a former supervisor noted, if it runs and is the one that the plan wants.
    fn take_over(layout: &Layout, process: &Process, pids: &Pids) -> Option<Self> {
        let noted = *lock(pids).get(&process.name)?;
        let pid = Pid::from_raw(noted as i32)?;
        let handle = pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
        // Looked at only now, so that the handle and what is seen are of one process.
        let same = processes::has_mark(pid, &mark(layout, process));
        #[expect(deprecated, reason = "an OwnedFd keeps the promise that the replacement is unsafe for")]
        same.then(|| AsyncFd::new(handle).ok().map(|handle| Self::TakenOver(handle, pid))).flatten()
    }

    fn pid(&self) -> u32 {
        let (Self::Child(_, pid) | Self::TakenOver(_, pid)) = self;
        pid.as_raw_nonzero().get().unsigned_abs()
    }

    async fn ended(&mut self) {
        match self {
            Self::Child(child, _) => drop(child.wait().await),
            Self::TakenOver(handle, _) => drop(handle.readable().await),
        }
    }

    /// Ends the process and what is in its group: a node host is a pair of processes.
    async fn end(&mut self) {
        let (Self::Child(_, pid) | Self::TakenOver(_, pid)) = *self;
        kill_process_group(pid, Signal::TERM).ok();
        if tokio::time::timeout(GRACE, self.ended()).await.is_err() {
            kill_process_group(pid, Signal::KILL).ok();
            self.ended().await;
        }
    }
}

/// Tells whose process this is, and of which state of its inputs.
fn mark(layout: &Layout, process: &Process) -> String {
    format!("{}:{:016x}", layout.log(&process.name).display(), process.inputs)
}

fn spawn(layout: &Layout, process: &Process) -> anyhow::Result<Child> {
    let path = layout.log(&process.name);
    cut(&path);
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    let mut command = Command::new(&process.program);
    command.args(&process.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // A terminal's Ctrl-C is for the supervisor alone.
    command.env(MARK, mark(layout, process)).process_group(0);
    command.spawn().with_context(|| format!("starting {}", process.program.display()))
}

fn cut(log: &Path) {
    if std::fs::metadata(log).is_ok_and(|m| m.len() > MAX_LOG) {
        std::fs::rename(log, log.with_extension("log.old")).ok();
    }
}

fn lock(pids: &Pids) -> std::sync::MutexGuard<'_, BTreeMap<String, u32>> {
    pids.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What the last supervisor noted.
fn read_pids(layout: &Layout) -> Pids {
    let text = std::fs::read_to_string(layout.run("pids.json")).unwrap_or_default();
    Arc::new(Mutex::new(serde_json::from_str(&text).unwrap_or_default()))
}

/// The process IDs of the plan's processes that run.
pub fn processes(layout: &Layout) -> BTreeMap<String, Pid> {
    let pids = read_pids(layout);
    let noted = lock(&pids);
    let plan = read_plan(layout).unwrap_or_default();
    let live = plan.iter().filter_map(|process| {
        let pid = Pid::from_raw(*noted.get(&process.name)? as i32)?;
        processes::has_mark(pid, &mark(layout, process)).then(|| (process.name.clone(), pid))
    });
    live.collect()
}

fn note(layout: &Layout, pids: &Pids, name: &str, pid: Option<u32>) {
    let mut pids = lock(pids);
    match pid {
        Some(pid) => pids.insert(name.to_owned(), pid),
        None => pids.remove(name),
    };
    let text = serde_json::to_string(&*pids).unwrap_or_default();
    let file = layout.run("pids.json");
    let temporary = layout.run("pids.json.new");
    if std::fs::write(&temporary, text).is_ok() {
        std::fs::rename(&temporary, &file).ok();
    }
}

/// The process ID of a supervisor that runs, if one does.
pub fn running(layout: &Layout) -> Option<Pid> {
    let pid: i32 = std::fs::read_to_string(layout.run("supervisor.pid")).ok()?.trim().parse().ok()?;
    let pid = Pid::from_raw(pid)?;
    // The number may belong to somebody else by now.
    let words = processes::command_line(pid);
    let has = |wanted: &[u8]| words.iter().any(|word| word == wanted);
    (has(b"supervise") && has(layout.root().as_os_str().as_encoded_bytes())).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_process_id_is_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path().to_owned());
        assert!(running(&layout).is_none());
        std::fs::create_dir_all(layout.run("")).expect("a folder");
        std::fs::write(layout.run("supervisor.pid"), std::process::id().to_string()).expect("written");
        assert!(running(&layout).is_none());
    }

    fn state() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().expect("a folder");
        for path in ["run", "logs"] {
            std::fs::create_dir_all(folder.path().join(path)).expect("a folder");
        }
        let layout = Layout::new(folder.path().to_owned());
        (folder, layout)
    }

    fn sleeper(name: &str, inputs: u64) -> Process {
        Process { name: name.into(), program: "sleep".into(), arguments: vec!["600".into()], inputs }
    }

    /// Follows each plan in turn; the process IDs after each.
    async fn follow(layout: &Layout, pids: &Pids, plans: &[&[Process]]) -> Vec<BTreeMap<String, u32>> {
        let mut running = Running { layout: layout.clone(), pids: pids.clone(), tasks: Vec::new() };
        let mut seen = Vec::new();
        for plan in plans {
            running.follow(plan.to_vec()).await;
            // A process is marked once it has become the program.
            let marked = |process: &Process| {
                let pid = Pid::from_raw(*lock(pids).get(&process.name)? as i32)?;
                processes::has_mark(pid, &mark(layout, process)).then_some(())
            };
            until(|| plan.iter().map(marked).collect::<Option<Vec<()>>>()).await;
            seen.push(lock(pids).clone());
        }
        seen
    }

    #[tokio::test]
    async fn a_process_that_ends_is_started_again_and_stops_at_last() {
        let (_folder, layout) = state();
        let (stop, stopped) = watch::channel(());
        let pids = Pids::default();
        let pid = || lock(&pids).get("sleeper").copied();
        let watcher = async {
            let first = until(pid).await;
            kill_process_group(Pid::from_raw(first as i32).expect("a process"), Signal::KILL).expect("killed");
            let second = until(|| pid().filter(|p| *p != first)).await;
            drop(stop);
            (first, second)
        };
        let keeping = keep_running(layout, sleeper("sleeper", 0), pids.clone(), stopped);
        let ((first, second), ()) = tokio::join!(watcher, keeping);
        assert_ne!(first, second);
        assert_eq!(pid(), None);
    }

    #[tokio::test]
    async fn a_new_plan_touches_only_what_differs() {
        let (_folder, layout) = state();
        let pids = Pids::default();
        let first = [sleeper("a", 0), sleeper("b", 0), sleeper("c", 0)];
        let second = [sleeper("a", 0), sleeper("c", 1)];
        let seen = LocalSet::new().run_until(follow(&layout, &pids, &[&first, &second, &[]])).await;
        assert_eq!(seen[0]["a"], seen[1]["a"]);
        assert_ne!(seen[0]["c"], seen[1]["c"]);
        assert_eq!(seen[1].len(), 2);
        assert!(seen[2].is_empty());
    }

    #[tokio::test]
    async fn processes_of_a_supervisor_that_was_killed_are_taken_over() {
        let (_folder, layout) = state();
        let plan = [sleeper("a", 0)];
        // Dropping the set drops its tasks, which is how a killed supervisor leaves its processes.
        let before = LocalSet::new().run_until(follow(&layout, &Pids::default(), &[&plan])).await;
        let after = LocalSet::new().run_until(follow(&layout, &read_pids(&layout), &[&plan, &[]])).await;
        assert_eq!(before[0], after[0]);
        assert!(after[1].is_empty());
    }

    async fn until<T>(condition: impl Fn() -> Option<T>) -> T {
        loop {
            match condition() {
                Some(value) => return value,
                None => tokio::task::yield_now().await,
            }
        }
    }
}
