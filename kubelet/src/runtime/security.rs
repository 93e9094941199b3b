//! Security contexts of pods and containers as the runtime takes them.
//!
//! Upstream: `pkg/kubelet/kuberuntime/security_context*.go`, `pkg/securitycontext`.

use crate::pod::PodExt;
use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, Container, Pod, PodSecurityContext, SELinuxOptions, SeccompProfile, SecurityContext,
};
use proto::cri;

const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The container may not run as the user it would run as.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RunAsNonRootError {
    #[error("container has runAsNonRoot and image will run as root (pod: {pod:?}, container: {container})")]
    ImageIsRoot { pod: String, container: String },
    #[error("container's runAsUser breaks non-root policy (pod: {pod:?}, container: {container})")]
    UserIsRoot { pod: String, container: String },
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: {pod:?}, container: {container})"
    )]
    UserIsName { user: String, pod: String, container: String },
}

/// The pod's context for its sandbox.
pub fn sandbox_context(pod: &Pod) -> cri::LinuxSandboxSecurityContext {
    let context = pod_context(pod);
    let privileged = PodExt::spec(pod).containers.iter().any(is_privileged);
    cri::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod, None)),
        selinux_options: context.se_linux_options.as_ref().map(selinux),
        run_as_user: context.run_as_user.map(int),
        run_as_group: context.run_as_group.filter(|_| context.run_as_user.is_some()).map(int),
        supplemental_groups: groups(&context),
        supplemental_groups_policy: groups_policy(&context),
        privileged,
        seccomp: Some(seccomp(context.seccomp_profile.as_ref(), cri::security_profile::ProfileType::RuntimeDefault)),
        ..Default::default()
    }
}

/// A container's context: its own settings, else the pod's, else the image's user.
pub fn container_context(
    pod: &Pod,
    container: &Container,
    image_user: (Option<i64>, &str),
    target: Option<&str>,
    seccomp_default: bool,
) -> cri::LinuxContainerSecurityContext {
    let pod_level = pod_context(pod);
    let own = container.security_context.clone().unwrap_or_default();
    let privileged = is_privileged(container);
    let uid = own.run_as_user.or(pod_level.run_as_user).or(image_user.0);
    let profile = own.seccomp_profile.as_ref().or(pod_level.seccomp_profile.as_ref());
    let armor = own.app_armor_profile.as_ref().or(pod_level.app_armor_profile.as_ref());
    let unsaid = match seccomp_default {
        true => cri::security_profile::ProfileType::RuntimeDefault,
        false => cri::security_profile::ProfileType::Unconfined,
    };
    let unmasked = privileged || own.proc_mount.as_deref() == Some("Unmasked");
    let paths = |of: &[&str]| if unmasked { Vec::new() } else { of.iter().map(|p| (*p).to_owned()).collect() };
    cri::LinuxContainerSecurityContext {
        capabilities: own.capabilities.as_ref().map(capabilities),
        privileged,
        namespace_options: Some(namespaces(pod, target)),
        selinux_options: own.se_linux_options.as_ref().or(pod_level.se_linux_options.as_ref()).map(selinux),
        run_as_user: uid.map(int),
        run_as_group: own.run_as_group.or(pod_level.run_as_group).map(int),
        run_as_username: if uid.is_none() { image_user.1.to_owned() } else { String::new() },
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: groups(&pod_level),
        supplemental_groups_policy: groups_policy(&pod_level),
        no_new_privs: no_new_privileges(&own, privileged),
        masked_paths: paths(&MASKED),
        readonly_paths: paths(&READ_ONLY),
        seccomp: Some(seccomp(profile, unsaid)),
        apparmor: armor.map(apparmor),
        ..Default::default()
    }
}

/// Refuses what `runAsNonRoot` forbids.
pub fn verify_non_root(
    pod: &Pod,
    container: &Container,
    image_user: (Option<i64>, &str),
) -> Result<(), RunAsNonRootError> {
    let pod_level = pod_context(pod);
    let own = container.security_context.clone().unwrap_or_default();
    if own.run_as_non_root.or(pod_level.run_as_non_root) != Some(true) {
        return Ok(());
    }
    let (pod, container) = (pod.formatted(), container.name.clone());
    match (own.run_as_user.or(pod_level.run_as_user), image_user) {
        (Some(0), _) => Err(RunAsNonRootError::UserIsRoot { pod, container }),
        (Some(_), _) => Ok(()),
        (None, (Some(0), _)) => Err(RunAsNonRootError::ImageIsRoot { pod, container }),
        (None, (None, user)) if !user.is_empty() => {
            Err(RunAsNonRootError::UserIsName { user: user.to_owned(), pod, container })
        }
        (None, (None, _)) => Err(RunAsNonRootError::ImageIsRoot { pod, container }),
        (None, (Some(_), _)) => Ok(()),
    }
}

/// Whether the container sees the node as root does.
pub fn is_privileged(container: &Container) -> bool {
    container.security_context.as_ref().is_some_and(|c| c.privileged == Some(true))
}

fn pod_context(pod: &Pod) -> PodSecurityContext {
    PodExt::spec(pod).security_context.clone().unwrap_or_default()
}

fn namespaces(pod: &Pod, target: Option<&str>) -> cri::NamespaceOption {
    use cri::NamespaceMode as Mode;
    let spec = PodExt::spec(pod);
    let pid = match (target, spec.host_pid == Some(true), spec.share_process_namespace == Some(true)) {
        (Some(_), ..) => Mode::Target,
        (None, true, _) => Mode::Node,
        (None, false, true) => Mode::Pod,
        (None, false, false) => Mode::Container,
    };
    let node_if = |on: bool| if on { Mode::Node } else { Mode::Pod };
    cri::NamespaceOption {
        network: node_if(pod.is_host_network()).into(),
        pid: pid.into(),
        ipc: node_if(spec.host_ipc == Some(true)).into(),
        target_id: target.unwrap_or_default().to_owned(),
        userns_options: None,
    }
}

fn groups(context: &PodSecurityContext) -> Vec<i64> {
    let own = context.supplemental_groups.iter().flatten().copied();
    context.fs_group.into_iter().chain(own).collect()
}

fn groups_policy(context: &PodSecurityContext) -> i32 {
    match context.supplemental_groups_policy.as_deref() {
        Some("Strict") => cri::SupplementalGroupsPolicy::Strict.into(),
        _ => cri::SupplementalGroupsPolicy::Merge.into(),
    }
}

fn no_new_privileges(context: &SecurityContext, privileged: bool) -> bool {
    let admin = context.capabilities.as_ref().and_then(|c| c.add.as_ref());
    let admin = admin.is_some_and(|all| all.iter().any(|c| c == "CAP_SYS_ADMIN"));
    context.allow_privilege_escalation == Some(false) && !privileged && !admin
}

fn capabilities(c: &Capabilities) -> cri::Capability {
    cri::Capability {
        add_capabilities: c.add.clone().unwrap_or_default(),
        drop_capabilities: c.drop.clone().unwrap_or_default(),
        add_ambient_capabilities: Vec::new(),
    }
}

fn seccomp(profile: Option<&SeccompProfile>, default: cri::security_profile::ProfileType) -> cri::SecurityProfile {
    profile_of(profile.map(|p| (p.type_.as_str(), p.localhost_profile.as_deref())), default)
}

fn apparmor(profile: &AppArmorProfile) -> cri::SecurityProfile {
    let of = (profile.type_.as_str(), profile.localhost_profile.as_deref());
    profile_of(Some(of), cri::security_profile::ProfileType::RuntimeDefault)
}

fn profile_of(of: Option<(&str, Option<&str>)>, default: cri::security_profile::ProfileType) -> cri::SecurityProfile {
    use cri::security_profile::ProfileType;
    let (kind, file) = match of {
        Some(("RuntimeDefault", _)) => (ProfileType::RuntimeDefault, ""),
        Some(("Localhost", file)) => (ProfileType::Localhost, file.unwrap_or_default()),
        Some(("Unconfined", _)) => (ProfileType::Unconfined, ""),
        _ => (default, ""),
    };
    cri::SecurityProfile { profile_type: kind.into(), localhost_ref: file.to_owned() }
}

fn selinux(o: &SELinuxOptions) -> cri::SeLinuxOption {
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    cri::SeLinuxOption { user: text(&o.user), role: text(&o.role), r#type: text(&o.type_), level: text(&o.level) }
}

fn int(value: i64) -> cri::Int64Value {
    cri::Int64Value { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::PodSpec;

    fn pod(context: PodSecurityContext) -> Pod {
        Pod { spec: Some(PodSpec { security_context: Some(context), ..PodSpec::default() }), ..Pod::default() }
    }

    fn container(context: SecurityContext) -> Container {
        Container { name: "c".into(), security_context: Some(context), ..Container::default() }
    }

    #[test]
    fn the_containers_settings_win_over_the_pods() {
        let pod = pod(PodSecurityContext {
            run_as_user: Some(1),
            run_as_group: Some(2),
            fs_group: Some(3),
            supplemental_groups: Some(vec![4]),
            ..PodSecurityContext::default()
        });
        let c = container(SecurityContext { run_as_user: Some(9), ..SecurityContext::default() });
        let got = container_context(&pod, &c, (None, ""), None, false);
        assert_eq!((got.run_as_user, got.run_as_group), (Some(int(9)), Some(int(2))));
        assert_eq!(got.supplemental_groups, [3, 4]);
        assert!(!got.masked_paths.is_empty() && !got.no_new_privs);
    }

    #[test]
    fn privileged_containers_are_not_masked() {
        let c = container(SecurityContext {
            privileged: Some(true),
            allow_privilege_escalation: Some(false),
            ..SecurityContext::default()
        });
        let got = container_context(&Pod::default(), &c, (None, "www"), None, true);
        assert!(got.privileged && got.masked_paths.is_empty() && !got.no_new_privs);
        assert_eq!(got.run_as_username, "www");
    }

    #[test]
    fn what_says_nothing_of_seccomp_has_the_nodes_default() {
        use cri::security_profile::ProfileType;
        let profile = |container: &Container, seccomp_default| {
            let context = container_context(&Pod::default(), container, (None, ""), None, seccomp_default);
            context.seccomp.map(|profile| profile.profile_type())
        };
        let silent = Container::default();
        assert_eq!(profile(&silent, false), Some(ProfileType::Unconfined));
        assert_eq!(profile(&silent, true), Some(ProfileType::RuntimeDefault));
        let unconfined = SeccompProfile { type_: "Unconfined".into(), localhost_profile: None };
        let outspoken = container(SecurityContext { seccomp_profile: Some(unconfined), ..SecurityContext::default() });
        assert_eq!(profile(&outspoken, true), Some(ProfileType::Unconfined));
    }

    #[test]
    fn run_as_non_root() {
        let asked = || SecurityContext { run_as_non_root: Some(true), ..SecurityContext::default() };
        for (context, image, ok) in [
            (SecurityContext::default(), (Some(0), ""), true),
            (asked(), (Some(0), ""), false),
            (asked(), (Some(1000), ""), true),
            (asked(), (None, "nginx"), false),
            (SecurityContext { run_as_user: Some(0), ..asked() }, (Some(5), ""), false),
            (SecurityContext { run_as_user: Some(7), ..asked() }, (Some(0), ""), true),
        ] {
            let got = verify_non_root(&Pod::default(), &container(context), image);
            assert_eq!(got.is_ok(), ok, "{got:?}");
        }
    }
}
