use super::*;
use crate::model::builders::{claim, node, pod, volume};
use crate::model::storage::Capacity;
use crate::plugins::testing::{class, cluster, rejections};
use serde_json::json;

/// Nodes `a` and `b` with labels `host`, and a class `late` whose volumes are made.
fn two() -> Cluster {
    let host = |name: &str| node().label("host", name).facts();
    let mut cluster = cluster(vec![("a", host("a")), ("b", host("b"))], vec![]);
    cluster.storage.classes.insert("late".to_owned(), class("WaitForFirstConsumer"));
    cluster.storage.classes.insert("now".to_owned(), class("Immediate"));
    cluster
}

/// The same, but nobody makes volumes.
fn local() -> Cluster {
    let mut cluster = two();
    let mut local = class("WaitForFirstConsumer");
    local.provisioner = "kubernetes.io/no-provisioner".to_owned();
    cluster.storage.classes.insert("late".to_owned(), local);
    cluster
}

fn user(claims: &[&str]) -> Pod {
    pod("p").claims(claims).build()
}

fn names(plan: &Plan) -> (Vec<String>, Vec<String>) {
    let bindings = plan.bindings.iter().map(|(volume, claim)| format!("{}={}", claim.key.name, volume.name));
    (bindings.collect(), plan.provisions.iter().map(|claim| claim.key.name.to_string()).collect())
}

#[test]
fn claims_in_the_wrong_state_refuse_the_pod() {
    let mut cluster = two();
    let storage = &mut cluster.storage;
    storage.set_claim(claim("lost").bound("v").phase("Lost").build());
    storage.set_claim(claim("dying").meta("deletionTimestamp", "2026-01-01T00:00:00Z".into()).build());
    storage.set_claim(claim("now").spec("storageClassName", "now".into()).build());
    storage.set_claim(claim("classless").spec("storageClassName", "".into()).build());
    storage.set_claim(claim("prebound").spec("volumeName", "v".into()).build());
    storage.set_claim(claim("late").build());
    let unbound = "pod has unbound immediate PersistentVolumeClaims";
    let table = [
        ("none", "persistentvolumeclaim \"none\" not found"),
        ("lost", "persistentvolumeclaim \"lost\" bound to non-existent persistentvolume \"v\""),
        ("dying", "persistentvolumeclaim \"dying\" is being deleted"),
        ("now", unbound),
        ("classless", unbound),
        ("prebound", unbound),
        ("late", ""),
    ];
    for (claim, expected) in table {
        assert_eq!(VolumeBinding.admit(&cluster, &user(&[claim])).err().unwrap_or_default(), expected);
    }
}

#[test]
fn an_ephemeral_claim_belongs_to_its_pod() {
    let mut cluster = two();
    let wanted = pod("p").spec("volumes", json!([{"name": "v", "ephemeral": {}}])).build();
    let refusal = |cluster: &Cluster| VolumeBinding.admit(cluster, &wanted).err().unwrap_or_default();
    let waiting = "waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-v\"";
    assert_eq!(refusal(&cluster), waiting);
    cluster.storage.set_claim(claim("p-v").build());
    assert_eq!(refusal(&cluster), "PVC default/p-v was not created for pod default/p (pod is not owner)");
    let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p", "controller": true}]);
    cluster.storage.set_claim(claim("p-v").version("2").meta("ownerReferences", owner).build());
    assert_eq!(refusal(&cluster), "");
}

#[test]
fn a_bound_volume_says_which_nodes_reach_it() {
    let mut cluster = two();
    cluster.storage.set_claim(claim("c").bound("v").build());
    let gone = [format!("a!: {VOLUME_GONE}"), format!("b!: {VOLUME_GONE}")];
    assert_eq!(rejections(&VolumeBinding, &cluster, &user(&["c"])), gone);
    cluster.storage.set_volume(volume("v").of("c", "c").reached_from("host", "a").build());
    assert_eq!(rejections(&VolumeBinding, &cluster, &user(&["c"])), [format!("b!: {NOT_REACHED}")]);
    assert!(plan(&cluster, &user(&["c"]), 0).is_empty());
}

#[test]
fn each_claim_gets_a_volume_of_its_own_the_smallest_claim_first() {
    let mut cluster = local();
    cluster.storage.set_claim(claim("large").size("2Gi").build());
    cluster.storage.set_claim(claim("small").build());
    cluster.storage.set_volume(volume("v2").size("2Gi").reached_from("host", "a").build());
    cluster.storage.set_volume(volume("v3").size("3Gi").build());
    let wanted = user(&["large", "small"]);
    assert_eq!(rejections(&VolumeBinding, &cluster, &wanted), [format!("b!: {NO_MATCH}")]);
    assert_eq!(names(&plan(&cluster, &wanted, 0)), (vec!["small=v2".to_owned(), "large=v3".to_owned()], vec![]));
}

#[test]
fn a_volume_is_made_where_the_class_allows() {
    let mut cluster = two();
    cluster.storage.set_claim(claim("c").build());
    assert_eq!(names(&plan(&cluster, &user(&["c"]), 1)), (vec![], vec!["c".to_owned()]));
    let mut zoned = class("WaitForFirstConsumer");
    zoned.topologies = vec![vec![("host".to_owned(), vec!["b".to_owned()])]];
    cluster.storage.classes.insert("late".to_owned(), zoned);
    assert_eq!(rejections(&VolumeBinding, &cluster, &user(&["c"])), [format!("a!: {NO_MATCH}")]);
}

#[test]
fn a_claim_whose_volume_is_being_made_stays_on_its_node() {
    let mut cluster = two();
    cluster.storage.set_claim(claim("c").annotation(crate::model::storage::SELECTED_NODE, "b").build());
    cluster.storage.set_volume(volume("v").build());
    assert_eq!(rejections(&VolumeBinding, &cluster, &user(&["c"])), [format!("a!: {NO_MATCH}")]);
    assert_eq!(names(&plan(&cluster, &user(&["c"]), 1)), (vec![], vec!["c".to_owned()]));
}

#[test]
fn tracked_storage_has_to_suffice() {
    let mut cluster = two();
    cluster.storage.set_claim(claim("c").size("5Gi").build());
    cluster.storage.tracked_drivers.insert("provisioner".to_owned());
    let capacity = |capacity: &str, largest: Option<&str>| {
        let object = json!({"metadata": {"name": "x"}, "storageClassName": "late", "capacity": capacity,
            "maximumVolumeSize": largest, "nodeTopology": {"matchLabels": {"host": "a"}}});
        Capacity::of(&serde_json::from_value(object).unwrap())
    };
    let short = |node: &str| format!("{node}!: {NO_SPACE}");
    let table = [
        (None, vec![short("a"), short("b")]),
        (Some(capacity("5Gi", None)), vec![short("b")]),
        (Some(capacity("4Gi", None)), vec![short("a"), short("b")]),
        (Some(capacity("9Gi", Some("4Gi"))), vec![short("a"), short("b")]),
    ];
    for (capacity, expected) in table {
        cluster.storage.capacities = capacity.into_iter().map(|capacity| ("x".to_owned(), capacity)).collect();
        assert_eq!(rejections(&VolumeBinding, &cluster, &user(&["c"])), expected);
    }
}
