use super::*;
use crate::model::builders::{claim, node, volume};
use crate::plugins::testing::cluster;
use std::sync::Arc;

fn key() -> ClaimKey {
    ClaimKey { namespace: Arc::from("default"), name: Arc::from("c") }
}

fn with(claim: Option<Claim>, volume: Option<Volume>) -> Cluster {
    let mut cluster = cluster(vec![("n", node().label("host", "n").facts())], vec![]);
    claim.into_iter().for_each(|claim| drop(cluster.storage.set_claim(claim)));
    volume.into_iter().for_each(|volume| drop(cluster.storage.set_volume(volume)));
    cluster
}

#[test]
fn a_binding_is_done_when_its_claim_is_bound() {
    let written = Written { bindings: vec![("v".to_owned(), "5".to_owned(), key())], provisions: Vec::new() };
    let free = || Some(claim("c").build());
    let bound = || Some(claim("c").bound("v").build());
    let mine = || volume("v").version("5").of("c", "c");
    let elsewhere = Undone::Elsewhere { volume: "v".to_owned(), node: "n".to_owned() };
    let table = [
        (free(), Some(volume("v").version("4").build()), Ok(Progress::Waiting)),
        (free(), Some(mine().build()), Ok(Progress::Waiting)),
        (bound(), Some(mine().build()), Ok(Progress::Done)),
        (bound(), Some(volume("v").version("6").build()), Err(Undone::Reset("v".to_owned()))),
        (bound(), Some(mine().reached_from("host", "m").build()), Err(elsewhere)),
        (None, Some(mine().build()), Err(Undone::ClaimGone("default/c".to_owned()))),
        (bound(), None, Err(Undone::VolumeGone("v".to_owned()))),
    ];
    for (claim, volume, expected) in table {
        assert_eq!(written.progress(&with(claim.clone(), volume.clone()), "n"), expected, "{claim:?} {volume:?}");
    }
    assert_eq!(written.progress(&with(None, None), "m"), Err(Undone::NodeGone("m".to_owned())));
}

#[test]
fn a_provision_is_done_when_its_claim_is_bound_and_undone_when_it_is_given_back() {
    let written = Written { bindings: Vec::new(), provisions: vec![(key(), "5".to_owned())] };
    let selected = || claim("c").version("5").annotation(SELECTED_NODE, "n");
    let made = || Some(volume("v").of("c", "c").build());
    let table = [
        (claim("c").version("4"), None, Ok(Progress::Waiting)),
        (selected(), None, Ok(Progress::Waiting)),
        (claim("c").version("6"), None, Err(Undone::NotProvisioned("c".to_owned()))),
        (selected().bound("v"), None, Ok(Progress::Waiting)),
        (selected().spec("volumeName", "v".into()), made(), Ok(Progress::Waiting)),
        (selected().bound("v"), made(), Ok(Progress::Done)),
    ];
    for (claim, volume, expected) in table {
        let cluster = with(Some(claim.clone().build()), volume);
        assert_eq!(written.progress(&cluster, "n"), expected, "{claim:?}");
    }
}

#[test]
fn what_is_written_holds_only_for_what_was_seen() {
    let (claim, free) = (claim("c").build(), volume("v").build());
    let patch = binding(&free, &claim);
    assert_eq!((&patch["metadata"]["resourceVersion"], &patch["metadata"]["uid"]), (&json!("1"), &json!("v")));
    assert_eq!(patch["metadata"]["annotations"], json!({BOUND_BY_CONTROLLER: "yes"}));
    assert_eq!((&patch["spec"]["claimRef"]["name"], &patch["spec"]["claimRef"]["uid"]), (&json!("c"), &json!("c")));
    // A volume that its user meant for the claim stays the user's.
    let meant = binding(&volume("v").of("c", "").build(), &claim);
    assert_eq!(meant["metadata"].get("annotations"), None);
    let patch = selection(&claim, "n");
    assert_eq!(patch["metadata"]["annotations"], json!({SELECTED_NODE: "n"}));
    assert_eq!(patch["metadata"]["resourceVersion"], "1");
}
