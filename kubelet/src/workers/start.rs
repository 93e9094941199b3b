//! Starting one container: image, environment, mounts, create, start, hook.

use super::files;
use super::mounts::{self, ImageVolume, ImageVolumes};
use super::sync::Look;
use super::worker::Worker;
use crate::clock;
use crate::env::{self, EnvError, Referenced};
use crate::events::Severity;
use crate::images::{ImageError, Wish, credentials};
use crate::lifecycle;
use crate::pod::PodExt;
use crate::runtime::config::{ContainerInput, Mount, MountedImage, container_config};
use crate::runtime::images::{Image, RegistryAuth};
use crate::runtime::{ContainerState, RuntimeError, security};
use crate::status::Waiting;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const RETRY: Duration = Duration::from_secs(5);
const HOOK_LIMIT: Duration = Duration::from_secs(3600);
/// How a runtime begins to say that the image of a volume is what is missing.
const NOT_MOUNTED: &str = "ImageVolumeMountFailed";

/// The images of a pod's volumes by volume name, or why one is not there.
pub(super) type Pulled = BTreeMap<String, Result<MountedImage, ImageError>>;

/// What came of it.
pub(super) enum Started {
    /// It runs.
    Yes,
    /// It does not, and may be tried again.
    Later { why: Waiting, retry: Duration },
}

/// Why a container could not be started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("{0}")]
    Config(String),
    #[error("{0}")]
    Create(String),
    #[error("{0}")]
    Run(String),
    #[error("PostStartHook failed")]
    PostStart,
}

impl StartError {
    fn waiting(&self) -> Waiting {
        let reason = match self {
            Self::Image(e) => return e.waiting(),
            Self::Config(_) => "CreateContainerConfigError",
            Self::Create(_) => "CreateContainerError",
            Self::Run(_) => "RunContainerError",
            Self::PostStart => "PostStartHookError",
        };
        Waiting { reason: reason.to_owned(), message: self.to_string() }
    }

    fn retry(&self) -> Duration {
        match self {
            Self::Image(ImageError::BackOff { left, .. }) => *left + Duration::from_millis(50),
            _ => RETRY,
        }
    }
}

/// What a container is to its pod, as metrics call it.
fn container_type(pod: &Pod, name: &str) -> &'static str {
    let spec = PodExt::spec(pod);
    if spec.init_containers.iter().flatten().any(|container| container.name == name) {
        "init_container"
    } else if spec.ephemeral_containers.iter().flatten().any(|container| container.name == name) {
        "ephemeral_container"
    } else {
        "container"
    }
}

impl Worker {
    pub(super) async fn start(&mut self, look: &Look, container: &Container, pulled: &Pulled) -> Started {
        if let Some(later) = self.held_back(look, container) {
            return later;
        }
        let started = Box::pin(self.try_start(look, container, pulled)).await;
        let failure = started.as_ref().err().map(|e| e.waiting().reason);
        self.deps.runtime.metrics().container_started(container_type(&look.pod, &container.name), failure.as_deref());
        match started {
            Ok(()) => Started::Yes,
            Err(e) => {
                tracing::info!(pod = look.pod.formatted(), container = container.name, error = %e, "container not started");
                if matches!(e, StartError::Config(_) | StartError::Create(_) | StartError::Run(_)) {
                    let text = format!("Error: {e}");
                    self.deps.events.container(&look.pod, &container.name, Severity::Warning, "Failed", text);
                }
                Started::Later { retry: e.retry(), why: e.waiting() }
            }
        }
    }

    /// A container that ended lately waits, longer every time.
    fn held_back(&mut self, look: &Look, container: &Container) -> Option<Started> {
        let last = look.record.container(&container.name).filter(|r| r.state == ContainerState::Exited)?;
        let ended = clock::from_nanos(last.finished_at)?;
        let ago = Duration::from_secs(u64::try_from(clock::seconds_since(ended.0)).unwrap_or(0));
        let now = Instant::now();
        let failed_at = now.checked_sub(ago).unwrap_or(now);
        let Some((delay, left)) = self.crashes.waiting(&container.name, failed_at, now) else {
            self.crashes.next(container.name.clone(), now);
            return None;
        };
        let (name, pod) = (&container.name, look.pod.formatted());
        let text = format!("Back-off restarting failed container {name} in pod {pod}");
        self.deps.events.container(&look.pod, name, Severity::Warning, "BackOff", text);
        let message = format!("back-off {} restarting failed container={name} pod={pod}", go_seconds(delay));
        let why = Waiting { reason: "CrashLoopBackOff".into(), message };
        Some(Started::Later { why, retry: left + Duration::from_millis(50) })
    }

    /// Gets the images of the pod's volumes. What fails concerns only the containers that mount it.
    ///
    /// Upstream: `getImageVolumes` of `pkg/kubelet/kuberuntime`.
    pub(super) async fn image_volumes(&self, look: &Look) -> Pulled {
        let volumes = PodExt::spec(look.pod.as_ref()).volumes.iter().flatten();
        let sources: Vec<_> = volumes.filter_map(|v| Some((&v.name, v.image.as_ref()?))).collect();
        if sources.is_empty() {
            return Pulled::new();
        }
        let auths = self.credentials(&look.pod).await;
        let mut out = Pulled::new();
        for (name, source) in sources {
            let got = self.deps.images.ensure(&look.pod, Wish::of_volume(source), &auths, &look.sandbox_config).await;
            let reference = source.reference.clone().unwrap_or_default();
            out.insert(name.clone(), got.map(|i| MountedImage { id: i.id, reference, sub_path: String::new() }));
        }
        out
    }

    /// Those that the container mounts. If several are not there, the last says why.
    async fn mounted_images(
        &self,
        pod: &Pod,
        container: &Container,
        pulled: &Pulled,
    ) -> Result<ImageVolumes, StartError> {
        let mut out = ImageVolumes::new();
        let mut failed = None;
        for mount in container.volume_mounts.iter().flatten() {
            match pulled.get(&mount.name) {
                Some(Ok(image)) => {
                    drop(out.insert(mount.name.clone(), self.image_volume(pod, &mount.name, image).await?))
                }
                Some(Err(e)) => {
                    let text = format!("Error: {}", e.reason());
                    self.deps.events.container(pod, &container.name, Severity::Warning, "Failed", text);
                    failed = Some(e.clone());
                }
                None => {}
            }
        }
        failed.map_or(Ok(out), |e| Err(e.into()))
    }

    /// Left to the runtime, or to the node where the runtime does not mount images.
    async fn image_volume(&self, pod: &Pod, name: &str, image: &MountedImage) -> Result<ImageVolume, StartError> {
        let runtime = &self.deps.runtime;
        let config = |e: &dyn std::error::Error| StartError::Config(e.to_string());
        if runtime.mounts_images().await.map_err(|e| config(&e))? {
            return Ok(ImageVolume::Runtime(image.clone()));
        }
        let layers = runtime.view_image(pod.uid(), name, &image.id).await.map_err(|e| config(&e))?;
        let folder = self.deps.volumes.show_image(pod.uid(), name, &image.id, layers).await;
        folder.map(ImageVolume::Folder).map_err(|e| config(&e))
    }

    async fn try_start(&self, look: &Look, container: &Container, pulled: &Pulled) -> Result<(), StartError> {
        let images = self.mounted_images(&look.pod, container, pulled).await?;
        let auths = self.credentials(&look.pod).await;
        let image =
            self.deps.images.ensure(&look.pod, Wish::of_container(container), &auths, &look.sandbox_config).await?;
        let input = Box::pin(self.input(look, container, &image, &images)).await?;
        let restarts = input.restart_count;
        let config = container_config(&look.pod, container, &input);
        let created = self.deps.runtime.create_container(&look.sandbox, config, look.sandbox_config.clone()).await;
        let unmounted = |e: &RuntimeError| e.message().starts_with(NOT_MOUNTED);
        let counts = &self.deps.runtime.metrics().images;
        counts.volumes(images.len(), !created.as_ref().is_err_and(unmounted));
        let id = created.map_err(|e| StartError::Create(e.message()))?;
        self.event(&look.pod, container, "Created", "Container created");
        self.deps.placement.starts(&look.pod, container);
        self.deps.runtime.start_container(&id).await.map_err(|e| StartError::Run(e.message()))?;
        self.event(&look.pod, container, "Started", "Container started");
        files::link_log(&self.deps.settings, &look.pod, container, &id, restarts);
        self.post_start(look, container, &id).await
    }

    async fn input(
        &self,
        look: &Look,
        container: &Container,
        image: &Image,
        images: &ImageVolumes,
    ) -> Result<ContainerInput, StartError> {
        let pod = &look.pod;
        let user = (image.uid, image.user.as_str());
        security::verify_non_root(pod, container, user).map_err(|e| StartError::Config(e.to_string()))?;
        let equipment = self.deps.devices.equip(pod, container).await;
        let mut equipment = equipment.map_err(|e| StartError::Config(e.to_string()))?;
        let claimed = self.deps.dra.cdi_devices(pod, container).map_err(|e| StartError::Config(e.to_string()))?;
        equipment.cdi_devices.extend(claimed);
        let env = self.environment(look, container).await.map_err(|e| StartError::Config(e.to_string()))?;
        let (command, args) = env::command_and_args(container, &env);
        let pod_dir = self.deps.volumes.pod_dir(pod.uid());
        let of_volumes = mounts::of_volumes(pod, container, &look.mounted, images, &pod_dir, &env).await;
        let mut all = of_volumes.map_err(|e| StartError::Config(e.to_string()))?;
        all.extend(self.kubelets_mounts(look, container).map_err(|e| StartError::Config(e.to_string()))?);
        all.extend(equipment.mounts.into_iter().map(of_device));
        let of_plugins = equipment.devices.into_iter().map(|d| (d.host_path, d.container_path, d.permissions));
        let mut devices: Vec<_> = of_plugins.collect();
        let volumes = mounts::devices(pod, container, &look.mounted);
        devices.extend(volumes.map_err(|e| StartError::Config(e.to_string()))?);
        let target = ephemeral_target(pod, container).and_then(|t| look.record.container(&t).map(|r| r.id.clone()));
        Ok(ContainerInput {
            image_ref: image.id.clone(),
            image_user: (image.uid, image.user.clone()),
            command,
            args,
            // Where a name is given twice, the pod's word comes last.
            env: equipment.envs.into_iter().chain(env).collect(),
            mounts: all,
            devices,
            annotations: equipment.annotations,
            cdi_devices: equipment.cdi_devices,
            restart_count: self.restarts(look, container),
            node_memory: self.deps.node.memory(),
            enforce_quota: self.deps.cgroups.enforces_quota() && !self.deps.placement.is_pinned(pod, container),
            cpus: self.deps.placement.affinity(pod.uid(), &container.name).to_string(),
            memory_nodes: self.deps.placement.memory().nodes(pod.uid(), &container.name).to_string(),
            seccomp_default: self.deps.settings.seccomp_default,
            memory: self.deps.settings.memory,
            target,
        })
    }

    fn restarts(&self, look: &Look, container: &Container) -> u32 {
        match look.record.container(&container.name) {
            Some(last) => last.restart_count.saturating_add(1),
            None => files::restarts_by_logs(&self.deps.settings, &look.pod, &container.name),
        }
    }

    async fn environment(&self, look: &Look, container: &Container) -> Result<Vec<(String, String)>, EnvError> {
        let namespace = look.pod.namespace();
        let cluster = &self.deps.cluster;
        let mut refs = Referenced { services: cluster.services(namespace), ..Referenced::default() };
        let (maps, secrets) = env::references(container);
        for name in maps {
            if let Ok(map) = cluster.config_map(namespace, &name).await {
                refs.config_maps.insert(name, map);
            }
        }
        for name in secrets {
            if let Ok(secret) = cluster.secret(namespace, &name).await {
                refs.secrets.insert(name, secret);
            }
        }
        let mut facts = self.facts(&look.pod, &look.record);
        facts.pod_ips = look.ips.clone();
        env::environment(&facts, container, &refs)
    }

    /// /etc/hosts and the termination message.
    fn kubelets_mounts(&self, look: &Look, container: &Container) -> std::io::Result<Vec<Mount>> {
        let pod_dir = self.deps.volumes.pod_dir(look.pod.uid());
        let mut out = Vec::new();
        let mut add = |container_path: &str, host: std::path::PathBuf| {
            let host_path = host.to_string_lossy().into_owned();
            out.push(Mount { container_path: container_path.to_owned(), host_path, ..Mount::default() });
        };
        if !mounts::is_mounted(container, "/etc/hosts") && (!look.ips.is_empty() || look.pod.is_host_network()) {
            let domain = &self.deps.settings.cluster_dns.domain;
            add("/etc/hosts", files::write_hosts(&pod_dir, &look.pod, &look.ips, domain)?);
        }
        if let Some(path) = container.termination_message_path.as_deref().filter(|p| !p.is_empty()) {
            add(path, files::message_file(&pod_dir, &container.name)?);
        }
        Ok(out)
    }

    async fn credentials(&self, pod: &Pod) -> Vec<RegistryAuth> {
        let mut out = Vec::new();
        for reference in PodExt::spec(pod).image_pull_secrets.iter().flatten() {
            match self.deps.cluster.secret(pod.namespace(), &reference.name).await {
                Ok(secret) => out.extend(credentials::of_secret(&secret)),
                Err(e) => {
                    tracing::debug!(secret = reference.name, error = %e, "no pull secret");
                    let text = format!(
                        "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                        reference.name
                    );
                    self.deps.events.pod(pod, Severity::Warning, "FailedToRetrieveImagePullSecret", text);
                }
            }
        }
        out
    }

    async fn post_start(&self, look: &Look, container: &Container, id: &str) -> Result<(), StartError> {
        let Some(hook) = container.lifecycle.as_ref().and_then(|l| l.post_start.as_ref()) else { return Ok(()) };
        let ip = look.ips.first().cloned().unwrap_or_default();
        let done = lifecycle::run(&self.deps.runtime, container, id, &ip, hook, HOOK_LIMIT).await;
        let events = &self.deps.events;
        let e = match done {
            Ok(ran) => {
                if let Some((reason, text)) = ran.warning() {
                    events.pod(&look.pod, Severity::Warning, reason, text);
                }
                return Ok(());
            }
            Err(e) => e,
        };
        tracing::warn!(pod = look.pod.formatted(), container = container.name, error = %e, "postStart hook failed");
        events.container(&look.pod, &container.name, Severity::Warning, "FailedPostStartHook", "PostStartHook failed");
        events.container(&look.pod, &container.name, Severity::Normal, "Killing", "FailedPostStartHook");
        if let Err(e) = self.deps.runtime.stop_container(id, look.pod.grace()).await {
            tracing::warn!(container = container.name, error = %e, "cannot stop the container");
        }
        Err(StartError::PostStart)
    }

    fn event(&self, pod: &Pod, container: &Container, reason: &str, text: &str) {
        self.deps.events.container(pod, &container.name, Severity::Normal, reason, text);
    }
}

fn of_device(mount: proto::deviceplugin::Mount) -> Mount {
    let (container_path, host_path) = (mount.container_path, mount.host_path);
    Mount { container_path, host_path, read_only: mount.read_only, ..Mount::default() }
}

fn ephemeral_target(pod: &Pod, container: &Container) -> Option<String> {
    let all = PodExt::spec(pod).ephemeral_containers.iter().flatten();
    all.into_iter().find(|e| e.name == container.name)?.target_container_name.clone().filter(|t| !t.is_empty())
}

/// `10s`, `1m20s`, `5m0s`, as Go prints whole seconds.
fn go_seconds(d: Duration) -> String {
    let s = d.as_secs();
    if s < 60 { format!("{s}s") } else { format!("{}m{}s", s / 60, s % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_in_words() {
        for (s, want) in [(10, "10s"), (80, "1m20s"), (300, "5m0s")] {
            assert_eq!(go_seconds(Duration::from_secs(s)), want);
        }
    }
}
