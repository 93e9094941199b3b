//! The claim of an ephemeral volume.

use crate::objects::{claims, owner, pods};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Whether the pod is to have claims made for it.
pub(super) fn has_ephemeral(pod: &Pod) -> bool {
    !pods::is_terminating(pod) && ephemeral(pod).next().is_some()
}

/// The pod's ephemeral volumes.
pub(super) fn ephemeral(pod: &Pod) -> impl Iterator<Item = &Volume> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter(|volume| volume.ephemeral.is_some())
}

/// The claim to make for a volume; `None` if it is there. An error says that it is another's.
pub(super) fn plan(
    pod: &Pod,
    volume: &Volume,
    existing: Option<&PersistentVolumeClaim>,
) -> Result<Option<PersistentVolumeClaim>, String> {
    let name = claims::name(pod, volume).unwrap_or_default();
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    match existing {
        Some(claim) if claims::is_made_for(pod, claim) => return Ok(None),
        Some(_) => {
            let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
            let of_pod = format!("{namespace}/{pod_name}");
            return Err(format!("PVC {namespace}/{name} was not created for pod {of_pod} (pod is not owner)"));
        }
        None => {}
    }
    let template = volume.ephemeral.as_ref().and_then(|source| source.volume_claim_template.clone());
    let template = template.unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    Ok(Some(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            labels: meta.labels,
            annotations: meta.annotations,
            owner_references: Some(vec![owner::controller_ref(pod)]),
            ..ObjectMeta::default()
        },
        spec: Some(template.spec),
        status: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_is_made_once_and_never_taken() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [], "volumes": [{"name": "x", "emptyDir": {}}, {"name": "v", "ephemeral":
                {"volumeClaimTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"storageClassName": "s"}}}}]}
        }))
        .unwrap();
        assert!(has_ephemeral(&pod));
        let volumes: Vec<_> = ephemeral(&pod).collect();
        let made = plan(&pod, volumes[0], None).unwrap().unwrap();
        assert_eq!(made.metadata.name.as_deref(), Some("p-v"));
        assert_eq!(made.metadata.labels.as_ref().unwrap()["a"], "b");
        assert_eq!(made.spec.as_ref().unwrap().storage_class_name.as_deref(), Some("s"));
        assert_eq!(plan(&pod, volumes[0], Some(&made)), Ok(None));
        let foreign: PersistentVolumeClaim =
            serde_json::from_value(json!({"metadata": {"name": "p-v", "namespace": "n"}})).unwrap();
        let why = "PVC n/p-v was not created for pod n/p (pod is not owner)";
        assert_eq!(plan(&pod, volumes[0], Some(&foreign)), Err(why.to_owned()));
    }
}
