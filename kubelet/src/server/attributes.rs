//! What a request to the kubelet asks for in terms of the Node resource.
//!
//! Upstream: `pkg/kubelet/server/auth.go`.

use component::serve::Attributes;
use component::serve::access::resource_verb;
use http::request::Parts;

/// Attributes of which one must be allowed: the fine-grained one, or `nodes/proxy` for all.
pub fn of(parts: &Parts, node: &str) -> Vec<Attributes> {
    let path = parts.uri.path();
    let under = |prefix: &str| path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
    let subresources: &[&str] = match () {
        () if under("/stats") => &["stats"],
        () if under("/metrics") => &["metrics"],
        () if under("/logs") => &["log"],
        () if under("/checkpoint") => &["checkpoint"],
        () if under("/pods") || under("/runningpods") => &["pods", "proxy"],
        () if under("/healthz") => &["healthz", "proxy"],
        () if under("/configz") => &["configz", "proxy"],
        () => &["proxy"],
    };
    let attribute = |subresource: &&str| Attributes::Resource {
        verb: resource_verb(&parts.method).to_owned(),
        group: String::new(),
        resource: "nodes".to_owned(),
        subresource: (*subresource).to_owned(),
        namespace: String::new(),
        name: node.to_owned(),
    };
    subresources.iter().map(attribute).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subresources() {
        for (path, want) in [
            ("/stats/summary", vec!["stats"]),
            ("/metrics/cadvisor", vec!["metrics"]),
            ("/pods", vec!["pods", "proxy"]),
            ("/podsx", vec!["proxy"]),
            ("/exec/ns/p/c", vec!["proxy"]),
            ("/healthz/ping", vec!["healthz", "proxy"]),
        ] {
            let (parts, ()) = http::Request::get(path).body(()).unwrap().into_parts();
            let got: Vec<_> = of(&parts, "n")
                .into_iter()
                .map(|a| match a {
                    Attributes::Resource { subresource, .. } => subresource,
                    Attributes::Path { path, .. } => path,
                })
                .collect();
            assert_eq!(got, want, "{path}");
        }
    }
}
