//! Watch events as frames, spliced from the objects' bytes.
//!
//! Upstream: `apiserver/pkg/endpoints/handlers/watch.go`.

use super::{object, table, wire};
use crate::error;
use crate::negotiate::{Media, Output, View};
use apimachinery::codec::protobuf;
use apimachinery::resources::ResourceInfo;
use apiserver_registry::Registry;
use apiserver_storage::{Event, EventKind, Object, StorageError};
use bytes::Bytes;
use std::sync::Arc;

/// Turns events into frames of one watch.
pub struct Encoder {
    resource: Arc<ResourceInfo>,
    registry: Arc<Registry>,
    output: Output,
    /// The columns go with the first event of a watch of Tables only.
    columns_sent: bool,
    converts: bool,
}

impl Encoder {
    /// An encoder for one watch.
    pub fn new(resource: Arc<ResourceInfo>, registry: Arc<Registry>, output: Output) -> Self {
        let converts = resource.custom.is_none() && resource.gvk() != resource.storage_kind;
        Self { resource, registry, output, columns_sent: false, converts }
    }

    /// Appends an event; `true` if the watch ends with it.
    pub fn push(&mut self, event: Result<Event, StorageError>, out: &mut Vec<u8>) -> bool {
        match event {
            Ok(Event::Change { kind, object }) => {
                let bytes = self.object(&object);
                self.frame(kind_name(kind), &bytes, out);
                false
            }
            Ok(Event::Bookmark { revision, initial_events_end }) => {
                let bytes = self.bookmark(revision, initial_events_end);
                self.frame("BOOKMARK", &bytes, out);
                false
            }
            Err(StorageError::Closed) => true,
            Err(error) => {
                let status = error::watch_status(&error);
                self.frame("ERROR", &object::status(&status, Output { pretty: false, ..self.output }), out);
                true
            }
        }
    }

    fn frame(&self, kind: &str, object: &[u8], out: &mut Vec<u8>) {
        match self.output.media {
            Media::Protobuf => protobuf_frame(kind, object, out),
            _ => json_frame(kind, object, out),
        }
    }

    fn object(&mut self, object: &Arc<Object>) -> Bytes {
        match self.output.view {
            View::Table => {
                let columns = !std::mem::replace(&mut self.columns_sent, true);
                let mut row = Vec::new();
                table::Rows::new(&self.resource, self.output).push(object, &mut row);
                table::of_row(object.revision(), columns.then_some(&*self.resource), &row, self.output)
            }
            View::Whole if self.converts => match self.registry.convert(&self.resource, object) {
                Some(value) => object::value(&value, &self.resource.schema, &self.resource, self.output),
                None => object::stored(object, &self.resource, self.output),
            },
            _ => object::stored(object, &self.resource, self.output),
        }
    }

    fn bookmark(&mut self, revision: u64, end: bool) -> Bytes {
        let (kind, api_version) = match self.output.view {
            View::Whole => (&*self.resource.kind, self.resource.api_version()),
            _ => ("PartialObjectMetadata", meta_version(self.output.beta).to_owned()),
        };
        let annotations = if end { r#","annotations":{"k8s.io/initial-events-end":"true"}"# } else { "" };
        let text = format!(
            r#"{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{{"resourceVersion":"{revision}"{annotations}}}}}"#
        );
        match (self.output.view, self.output.media) {
            (View::Table, _) => {
                let columns = !std::mem::replace(&mut self.columns_sent, true);
                let row = format!(r#"{{"cells":[],"object":{text}}}"#);
                table::of_row(revision, columns.then_some(&*self.resource), row.as_bytes(), self.output)
            }
            (_, Media::Protobuf) => {
                let gvk = apimachinery::gvk::GroupVersionKind::parse(&api_version, kind);
                let value: apimachinery::Value = serde_json::from_str(&text).unwrap_or_default();
                let message = protobuf::encode(&self.resource.schema, &value);
                // Only the metadata: a partial object has nothing else, and a whole one needs nothing else.
                let metadata = wire::first_field(&message).unwrap_or_default();
                gvk.map(|gvk| protobuf::wrap(&gvk, metadata)).unwrap_or_default().into()
            }
            _ => text.into(),
        }
    }
}

/// The group version of tables and partial objects.
pub(super) fn meta_version(beta: bool) -> &'static str {
    if beta { "meta.k8s.io/v1beta1" } else { "meta.k8s.io/v1" }
}

fn kind_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Added => "ADDED",
        EventKind::Modified => "MODIFIED",
        EventKind::Deleted => "DELETED",
    }
}

fn json_frame(kind: &str, object: &[u8], out: &mut Vec<u8>) {
    out.reserve(object.len() + 40);
    out.extend_from_slice(br#"{"type":""#);
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(br#"","object":"#);
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
}

/// Length in four bytes, then `WatchEvent` without an envelope; the object in it has one.
fn protobuf_frame(kind: &str, object: &[u8], out: &mut Vec<u8>) {
    let raw = wire::field_len(object.len());
    let len = wire::field_len(kind.len()) + wire::field_len(raw);
    out.reserve(len + 4);
    out.extend_from_slice(&(len as u32).to_be_bytes());
    wire::field(out, 1, kind.as_bytes());
    wire::field_head(out, 2, raw);
    wire::field(out, 1, object);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_frames_are_lines() {
        let mut out = Vec::new();
        json_frame("ADDED", b"{}", &mut out);
        assert_eq!(out, b"{\"type\":\"ADDED\",\"object\":{}}\n");
    }

    #[test]
    fn protobuf_frames_have_their_length() {
        let mut out = Vec::new();
        protobuf_frame("ADDED", &[9; 300], &mut out);
        let len = u32::from_be_bytes(out[..4].try_into().expect("four bytes")) as usize;
        assert_eq!(len, out.len() - 4);
        assert_eq!(&out[4..12], b"\x0a\x05ADDED\x12");
    }
}
