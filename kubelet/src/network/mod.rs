//! What a pod is told about the network: names, /etc/hosts, resolv.conf.

pub mod dns;
pub mod hosts;
pub mod iptables;

use crate::pod::PodExt;
use k8s_openapi::api::core::v1::Pod;

/// The longest hostname that the kernel takes.
const MAX_HOSTNAME: usize = 63;

/// The pod's hostname, and its domain if it has a subdomain.
pub fn hostname_and_domain(pod: &Pod, cluster_domain: &str) -> (String, String) {
    let spec = PodExt::spec(pod);
    if let Some(name) = spec.hostname_override.as_deref().filter(|n| !n.is_empty()) {
        return (name.to_owned(), String::new());
    }
    let name = spec.hostname.as_deref().filter(|n| !n.is_empty()).unwrap_or(pod.name());
    let domain = spec.subdomain.as_deref().filter(|n| !n.is_empty());
    let domain = domain.map(|d| format!("{d}.{}.svc.{cluster_domain}", pod.namespace())).unwrap_or_default();
    (truncate(name), domain)
}

fn truncate(name: &str) -> String {
    let cut: String = name.chars().take(MAX_HOSTNAME).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::PodSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    #[test]
    fn names() {
        let long = "x".repeat(62) + "-yy";
        for (name, hostname, subdomain, want) in [
            ("p", None, None, ("p", "")),
            ("p", Some("h"), Some("s"), ("h", "s.ns.svc.cluster.local")),
            (long.as_str(), None, None, (&long[..62], "")),
        ] {
            let pod = Pod {
                metadata: ObjectMeta { name: Some(name.into()), namespace: Some("ns".into()), ..ObjectMeta::default() },
                spec: Some(PodSpec {
                    hostname: hostname.map(Into::into),
                    subdomain: subdomain.map(Into::into),
                    ..PodSpec::default()
                }),
                ..Pod::default()
            };
            let got = hostname_and_domain(&pod, "cluster.local");
            assert_eq!((got.0.as_str(), got.1.as_str()), want);
        }
    }
}
