//! Runs the processes of a plan, and starts again those that end.
//!
//! The supervisor is a process of its own that outlives `up`; its state is the folder `run`.

use crate::layout::Layout;
use crate::plan::Process;
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

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
    let text = std::fs::read_to_string(layout.run("plan.json")).context("reading the plan")?;
    let processes: Vec<Process> = serde_json::from_str(&text).context("reading the plan")?;
    std::fs::write(layout.run("supervisor.pid"), std::process::id().to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise(layout, processes))?;
    std::fs::remove_file(layout.run("supervisor.pid")).ok();
    Ok(())
}

async fn supervise(layout: &Layout, processes: Vec<Process>) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let pids = Pids::default();
    let local = tokio::task::LocalSet::new();
    let mut running = Vec::new();
    for process in processes {
        let (stop, stopped) = watch::channel(false);
        let task = local.spawn_local(keep_running(layout.clone(), process, pids.clone(), stopped));
        running.push((stop, task));
    }
    local
        .run_until(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // Each process may still need those that started before it.
            for (stop, task) in running.into_iter().rev() {
                stop.send_replace(true);
                task.await.ok();
            }
        })
        .await;
    Ok(())
}

async fn keep_running(layout: Layout, process: Process, pids: Pids, mut stopped: watch::Receiver<bool>) {
    let mut pause = MIN_PAUSE;
    while !*stopped.borrow() {
        let started = Instant::now();
        match spawn(&layout, &process) {
            Ok(mut child) => {
                note(&layout, &pids, &process.name, child.id());
                tokio::select! {
                    _ = child.wait() => {}
                    _ = stopped.changed() => end(&mut child).await,
                }
                note(&layout, &pids, &process.name, None);
            }
            Err(error) => eprintln!("{}: {error:#}", process.name),
        }
        pause = if started.elapsed() >= STEADY { MIN_PAUSE } else { (pause * 2).min(MAX_PAUSE) };
        if !*stopped.borrow() {
            tokio::time::timeout(pause, stopped.changed()).await.ok();
        }
    }
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
    command.process_group(0);
    command.spawn().with_context(|| format!("starting {}", process.program.display()))
}

fn cut(log: &Path) {
    if std::fs::metadata(log).is_ok_and(|m| m.len() > MAX_LOG) {
        std::fs::rename(log, log.with_extension("log.old")).ok();
    }
}

async fn end(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32)) {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
    }
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        child.kill().await.ok();
    }
}

fn note(layout: &Layout, pids: &Pids, name: &str, pid: Option<u32>) {
    let mut pids = pids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
pub fn running(layout: &Layout) -> Option<rustix::process::Pid> {
    let pid: i32 = std::fs::read_to_string(layout.run("supervisor.pid")).ok()?.trim().parse().ok()?;
    // The number may belong to somebody else by now.
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&[u8]> = command.split(|b| *b == 0).collect();
    let ours =
        words.contains(&b"supervise".as_slice()) && words.contains(&layout.root().as_os_str().as_encoded_bytes());
    ours.then(|| rustix::process::Pid::from_raw(pid)).flatten()
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

    #[tokio::test]
    async fn a_process_that_ends_is_started_again_and_stops_at_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path().to_owned());
        for path in ["run", "logs"] {
            std::fs::create_dir_all(folder.path().join(path)).expect("a folder");
        }
        let process = Process { name: "sleeper".into(), program: "sleep".into(), arguments: vec!["600".into()] };
        let (stop, stopped) = watch::channel(false);
        let pids = Pids::default();
        let pid = || pids.lock().expect("a lock").get("sleeper").copied();
        let watcher = async {
            let first = until(pid).await;
            let raw = rustix::process::Pid::from_raw(first as i32).expect("a process");
            rustix::process::kill_process(raw, rustix::process::Signal::KILL).expect("killed");
            let second = until(|| pid().filter(|p| *p != first)).await;
            stop.send_replace(true);
            (first, second)
        };
        let ((first, second), ()) = tokio::join!(watcher, keep_running(layout, process, pids.clone(), stopped));
        assert_ne!(first, second);
        assert_eq!(pid(), None);
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
