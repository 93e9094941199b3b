//! Objects to and from bytes: JSON as clients get it, and what lies in etcd.

use crate::StorageError;
use crate::encryption;
use crate::form::{Encoding, Form};
use crate::object::{Object, Parts, StoredAs};
use apimachinery::codec::protobuf::{self, transcode};
use apimachinery::codec::{fields, json};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::schema;
use apimachinery::{Map, Value};
use std::sync::Arc;

/// First bytes of the protobuf envelope.
const MAGIC: &[u8] = b"k8s\0";

/// An object as JSON with an empty `resourceVersion`.
#[derive(Debug)]
pub(crate) struct Json {
    pub(crate) bytes: Vec<u8>,
    /// Where the revision's digits belong.
    pub(crate) revision_at: u32,
    /// Where the members after `kind` and `apiVersion` start.
    pub(crate) body_at: u32,
}

/// An object encoded for a write, before its revision is known.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) form: Arc<Form>,
    pub(crate) json: Json,
    parts: Parts,
}

impl Draft {
    /// Encodes a tree as JSON; its `resourceVersion` is taken out.
    pub(crate) fn new(form: &Arc<Form>, key: &str, value: &mut Value) -> Self {
        value.metadata_mut().remove("resourceVersion");
        if let Encoding::Protobuf(ty) = &form.encoding {
            schema::settle(ty, value);
        }
        let json = to_json(&form.kind, value);
        Self { form: form.clone(), json, parts: Parts::of(form, key, value) }
    }

    /// The object at its revision.
    pub(crate) fn at(&self, revision: u64) -> Object {
        Object::new(self.form.clone(), self.parts.clone(), &self.json, revision)
    }

    /// The object at its revision, of which these are the bytes for etcd.
    pub(crate) fn written(&self, stored: &[u8], revision: u64) -> Object {
        let object = self.at(revision);
        if self.form.messages_are_read()
            && let Encoding::Protobuf(_) = &self.form.encoding
            && let Ok(envelope) = protobuf::open(stored)
        {
            object.keep_message(envelope.raw);
        }
        object
    }

    /// The bytes for etcd.
    pub(crate) fn stored(&self, value: &Value) -> Vec<u8> {
        match &self.form.encoding {
            Encoding::Protobuf(ty) => protobuf::wrap(&self.form.kind, &protobuf::encode(ty, value)),
            Encoding::Json => without_revision(&self.json),
        }
    }
}

/// Reads what lies in etcd.
pub(crate) fn decode(form: &Arc<Form>, key: &str, bytes: &[u8], revision: u64) -> Result<Object, StorageError> {
    let corrupt = |why: String| StorageError::Corrupt { key: key.to_owned(), why };
    if let Some(why) = bytes.strip_prefix(encryption::SEALED) {
        return Err(StorageError::Sealed { key: key.to_owned(), why: String::from_utf8_lossy(why).into_owned() });
    }
    let (bytes, is_fresh) = match bytes.strip_prefix(encryption::STALE) {
        Some(bytes) => (bytes, false),
        None => (bytes, true),
    };
    let is_protobuf_right = matches!(form.encoding, Encoding::Protobuf(_));
    if let Some(object) = from_message(form, key, bytes, revision) {
        let encoding = if is_fresh && is_protobuf_right { StoredAs::Current } else { StoredAs::Outdated };
        return Ok(object.stored_as(encoding));
    }
    let (mut value, is_protobuf) = match bytes.starts_with(MAGIC) {
        true => (from_envelope(form, bytes).map_err(corrupt)?, true),
        false => (serde_json::from_slice(bytes).map_err(|e| corrupt(e.to_string()))?, false),
    };
    if !value.is_object() {
        return Err(corrupt("not an object".to_owned()));
    }
    let mut is_current = is_fresh && is_protobuf == is_protobuf_right && has_kind(&form.kind, &value);
    if let Some(custom) = &form.custom {
        let stored = value.clone();
        custom.read(&mut value);
        is_current &= value == stored;
    }
    let encoding = if is_current { StoredAs::Current } else { StoredAs::Outdated };
    Ok(Draft::new(form, key, &mut value).at(revision).stored_as(encoding))
}

/// Reads a message of the form's kind without making a tree; `None` for all else.
fn from_message(form: &Arc<Form>, key: &str, bytes: &[u8], revision: u64) -> Option<Object> {
    if !bytes.starts_with(MAGIC) || form.custom.is_some() {
        return None;
    }
    let envelope = protobuf::open(bytes).ok()?;
    let is_ours = envelope.kind == *form.kind.kind && envelope.api_version == form.kind.api_version();
    if !is_ours || !envelope.content_type.is_empty() {
        return None;
    }
    let ty = form.message.as_ref()?;
    let mut json = Vec::with_capacity(envelope.raw.len() * 2);
    let places = transcode::object(ty, &envelope.kind, &envelope.api_version, envelope.raw, &mut json).ok()?;
    let parts = Parts::of_message(form, key, ty, envelope.raw).ok()?;
    let at = |at: usize| u32::try_from(at).ok();
    let json = Json { bytes: json, revision_at: at(places.revision)?, body_at: at(places.body)? };
    let object = Object::new(form.clone(), parts, &json, revision);
    object.keep_message(envelope.raw);
    Some(object)
}

fn has_kind(kind: &GroupVersionKind, value: &Value) -> bool {
    let text = |member| value.get(member).and_then(Value::as_str).unwrap_or_default();
    GroupVersionKind::parse(text("apiVersion"), text("kind")).is_some_and(|k| k == *kind)
}

fn from_envelope(form: &Form, bytes: &[u8]) -> Result<Value, String> {
    let envelope = protobuf::open(bytes).map_err(|e| e.to_string())?;
    if envelope.content_type.contains("json") {
        return serde_json::from_slice(envelope.raw).map_err(|e| e.to_string());
    }
    let kind = GroupVersionKind::parse(&envelope.api_version, &envelope.kind).ok_or("a malformed apiVersion")?;
    let ty = form.message_of(&kind).ok_or_else(|| format!("no kind {kind} is known"))?;
    let mut value = protobuf::decode(&ty, envelope.raw).map_err(|e| e.to_string())?;
    if let Some(members) = value.as_object_mut() {
        members.insert("kind".into(), envelope.kind.into());
        members.insert("apiVersion".into(), envelope.api_version.into());
    }
    Ok(value)
}

/// `kind` and `apiVersion` first, all other members sorted, an empty `resourceVersion` in place.
fn to_json(kind: &GroupVersionKind, value: &Value) -> Json {
    let text = |member| value.get(member).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(b"{\"kind\":");
    json::write_text(&mut out, text("kind").unwrap_or(&kind.kind));
    out.extend_from_slice(b",\"apiVersion\":");
    match text("apiVersion") {
        Some(text) => json::write_text(&mut out, text),
        None => json::write_text(&mut out, &kind.api_version()),
    }
    out.push(b',');
    let body_at = out.len();
    let mut revision_at = 0;
    let members = value.as_object().into_iter().flatten();
    for (name, member) in members.filter(|(name, _)| *name != "kind" && *name != "apiVersion") {
        json::write_text(&mut out, name);
        out.push(b':');
        match (name.as_str(), member) {
            ("metadata", Value::Object(metadata)) => revision_at = write_metadata(&mut out, metadata),
            _ => json::write(&mut out, member),
        }
        out.push(b',');
    }
    out.pop();
    out.push(b'}');
    let at = |at: usize| u32::try_from(at).unwrap_or_default();
    Json { bytes: out, revision_at: at(revision_at), body_at: at(body_at) }
}

const REVISION: &[u8] = b"\"resourceVersion\":\"";

/// Writes metadata with an empty `resourceVersion` at its sorted place, which it returns.
fn write_metadata(out: &mut Vec<u8>, metadata: &Map) -> usize {
    let mut revision_at = 0;
    out.push(b'{');
    for (name, member) in metadata {
        if revision_at == 0 && name.as_str() > "resourceVersion" {
            revision_at = write_empty_revision(out);
        }
        json::write_text(out, name);
        out.push(b':');
        match name.as_str() {
            "managedFields" => fields::write_managed(out, member),
            _ => json::write(out, member),
        }
        out.push(b',');
    }
    if revision_at == 0 {
        revision_at = write_empty_revision(out);
    }
    out.pop();
    out.push(b'}');
    revision_at
}

fn write_empty_revision(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(REVISION);
    out.extend_from_slice(b"\",");
    out.len() - 2
}

/// The JSON without its `resourceVersion` member.
fn without_revision(json: &Json) -> Vec<u8> {
    let at = json.revision_at as usize;
    let (head, tail) = (&json.bytes[..at - REVISION.len()], &json.bytes[at + 1..]);
    let (head, tail) = match (head.strip_suffix(b","), tail.strip_prefix(b",")) {
        (Some(head), _) => (head, tail),
        (None, Some(tail)) => (head, tail),
        (None, None) => (head, tail),
    };
    [head, tail].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;

    fn draft(mut value: Value) -> Draft {
        Draft::new(&testing::form(), "things/ns/a", &mut value)
    }

    #[test]
    fn kind_comes_first_and_the_revision_in_its_place() {
        let object = draft(json!({
            "spec": {"b": 1, "a": "x\n"}, "apiVersion": "example.com/v1", "kind": "Thing",
            "metadata": {"uid": "u", "name": "a", "resourceVersion": "7", "labels": {"k": "v"}}
        }))
        .at(42);
        assert_eq!(
            std::str::from_utf8(object.json()).expect("text"),
            r#"{"kind":"Thing","apiVersion":"example.com/v1","metadata":{"labels":{"k":"v"},"name":"a","resourceVersion":"42","uid":"u"},"spec":{"a":"x\n","b":1}}"#
        );
        assert!(object.json_without_kind().starts_with(br#""metadata":{"#));
        assert_eq!((object.key(), object.namespace(), object.name(), object.uid()), ("things/ns/a", "ns", "a", "u"));
        assert_eq!((object.label("k"), object.label("v")), (Some("v"), None));
        assert_eq!(object.value()["metadata"]["resourceVersion"], "42");
    }

    #[test]
    fn stored_json_has_no_revision() {
        for (metadata, expected) in [
            (json!({}), r#"{"metadata":{}}"#),
            (json!({"name": "a"}), r#"{"metadata":{"name":"a"}}"#),
            (json!({"uid": "u"}), r#"{"metadata":{"uid":"u"}}"#),
            (json!({"name": "a", "uid": "u"}), r#"{"metadata":{"name":"a","uid":"u"}}"#),
        ] {
            let mut value = json!({"metadata": metadata});
            let draft = Draft::new(&testing::form(), "things/ns/a", &mut value);
            let stored = draft.stored(&value);
            let expected = expected.replacen('{', r#"{"kind":"Thing","apiVersion":"example.com/v1","#, 1);
            assert_eq!(String::from_utf8(stored.clone()).expect("text"), expected);
            let read = decode(&testing::form(), "things/ns/a", &stored, 5).expect("reads");
            assert_eq!(read.json(), draft.at(5).json());
            assert!(read.is_stored_as_written());
        }
    }

    #[test]
    fn a_tree_without_metadata_gets_some() {
        let object = draft(json!({})).at(1);
        assert_eq!(object.value()["metadata"]["resourceVersion"], "1");
    }

    #[test]
    fn another_revision_keeps_all_else() {
        let object = draft(json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"n": 10}})).at(9);
        let later = object.at_revision(12345);
        assert_eq!(later.value()["metadata"]["resourceVersion"], "12345");
        assert_eq!(later.value()["spec"], object.value()["spec"]);
        assert_eq!((later.revision(), later.uid()), (12345, "u"));
        assert!(object.is_encoded_as(&draft(json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"n": 10}})).json));
        assert!(!object.is_encoded_as(&draft(json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"n": 11}})).json));
    }

    #[test]
    fn messages_are_read_as_their_trees_are_written() {
        let resources = apimachinery::resources::builtin();
        let pods = resources.iter().find(|r| r.group.is_empty() && r.plural == "pods").expect("pods");
        let form = Arc::new(Form::new(pods, true));
        let mut value = json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": {"b": "2", "a": "1"},
                "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"nodeName": "x", "restartPolicy": "Never", "hostNetwork": true, "containers": [{"name": "c", "resources": {}}]},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]}
        });
        let draft = Draft::new(&form, "pods/n/a", &mut value);
        let stored = draft.stored(&value);
        let read = from_message(&form, "pods/n/a", &stored, 7).expect("no tree is needed");
        let written = draft.at(7);
        assert_eq!((read.json(), read.parts()), (written.json(), written.parts()));
        assert_eq!(read.json_without_kind(), written.json_without_kind());
        assert_eq!((read.label("a"), read.field("spec.nodeName")), (Some("1"), Some("x")));
        assert!(decode(&form, "pods/n/a", &stored, 7).expect("reads").is_stored_as_written());
        let stale = [encryption::STALE, &stored].concat();
        assert!(!decode(&form, "pods/n/a", &stale, 7).expect("reads").is_stored_as_written());
    }

    #[test]
    fn what_is_written_is_kept_for_who_reads_messages() {
        let resources = apimachinery::resources::builtin();
        for (plural, mut value) in [
            (
                "pods",
                json!({"metadata": {"name": "a", "namespace": "n", "labels": {"a": "1"}}, "spec": {"containers": []}}),
            ),
            (
                "configmaps",
                json!({"metadata": {"name": "a", "uid": "u", "generation": 3}, "data": {"k": "x".repeat(200)}}),
            ),
            ("secrets", json!({"metadata": {}})),
        ] {
            let resource = resources.iter().find(|r| r.group.is_empty() && r.plural == plural).expect("built in");
            let form = Arc::new(Form::new(resource, true));
            let (key, revision) = (format!("{plural}/n/a"), 1_234_567);
            let draft = Draft::new(&form, &key, &mut value);
            let stored = draft.stored(&value);
            // Nobody reads messages yet.
            let made = draft.written(&stored, revision).protobuf().expect("a message");
            let kept = [draft.written(&stored, revision), decode(&form, &key, &stored, revision).expect("reads")];
            for object in kept {
                assert!(object.has_message(), "{plural}");
                assert_eq!(object.protobuf().expect("a message"), made, "{plural}");
            }
            assert!(!draft.at(revision).has_message());
        }
    }

    #[test]
    fn nonsense_is_corrupt() {
        for bytes in [&b"{"[..], b"[]", b"3", b""] {
            let error = decode(&testing::form(), "things/ns/a", bytes, 1).expect_err("not an object");
            assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
        }
    }

    #[test]
    fn another_version_is_outdated() {
        let bytes = br#"{"kind":"Thing","apiVersion":"example.com/v1beta1","metadata":{}}"#;
        let object = decode(&testing::form(), "things/ns/a", bytes, 1).expect("reads");
        assert!(!object.is_stored_as_written());
        assert_eq!(object.value()["apiVersion"], "example.com/v1beta1");
    }
}
