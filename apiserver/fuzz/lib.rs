//! What targets share: the types that inputs are read along.

use apimachinery::Value;
use apimachinery::codec::{json, protobuf};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::{Schema, TypeRef};

/// Kinds whose types have every shape between them: group, version and kind.
pub const KINDS: &[(&str, &str, &str)] = &[
    ("", "v1", "Pod"),
    ("apps", "v1", "Deployment"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    ("", "v1", "Service"),
    ("events.k8s.io", "v1", "Event"),
    ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration"),
    ("", "v1", "Secret"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler"),
];

/// One of the types, and the rest of the input: its first byte chooses.
pub fn typed(data: &[u8]) -> Option<(TypeRef, &[u8])> {
    let (first, rest) = data.split_first()?;
    let (group, version, kind) = KINDS[usize::from(*first) % KINDS.len()];
    let ty = Schema::builtin().kind(&GroupVersionKind::new(group, version, kind)).expect("built in");
    Some((ty, rest))
}

/// What was decoded is in its normal form: every encoding gives it back.
pub fn check_stable(ty: &TypeRef, value: &Value) {
    let again = json::conform(ty, value).expect("what was decoded decodes");
    assert_eq!((&again.value, again.findings.len()), (value, 0));
    let text = serde_json::to_vec(value).expect("a tree is written");
    assert_eq!(&json::decode(ty, &text).expect("what was written decodes").value, value);
    let message = protobuf::encode(ty, value);
    let back = protobuf::decode(ty, &message).expect("what was encoded decodes");
    assert_eq!(protobuf::encode(ty, &back), message);
}
