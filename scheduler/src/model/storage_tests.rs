use super::*;
use crate::model::builders::{claim, volume};
use serde_json::json;

fn key(name: &str) -> ClaimKey {
    ClaimKey { namespace: Arc::from("default"), name: Arc::from(name) }
}

#[test]
fn what_is_decided_holds_until_something_newer_is_shown() {
    let mut storage = Storage::default();
    storage.set_claim(claim("c").build());
    storage.set_volume(volume("v").build());
    let wanted = Arc::clone(storage.claim(&key("c")).unwrap());
    storage.assume_bound("v", &wanted);
    storage.assume_selected(&key("c"), "n1");
    assert!(storage.volume("v").unwrap().is_for(&wanted));
    assert_eq!(storage.claim(&key("c")).unwrap().selected_node.as_deref(), Some("n1"));
    assert_eq!((storage.shown_volume("v").unwrap().claim.clone(), wanted.selected_node.clone()), (None, None));
    // The same version again says nothing new.
    storage.set_volume(volume("v").build());
    storage.set_claim(claim("c").build());
    assert!(storage.volume("v").unwrap().claim.is_some());
    storage.set_volume(volume("v").version("2").build());
    storage.set_claim(claim("c").version("2").build());
    assert!(storage.volume("v").unwrap().claim.is_none());
    assert_eq!(storage.claim(&key("c")).unwrap().selected_node, None);
}

#[test]
fn decisions_are_taken_back() {
    let mut storage = Storage::default();
    storage.set_claim(claim("c").build());
    storage.set_volume(volume("v").build());
    let wanted = Arc::clone(storage.claim(&key("c")).unwrap());
    storage.assume_bound("v", &wanted);
    storage.assume_selected(&key("c"), "n1");
    storage.restore_volume("v");
    storage.restore_claim(&key("c"));
    assert!(storage.volume("v").unwrap().claim.is_none());
    assert_eq!(storage.claim(&key("c")).unwrap().selected_node, None);
}

#[test]
fn volumes_are_found_by_class_as_long_as_they_exist() {
    let mut storage = Storage::default();
    storage.set_volume(volume("v").build());
    storage.set_volume(volume("w").class("other").build());
    let names = |storage: &Storage, class: &str| storage.volumes_of(class).map(|v| v.name.clone()).collect::<Vec<_>>();
    assert_eq!((names(&storage, "late"), names(&storage, "other")), (vec!["v".to_owned()], vec!["w".to_owned()]));
    storage.set_volume(volume("v").version("2").class("other").build());
    assert_eq!((names(&storage, "late").len(), names(&storage, "other").len()), (0, 2));
    storage.remove_volume("v");
    storage.remove_volume("w");
    assert!(storage.by_class.is_empty());
}

#[test]
fn topologies_of_a_class_are_alternatives() {
    let class = |terms: serde_json::Value| {
        let class = json!({"metadata": {"name": "c"}, "provisioner": "p", "allowedTopologies": terms});
        Class::of(&serde_json::from_value(class).unwrap())
    };
    let labels: Labels = [("zone".to_owned(), "a".to_owned())].into();
    let term = |value: &str| json!({"matchLabelExpressions": [{"key": "zone", "values": [value]}]});
    let table = [
        (json!([]), true),
        (json!([term("a")]), true),
        (json!([term("b")]), false),
        (json!([term("b"), term("a")]), true),
        (json!([{}]), false),
    ];
    for (terms, expected) in table {
        assert_eq!(class(terms.clone()).allows(&labels), expected, "{terms}");
    }
}
