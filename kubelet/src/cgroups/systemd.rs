//! Groups that systemd owns: each is a slice that it starts, limits and stops. What systemd does not manage (control
//! groups of version 1 without accounting) is made beside it, in the same place.
//!
//! Upstream: `github.com/opencontainers/cgroups/systemd`, by way of `pkg/kubelet/cm/cgroup_manager_linux.go`.

use super::usage::GroupUsage;
use super::{CgroupError, Driver};
use crate::resources::linux::{CPU_PERIOD, LinuxResources, weight};
use futures::StreamExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::mpsc;
use zbus::zvariant::{OwnedObjectPath, Value};

/// Where systemd answers root without a message bus.
const PRIVATE: &str = "unix:path=/run/systemd/private";
/// Calls that may wait for systemd.
const BACKLOG: usize = 1024;
/// How long one may take: stopping a slice ends what runs in it.
const PATIENCE: Duration = Duration::from_secs(30);
/// systemd takes processor time in steps of so many microseconds a second.
const QUOTA_STEP: u64 = 10_000;

/// Properties of a unit.
type Properties = Vec<(&'static str, Value<'static>)>;

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Value<'_>)],
        others: &[(&str, &[(&str, Value<'_>)])],
    ) -> zbus::Result<OwnedObjectPath>;
    fn set_unit_properties(&self, name: &str, runtime: bool, properties: &[(&str, Value<'_>)]) -> zbus::Result<()>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String) -> zbus::Result<()>;
}

/// What is asked of systemd.
#[derive(Debug)]
enum Call {
    Start(Properties),
    Limit(Properties),
    Stop,
}

/// One call for a unit, and who waits for its end.
struct Request {
    unit: String,
    call: Call,
    done: SyncSender<Result<(), String>>,
}

/// Slices, and below them the kernel's interface.
#[derive(Debug)]
pub struct Slices {
    kernel: Arc<dyn Driver>,
    unified: bool,
    requests: mpsc::Sender<Request>,
}

impl Slices {
    /// Slices above the kernel's interface, which is the one of version 2 if it is `unified`. A thread of its own talks
    /// to systemd: groups are also made where nothing can be awaited.
    pub fn new(kernel: Arc<dyn Driver>, unified: bool) -> std::io::Result<Self> {
        let (requests, waiting) = mpsc::channel(BACKLOG);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let talk = move || runtime.block_on(serve(waiting));
        std::thread::Builder::new().name("systemd".to_owned()).spawn(talk)?;
        Ok(Self { kernel, unified, requests })
    }

    fn ask(&self, path: &Path, call: Call) -> Result<(), CgroupError> {
        let unit = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (done, ended): (_, Receiver<_>) = sync_channel(1);
        let failed = |why: String| CgroupError::Systemd { unit: unit.clone(), why };
        let request = Request { unit: unit.clone(), call, done };
        self.requests.try_send(request).map_err(|e| failed(format!("too many calls wait: {e}")))?;
        ended.recv().unwrap_or_else(|e| Err(e.to_string())).map_err(failed)
    }
}

impl Driver for Slices {
    fn create(&self, path: &Path) -> Result<(), CgroupError> {
        let mut ancestors: Vec<&Path> = path.ancestors().filter(|p| p.file_name().is_some()).collect();
        ancestors.reverse();
        for slice in ancestors {
            self.ask(slice, Call::Start(of_slice(slice, self.unified)))?;
        }
        self.kernel.create(path)
    }

    fn apply(&self, path: &Path, resources: &LinuxResources) -> Result<(), CgroupError> {
        self.ask(path, Call::Limit(limits(resources, self.unified)))?;
        self.kernel.apply(path, resources)
    }

    fn remove(&self, path: &Path) -> Result<(), CgroupError> {
        self.ask(path, Call::Stop)?;
        self.kernel.remove(path)
    }

    fn children(&self, path: &Path) -> Vec<String> {
        self.kernel.children(path)
    }

    fn memory_limit(&self, path: &Path) -> Option<u64> {
        self.kernel.memory_limit(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.kernel.exists(path)
    }

    fn usage(&self, path: &Path) -> GroupUsage {
        self.kernel.usage(path)
    }

    fn processes(&self, path: &Path) -> Vec<u32> {
        self.kernel.processes(path)
    }
}

/// A slice that counts what is used in it, started by what lies above it.
fn of_slice(path: &Path, unified: bool) -> Properties {
    let above = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let io = if unified { "IOAccounting" } else { "BlockIOAccounting" };
    let mut out: Properties = vec![
        ("Description", Value::from("Pods of Kubernetes")),
        ("Wants", Value::from(vec![above.unwrap_or_else(|| "-.slice".to_owned())])),
        ("DefaultDependencies", Value::from(false)),
    ];
    out.extend(["CPUAccounting", "MemoryAccounting", "TasksAccounting", io].map(|name| (name, Value::from(true))));
    out
}

/// What systemd calls the limits. It would put its own back if it did not know them.
fn limits(r: &LinuxResources, unified: bool) -> Properties {
    let most = |n: i64| u64::try_from(n).unwrap_or(u64::MAX);
    let (cpu, memory) = if unified { ("CPUWeight", "MemoryMax") } else { ("CPUShares", "MemoryLimit") };
    let shares = r.shares.map(|shares| most(if unified { weight(shares) } else { shares }));
    let quota = r.quota.map(|quota| match u64::try_from(quota) {
        Ok(quota) => (quota * 1_000_000 / CPU_PERIOD.unsigned_abs()).next_multiple_of(QUOTA_STEP),
        Err(_) => u64::MAX,
    });
    let all =
        [(cpu, shares), ("CPUQuotaPerSecUSec", quota), (memory, r.memory.map(most)), ("TasksMax", r.pids.map(most))];
    all.into_iter().filter_map(|(name, value)| Some((name, Value::from(value?)))).collect()
}

/// Answers calls one by one. A connection that broke is made again for the next call.
async fn serve(mut waiting: mpsc::Receiver<Request>) {
    let mut connection = None;
    while let Some(Request { unit, call, done }) = waiting.recv().await {
        let answer = tokio::time::timeout(PATIENCE, answer(&mut connection, &unit, &call)).await;
        let late = |_| Err(zbus::Error::Failure(format!("no answer within {} s", PATIENCE.as_secs())));
        let answer = answer.unwrap_or_else(late);
        if answer.as_ref().is_err_and(|e| !matches!(e, zbus::Error::MethodError(..) | zbus::Error::Failure(_))) {
            connection = None;
        }
        // Who asked may have been ended.
        let _ = done.send(answer.map_err(|e| e.to_string()));
    }
}

async fn answer(connection: &mut Option<ManagerProxy<'static>>, unit: &str, call: &Call) -> zbus::Result<()> {
    let manager = match connection {
        Some(manager) => manager,
        None => connection.insert(connect().await?),
    };
    // Before the call, or its end might be missed.
    let mut ended = manager.receive_job_removed().await?;
    let job = match call {
        Call::Limit(properties) if properties.is_empty() => return Ok(()),
        Call::Limit(properties) => return manager.set_unit_properties(unit, true, properties).await,
        Call::Start(properties) => match manager.start_transient_unit(unit, "replace", properties, &[]).await {
            Err(e) if is(&e, "UnitExists") => return Ok(()),
            started => started?,
        },
        Call::Stop => match manager.stop_unit(unit, "replace").await {
            Err(e) if is(&e, "NoSuchUnit") => return Ok(()),
            stopped => stopped?,
        },
    };
    while let Some(signal) = ended.next().await {
        let end = signal.args()?;
        if end.job == job {
            return match end.result.as_str() {
                "done" => Ok(()),
                result => Err(zbus::Error::Failure(format!("job ended: {result}"))),
            };
        }
    }
    Err(zbus::Error::InterfaceNotFound)
}

async fn connect() -> zbus::Result<ManagerProxy<'static>> {
    let connection = match zbus::Connection::system().await {
        Ok(connection) => connection,
        Err(_) => zbus::connection::Builder::address(PRIVATE)?.p2p().build().await?,
    };
    let manager = ManagerProxy::new(&connection).await?;
    manager.subscribe().await?;
    Ok(manager)
}

fn is(error: &zbus::Error, name: &str) -> bool {
    matches!(error, zbus::Error::MethodError(full, ..) if full.as_str().rsplit('.').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_in_the_words_of_systemd() {
        let r = LinuxResources { shares: Some(256), quota: Some(25_050), memory: Some(-1), pids: Some(100) };
        let v1: Properties = vec![
            ("CPUShares", Value::from(256_u64)),
            ("CPUQuotaPerSecUSec", Value::from(260_000_u64)),
            ("MemoryLimit", Value::from(u64::MAX)),
            ("TasksMax", Value::from(100_u64)),
        ];
        assert_eq!(limits(&r, false), v1);
        let names: Vec<_> = limits(&r, true).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["CPUWeight", "CPUQuotaPerSecUSec", "MemoryMax", "TasksMax"]);
        assert_eq!(
            limits(&LinuxResources { quota: Some(-1), ..LinuxResources::default() }, true),
            [("CPUQuotaPerSecUSec", Value::from(u64::MAX))]
        );
    }
}
