//! AppArmor profiles in annotations, which are fields by now.
//!
//! Upstream: `applyAppArmorVersionSkew` in `pkg/registry/core/pod/strategy.go`.

use crate::Context;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Makes fields of a new pod's annotations where there is no field yet, and warns of them.
pub(super) fn annotations_to_fields(cx: &Context, pod: &mut Value) {
    let Some(annotations) = pod.annotations().filter(|a| a.keys().any(|key| key.starts_with(PREFIX))).cloned() else {
        return;
    };
    if super::text(pod, "/spec/os/name") == "windows" {
        return;
    }
    let whole = pod.pointer("/spec/securityContext/appArmorProfile").cloned();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter(|c| c.is_object()) {
            let key = format!("{PREFIX}{}", super::text(container, "/name"));
            let annotation = annotations.get(&key).and_then(Value::as_str);
            let has_field = container.pointer("/securityContext/appArmorProfile").is_some();
            let Some(annotation) = annotation.filter(|_| !has_field) else { continue };
            let profile = profile(annotation);
            if profile.is_some() && profile == whole {
                continue;
            }
            cx.warn(format!(
                "metadata.annotations[{key}]: deprecated since v1.30; use the \"appArmorProfile\" field instead"
            ));
            if let Some(profile) = profile {
                container["securityContext"]["appArmorProfile"] = profile;
            }
        }
    }
}

/// What an annotation says as a field; none if it says nothing that is right.
fn profile(annotation: &str) -> Option<Value> {
    let is_name = |name: &str| name.trim() == name && name.len() <= 4095;
    let field = rules::validation::app_armor_field(annotation)?;
    field.get("localhostProfile").and_then(Value::as_str).is_none_or(is_name).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn annotations_become_fields() {
        let cx = crate::context::testing::context("", "pods");
        let key = |name: &str| format!("{PREFIX}{name}");
        let mut pod = json!({"metadata": {"annotations": {key("a"): "localhost/x", key("b"): "odd", key("c"): "unconfined"}},
            "spec": {"containers": [{"name": "a"}, {"name": "b"},
                {"name": "c", "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}]}});
        annotations_to_fields(&cx, &mut pod);
        let containers = &pod["spec"]["containers"];
        let want = json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": "x"}});
        assert_eq!(containers[0]["securityContext"], want);
        assert_eq!(containers[1], json!({"name": "b"}));
        assert_eq!(containers[2]["securityContext"]["appArmorProfile"]["type"], "RuntimeDefault");
        assert_eq!(cx.warnings.lock().len(), 2);
    }
}
