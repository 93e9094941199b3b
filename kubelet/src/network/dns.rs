//! A pod's resolv.conf from its DNS policy, its dnsConfig, the node's file and the cluster's DNS.
//!
//! Upstream: `pkg/kubelet/network/dns/dns.go`.

use crate::pod::PodExt;
use k8s_openapi::api::core::v1::Pod;

const MAX_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;

/// What a resolv.conf holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

impl Resolver {
    /// Reads a resolv.conf; unknown lines are skipped, as the C library does.
    pub fn parse(text: &str) -> Self {
        let mut out = Self::default();
        for line in text.lines().map(str::trim).filter(|l| !l.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => out.servers.extend(words.next().map(str::to_owned)),
                Some("search") => out.searches = words.map(|w| trim_dot(w).to_owned()).collect(),
                Some("options") => out.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        out
    }
}

/// The cluster's DNS as the kubelet is configured.
#[derive(Clone, Debug, Default)]
pub struct ClusterDns {
    pub servers: Vec<String>,
    pub domain: String,
}

/// What a pod's resolv.conf says.
pub fn for_pod(pod: &Pod, node: &Resolver, cluster: &ClusterDns) -> Resolver {
    let mut resolver = match Policy::of(pod, cluster) {
        Policy::None => Resolver::default(),
        Policy::Node => node.clone(),
        Policy::Cluster => cluster_first(pod, node, cluster),
    };
    if let Some(own) = &PodExt::spec(pod).dns_config {
        append_new(&mut resolver.servers, own.nameservers.iter().flatten().cloned());
        append_new(&mut resolver.searches, own.searches.iter().flatten().cloned());
        for option in own.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            set_option(&mut resolver.options, &name, option.value.as_deref());
        }
    }
    resolver.servers.truncate(MAX_SERVERS);
    resolver.searches.truncate(MAX_SEARCHES);
    resolver
}

enum Policy {
    None,
    Node,
    Cluster,
}

impl Policy {
    fn of(pod: &Pod, cluster: &ClusterDns) -> Self {
        match PodExt::spec(pod).dns_policy.as_deref().unwrap_or("ClusterFirst") {
            "None" => Self::None,
            "Default" => Self::Node,
            "ClusterFirst" if pod.is_host_network() => Self::Node,
            _ if cluster.servers.is_empty() => Self::Node,
            _ => Self::Cluster,
        }
    }
}

fn cluster_first(pod: &Pod, node: &Resolver, cluster: &ClusterDns) -> Resolver {
    let mut searches = Vec::new();
    if !cluster.domain.is_empty() {
        let service = format!("svc.{}", cluster.domain);
        searches = vec![format!("{}.{service}", pod.namespace()), service, cluster.domain.clone()];
    }
    append_new(&mut searches, node.searches.iter().cloned());
    Resolver { servers: cluster.servers.clone(), searches, options: vec!["ndots:5".to_owned()] }
}

fn append_new(to: &mut Vec<String>, more: impl IntoIterator<Item = String>) {
    for item in more {
        if !to.contains(&item) {
            to.push(item);
        }
    }
}

fn set_option(options: &mut Vec<String>, name: &str, value: Option<&str>) {
    let text = value.map_or_else(|| name.to_owned(), |v| format!("{name}:{v}"));
    match options.iter_mut().find(|o| o.split(':').next() == Some(name)) {
        Some(old) => *old = text,
        None => options.push(text),
    }
}

fn trim_dot(word: &str) -> &str {
    if word.len() > 1 { word.trim_end_matches('.') } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{PodDNSConfig, PodDNSConfigOption, PodSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    fn resolver(servers: &[&str], searches: &[&str], options: &[&str]) -> Resolver {
        let own = |of: &[&str]| of.iter().map(|s| (*s).to_owned()).collect();
        Resolver { servers: own(servers), searches: own(searches), options: own(options) }
    }

    fn pod(policy: &str, host_network: bool, config: Option<PodDNSConfig>) -> Pod {
        Pod {
            metadata: ObjectMeta { namespace: Some("ns".into()), ..ObjectMeta::default() },
            spec: Some(PodSpec {
                dns_policy: Some(policy.into()),
                host_network: Some(host_network),
                dns_config: config,
                ..PodSpec::default()
            }),
            ..Pod::default()
        }
    }

    #[test]
    fn policies() {
        let node = Resolver::parse("# x\nnameserver 8.8.8.8\nsearch corp.\noptions rotate\n");
        let cluster = ClusterDns { servers: vec!["10.96.0.10".into()], domain: "cluster.local".into() };
        let first = resolver(
            &["10.96.0.10"],
            &["ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp"],
            &["ndots:5"],
        );
        let host = resolver(&["8.8.8.8"], &["corp"], &["rotate"]);
        for (policy, host_network, want) in [
            ("ClusterFirst", false, first.clone()),
            ("ClusterFirst", true, host.clone()),
            ("ClusterFirstWithHostNet", true, first),
            ("Default", false, host),
            ("None", false, Resolver::default()),
        ] {
            assert_eq!(for_pod(&pod(policy, host_network, None), &node, &cluster), want, "{policy} {host_network}");
        }
    }

    #[test]
    fn the_pods_own_config_is_added() {
        let option = |name: &str, value: Option<&str>| PodDNSConfigOption {
            name: Some(name.into()),
            value: value.map(Into::into),
        };
        let config = PodDNSConfig {
            nameservers: Some(vec!["1.1.1.1".into()]),
            searches: Some(vec!["x.y".into()]),
            options: Some(vec![option("ndots", Some("2")), option("edns0", None)]),
        };
        let cluster = ClusterDns { servers: vec!["10.96.0.10".into()], domain: String::new() };
        let got = for_pod(&pod("ClusterFirst", false, Some(config)), &Resolver::default(), &cluster);
        assert_eq!(got, resolver(&["10.96.0.10", "1.1.1.1"], &["x.y"], &["ndots:2", "edns0"]));
    }
}
