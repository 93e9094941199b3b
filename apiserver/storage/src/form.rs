//! How the objects of one resource are stored and what of them is kept at hand.

use apimachinery::codec::DecodeError;
use apimachinery::codec::protobuf::transcode;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::resources::{Custom, ResourceInfo, SelectableField};
use apimachinery::schema::{Schema, TypeRef};
use apimachinery::{Name, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a value is encoded in etcd.
#[derive(Clone, Debug)]
pub(crate) enum Encoding {
    /// A message in the `k8s\0` envelope.
    Protobuf(TypeRef),
    /// JSON without a `resourceVersion`.
    Json,
}

/// The form shared by all objects below one storage prefix.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// The kind objects are stored as.
    pub(crate) kind: GroupVersionKind,
    /// How objects are written.
    pub(crate) encoding: Encoding,
    /// The message type of the stored kind, if it has one.
    pub(crate) message: Option<TypeRef>,
    pub(crate) namespaced: bool,
    /// Selectable fields; their values are kept in each object in this order.
    pub(crate) fields: Vec<SelectableField>,
    /// Brings stored custom resources into their present form.
    pub(crate) custom: Option<Arc<dyn Custom>>,
    /// Whether a client has read messages of such objects.
    messages_are_read: Arc<AtomicBool>,
}

/// Groups whose servers write JSON whatever the media type, as upstream's do.
const ALWAYS_JSON: [&str; 2] = ["apiextensions.k8s.io", "apiregistration.k8s.io"];

impl Form {
    pub(crate) fn new(resource: &ResourceInfo, protobuf: bool) -> Self {
        let kind = resource.storage_kind.clone();
        let message = Schema::builtin().kind(&kind);
        let encoding = match &message {
            Some(ty) if protobuf && !ALWAYS_JSON.contains(&&*kind.group) => Encoding::Protobuf(ty.clone()),
            _ => Encoding::Json,
        };
        let fields = resource.selectable_fields.clone();
        Self {
            kind,
            encoding,
            message,
            namespaced: resource.namespaced,
            fields,
            custom: resource.custom.clone(),
            messages_are_read: Arc::default(),
        }
    }

    /// Somebody reads messages of such objects; others will.
    pub(crate) fn note_reader_of_messages(&self) {
        if !self.messages_are_read() {
            self.messages_are_read.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it is worth it to keep the messages that objects are written as.
    pub(crate) fn messages_are_read(&self) -> bool {
        self.messages_are_read.load(Ordering::Relaxed)
    }

    /// This form with the fields of another served version that shares its storage.
    pub(crate) fn merged(&self, resource: &ResourceInfo) -> Option<Self> {
        let mut form = self.clone();
        form.kind = resource.storage_kind.clone();
        for field in &resource.selectable_fields {
            match form.fields.iter().position(|f| f.label == field.label) {
                None => form.fields.push(field.clone()),
                Some(at) => {
                    let paths = &mut form.fields[at].paths;
                    paths.extend(field.paths.iter().filter(|p| !paths.contains(p)).cloned().collect::<Vec<_>>());
                }
            }
        }
        (form.fields != self.fields || form.kind != self.kind).then_some(form)
    }

    /// The message type of a stored kind, which may be an older version than [`Self::kind`].
    pub(crate) fn message_of(&self, kind: &GroupVersionKind) -> Option<TypeRef> {
        match *kind == self.kind {
            true => self.message.clone(),
            false => Schema::builtin().kind(kind),
        }
    }
}

/// The value of a selectable field: of the first path that leads to a non-empty scalar.
pub(crate) fn field_value(value: &Value, field: &SelectableField) -> String {
    let mut found = field.paths.iter().filter_map(|path| scalar(at_path(value, path)?));
    found.next().unwrap_or_else(|| field.default.clone().into_owned())
}

/// As [`field_value`], of a message.
pub(crate) fn field_of_message(ty: &TypeRef, message: &[u8], field: &SelectableField) -> Result<String, DecodeError> {
    for path in &field.paths {
        let path: Vec<&str> = path.trim_start_matches('.').split('.').collect();
        if let Some(text) = transcode::find(ty, message, &path)?.as_ref().and_then(scalar) {
            return Ok(text);
        }
    }
    Ok(field.default.clone().into_owned())
}

fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.trim_start_matches('.').split('.').try_fold(value, |value, member| value.as_object()?.get(Name::of(member)))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(paths: &[&'static str], default: &'static str) -> SelectableField {
        let paths = paths.iter().map(|p| (*p).into()).collect();
        SelectableField { label: "f".into(), paths, default: default.into() }
    }

    #[test]
    fn finds_field_values() {
        let object = json!({"spec": {"nodeName": "n1", "hostNetwork": true, "n": 3, "empty": "", "list": [1]}});
        for (paths, default, expected) in [
            (&["spec.nodeName"][..], "", "n1"),
            (&[".spec.nodeName"], "", "n1"),
            (&["spec.hostNetwork"], "false", "true"),
            (&["spec.n"], "0", "3"),
            (&["spec.empty", "spec.nodeName"], "", "n1"),
            (&["spec.absent"], "false", "false"),
            (&["spec.list"], "", ""),
            (&["spec.nodeName.deeper"], "x", "x"),
        ] {
            assert_eq!(field_value(&object, &field(paths, default)), expected, "{paths:?}");
        }
    }
}
