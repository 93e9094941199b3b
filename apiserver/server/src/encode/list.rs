//! Lists, made piece by piece as the client takes them.

use super::indent::Indenter;
use super::{json, object, table, wire};
use crate::body::Body;
use crate::negotiate::{Media, Output, View};
use apimachinery::Value;
use apimachinery::codec::{protobuf, yaml};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::resources::ResourceInfo;
use apimachinery::schema::Schema;
use apiserver_registry::Registry;
use apiserver_storage::{ListPage, Object};
use bytes::Bytes;
use rules::tables;
use std::sync::Arc;

/// A short list of objects that are not stored.
pub fn of_values(items: Vec<Value>, resource: &ResourceInfo, output: Output) -> Bytes {
    let (kind, items) = match output.view {
        View::Table => {
            return object::text(table::of_values(&items, resource, output), output.media, output.pretty);
        }
        View::Metadata => {
            let version = if output.beta { "v1beta1" } else { "v1" };
            let kind = GroupVersionKind::new("meta.k8s.io", version, "PartialObjectMetadataList");
            (kind, items.iter().map(|item| object::partial_value(item, output)).collect())
        }
        View::Whole => {
            let kind =
                GroupVersionKind::new(resource.group.clone(), resource.version.clone(), resource.list_kind.clone());
            (kind, items.into_iter().map(without_kind).collect::<Vec<Value>>())
        }
    };
    let list = serde_json::json!({
        "kind": kind.kind, "apiVersion": kind.api_version(), "metadata": {}, "items": items,
    });
    match (output.media, Schema::builtin().kind(&kind)) {
        (Media::Protobuf, Some(ty)) => protobuf::wrap(&kind, &protobuf::encode(&ty, &list)).into(),
        (media, _) => object::text(json(&list), media, output.pretty),
    }
}

/// Items of built-in lists do not repeat their kind.
fn without_kind(mut item: Value) -> Value {
    if let Some(members) = item.as_object_mut() {
        members.remove("kind");
        members.remove("apiVersion");
    }
    item
}

/// Bytes that a piece holds at least, unless it is the last.
const PIECE: usize = 32 * 1024;

/// What a list is made of.
pub struct Source {
    /// The objects.
    pub page: ListPage,
    /// Their resource in the requested version.
    pub resource: Arc<ResourceInfo>,
    /// Converts objects that are stored in another version.
    pub registry: Arc<Registry>,
    /// The form asked for.
    pub output: Output,
}

/// Appends one item's bytes.
type Item = Box<dyn FnMut(&Arc<Object>, &mut Vec<u8>) + Send>;

/// A list as an iterator of pieces.
struct Pieces {
    head: Vec<u8>,
    items: std::vec::IntoIter<Arc<Object>>,
    item: Item,
    separator: &'static [u8],
    first: bool,
    tail: Option<Vec<u8>>,
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.tail.as_ref()?;
        let mut out = std::mem::take(&mut self.head);
        out.reserve(PIECE + PIECE / 4);
        while out.len() < PIECE {
            let Some(object) = self.items.next() else {
                out.extend(self.tail.take().unwrap_or_default());
                break;
            };
            if !std::mem::replace(&mut self.first, false) {
                out.extend_from_slice(self.separator);
            }
            (self.item)(&object, &mut out);
        }
        Some(out.into())
    }
}

/// The list as a body.
pub fn body(source: Source) -> Body {
    let output = source.output;
    let (pieces, length) = match (output.view, output.media) {
        (View::Whole, Media::Protobuf) => protobuf_pieces(source),
        (View::Metadata, Media::Protobuf) => protobuf_pieces(source),
        (_, Media::Yaml) => (yaml_pieces(source), None),
        (View::Whole, _) => whole_pieces(source),
        (View::Metadata, _) => (metadata_pieces(source), None),
        (View::Table, _) => (table_pieces(source), None),
    };
    match output.pretty {
        true => {
            let mut indenter = Indenter::default();
            let end = std::iter::once(Bytes::from_static(b"\n"));
            Body::Pieces { pieces: Box::new(pieces.map(move |p| indenter.piece(&p)).chain(end)), length: None }
        }
        false => Body::Pieces { pieces: Box::new(pieces), length },
    }
}

impl Source {
    fn pieces(self, head: Vec<u8>, item: Item, tail: &[u8]) -> Pieces {
        let items = self.page.items.into_iter();
        Pieces { head, items, item, separator: b",", first: true, tail: Some(tail.to_vec()) }
    }

    /// The kind and version of the list that is sent.
    fn kind(&self) -> (&str, String) {
        let version = if self.output.beta { "meta.k8s.io/v1beta1" } else { "meta.k8s.io/v1" };
        match self.output.view {
            View::Whole => (&*self.resource.list_kind, self.resource.api_version()),
            View::Table => ("Table", version.to_owned()),
            View::Metadata => ("PartialObjectMetadataList", version.to_owned()),
        }
    }

    fn head(&self, then: &str) -> Vec<u8> {
        let (kind, api_version) = self.kind();
        let metadata = list_metadata(&self.page, *kind == *self.resource.list_kind && !is_builtin(&self.resource));
        format!(r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{metadata},{then}"#).into_bytes()
    }

    /// Whether the stored bytes can be used as they are.
    fn stored_as_served(&self) -> bool {
        self.resource.custom.is_some() || self.resource.gvk() == self.resource.storage_kind
    }
}

/// `ListMeta` as JSON.
pub(super) fn list_metadata(page: &ListPage, custom: bool) -> String {
    let mut text = format!(r#"{{"resourceVersion":"{}""#, page.revision);
    // Upstream's lists of custom resources are maps, in which what is empty is not left out.
    if custom || !page.continue_token.is_empty() {
        text.push_str(&format!(r#","continue":"{}""#, page.continue_token));
    }
    if let Some(remaining) = page.remaining {
        text.push_str(&format!(r#","remainingItemCount":{remaining}"#));
    }
    text.push('}');
    text
}

/// Whether a resource is no custom one.
fn is_builtin(resource: &ResourceInfo) -> bool {
    Arc::ptr_eq(&resource.schema.schema, Schema::builtin())
}

fn whole_pieces(source: Source) -> (Pieces, Option<u64>) {
    let head = source.head("\"items\":[");
    const TAIL: &[u8] = b"]}";
    if !source.stored_as_served() {
        let item = converted_item(&source);
        return (source.pieces(head, item, TAIL), None);
    }
    let builtin = is_builtin(&source.resource);
    let size = |o: &Arc<Object>| if builtin { o.json_without_kind().len() + 1 } else { o.json().len() };
    let commas = source.page.items.len().saturating_sub(1);
    let length = head.len() + source.page.items.iter().map(size).sum::<usize>() + commas + TAIL.len();
    let item: Item = match builtin {
        true => Box::new(|object, out| {
            out.push(b'{');
            out.extend_from_slice(&object.json_without_kind());
        }),
        false => Box::new(|object, out| out.extend_from_slice(object.json())),
    };
    (source.pieces(head, item, TAIL), Some(length as u64))
}

fn converted_item(source: &Source) -> Item {
    let (registry, resource) = (source.registry.clone(), source.resource.clone());
    let builtin = is_builtin(&resource);
    Box::new(move |object, out| match registry.convert(&resource, object) {
        Some(value) => {
            let value = if builtin { without_kind(value) } else { value };
            out.extend_from_slice(&json(&value));
        }
        None => out.extend_from_slice(object.json()),
    })
}

fn metadata_pieces(source: Source) -> Pieces {
    let head = source.head("\"items\":[");
    let output = source.output;
    source.pieces(head, Box::new(move |o, out| out.extend_from_slice(&object::partial_metadata(o, output))), b"]}")
}

fn table_pieces(source: Source) -> Pieces {
    let output = source.output;
    // Upstream makes a list of rows before it prints, but where it prints names and times only.
    let (start, end) = match source.page.items.is_empty() && tables::is_plain(&source.resource) {
        true => ("null", &b"}"[..]),
        false => ("[", &b"]}"[..]),
    };
    let columns = format!("\"columnDefinitions\":{},\"rows\":{start}", table::columns(&source.resource));
    let head = source.head(&columns);
    let resource = source.resource.clone();
    source.pieces(head, Box::new(move |o, out| table::Rows::new(&resource, output).push(o, out)), end)
}

/// YAML as upstream prints it, keys sorted: rows stand behind all else, items before the kind.
fn yaml_pieces(source: Source) -> Pieces {
    let (kind, api_version) = source.kind();
    let custom = *kind == *source.resource.list_kind && !is_builtin(&source.resource);
    let metadata: Value = serde_json::from_str(&list_metadata(&source.page, custom)).unwrap_or_default();
    let mut before = serde_json::json!({"apiVersion": api_version});
    let mut behind = serde_json::json!({"kind": kind, "metadata": metadata});
    let mut list = "items";
    if source.output.view == View::Table {
        list = "rows";
        let columns = serde_json::from_str::<Value>(&table::columns(&source.resource)).unwrap_or_default();
        before = serde_json::json!({"apiVersion": api_version, "columnDefinitions": columns, "kind": kind, "metadata": behind["metadata"].take()});
        behind = Value::Null;
    }
    let none = match source.page.items.is_empty() {
        true if list == "rows" && tables::is_plain(&source.resource) => " null",
        true => " []",
        false => "",
    };
    let head = format!("{}{list}:{none}\n", yaml::to_string(&before));
    let tail = if behind.is_null() { String::new() } else { yaml::to_string(&behind) };
    let value = yaml_item(&source);
    let item: Item = Box::new(move |object, out| {
        // As a list of its own it has the indentation that it has in this one.
        out.extend_from_slice(yaml::to_string(&Value::Array(vec![value(object)])).as_bytes());
    });
    let mut pieces = source.pieces(head.into_bytes(), item, tail.as_bytes());
    pieces.separator = b"";
    pieces
}

/// What makes the trees of a list's items or rows.
fn yaml_item(source: &Source) -> Box<dyn Fn(&Arc<Object>) -> Value + Send> {
    let (resource, output) = (source.resource.clone(), source.output);
    let tree = |text: &[u8]| serde_json::from_slice(text).unwrap_or_default();
    match output.view {
        View::Table => Box::new(move |object| {
            let mut row = Vec::new();
            table::Rows::new(&resource, output).push(object, &mut row);
            tree(&row)
        }),
        View::Metadata => Box::new(move |object| tree(&object::partial_metadata(object, output))),
        View::Whole => {
            let (registry, builtin) = (source.registry.clone(), is_builtin(&resource));
            Box::new(move |object| {
                let value = registry.convert(&resource, object).unwrap_or_else(|| object.value());
                if builtin { without_kind(value) } else { value }
            })
        }
    }
}

fn protobuf_pieces(source: Source) -> (Pieces, Option<u64>) {
    let message = message_of(&source);
    let stored = source.stored_as_served() && source.output.view == View::Whole;
    let length = |object: &Arc<Object>| if stored { object.protobuf_len() } else { message(object).len() };
    let items: usize = source.page.items.iter().map(|object| wire::field_len(length(object))).sum();
    let meta = wire::list_meta(source.page.revision, &source.page.continue_token, source.page.remaining);
    let kind = match source.output.view {
        View::Whole => {
            let r = &source.resource;
            GroupVersionKind::new(r.group.clone(), r.version.clone(), r.list_kind.clone())
        }
        _ => {
            let version = if source.output.beta { "v1beta1" } else { "v1" };
            GroupVersionKind::new("meta.k8s.io", version, "PartialObjectMetadataList")
        }
    };
    let mut head = wire::envelope_head(&kind, wire::field_len(meta.len()) + items);
    wire::field(&mut head, 1, &meta);
    let length = head.len() + items + wire::ENVELOPE_TAIL.len();
    let item: Item = Box::new(move |object, out| wire::field(out, 2, &message(object)));
    let mut pieces = source.pieces(head, item, wire::ENVELOPE_TAIL);
    pieces.separator = b"";
    (pieces, Some(length as u64))
}

/// Makes the message of an object.
type Message = Box<dyn Fn(&Arc<Object>) -> Bytes + Send>;

/// An object as the message that stands in the list.
fn message_of(source: &Source) -> Message {
    let (registry, resource) = (source.registry.clone(), source.resource.clone());
    let metadata = source.output.view == View::Metadata;
    let as_stored = source.stored_as_served() || metadata;
    Box::new(move |object| {
        let stored = || object.protobuf().unwrap_or_default();
        let whole = match as_stored {
            true => stored(),
            false => match registry.convert(&resource, object) {
                Some(value) => protobuf::encode(&resource.schema, &value).into(),
                None => stored(),
            },
        };
        match (metadata, wire::first_field(&whole)) {
            (true, Some(first)) => whole.slice_ref(first),
            _ => whole,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(continue_token: &str, remaining: Option<u64>) -> ListPage {
        ListPage { items: Vec::new(), revision: 7, continue_token: continue_token.into(), remaining }
    }

    #[test]
    fn lists_of_what_is_not_stored() {
        let resource = apimachinery::resources::find("", "v1", "componentstatuses").expect("built in");
        let item = serde_json::json!({"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": "etcd-0"},
            "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]});
        let of = |output: Output| of_values(vec![item.clone(), item.clone()], resource, output);
        let parsed = |output| serde_json::from_slice::<Value>(&of(output)).expect("JSON");
        let list = parsed(Output::default());
        assert_eq!((&list["kind"], &list["metadata"]), (&"ComponentStatusList".into(), &serde_json::json!({})));
        assert_eq!((list["items"].as_array().map(Vec::len), list["items"][0].get("kind")), (Some(2), None));
        let table = parsed(Output { view: View::Table, ..Output::default() });
        assert_eq!(table["rows"][1]["cells"], serde_json::json!(["etcd-0", "Healthy", "ok", ""]));
        let partial = parsed(Output { view: View::Metadata, ..Output::default() });
        assert_eq!(partial["items"][0]["kind"], "PartialObjectMetadata");
        let message = of(Output { media: Media::Protobuf, ..Output::default() });
        assert!(message.starts_with(b"k8s\0"));
    }

    #[test]
    fn list_metadata_leaves_out_what_is_empty() {
        assert_eq!(list_metadata(&page("", None), false), r#"{"resourceVersion":"7"}"#);
        assert_eq!(list_metadata(&page("", None), true), r#"{"resourceVersion":"7","continue":""}"#);
        assert_eq!(
            list_metadata(&page("abc", Some(3)), false),
            r#"{"resourceVersion":"7","continue":"abc","remainingItemCount":3}"#
        );
    }
}
