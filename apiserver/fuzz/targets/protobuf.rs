//! Bodies and stored objects in protobuf, with and without their envelope.
#![no_main]

use apimachinery::Value;
use apimachinery::codec::protobuf::{self, transcode};
use apimachinery::schema::TypeRef;
use apiserver_fuzz::typed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((ty, bytes)) = typed(data) else { return };
    let message = protobuf::open(bytes).map_or(bytes, |envelope| envelope.raw);
    let Ok(value) = protobuf::decode(&ty, message) else { return };
    check_transcoded(&ty, message, &value);
    let encoded = protobuf::encode(&ty, &value);
    let again = protobuf::decode(&ty, &encoded).expect("what was encoded decodes");
    assert_eq!(protobuf::encode(&ty, &again), encoded);
});

/// What is written without a tree is what the tree is written as.
fn check_transcoded(ty: &TypeRef, message: &[u8], tree: &Value) {
    let mut text = Vec::new();
    let Ok(places) = transcode::object(ty, "Kind", "v1", message, &mut text) else { return };
    let mut tree = tree.clone();
    tree["kind"] = "Kind".into();
    tree["apiVersion"] = "v1".into();
    tree["metadata"]["resourceVersion"] = "".into();
    let written: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(written, tree);
    assert!(text[..places.revision].ends_with(b"\"resourceVersion\":\""));
}
