//! Labels and annotations by which the kubelet finds its own containers again.
//!
//! They are a contract: with them a new kubelet, this one or upstream's, takes over what runs.

use crate::pod::PodExt;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::HashMap;

pub const POD_NAME: &str = "io.kubernetes.pod.name";
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub const POD_UID: &str = "io.kubernetes.pod.uid";
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";

pub const HASH: &str = "io.kubernetes.container.hash";
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
pub const MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
pub const MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
pub const POD_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";
pub const POD_DELETION_GRACE: &str = "io.kubernetes.pod.deletionGracePeriod";
pub const PRE_STOP: &str = "io.kubernetes.container.preStopHandler";
pub const PORTS: &str = "io.kubernetes.container.ports";

/// Labels of a sandbox: the pod's own and its identity.
pub fn sandbox_labels(pod: &Pod) -> HashMap<String, String> {
    let mut labels: HashMap<_, _> = pod.metadata.labels.clone().unwrap_or_default().into_iter().collect();
    labels.extend(identity(pod));
    labels
}

/// Annotations of a sandbox: the pod's.
pub fn sandbox_annotations(pod: &Pod) -> HashMap<String, String> {
    pod.metadata.annotations.clone().unwrap_or_default().into_iter().collect()
}

/// Labels of a container.
pub fn container_labels(pod: &Pod, container: &Container) -> HashMap<String, String> {
    let mut labels: HashMap<_, _> = identity(pod).into();
    labels.insert(CONTAINER_NAME.into(), container.name.clone());
    labels
}

/// Annotations of a container: what is needed to judge and stop it without its pod.
pub fn container_annotations(pod: &Pod, container: &Container, restarts: u32) -> HashMap<String, String> {
    let mut out = HashMap::from([
        (HASH.to_owned(), format!("{:x}", hash(container))),
        (RESTART_COUNT.to_owned(), restarts.to_string()),
        (MESSAGE_PATH.to_owned(), container.termination_message_path.clone().unwrap_or_default()),
        (MESSAGE_POLICY.to_owned(), container.termination_message_policy.clone().unwrap_or_default()),
    ]);
    if let Some(grace) = PodExt::spec(pod).termination_grace_period_seconds {
        out.insert(POD_GRACE.into(), grace.to_string());
    }
    if let Some(grace) = pod.deletion_grace() {
        out.insert(POD_DELETION_GRACE.into(), grace.to_string());
    }
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    if let Some(hook) = container.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref()) {
        out.insert(PRE_STOP.into(), json(serde_json::to_string(hook)));
    }
    if let Some(ports) = container.ports.as_ref().filter(|p| !p.is_empty()) {
        out.insert(PORTS.into(), json(serde_json::to_string(ports)));
    }
    out
}

/// Tells whether a running container is still the one that the pod asks for: only another name or image makes a
/// new container. A kubelet that computes something else restarts every container of the node that it takes over.
///
/// Upstream: `HashContainer` of `pkg/kubelet/container/helpers.go`, which is FNV-1a over a small JSON object as its
/// dumps print bytes: the type, then each byte as a decimal number.
pub fn hash(container: &Container) -> u32 {
    let image = container.image.as_deref().unwrap_or_default();
    let json = format!("{{\"image\":{},\"name\":{}}}", json_string(image), json_string(&container.name));
    let bytes: Vec<String> = json.bytes().map(|byte| byte.to_string()).collect();
    let dump = format!("([]uint8)[{}]", bytes.join(" "));
    dump.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A JSON string as Go writes it, safe to stand in HTML.
fn json_string(text: &str) -> String {
    let text = serde_json::Value::from(text).to_string();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn identity(pod: &Pod) -> [(String, String); 3] {
    [
        (POD_NAME.to_owned(), pod.name().to_owned()),
        (POD_NAMESPACE.to_owned(), pod.namespace().to_owned()),
        (POD_UID.to_owned(), pod.uid().to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by upstream's kubelet.
    #[test]
    fn the_hash_is_that_of_upstream() {
        for (name, image, want) in [
            ("a", "localhost/web:1", 0x3b1d_89cd),
            ("web", "docker.io/library/nginx:1.27@sha256:abc", 0xddcb_4775),
            ("c", "x<y&z", 0x9aa5_0e20),
        ] {
            assert_eq!(hash(&Container { name: name.into(), image: Some(image.into()), ..Container::default() }), want);
        }
    }

    #[test]
    fn only_name_and_image_make_another_container() {
        let base = Container { name: "a".into(), image: Some("x:1".into()), ..Container::default() };
        let mut other = base.clone();
        other.args = Some(vec!["y".into()]);
        assert_eq!(hash(&base), hash(&other));
        other.image = Some("x:2".into());
        assert_ne!(hash(&base), hash(&other));
    }

    #[test]
    fn annotations_carry_what_a_later_kubelet_needs() {
        let c = Container { name: "a".into(), ..Container::default() };
        let got = container_annotations(&Pod::default(), &c, 3);
        assert_eq!(got[RESTART_COUNT], "3");
        assert!(got.contains_key(HASH) && !got.contains_key(PRE_STOP));
    }
}
