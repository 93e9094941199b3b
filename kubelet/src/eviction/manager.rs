//! Measures every few seconds, tells of pressures, and acts on them: first on what nobody needs,
//! then on one pod at a time.

use super::measure::{self, Folders, PodUsage};
use super::thresholds::{self, Memory, Threshold};
use super::{Observations, REASON, Resource, message, rank};
use crate::config::KubeletConfiguration;
use crate::events::Severity;
use crate::images::gc as image_gc;
use crate::pod::PodExt;
use crate::resources::Amount;
use crate::resources::requests::{self, Side};
use crate::status::Verdict;
use crate::workers::{Deps, Workers};
use k8s_openapi::api::core::v1::Pod;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(10);
/// How long a pod that was ended may take until the next look.
const CLEANUP: Duration = Duration::from_secs(30);
/// Seconds that a pod gets when a hard threshold is crossed.
const AT_ONCE: i64 = 1;
/// At every sixth look the pods' own limits are checked.
const DISK_EVERY: u32 = 6;

/// What it works with.
pub struct Manager {
    deps: Arc<Deps>,
    workers: Workers,
    thresholds: Vec<Threshold>,
    transition: Duration,
    /// `evictionMaxPodGracePeriod`, seconds.
    longest_grace: i64,
    /// `localStorageCapacityIsolation`: whether limits on local storage are kept.
    keep_limits: bool,
    folders: Folders,
    memory: Memory,
    looks: u32,
}

impl Manager {
    /// A manager by this configuration, for the folders below `root`.
    pub fn new(deps: Arc<Deps>, workers: Workers, config: &KubeletConfiguration, root: PathBuf) -> Self {
        Self {
            folders: Folders { root, logs: deps.settings.logs.clone() },
            deps,
            workers,
            thresholds: thresholds::of(config),
            transition: config.eviction_pressure_transition_period.0,
            longest_grace: config.eviction_max_pod_grace_period,
            keep_limits: config.local_storage_capacity_isolation,
            memory: Memory::default(),
            looks: 0,
        }
    }

    /// Looks for ever; give it to the supervisor.
    pub async fn run(mut self) {
        loop {
            for uid in self.look().await {
                self.ended(&uid).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The UID of a pod that went over its limit, which is counted.
    fn counted(&self, over: &Excess) -> String {
        self.deps.runtime.metrics().evicted(over.limit.signal());
        over.pod.uid().to_owned()
    }

    /// One look; the pods that it ended.
    async fn look(&mut self) -> Vec<String> {
        let observed = self.observe().await;
        let judgement = self.memory.judge(&self.thresholds, &observed, Instant::now(), self.transition);
        self.deps.node.update(|f| f.pressures.clone_from(&judgement.pressures));
        let pods = self.workers.active();
        let over_limit = self.over_limit(&pods).await;
        if !over_limit.is_empty() {
            let ended = over_limit.into_iter().filter(|over| self.end(&over.pod, over.verdict()));
            return ended.map(|over| self.counted(&over)).collect();
        }
        let Some(threshold) = judgement.act.first() else { return Vec::new() };
        self.reclaim(threshold, pods).await.into_iter().collect()
    }

    async fn observe(&self) -> Observations {
        let images = self.deps.runtime.image_filesystem().await.ok().flatten().map(|(mount, _)| PathBuf::from(mount));
        let (memory, root) = (self.deps.node.memory().value(), self.folders.root.clone());
        let images = images.unwrap_or_else(|| root.clone());
        measure::node(memory, &root, &images)
    }

    /// What each pod uses.
    async fn usage(&self, pods: &[Arc<Pod>], resource: Resource) -> HashMap<String, PodUsage> {
        let measured = self.deps.runtime.usage().await;
        let measured = measured.inspect_err(|e| tracing::warn!(error = %e, "cannot ask what containers use"));
        let mut usage = measure::memory(&measured.unwrap_or_default());
        if matches!(resource, Resource::Disk | Resource::Inodes) {
            let (pods, folders) = (pods.to_vec(), self.folders.clone());
            let walk = move || {
                measure::add_disk(&mut usage, &pods, &folders);
                usage
            };
            return tokio::task::spawn_blocking(walk).await.unwrap_or_default();
        }
        usage
    }

    /// Frees what nobody needs; if that is not enough, ends the first pod that may be ended.
    async fn reclaim(&self, threshold: &Threshold, mut pods: Vec<Arc<Pod>>) -> Option<String> {
        let resource = threshold.signal.resource();
        tracing::warn!(signal = threshold.signal.name(), "attempting to reclaim {}", resource.name());
        let text = format!("Attempting to reclaim {}", resource.name());
        self.deps.events.node(&self.deps.node.name(), Severity::Warning, "EvictionThresholdMet", text);
        if matches!(resource, Resource::Disk | Resource::Inodes) && self.free_disk(threshold).await {
            return None;
        }
        let (observed, looked) = (self.observe().await, Instant::now());
        let usage = self.usage(&pods, resource).await;
        rank::order(&mut pods, &usage, resource);
        let seen = observed.get(&threshold.signal).copied().unwrap_or_default();
        self.deps.runtime.metrics().judged(threshold.signal.name(), looked.elapsed());
        pods.iter().find_map(|pod| {
            let message = message::pressure(threshold, &seen, pod, usage.get(pod.uid()));
            let grace = match threshold.grace {
                None => AT_ONCE,
                Some(_) => self.longest_grace.min(pod.grace()),
            };
            let verdict = Verdict { reason: REASON.into(), message, grace: Some(grace), disruption: true };
            self.end(pod, verdict).then(|| {
                self.deps.runtime.metrics().evicted(threshold.signal.name());
                pod.uid().to_owned()
            })
        })
    }

    /// Removes images that no container uses; whether that was enough.
    async fn free_disk(&self, threshold: &Threshold) -> bool {
        if let Err(e) = crate::gc::containers(&self.deps.runtime).await {
            tracing::warn!(error = %e, "cannot remove dead containers");
        }
        if let Err(e) = image_gc::remove_unused(&self.deps.runtime).await {
            tracing::warn!(error = %e, "cannot remove unused images");
        }
        let observed = self.observe().await;
        let mut fresh = Memory::default();
        let judgement = fresh.judge(&self.thresholds, &observed, Instant::now(), Duration::ZERO);
        !judgement.act.iter().any(|t| t.signal == threshold.signal)
    }

    /// Pods that use more local storage than their own limits let them. Walking their folders costs,
    /// so that this is not done at every look.
    async fn over_limit(&mut self, pods: &[Arc<Pod>]) -> Vec<Excess> {
        self.looks = self.looks.wrapping_add(1);
        let limited: Vec<_> = pods.iter().filter(|pod| is_limited(pod)).cloned().collect();
        if !self.keep_limits || limited.is_empty() || !self.looks.is_multiple_of(DISK_EVERY) {
            return Vec::new();
        }
        let usage = self.usage(&limited, Resource::Disk).await;
        let over = limited.into_iter().filter_map(|pod| {
            let (limit, message) = over_limit(&pod, usage.get(pod.uid())?)?;
            Some(Excess { pod, limit, message })
        });
        over.collect()
    }

    /// Ends a pod, unless the node cannot do without it.
    fn end(&self, pod: &Arc<Pod>, verdict: Verdict) -> bool {
        if pod.is_critical() {
            tracing::warn!(pod = pod.formatted(), "cannot evict a critical pod");
            return false;
        }
        tracing::warn!(pod = pod.formatted(), verdict.message, "evicting a pod");
        self.deps.events.pod(pod, Severity::Warning, REASON, verdict.message.clone());
        self.workers.end(pod.uid(), verdict);
        true
    }

    /// Waits until a pod has ended, for a while.
    async fn ended(&self, uid: &str) {
        let gone = self.workers.ended(uid);
        if tokio::time::timeout(CLEANUP, gone).await.is_err() {
            tracing::warn!(uid, "an evicted pod has not ended yet");
        }
    }
}

/// A pod that uses more local storage than it may.
struct Excess {
    pod: Arc<Pod>,
    limit: Limit,
    message: String,
}

impl Excess {
    fn verdict(&self) -> Verdict {
        Verdict { reason: REASON.into(), message: self.message.clone(), grace: Some(AT_ONCE), disruption: false }
    }
}

/// What limits a pod's local storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// The size of an `emptyDir`.
    Volume,
    /// What its containers may use together.
    Pod,
    /// What one of them may use.
    Container,
}

impl Limit {
    /// As metrics call it.
    fn signal(self) -> &'static str {
        match self {
            Self::Volume => "emptydirfs.limit",
            Self::Pod => "ephemeralpodfs.limit",
            Self::Container => "ephemeralcontainerfs.limit",
        }
    }
}

/// Whether anything limits the pod's local storage.
fn is_limited(pod: &Pod) -> bool {
    let spec = PodExt::spec(pod);
    let volumes = spec.volumes.iter().flatten().filter_map(|v| v.empty_dir.as_ref());
    volumes.into_iter().any(|e| e.size_limit.is_some())
        || requests::of_pod(pod, Side::Limits).contains_key(Resource::Disk.name())
}

/// What is wrong with a pod's use of local storage, if anything is.
fn over_limit(pod: &Pod, usage: &PodUsage) -> Option<(Limit, String)> {
    let spec = PodExt::spec(pod);
    for volume in spec.volumes.iter().flatten() {
        let Some(limit) = volume.empty_dir.as_ref().and_then(|e| e.size_limit.as_ref()) else { continue };
        let used = usage.volumes.get(&volume.name).copied().unwrap_or(0);
        if Amount::of(limit).value() > 0 && used > Amount::of(limit).value() {
            return Some((Limit::Volume, message::empty_dir(&volume.name, &limit.0)));
        }
    }
    let all = requests::of_pod(pod, Side::Limits).get(Resource::Disk.name()).copied();
    if let Some(all) = all.map(Amount::value).filter(|all| usage.disk.is_some_and(|used| used > *all)) {
        return Some((Limit::Pod, message::pod_storage(all)));
    }
    usage.containers(Resource::Disk).find_map(|(name, used)| {
        let container = spec.containers.iter().find(|c| c.name == name)?;
        let limit = requests::quantities(container, Side::Limits)?.get(Resource::Disk.name())?;
        let text = || (Limit::Container, message::container_storage(name, &limit.0));
        (used > Amount::of(limit).value()).then(text)
    })
}

/// Whether a node with these pressures takes a new pod; if not, what the pod is told.
pub fn refusal(pod: &Pod, pressures: &BTreeSet<super::Pressure>) -> Option<String> {
    use crate::resources::QosClass;
    if pressures.is_empty() || pod.is_critical() {
        return None;
    }
    let memory_only = pressures.iter().eq([&super::Pressure::Memory]);
    if memory_only && (QosClass::of(pod) != QosClass::BestEffort || tolerates_memory_pressure(pod)) {
        return None;
    }
    let names: Vec<&str> = pressures.iter().map(|p| p.condition()).collect();
    Some(format!("The node had condition: [{}]. ", names.join(" ")))
}

fn tolerates_memory_pressure(pod: &Pod) -> bool {
    PodExt::spec(pod).tolerations.iter().flatten().any(|t| {
        let (key, operator) = (t.key.as_deref().unwrap_or_default(), t.operator.as_deref().unwrap_or("Equal"));
        let effect = t.effect.as_deref().is_none_or(|e| e.is_empty() || e == "NoSchedule");
        let value = operator == "Exists" || t.value.as_deref().unwrap_or_default().is_empty();
        let any_key = key.is_empty() && operator == "Exists";
        effect && value && (any_key || key == "node.kubernetes.io/memory-pressure")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eviction::Pressure;
    use crate::eviction::measure::ContainerUsage;
    use crate::resources::requests::tests as fixture;
    use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Toleration, Volume};
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    #[test]
    fn limits_of_local_storage() {
        let mut pod = fixture::pod(vec![], vec![fixture::container("c", &[], &[("ephemeral-storage", "10Ki")])]);
        let empty_dir = EmptyDirVolumeSource { size_limit: Some(Quantity("4Ki".into())), ..Default::default() };
        let volume = Volume { name: "v".into(), empty_dir: Some(empty_dir), ..Volume::default() };
        pod.spec.as_mut().unwrap().volumes = Some(vec![volume]);
        assert!(is_limited(&pod) && !is_limited(&fixture::pod(vec![], vec![])));
        let usage = |volume, total, container| PodUsage {
            volumes: [("v".to_owned(), volume)].into(),
            disk: Some(total),
            each: vec![ContainerUsage { name: "c".into(), memory: 0, disk: container }],
            ..PodUsage::default()
        };
        for (usage, want) in [
            (usage(4096, 10_240, 10_240), None),
            (usage(4097, 0, 0), Some((Limit::Volume, "Usage of EmptyDir volume \"v\" exceeds the limit \"4Ki\". "))),
            (
                usage(0, 10_241, 0),
                Some((Limit::Pod, "Pod ephemeral local storage usage exceeds the total limit of containers 10Ki. ")),
            ),
            (
                usage(0, 0, 10_241),
                Some((Limit::Container, "Container c exceeded its local ephemeral storage limit \"10Ki\". ")),
            ),
        ] {
            assert_eq!(over_limit(&pod, &usage), want.map(|(limit, text)| (limit, text.to_owned())));
        }
    }

    #[test]
    fn who_is_taken_under_pressure() {
        let (best_effort, burstable) = (
            fixture::pod(vec![], vec![fixture::container("c", &[], &[])]),
            fixture::pod(vec![], vec![fixture::container("c", &[("cpu", "1")], &[])]),
        );
        let mut tolerant = best_effort.clone();
        let toleration = Toleration {
            key: Some("node.kubernetes.io/memory-pressure".into()),
            operator: Some("Exists".into()),
            ..Toleration::default()
        };
        tolerant.spec.as_mut().unwrap().tolerations = Some(vec![toleration]);
        let mut critical = best_effort.clone();
        critical.spec.as_mut().unwrap().priority = Some(crate::pod::CRITICAL_PRIORITY);
        let memory = BTreeSet::from([Pressure::Memory]);
        let both = BTreeSet::from([Pressure::Memory, Pressure::Disk]);
        for (what, pod, pressures, taken) in [
            ("no pressure", &best_effort, &BTreeSet::new(), true),
            ("best effort", &best_effort, &memory, false),
            ("burstable", &burstable, &memory, true),
            ("tolerant", &tolerant, &memory, true),
            ("tolerant of memory only", &tolerant, &both, false),
            ("burstable, disk", &burstable, &both, false),
            ("critical", &critical, &both, true),
        ] {
            assert_eq!(refusal(pod, pressures).is_none(), taken, "{what}");
        }
        assert_eq!(refusal(&best_effort, &both).unwrap(), "The node had condition: [MemoryPressure DiskPressure]. ");
    }
}
