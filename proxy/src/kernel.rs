//! Settings of the kernel, and of this process in it.
//!
//! Upstream: `pkg/proxy/conntrack/sysctls.go`, `pkg/util/oom`.

use crate::config::Conntrack;
use component::GoDuration;
use std::path::Path;

/// However many cores there are, no more connections are tracked than this.
const CONNECTIONS_AT_MOST: u64 = 1 << 20;

/// A setting that cannot be changed.
#[derive(Debug, thiserror::Error)]
#[error("can't set sysctl {name} to {value}")]
pub struct KernelError {
    name: &'static str,
    value: u64,
    #[source]
    source: std::io::Error,
}

const BE_LIBERAL: &str = "net/netfilter/nf_conntrack_tcp_be_liberal";

/// Sets what of connection tracking is configured, and gives what cannot be set.
pub fn set_conntrack(config: &Conntrack) -> Vec<KernelError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    wanted(config, cores).into_iter().filter_map(|(name, value)| set(name, value).err()).collect()
}

fn wanted(config: &Conntrack, cores: u64) -> Vec<(&'static str, u64)> {
    let positive = |number: i32| u64::try_from(number).unwrap_or(0);
    let seconds = |duration: GoDuration| duration.0.as_secs();
    let connections = match positive(config.max_per_core).saturating_mul(cores) {
        0 => 0,
        scaled if scaled > CONNECTIONS_AT_MOST => CONNECTIONS_AT_MOST,
        scaled => scaled.max(positive(config.min)),
    };
    let settings = [
        ("net/netfilter/nf_conntrack_max", connections),
        ("net/netfilter/nf_conntrack_tcp_timeout_established", seconds(config.tcp_established_timeout)),
        ("net/netfilter/nf_conntrack_tcp_timeout_close_wait", seconds(config.tcp_close_wait_timeout)),
        (BE_LIBERAL, u64::from(config.tcp_be_liberal)),
        ("net/netfilter/nf_conntrack_udp_timeout", seconds(config.udp_timeout)),
        ("net/netfilter/nf_conntrack_udp_timeout_stream", seconds(config.udp_stream_timeout)),
    ];
    settings.into_iter().filter(|(_, value)| *value > 0).collect()
}

/// Sets what virtual servers need, and gives what cannot be set.
pub fn set_ipvs(strict_arp: bool) -> Vec<KernelError> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    for_ipvs(version, strict_arp).into_iter().filter_map(|(name, value)| set(name, value).err()).collect()
}

fn for_ipvs(kernel: (u32, u32), strict_arp: bool) -> Vec<(&'static str, u64)> {
    let mut settings = vec![
        ("net/ipv4/vs/conntrack", 1),
        ("net/ipv4/vs/expire_nodest_conn", 1),
        ("net/ipv4/vs/expire_quiescent_template", 1),
        ("net/ipv4/ip_forward", 1),
    ];
    // Older kernels have no such setting, and newer ones do well with their own.
    if ((4, 1)..(5, 9)).contains(&kernel) {
        settings.push(("net/ipv4/vs/conn_reuse_mode", 0));
    }
    if strict_arp {
        settings.extend([("net/ipv4/conf/all/arp_ignore", 1), ("net/ipv4/conf/all/arp_announce", 2)]);
    }
    settings
}

/// Lets loopback addresses be translated, for node ports on them.
pub fn route_localnet() -> Result<(), KernelError> {
    set("net/ipv4/conf/all/route_localnet", 1)
}

/// Whether packets out of the window are taken for valid.
pub fn is_liberal() -> bool {
    read(BE_LIBERAL).is_some_and(|value| value != 0)
}

/// Says how readily the kernel kills this process. A refusal is no failure: containers may not.
pub fn set_oom_score(score: i32) {
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", score.to_string()) {
        tracing::info!(%error, score, "cannot change the OOM score");
    }
}

/// Writes a setting that differs: in a container they may be read-only and right.
fn set(name: &'static str, value: u64) -> Result<(), KernelError> {
    if read(name) == Some(value) {
        return Ok(());
    }
    let written = std::fs::write(Path::new("/proc/sys").join(name), value.to_string());
    written.map_err(|source| KernelError { name, value, source })
}

fn read(name: &str) -> Option<u64> {
    std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(max_per_core: i32, min: i32, cores: u64) -> Option<u64> {
        let config = Conntrack { max_per_core, min, ..Conntrack::default() };
        wanted(&config, cores).into_iter().find(|(name, _)| name.ends_with("_max")).map(|(_, value)| value)
    }

    #[test]
    fn connections_scale_with_cores_within_limits() {
        for (max_per_core, min, cores, want) in [
            (32_768, 131_072, 2, Some(131_072)),
            (32_768, 131_072, 8, Some(262_144)),
            (32_768, 131_072, 100, Some(1_048_576)),
            (0, 131_072, 8, None),
        ] {
            assert_eq!(connections(max_per_core, min, cores), want, "{max_per_core} {min} {cores}");
        }
    }

    #[test]
    fn connections_are_reused_where_the_kernel_gets_it_wrong() {
        let has = |kernel, strict, name: &str| for_ipvs(kernel, strict).iter().any(|(n, _)| n.ends_with(name));
        for (kernel, want) in [((4, 0), false), ((4, 1), true), ((5, 8), true), ((5, 9), false), ((6, 1), false)] {
            assert_eq!(has(kernel, false, "conn_reuse_mode"), want, "{kernel:?}");
        }
        assert!(has((6, 1), true, "arp_announce") && !has((6, 1), false, "arp_ignore"));
    }

    #[test]
    fn zero_leaves_the_kernels_time() {
        let config = Conntrack {
            tcp_close_wait_timeout: GoDuration::default(),
            udp_timeout: GoDuration::from_secs(9),
            ..Conntrack::default()
        };
        let names: Vec<_> = wanted(&config, 1)
            .into_iter()
            .skip(1)
            .map(|(n, v)| (n.rsplit_once("conntrack_").map_or(n, |(_, n)| n), v))
            .collect();
        assert_eq!(names, [("tcp_timeout_established", 86_400), ("udp_timeout", 9)]);
    }
}
