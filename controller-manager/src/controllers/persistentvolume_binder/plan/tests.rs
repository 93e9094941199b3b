//! Tables of volumes and claims.

use super::*;
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};
use std::sync::Arc;

fn claim(spec: Value, annotations: &[&str]) -> PersistentVolumeClaim {
    let annotations: serde_json::Map<_, _> = annotations.iter().map(|key| ((*key).to_owned(), json!("yes"))).collect();
    let mut base = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": ""});
    base.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    base.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    serde_json::from_value(json!({
        "metadata": {"name": "c", "namespace": "n", "uid": "u", "annotations": annotations},
        "spec": base, "status": {"phase": "Pending"}
    }))
    .unwrap()
}

fn volume(name: &str, size: &str, spec: Value) -> Arc<PersistentVolume> {
    let mut base = json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size},
        "persistentVolumeReclaimPolicy": "Retain"});
    base.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let meta = json!({"name": name, "labels": {"name": name}});
    Arc::new(serde_json::from_value(json!({"metadata": meta, "spec": base, "status": {"phase": "Available"}})).unwrap())
}

fn class(name: &str, mode: &str, default: &str, created: &str) -> Arc<StorageClass> {
    Arc::new(
        serde_json::from_value(json!({"metadata": {"name": name, "creationTimestamp": created,
            "annotations": {DEFAULT_CLASS: default}}, "provisioner": "example.com/p", "volumeBindingMode": mode}))
        .unwrap(),
    )
}

fn step(claim: &PersistentVolumeClaim, volumes: &[Arc<PersistentVolume>], classes: &[Arc<StorageClass>]) -> String {
    let facts = Facts { volumes, classes, unscheduled: Vec::new() };
    match claim_step(claim, &facts).unwrap() {
        ClaimStep::Bind(volume) => format!("bind {}", volume.metadata.name.as_deref().unwrap()),
        ClaimStep::AssignClass(class) => format!("class {class}"),
        ClaimStep::Provision(class) => format!("provision {}", class.is_some()),
        ClaimStep::Wait(None) => "wait".to_owned(),
        ClaimStep::Wait(Some((_, reason, message))) => format!("{reason}: {message}"),
        ClaimStep::Lost(lost) => lost.event().0.to_owned(),
    }
}

fn reference(name: &str, uid: &str) -> Value {
    json!({"claimRef": {"namespace": "n", "name": name, "uid": uid}})
}

#[test]
fn a_claim_takes_the_smallest_that_fits() {
    let volumes = [
        volume("small", "500Mi", json!({})),
        volume("large", "10Gi", json!({})),
        volume("fit", "2Gi", json!({})),
        volume("fit-too", "2Gi", json!({})),
        volume("many-modes", "1Gi", json!({"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]})),
        volume("device", "1Gi", json!({"volumeMode": "Block"})),
        volume("classed", "1Gi", json!({"storageClassName": "gold"})),
        volume("taken", "1Gi", reference("other", "x")),
    ];
    let labels = |name: &str| json!({"selector": {"matchLabels": {"name": name}}});
    let table = [
        (json!({}), "bind fit"),
        (labels("large"), "bind large"),
        (json!({"accessModes": ["ReadOnlyMany"]}), "bind many-modes"),
        (json!({"volumeMode": "Block"}), "bind device"),
        (json!({"storageClassName": "gold"}), "bind classed"),
        (json!({"resources": {"requests": {"storage": "3Gi"}}}), "bind large"),
        (
            json!({"volumeAttributesClassName": "fast"}),
            "FailedBinding: no persistent volumes available for this claim and no storage class is set",
        ),
        (json!({"storageClassName": "silver"}), "provision false"),
        (json!({"volumeName": "none"}), "wait"),
        (json!({"volumeName": "large"}), "bind large"),
        (
            json!({"volumeName": "small"}),
            "VolumeMismatch: Cannot bind to requested volume \"small\": requested PV is too small",
        ),
        (
            json!({"volumeName": "classed"}),
            "VolumeMismatch: Cannot bind to requested volume \"classed\": storageClassName does not match",
        ),
        (json!({"volumeName": "taken"}), "FailedBinding: volume \"taken\" already bound to a different claim."),
    ];
    for (spec, expected) in table {
        assert_eq!(step(&claim(spec.clone(), &[]), &volumes, &[]), expected, "{spec}");
    }
}

#[test]
fn a_reserved_volume_goes_before_all_others() {
    let volumes = [volume("fit", "1Gi", json!({})), volume("mine", "10Gi", reference("c", ""))];
    assert_eq!(step(&claim(json!({}), &[]), &volumes, &[]), "bind mine");
}

#[test]
fn classes_say_when_and_by_whom() {
    let late = class("late", "WaitForFirstConsumer", "false", "2026-01-01T00:00:00Z");
    let old = class("old", "Immediate", "true", "2026-01-01T00:00:00Z");
    let new = class("new", "Immediate", "true", "2026-01-02T00:00:00Z");
    let classes = [late, old, new];
    let free = [volume("free", "1Gi", json!({"storageClassName": "late"}))];
    let in_class = |name: Value| json!({"storageClassName": name});
    let table = [
        (
            claim(in_class(json!("late")), &[]),
            "WaitForFirstConsumer: waiting for first consumer to be created before binding",
        ),
        (claim(in_class(json!("late")), &[SELECTED_NODE]), "provision true"),
        (claim(in_class(json!("old")), &[]), "provision true"),
        (claim(in_class(json!(null)), &[]), "class new"),
        (
            claim(in_class(json!("")), &[]),
            "FailedBinding: no persistent volumes available for this claim and no storage class is set",
        ),
    ];
    for (claim, expected) in table {
        assert_eq!(step(&claim, &free, &classes), expected, "{claim:?}");
    }
    let waiting = Facts { volumes: &[], classes: &classes, unscheduled: vec!["a".into(), "b".into()] };
    let step = claim_step(&claim(in_class(json!("late")), &[]), &waiting).unwrap();
    assert!(
        matches!(step, ClaimStep::Wait(Some((_, "WaitForPodScheduled", text))) if text == "waiting for pods a,b to be scheduled")
    );
}

#[test]
fn plugins_of_old_have_drivers() {
    let of = |provisioner: &str| StorageClass { provisioner: provisioner.to_owned(), ..StorageClass::default() };
    assert_eq!(provisioner(&of("example.com/p")), Ok("example.com/p"));
    assert_eq!(provisioner(&of("kubernetes.io/aws-ebs")), Ok("ebs.csi.aws.com"));
    let refused = provisioner(&of("kubernetes.io/no-provisioner")).unwrap_err();
    assert_eq!(refused, "no volume plugin matched name: kubernetes.io/no-provisioner");
}

#[test]
fn a_bound_claim_keeps_or_loses_its_volume() {
    let bound = |name: Value| claim(json!({"volumeName": name}), &[BIND_COMPLETED]);
    let volumes = [volume("mine", "1Gi", reference("c", "u")), volume("other", "1Gi", reference("c", "v"))];
    for (claim, expected) in [
        (bound(json!("mine")), "bind mine"),
        (bound(json!("other")), "ClaimMisbound"),
        (bound(json!("gone")), "ClaimLost"),
        (bound(json!("")), "ClaimLost"),
    ] {
        assert_eq!(step(&claim, &volumes, &[]), expected, "{claim:?}");
    }
}

#[test]
fn both_sides_are_written() {
    let (claim, free) = (claim(json!({}), &[]), volume("v", "2Gi", json!({})));
    let volume = bound_volume(&free, &claim).unwrap();
    assert!(is_bound_to(&volume, &claim) && has(&volume.metadata, BOUND_BY_CONTROLLER));
    assert_eq!(bound_volume(&volume, &claim), None);
    let after = bound_claim(&claim, &volume).unwrap();
    assert_eq!(after.spec.as_ref().unwrap().volume_name.as_deref(), Some("v"));
    assert!(has(&after.metadata, BIND_COMPLETED) && has(&after.metadata, BOUND_BY_CONTROLLER));
    assert_eq!(bound_claim(&after, &volume), None);
    let status = claim_status(&after, "Bound", Some(&volume));
    assert_eq!((status.phase.as_deref(), status.capacity.unwrap()["storage"].0.as_str()), (Some("Bound"), "2Gi"));
    assert_eq!(claim_status(&after, "Lost", None).access_modes, None);
    let freed = unbound(&volume);
    assert_eq!((freed.spec.unwrap().claim_ref, freed.metadata.annotations), (None, None));
}

#[test]
fn a_users_reservation_is_not_the_controllers_choice() {
    let claim = claim(json!({"volumeName": "v"}), &[]);
    let reserved = bound_volume(&volume("v", "1Gi", reference("c", "")), &claim).unwrap();
    assert!(!has(&reserved.metadata, BOUND_BY_CONTROLLER));
    assert_eq!(reserved.spec.as_ref().unwrap().claim_ref.as_ref().unwrap().uid.as_deref(), Some("u"));
    assert!(!has(&bound_claim(&claim, &reserved).unwrap().metadata, BOUND_BY_CONTROLLER));
    assert_eq!(unbound(&reserved).spec.unwrap().claim_ref.unwrap().uid, None);
}

#[test]
fn a_volume_follows_its_claim() {
    let with_claim = |name: &str| claim(json!({"volumeName": name}), &[]);
    let mut provisioned = (*volume("v", "1Gi", reference("c", "u"))).clone();
    provisioned.spec.as_mut().unwrap().persistent_volume_reclaim_policy = Some("Delete".into());
    annotate(&mut provisioned.metadata, PROVISIONED_BY, "p");
    let mine = volume("v", "1Gi", reference("c", "u"));
    let device =
        volume("v", "1Gi", json!({"volumeMode": "Block", "claimRef": {"namespace": "n", "name": "c", "uid": "u"}}));
    for (volume, claim, expected) in [
        (&*volume("v", "1Gi", json!({})), None, VolumeStep::Phase("Available")),
        (&*volume("v", "1Gi", reference("c", "")), None, VolumeStep::Phase("Available")),
        (&*mine, None, VolumeStep::Reclaim),
        (&*volume("v", "1Gi", reference("c", "old")), Some(with_claim("v")), VolumeStep::Reclaim),
        (&*mine, Some(with_claim("")), VolumeStep::Claim),
        (&*device, Some(with_claim("")), VolumeStep::WrongMode),
        (&*mine, Some(with_claim("v")), VolumeStep::Phase("Bound")),
        (&*mine, Some(with_claim("w")), VolumeStep::Unbind),
        (&provisioned, Some(with_claim("w")), VolumeStep::Reclaim),
    ] {
        assert_eq!(volume_step(volume, claim.as_ref()), expected, "{volume:?}");
    }
}
