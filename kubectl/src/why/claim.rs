//! Why a volume claim is not bound, or does not go away.

use super::{Explanation, deletion, events, list, text};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// Explains a claim with its events, the storage classes there are and the pods of its namespace.
pub fn explain(claim: &Value, of_claim: &[Value], classes: &[Value], pods: &[Value]) -> Explanation {
    let phase = match text(claim, "/status/phase") {
        "" => "Pending",
        phase => phase,
    };
    let state = match claim.is_deleting() {
        true => format!("is {phase} and Terminating"),
        false => format!("is {phase}"),
    };
    let mut explanation = Explanation::new(state);
    deletion(claim, &mut explanation);
    let users: Vec<&str> = pods.iter().filter(|p| uses(p, claim.name())).map(ObjectMeta::name).collect();
    if claim.is_deleting() && !users.is_empty() {
        let named = users.iter().map(|name| format!("pod/{name} names it"));
        explanation.because("pods still use it", named);
    }
    match phase {
        "Pending" => pending(claim, of_claim, classes, &users, &mut explanation),
        "Lost" => {
            let hint = format!("spec.volumeName: {}", text(claim, "/spec/volumeName"));
            explanation.because("the volume that it was bound to is gone", [hint]);
        }
        _ => {}
    }
    explanation
}

fn uses(pod: &Value, claim: &str) -> bool {
    let of = |volume: &Value| text(volume, "/persistentVolumeClaim/claimName") == claim;
    let ended = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    !ended && list(pod, "/spec/volumes").iter().any(of)
}

fn pending(claim: &Value, of_claim: &[Value], classes: &[Value], users: &[&str], explanation: &mut Explanation) {
    let told = |reasons: &[&str]| events::of(of_claim, reasons);
    let volume = text(claim, "/spec/volumeName");
    if !volume.is_empty() {
        explanation.because(format!("it asks for the volume {volume}, which is not bound to it"), told(&[]));
        return;
    }
    let name = claim["spec"]["storageClassName"].as_str();
    let class = match name {
        None => {
            let default =
                |c: &&Value| text(c, "/metadata/annotations/storageclass.kubernetes.io~1is-default-class") == "true";
            match classes.iter().find(default) {
                Some(class) => class,
                None => {
                    let hint = "spec.storageClassName is not set, and no class is the default".to_owned();
                    explanation.because(
                        "it names no storage class, and there is no default",
                        [hint].into_iter().chain(told(&[])),
                    );
                    return;
                }
            }
        }
        Some("") => {
            let hint = "spec.storageClassName: \"\"".to_owned();
            explanation.because(
                "it takes only volumes without a class, and none fits",
                [hint].into_iter().chain(told(&["FailedBinding"])),
            );
            return;
        }
        Some(name) => match classes.iter().find(|c| c.name() == name) {
            Some(class) => class,
            None => {
                explanation.because(format!("its storage class {name} does not exist"), told(&["ProvisioningFailed"]));
                return;
            }
        },
    };
    let hint = format!("storageclass/{} volumeBindingMode: {}", class.name(), text(class, "/volumeBindingMode"));
    if text(class, "/volumeBindingMode") == "WaitForFirstConsumer" && users.is_empty() {
        explanation
            .because("it waits for a pod that uses it", [hint].into_iter().chain(told(&["WaitForFirstConsumer"])));
        return;
    }
    let provisioner = text(class, "/provisioner");
    let sentence = match provisioner {
        "kubernetes.io/no-provisioner" => "its class makes no volumes, and none that is there fits".to_owned(),
        other => format!("{other} has not made its volume"),
    };
    let kept = ["ProvisioningFailed", "ExternalProvisioning", "FailedBinding", "Provisioning"];
    explanation.because(sentence, [hint].into_iter().chain(told(&kept)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_tell_why() {
        let class = |name: &str, mode: &str, provisioner: &str| json!({"metadata": {"name": name}, "volumeBindingMode": mode, "provisioner": provisioner});
        let classes = [
            class("late", "WaitForFirstConsumer", "x"),
            class("now", "Immediate", "x"),
            class("none", "Immediate", "kubernetes.io/no-provisioner"),
        ];
        let pod =
            json!({"metadata": {"name": "p"}, "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "c"}}]}});
        let claim = |spec: Value| json!({"metadata": {"name": "c"}, "spec": spec, "status": {"phase": "Pending"}});
        for (claim, pods, want) in [
            (claim(json!({})), vec![], "it names no storage class, and there is no default"),
            (claim(json!({"storageClassName": "gone"})), vec![], "its storage class gone does not exist"),
            (claim(json!({"storageClassName": "late"})), vec![], "it waits for a pod that uses it"),
            (claim(json!({"storageClassName": "late"})), vec![pod.clone()], "x has not made its volume"),
            (claim(json!({"storageClassName": "none"})), vec![], "its class makes no volumes"),
            (claim(json!({"storageClassName": ""})), vec![], "takes only volumes without a class"),
            (
                json!({"metadata": {"name": "c", "deletionTimestamp": "t", "finalizers": ["kubernetes.io/pvc-protection"]}, "status": {"phase": "Bound"}}),
                vec![pod],
                "- pods still use it\n    pod/p names it\n",
            ),
        ] {
            let text = explain(&claim, &[], &classes, &pods).text("pvc");
            assert!(text.contains(want), "{want:?} is not in {text}");
        }
    }
}
