//! What has to be as it should on the machine, or at hand, before any subsystem is made.

use crate::cgroups::Cgroups;
use crate::cluster::Cluster;
use crate::config::{KubeletConfiguration, enforcement};
use crate::flags::Options;
use crate::images::access::{Access, policy::Policy};
use crate::images::providers::Providers;
use crate::node::{NodeFacts, kernel, machine, reporter};
use crate::placement::memory::demand::is_memory;
use crate::placement::{Machine, Placement};
use crate::resources::Amount;
use crate::resources::memory::MemoryRules;
use anyhow::Context as _;
use component::daemon::Daemon;
use component::gates::{Gates, go_bool};
use std::path::Path;
use std::sync::Arc;

const ENSURE_PULLED: &str = "KubeletEnsureSecretPulledImages";

/// What there is of swap, and whether one process may be ended alone.
pub(super) fn memory_rules(config: &KubeletConfiguration, node_memory: Amount) -> anyhow::Result<MemoryRules> {
    let unified = crate::cgroups::is_unified();
    anyhow::ensure!(
        unified || config.single_process_oom_kill != Some(false),
        "invalid configuration: singleProcessOOMKill must not be explicitly set to false when using cgroup v1"
    );
    let node_swap = machine::memory_info("SwapTotal");
    anyhow::ensure!(
        !config.fail_swap_on || node_swap <= 0,
        "running with swap on is not supported, please disable swap or set --fail-swap-on flag to false"
    );
    Ok(MemoryRules {
        unified,
        limits_swap: crate::cgroups::limits_swap(),
        swap: config.memory_swap.swap_behavior,
        single_process_oom: config.single_process_oom_kill.unwrap_or(!unified),
        node_memory: node_memory.value(),
        node_swap,
    })
}

/// The processors and the memory of containers, by the gates of the command line and of the file.
pub(super) fn placement(
    daemon: &Daemon<Options>,
    config: &KubeletConfiguration,
    node: &NodeFacts,
    sys: &Path,
) -> anyhow::Result<Placement> {
    let gates = gates(daemon, config)?;
    let memory = u64::try_from(node.memory().value()).unwrap_or(0);
    let reserved =
        config.kube_reserved.keys().chain(config.system_reserved.keys()).map(String::as_str).chain(["memory"]);
    let of = |name: &str| (name.to_owned(), reporter::held_back(name, node.memory(), config));
    let held_back = reserved.filter(|name| is_memory(name)).map(of).collect();
    let machine = Machine { sys, memory, held_back: &held_back };
    let placed = Placement::load(&daemon.options.root_dir, config, &gates, machine);
    placed.context("initialize the resource managers")
}

/// The gates of the command line and of the file.
fn gates(daemon: &Daemon<Options>, config: &KubeletConfiguration) -> anyhow::Result<Gates> {
    let given = daemon.common.feature_gates.iter().flat_map(|all| all.split(','));
    let given = given.filter_map(|gate| gate.split_once('=')).filter_map(|(k, v)| Some((k.trim(), go_bool(v.trim())?)));
    let mut gates = config.feature_gates.clone();
    gates.extend(given.map(|(gate, on)| (gate.trim_start_matches("kube:").to_owned(), on)));
    Ok(Gates::from_map(gates)?)
}

/// Who may have images that are here, unless `KubeletEnsureSecretPulledImages` is off: then everybody.
pub(super) fn access(daemon: &Daemon<Options>, config: &KubeletConfiguration) -> anyhow::Result<Option<Access>> {
    if !gates(daemon, config)?.enabled(ENSURE_PULLED) {
        return Ok(None);
    }
    let (name, list) =
        (&config.image_pull_credentials_verification_policy, &config.preloaded_images_verification_allowlist);
    let access = Access::open(&daemon.options.root_dir, Policy::parse(name, list)?);
    access.map(Some).context("keep who may have which image")
}

/// Limits the groups of those for whom something is reserved; they have to be there.
pub(super) fn enforce(groups: &Cgroups, config: &KubeletConfiguration) -> anyhow::Result<()> {
    for reserved in enforcement::reserved(config) {
        let enforcement::Reserved { whose, group, limits } = reserved;
        let failed = || format!("Failed to enforce {whose} Cgroup Limits on {group:?}");
        groups.limit(&group, &limits).with_context(failed)?;
        tracing::info!(group, "Updated limits on a reserved cgroup");
    }
    Ok(())
}

/// Without `protectKernelDefaults` the kernel's parameters are set.
pub(super) fn prepare_kernel(protect: bool) -> anyhow::Result<()> {
    let policy = if protect { kernel::Policy::Refuse } else { kernel::Policy::Modify };
    let Err(wrong) = kernel::prepare(Path::new("/proc/sys"), policy) else { return Ok(()) };
    let words = wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    anyhow::ensure!(!protect, "failed to initialize kernel flags: [{words}]");
    tracing::warn!("failed to initialize kernel flags: [{words}]");
    Ok(())
}

/// Programs that know credentials for images; both flags have to be given, as upstream has it.
pub(super) fn providers(options: &Options, cluster: Arc<dyn Cluster>) -> anyhow::Result<Providers> {
    match (&options.image_credential_provider_config, &options.image_credential_provider_bin_dir) {
        (Some(config), Some(folder)) => {
            Providers::load(config, folder, cluster).context("failed to register CRI auth plugins")
        }
        _ => Ok(Providers::default()),
    }
}

/// Pods need many files open at the same time. Without the right to so many, there are as many as there may be.
pub(super) fn raise_open_files(most: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) }).is_ok() {
        return;
    }
    let allowed = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: allowed, maximum: allowed }) {
        tracing::info!(%error, "cannot raise the number of open files");
    }
}

/// The kernel is to spare the kubelet. Without the capability for it, it runs all the same.
pub(super) fn lower_oom_score(score: i32) {
    if let Err(e) = std::fs::write("/proc/self/oom_score_adj", score.to_string()) {
        tracing::info!(error = %e, "cannot set the kubelet's own OOM score");
    }
}
