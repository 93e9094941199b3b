//! One stored object, encoded once and shared by the cache, lists and watches.

mod metadata;

use crate::form::Form;
use apimachinery::Value;
use apimachinery::codec::DecodeError;
use apimachinery::codec::protobuf::{self, transcode};
use apimachinery::schema::TypeRef;
use bytes::Bytes;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Up to how many bytes of JSON an object's other encoding is kept.
const KEPT_ENCODING: usize = 16 << 10;

/// An object at one revision. Handed out as `Arc<Object>`, never changed.
///
/// A cluster holds 150,000 pods in this form: the parsed parts share one allocation for their
/// text and one for their bounds, and what few clients ask for is made on demand.
#[derive(Debug)]
pub struct Object {
    form: Arc<Form>,
    json: Bytes,
    parts: Parts,
    revision: u64,
    /// Where the digits of `resourceVersion` start in `json`.
    revision_at: u32,
    /// Where the members after `kind` and `apiVersion` start in `json`.
    body_at: u32,
    encoding: StoredAs,
    derived: OnceLock<Box<Derived>>,
}

/// Whether the bytes in etcd are what this server would write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoredAs {
    Current,
    /// Another encoding or version: an update without a change rewrites it.
    Outdated,
}

/// What selectors, field selectors and authorization look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Key, uid, the form's fields, then label keys and values in turns.
    text: Box<str>,
    /// Where each of them ends in `text`.
    ends: Box<[u32]>,
    /// Where the namespace starts in the key.
    namespace_at: u32,
    /// Where the name starts in the key.
    name_at: u32,
}

#[derive(Debug, Default)]
struct Derived {
    protobuf: OnceLock<Bytes>,
    protobuf_len: OnceLock<usize>,
    row: OnceLock<Bytes>,
    /// The object in other versions, by `apiVersion`.
    converted: Mutex<Vec<(Box<str>, Arc<Object>)>>,
}

impl Object {
    pub(crate) fn new(form: Arc<Form>, parts: Parts, template: &crate::encode::Json, revision: u64) -> Self {
        let (head, tail) = template.bytes.split_at(template.revision_at as usize);
        Self {
            json: splice(head, revision, tail),
            form,
            parts,
            revision,
            revision_at: template.revision_at,
            body_at: template.body_at,
            encoding: StoredAs::Current,
            derived: OnceLock::new(),
        }
    }

    pub(crate) fn stored_as(mut self, encoding: StoredAs) -> Self {
        self.encoding = encoding;
        self
    }

    pub(crate) fn is_stored_as_written(&self) -> bool {
        self.encoding == StoredAs::Current
    }

    /// The same object with another `resourceVersion`: how a deletion shows it.
    pub(crate) fn at_revision(&self, revision: u64) -> Self {
        let (head, tail) = self.around_revision();
        Self {
            form: self.form.clone(),
            json: splice(head, revision, tail),
            parts: self.parts.clone(),
            revision,
            revision_at: self.revision_at,
            body_at: self.body_at,
            encoding: self.encoding,
            derived: OnceLock::new(),
        }
    }

    /// The same object taken apart along another form.
    pub(crate) fn reformed(&self, form: Arc<Form>, parts: Parts) -> Self {
        Self {
            form,
            json: self.json.clone(),
            parts,
            revision: self.revision,
            revision_at: self.revision_at,
            body_at: self.body_at,
            encoding: self.encoding,
            derived: OnceLock::new(),
        }
    }

    /// Whether it would be encoded as this template.
    pub(crate) fn is_encoded_as(&self, template: &crate::encode::Json) -> bool {
        let (head, tail) = template.bytes.split_at(template.revision_at as usize);
        self.around_revision() == (head, tail)
    }

    fn around_revision(&self) -> (&[u8], &[u8]) {
        let at = self.revision_at as usize;
        let digits = self.json[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (&self.json[..at], &self.json[at + digits..])
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(crate) fn form(&self) -> &Arc<Form> {
        &self.form
    }

    /// Field labels and values.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.form.fields.iter().enumerate().map(|(at, field)| (&*field.label, self.parts.field(at)))
    }

    /// Labels.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.labels(self.form.fields.len())
    }

    /// Memory, roughly.
    pub(crate) fn size(&self) -> usize {
        self.json.len() + self.parts.text.len() + self.parts.ends.len() * 4 + size_of::<Self>()
    }

    /// The key below the storage prefix, such as `pods/default/a`.
    pub fn key(&self) -> &str {
        self.parts.part(0)
    }

    /// etcd's modification revision: the object's `resourceVersion`.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// `metadata.namespace`; empty if cluster-scoped.
    pub fn namespace(&self) -> &str {
        let (start, end) = (self.parts.namespace_at as usize, self.parts.name_at as usize);
        self.key().get(start..end.saturating_sub(1)).unwrap_or_default()
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.key().get(self.parts.name_at as usize..).unwrap_or_default()
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        self.parts.part(1)
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels().find(|(label, _)| *label == key).map(|(_, value)| value)
    }

    /// A declared selectable field's value (`metadata.name` and `metadata.namespace` included).
    pub fn field(&self, label: &str) -> Option<&str> {
        match label {
            "metadata.name" => Some(self.name()),
            "metadata.namespace" => Some(self.namespace()),
            _ => self.fields().find(|(field, _)| *field == label).map(|(_, value)| value),
        }
    }

    /// The whole object as JSON in its storage version, `kind` and `apiVersion` first,
    /// `resourceVersion` in place.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The bytes of [`Self::json`] after `{"kind":"…","apiVersion":"…",`: lists of built-in
    /// kinds print `{` and this, as upstream does.
    pub fn json_without_kind(&self) -> Bytes {
        self.json.slice(self.body_at as usize..)
    }

    /// Where the value of `metadata` stands in [`Self::json`].
    pub fn metadata(&self) -> Range<usize> {
        metadata::find(&self.json, self.body_at as usize, self.revision_at as usize).unwrap_or_default()
    }

    /// The object as a tree, parsed anew on each call.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    /// The object as a bare protobuf message with `resourceVersion`. That of a small object is
    /// made once and kept; a large one's is made for each caller, as lists of large objects would
    /// otherwise double what the cache holds. `None` for types without a protobuf form.
    pub fn protobuf(&self) -> Option<Bytes> {
        let message = self.form.message.as_ref()?;
        self.form.note_reader_of_messages();
        let make = || Bytes::from(protobuf::encode(message, &self.value()));
        match self.json.len() <= KEPT_ENCODING {
            true => Some(self.derived().protobuf.get_or_init(make).clone()),
            false => Some(make()),
        }
    }

    /// Keeps the message that the object lies in etcd as, if its like is read and it is small: it need not be made of the
    /// JSON then.
    pub(crate) fn keep_message(&self, stored: &[u8]) {
        if !self.form.messages_are_read() || self.form.message.is_none() || self.json.len() > KEPT_ENCODING {
            return;
        }
        if let Some(message) = protobuf::with_revision(stored, itoa::Buffer::new().format(self.revision)) {
            self.derived().protobuf.get_or_init(|| message.into());
        }
    }

    /// How many bytes [`Self::protobuf`] has; found once and kept, whatever the size.
    pub fn protobuf_len(&self) -> usize {
        *self.derived().protobuf_len.get_or_init(|| self.protobuf().map_or(0, |message| message.len()))
    }

    /// A form derived from the object, such as its Table row as JSON, made once and kept.
    /// `make` must not depend on anything but the object.
    pub fn row(&self, make: impl FnOnce(&Self) -> Bytes) -> &Bytes {
        self.derived().row.get_or_init(|| make(self))
    }

    /// Whether the JSON is of this `apiVersion`.
    pub fn is_of_version(&self, api_version: &str) -> bool {
        let head = self.json.get(..self.body_at as usize).unwrap_or_default();
        let quoted = head.strip_suffix(b"\",").and_then(|head| head.strip_suffix(api_version.as_bytes()));
        quoted.is_some_and(|head| head.ends_with(b"\"apiVersion\":\""))
    }

    /// The object in another version, if [`Self::keep_converted`] has been given it.
    pub fn converted(&self, api_version: &str) -> Option<Arc<Object>> {
        let converted = self.derived.get()?.converted.lock();
        converted.iter().find(|(version, _)| **version == *api_version).map(|(_, object)| object.clone())
    }

    /// Keeps the object in another version: it is converted once, however often it is read.
    pub fn keep_converted(&self, api_version: &str, mut value: Value) -> Arc<Object> {
        let draft = crate::encode::Draft::new(&self.form, self.key(), &mut value);
        let object = Arc::new(draft.at(self.revision));
        self.derived().converted.lock().push((api_version.into(), object.clone()));
        object
    }

    #[cfg(test)]
    pub(crate) fn has_message(&self) -> bool {
        self.derived.get().is_some_and(|derived| derived.protobuf.get().is_some())
    }

    fn derived(&self) -> &Derived {
        self.derived.get_or_init(Box::default)
    }
}

/// Puts the revision between two halves of an encoded object.
fn splice(head: &[u8], revision: u64, tail: &[u8]) -> Bytes {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(revision).as_bytes();
    let mut bytes = Vec::with_capacity(head.len() + digits.len() + tail.len());
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(digits);
    bytes.extend_from_slice(tail);
    bytes.into()
}

impl Parts {
    /// Takes an object apart.
    pub(crate) fn of(form: &Form, key: &str, value: &Value) -> Self {
        use apimachinery::meta::ObjectMeta;
        let fields = form.fields.iter().map(|field| crate::form::field_value(value, field));
        let labels = value.labels().into_iter().flatten();
        let labels = labels.filter_map(|(label, value)| Some((label.as_str(), value.as_str()?)));
        Self::collect(form, key, value.uid(), fields, labels)
    }

    /// Takes a message apart as its tree would be.
    pub(crate) fn of_message(form: &Form, key: &str, ty: &TypeRef, message: &[u8]) -> Result<Self, DecodeError> {
        let uid = transcode::find(ty, message, &["metadata", "uid"])?;
        let uid = uid.as_ref().and_then(Value::as_str).unwrap_or_default();
        let fields = form.fields.iter().map(|field| crate::form::field_of_message(ty, message, field));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        let labels = transcode::strings(ty, message, &["metadata", "labels"])?;
        let labels = labels.iter().map(|(label, value)| (label.as_str(), value.as_str()));
        Ok(Self::collect(form, key, uid, fields.into_iter(), labels))
    }

    fn collect<'a>(
        form: &Form,
        key: &str,
        uid: &str,
        fields: impl Iterator<Item = String>,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut parts = Collector::default();
        parts.push(key);
        parts.push(uid);
        fields.for_each(|field| parts.push(&field));
        labels.for_each(|(label, text)| {
            parts.push(label);
            parts.push(text);
        });
        let name_at = key.rfind('/').map_or(0, |slash| slash + 1);
        let namespace_at = match form.namespaced {
            true => key[..name_at.saturating_sub(1)].rfind('/').map_or(0, |slash| slash + 1),
            false => name_at,
        };
        parts.finish(namespace_at, name_at)
    }

    fn part(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends.get(at - 1).map_or(0, |end| *end as usize) };
        let end = self.ends.get(at).map_or(start, |end| *end as usize);
        self.text.get(start..end).unwrap_or_default()
    }

    fn field(&self, at: usize) -> &str {
        self.part(2 + at)
    }

    fn labels(&self, fields: usize) -> impl Iterator<Item = (&str, &str)> {
        (2 + fields..self.ends.len()).step_by(2).map(|at| (self.part(at), self.part(at + 1)))
    }
}

#[derive(Default)]
struct Collector {
    text: String,
    ends: Vec<u32>,
}

impl Collector {
    fn push(&mut self, part: &str) {
        self.text.push_str(part);
        // Values are bounded by etcd's request limit, far below 4 GiB.
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    fn finish(self, namespace_at: usize, name_at: usize) -> Parts {
        let at = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Parts {
            text: self.text.into_boxed_str(),
            ends: self.ends.into_boxed_slice(),
            namespace_at: at(namespace_at),
            name_at: at(name_at),
        }
    }
}
