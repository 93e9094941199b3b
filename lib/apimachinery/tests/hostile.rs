//! Whatever bytes come in: no panic, and what is taken can be written and read again.

use apimachinery::codec::{json, protobuf, yaml};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::quantity::Quantity;
use apimachinery::schema::{Schema, TypeRef};
use apimachinery::selector::{FieldSelector, LabelSelector};
use apimachinery::{Value, time};
use proptest::prelude::*;

const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"x":"é\n"},"creationTimestamp":
"2026-01-02T03:04:05Z","managedFields":[{"fieldsV1":{"f:spec":{}}}]},"spec":{"priority":-1,"containers":[{"name":"c","image":"i",
"resources":{"limits":{"cpu":"0.5","memory":"1Gi"}},"ports":[{"containerPort":80}],"livenessProbe":{"httpGet":{"port":"web"}}}],
"tolerations":[{"tolerationSeconds":300}],"volumes":[{"name":"v","configMap":{"name":"m","items":[]}}]}}"#;

fn pod() -> TypeRef {
    Schema::builtin().kind(&GroupVersionKind::new("", "v1", "Pod")).expect("built in")
}

fn crd() -> TypeRef {
    let kind = GroupVersionKind::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    Schema::builtin().kind(&kind).expect("built in")
}

/// The bytes with some of them replaced, and cut off somewhere.
fn damaged(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = bytes.len();
    let changes = prop::collection::vec((0..length, any::<u8>()), 0..4);
    (changes, length / 2..=length).prop_map(move |(changes, end)| {
        let mut bytes = bytes.clone();
        changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
        bytes.truncate(end);
        bytes
    })
}

/// What was decoded is in its normal form: every encoding gives it back.
fn check_stable(ty: &TypeRef, value: &Value) {
    let again = json::conform(ty, value).expect("what was decoded decodes");
    assert_eq!((&again.value, again.findings.len()), (value, 0));
    let message = protobuf::encode(ty, value);
    let back = protobuf::decode(ty, &message).expect("what was encoded decodes");
    assert_eq!(protobuf::encode(ty, &back), message);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn json_in_pieces(bytes in damaged(POD.as_bytes().to_vec())) {
        if let Ok(decoded) = json::decode(&pod(), &bytes) {
            check_stable(&pod(), &decoded.value);
        }
        let _ = json::decode(&crd(), &bytes);
        let _ = json::to_value(&bytes);
    }

    #[test]
    fn yaml_in_pieces(bytes in damaged(POD.as_bytes().to_vec())) {
        if let Ok(decoded) = yaml::decode(&pod(), &bytes) {
            check_stable(&pod(), &decoded.value);
        }
    }

    #[test]
    fn protobuf_in_pieces(bytes in {
        let value = json::decode(&pod(), POD.as_bytes()).expect("a pod").value;
        damaged(protobuf::encode(&pod(), &value))
    }) {
        for ty in [pod(), crd()] {
            if let Ok(value) = protobuf::decode(&ty, &bytes) {
                let message = protobuf::encode(&ty, &value);
                prop_assert!(protobuf::decode(&ty, &message).is_ok());
            }
        }
        let _ = protobuf::open(&bytes);
    }

    #[test]
    fn noise(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for ty in [pod(), crd()] {
            let _ = json::decode(&ty, &bytes);
            let _ = yaml::decode(&ty, &bytes);
            let _ = protobuf::decode(&ty, &bytes);
        }
        let _ = protobuf::open(&bytes);
    }

    #[test]
    fn small_texts(text in "[-+0-9.eEinumkMGTP:Z=!,()<>a-c \\\\T]{0,24}") {
        if let Ok(quantity) = text.parse::<Quantity>() {
            let printed = quantity.to_string();
            let again: Quantity = printed.parse().expect("what was printed parses");
            prop_assert_eq!((again, again.to_string()), (quantity, printed));
        }
        if let Ok(selector) = LabelSelector::parse(&text) {
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
        }
        if let Ok(selector) = FieldSelector::parse(&text) {
            prop_assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
        }
        if let Some(nanos) = time::parse_go_nanos(&text) {
            prop_assert_eq!(time::parse_go_nanos(&time::format_go_duration(nanos)), Some(nanos));
        }
        let _ = time::canonical(&text);
    }

    #[test]
    fn amounts_add_and_compare_as_numbers(a in -1_000_000_000_i64..1_000_000_000, b in -1_000_000_000_i64..1_000_000_000) {
        let (x, y) = (Quantity::from_millis(a), Quantity::from_millis(b));
        prop_assert_eq!((x + y).milli_value(), a + b);
        prop_assert_eq!((x - y).milli_value(), a - b);
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
    }
}
