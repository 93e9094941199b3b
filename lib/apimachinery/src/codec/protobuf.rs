//! Protobuf: the `k8s\0` envelope (`runtime.Unknown`) and the messages of the schema table.
//!
//! Upstream: `apimachinery/pkg/runtime/serializer/protobuf`, and its generated marshalling code,
//! which this follows byte for byte: fields by number, map keys sorted, values that are no
//! pointers written even when they are zero.

mod decode;
mod encode;
mod names;
mod special;
pub mod transcode;
pub(crate) mod wire;

#[cfg(test)]
pub(crate) use encode::MAX_FIELDS;

use super::DecodeError;
use crate::Value;
use crate::gvk::GroupVersionKind;
use crate::schema::TypeRef;

/// The first bytes of every envelope.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// The content of an envelope.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `apiVersion` of the message.
    pub api_version: String,
    /// Kind of the message.
    pub kind: String,
    /// The message's bytes.
    pub raw: &'a [u8],
    /// Content type of `raw` when it is not protobuf.
    pub content_type: String,
}

/// Opens a `k8s\0` envelope.
pub fn open(bytes: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    let wrong = |why: &str| Err(DecodeError::Syntax(why.into()));
    let body = match bytes.strip_prefix(MAGIC) {
        Some(b"") => return wrong("empty body"),
        Some(body) => body,
        None if bytes.is_empty() => return wrong("empty data"),
        None => {
            return wrong("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
        }
    };
    let mut envelope =
        Envelope { api_version: String::new(), kind: String::new(), raw: &[], content_type: String::new() };
    let mut fields = wire::Fields::new(body);
    while let Some((number, value)) = fields.next()? {
        match (number, value.bytes()) {
            (1, Some(meta)) => {
                let mut meta = wire::Fields::of("TypeMeta", meta);
                while let Some((number, value)) = meta.next()? {
                    match number {
                        1 => envelope.api_version = value.text()?,
                        2 => envelope.kind = value.text()?,
                        _ => {}
                    }
                }
            }
            (2, Some(raw)) => envelope.raw = raw,
            (4, Some(_)) => envelope.content_type = value.text()?,
            _ => {}
        }
    }
    Ok(envelope)
}

/// Wraps a message in a `k8s\0` envelope.
pub fn wrap(kind: &GroupVersionKind, message: &[u8]) -> Vec<u8> {
    let api_version = kind.api_version();
    let mut meta = Vec::with_capacity(api_version.len() + kind.kind.len() + 8);
    wire::put_bytes(&mut meta, 1, api_version.as_bytes());
    wire::put_bytes(&mut meta, 2, kind.kind.as_bytes());
    let mut out = Vec::with_capacity(message.len() + meta.len() + 24);
    out.extend_from_slice(MAGIC);
    wire::put_bytes(&mut out, 1, &meta);
    wire::put_bytes(&mut out, 2, message);
    // Content encoding and type: empty, but always written.
    wire::put_bytes(&mut out, 3, b"");
    wire::put_bytes(&mut out, 4, b"");
    out
}

/// A bare message of an object, which has no `resourceVersion`, with this one. `None` if that is not left open as
/// [`encode`] does it, which is how upstream does it, too.
pub fn with_revision(message: &[u8], revision: &str) -> Option<Vec<u8>> {
    const METADATA: u32 = 1;
    const REVISION: u32 = 6;
    let mut members = wire::Fields::new(message);
    let (METADATA, wire::Raw::Bytes(metadata)) = members.next().ok()?? else { return None };
    let mut fields = wire::Fields::new(metadata);
    loop {
        let before = metadata.len() - fields.rest();
        let (number, raw) = fields.next().ok()??;
        if number != REVISION {
            continue;
        }
        raw.bytes().filter(|open| open.is_empty())?;
        let mut filled = Vec::with_capacity(metadata.len() + revision.len() + 2);
        filled.extend_from_slice(&metadata[..before]);
        wire::put_bytes(&mut filled, REVISION, revision.as_bytes());
        filled.extend_from_slice(&metadata[metadata.len() - fields.rest()..]);
        let mut out = Vec::with_capacity(message.len() + revision.len() + 4);
        wire::put_bytes(&mut out, METADATA, &filled);
        out.extend_from_slice(&message[message.len() - members.rest()..]);
        return Some(out);
    }
}

/// Decodes a bare message of type `ty`; `apiVersion` and `kind` are not set.
pub fn decode(ty: &TypeRef, message: &[u8]) -> Result<Value, DecodeError> {
    decode::message(&ty.schema, ty.id, message, 0).map(Value::Object)
}

/// Encodes `value` as a bare message.
pub fn encode(ty: &TypeRef, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    encode::message(&ty.schema, ty.id, value, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;
    use serde_json::json;

    fn ty(group: &'static str, version: &'static str, kind: &'static str) -> TypeRef {
        Schema::builtin().kind(&GroupVersionKind::new(group, version, kind)).expect("built in")
    }

    #[test]
    fn envelopes_open_as_they_were_wrapped() {
        let kind = GroupVersionKind::new("apps", "v1", "Deployment");
        let wrapped = wrap(&kind, b"message");
        let envelope = open(&wrapped).expect("an envelope");
        assert_eq!(
            (envelope.api_version.as_str(), envelope.kind.as_str(), envelope.raw),
            ("apps/v1", "Deployment", &b"message"[..])
        );
        assert!(open(b"{}").is_err());
        assert!(open(&wrapped[..wrapped.len() - 3]).is_err());
    }

    #[test]
    fn values_survive() {
        let cases = [
            (
                ty("", "v1", "ConfigMap"),
                json!({"metadata": {"name": "a", "labels": {"b": "1", "a": "2"}}, "data": {"k": "v"}, "binaryData": {"x": "AAEC"}, "immutable": false}),
            ),
            (
                ty("apps", "v1", "Deployment"),
                json!({"metadata": {"creationTimestamp": "2026-01-02T03:04:05Z"},
                "spec": {"replicas": 0, "selector": {}, "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
                         "template": {"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "500m"}}, "volumeMounts": [{"name": "v", "mountPath": "/x"}]}],
                                      "volumes": [{"name": "v", "emptyDir": {}}, {"name": "h", "hostPath": {"path": "/", "type": ""}}], "priority": -5}}}, "status": {}}),
            ),
            (ty("", "v1", "Secret"), json!({"metadata": {}, "data": {"empty": ""}})),
        ];
        for (ty, value) in cases {
            assert_eq!(decode(&ty, &encode(&ty, &value)).expect("decodes"), value);
        }
    }

    #[test]
    fn objects_in_objects_have_kinds_that_messages_do_not_carry() {
        let ty = ty("apps", "v1", "StatefulSet");
        let set = json!({"metadata": {}, "spec": {"selector": {}, "template": {"metadata": {}, "spec": {"containers": []}},
            "volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": {"resources": {}}, "status": {}}]}});
        let message = encode(&ty, &set);
        let read = decode(&ty, &message).expect("decodes");
        let claim = &read["spec"]["volumeClaimTemplates"][0];
        assert_eq!((&claim["kind"], &claim["apiVersion"]), (&json!("PersistentVolumeClaim"), &json!("v1")));
        assert_eq!((read.get("kind"), &claim["metadata"]["name"]), (None, &json!("v")));
        let mut text = Vec::new();
        transcode::object(&ty, "StatefulSet", "apps/v1", &message, &mut text).expect("transcodes");
        let text: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(text["spec"]["volumeClaimTemplates"][0], *claim);
    }

    #[test]
    fn zero_values_of_no_pointers_stay_out() {
        let pod = ty("", "v1", "Pod");
        let value =
            decode(&pod, &encode(&pod, &json!({"spec": {"containers": [{"name": "c"}], "hostNetwork": false}})))
                .expect("decodes");
        assert_eq!(value["spec"]["containers"][0], json!({"name": "c", "resources": {}}));
        assert!(value["spec"].get("hostNetwork").is_none());
    }

    #[test]
    fn hostile_bytes_are_errors() {
        let pod = ty("", "v1", "Pod");
        for bytes in [
            &b"\x0a\xff\xff\xff\xff\x0f"[..],
            b"\x0a",
            b"\x0a\x05\x0a\x01",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(decode(&pod, bytes).is_err(), "{bytes:?}");
        }
        for (bytes, want) in [
            (&b"\x08\x01"[..], "proto: wrong wireType = 0 for field ObjectMeta"),
            (b"\x0a\x02\x08\x01", "proto: wrong wireType = 0 for field Name"),
            (b"\x00", "proto: Pod: illegal tag 0 (wire type 0)"),
            (b"\x0c", "proto: Pod: wiretype end group for non-group"),
            (b"\x0b", "proto: wrong wireType = 3 for field ObjectMeta"),
            (b"\x7e", "proto: illegal wireType 6"),
            (b"\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "proto: negative length found during unmarshaling"),
        ] {
            assert_eq!(decode(&pod, bytes).map_err(|error| error.to_string()), Err(want.to_owned()), "{bytes:?}");
        }
        let lossy = decode(&pod, b"\x0a\x03\x0a\x01\xff").expect("upstream does not look into texts");
        assert_eq!(lossy["metadata"]["name"], "\u{fffd}");
    }
}
