//! The text that a patch has made of an object, read as upstream's codec reads it: first of all its kind, which decides
//! as what the rest is read.
//!
//! Upstream: `apimachinery/pkg/runtime/serializer/json/json.go` (`Decode`), `.../versioning/versioning.go`.

use crate::decode::{converting, is_registered, unregistered_in};
use apimachinery::codec::{Decoded, NO_KIND, TYPE_META, json};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::{Origin, Schema, TypeRef};
use apimachinery::{Map, Value};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Reads the text of an object that was of type `ty` and of kind `own`.
pub(super) fn object(ty: &TypeRef, own: &GroupVersionKind, text: &str) -> Result<Decoded, String> {
    let members = members(text)?;
    let version = head(&members, "apiVersion")?;
    let kind = head(&members, "kind")?;
    if version.matches('/').count() > 1 {
        return Err(format!("unexpected GroupVersion string: {version}"));
    }
    if ty.schema.origin == Origin::Definition {
        return match kind.is_empty() {
            true => Err(format!("Object 'Kind' is missing in '{text}'")),
            false => read(ty, text),
        };
    }
    let kind = if kind.is_empty() { own.kind.to_string() } else { kind };
    if version.is_empty() && kind == own.kind {
        return Ok(unversioned(own, &members));
    }
    let given = GroupVersionKind::parse(&version, &kind);
    match given.filter(|given| is_registered(given, &own.group)) {
        Some(given) if given == *own => read(ty, text),
        Some(given) => {
            if let Some(ty) = Schema::builtin().kind(&given) {
                read(&ty, text)?;
            }
            Err(converting(&given, own))
        }
        None => Err(unregistered_in(&own.group, &kind, &version)),
    }
}

fn read(ty: &TypeRef, text: &str) -> Result<Decoded, String> {
    json::decode(ty, text.as_bytes()).map_err(|error| error.to_string())
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

fn members(text: &str) -> Result<Members<'_>, String> {
    let found = match text.bytes().next() {
        Some(b'[') => "array",
        Some(b'"') => "string",
        _ => "number",
    };
    let failed = |_| format!("{NO_KIND}json: cannot unmarshal {found} into Go value of type {TYPE_META}");
    serde_json::from_str(text).map_err(failed)
}

/// One of the members that tell the kind; empty if it is not there.
fn head(members: &Members<'_>, name: &str) -> Result<String, String> {
    let Some(given) = members.get(name).map(|given| given.get()) else { return Ok(String::new()) };
    let found = match given.bytes().next() {
        Some(b'"') => {
            let text = json::to_value(given.as_bytes()).map_err(|error| error.to_string())?;
            return Ok(text.as_str().unwrap_or_default().to_owned());
        }
        Some(b'n') => return Ok(String::new()),
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b't' | b'f') => "bool",
        _ => "number",
    };
    Err(format!("{NO_KIND}json: cannot unmarshal {found} into Go struct field .{name} of type string"))
}

/// Without a version upstream reads its inner type, whose members have other names: nothing is left of the object.
fn unversioned(own: &GroupVersionKind, members: &Members<'_>) -> Decoded {
    let unknown = members.keys().filter(|name| !matches!(name.as_str(), "kind" | "apiVersion"));
    let findings = unknown.map(|name| format!("unknown field {}", apimachinery::go::quoted(name))).collect();
    let value = Map::from_iter([
        ("kind".to_owned(), own.kind.as_ref().into()),
        ("apiVersion".to_owned(), own.api_version().into()),
        ("metadata".to_owned(), Value::Object(Map::new())),
    ]);
    Decoded { value: Value::Object(value), findings }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(text: &str) -> Result<Decoded, String> {
        let own = GroupVersionKind::new("", "v1", "Pod");
        object(&Schema::builtin().kind(&own).expect("built in"), &own, text)
    }

    #[test]
    fn the_kind_is_read_first() {
        const WRONG: &str = r#""metadata":5"#;
        for (head, want) in [
            (
                r#""apiVersion":{},"kind":5"#,
                "couldn't get version/kind; json parse error: json: cannot unmarshal object into Go struct field .apiVersion of type string",
            ),
            (
                r#""apiVersion":"v1","kind":5"#,
                "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string",
            ),
            (r#""apiVersion":"a/b/c","kind":"Pod""#, "unexpected GroupVersion string: a/b/c"),
            (
                r#""apiVersion":"v1","kind":"Foo""#,
                "no kind \"Foo\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            ),
            (
                r#""apiVersion":"v1","kind":"ConfigMap""#,
                "json: cannot unmarshal number into Go struct field ConfigMap.metadata of type v1.ObjectMeta",
            ),
            (
                r#""apiVersion":"v1","kind":"Pod""#,
                "json: cannot unmarshal number into Go struct field Pod.metadata of type v1.ObjectMeta",
            ),
        ] {
            let refused = pod(&format!("{{{head},{WRONG}}}")).map(|decoded| decoded.value);
            assert_eq!(refused, Err(want.to_owned()), "{head}");
        }
        let array = pod("[]").map(|decoded| decoded.value);
        assert_eq!(array, Err(format!("{NO_KIND}json: cannot unmarshal array into Go value of type {TYPE_META}")));
        let other = pod(r#"{"apiVersion":"v1","kind":"Service","metadata":{}}"#).map(|decoded| decoded.value);
        assert_eq!(other, Err("converting (v1.Service) to (core.Pod): unknown conversion".into()));
    }

    #[test]
    fn without_a_version_nothing_is_known() {
        let decoded = pod(r#"{"apiVersion":null,"metadata":{"name":"n"},"spec":5}"#).expect("read");
        assert_eq!(decoded.value, json!({"kind": "Pod", "apiVersion": "v1", "metadata": {}}));
        assert_eq!(decoded.findings, [r#"unknown field "metadata""#, r#"unknown field "spec""#]);
        let decoded = pod(r#"{"apiVersion":"v1","kind":"","metadata":{"name":"n"}}"#).expect("read");
        assert_eq!(decoded.value["metadata"]["name"], "n");
    }
}
