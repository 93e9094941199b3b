//! The verbs. The server parses and authorizes a request, calls one of these, and encodes the reply.

use crate::Context;
use crate::admission::Chain;
use apimachinery::Value;
use apimachinery::resources::ResourceInfo;
use apimachinery::schema::TypeRef;
use apimachinery::status::Status;
use apiserver_storage::{ListPage, ListQuery, Object, Store, Watch, WatchQuery};
use bytes::Bytes;
use std::sync::Arc;

/// A request body as it came: decoding needs the target type, which the registry knows.
#[derive(Clone, Debug)]
pub struct Body {
    /// The bytes, at most 3 MiB.
    pub bytes: Bytes,
    /// How they are encoded.
    pub format: Format,
}

/// Encodings of request bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Json,
    Yaml,
    Protobuf,
}

/// The kind of a patch, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    /// Server-side apply.
    Apply,
}

/// What a verb answers. The server encodes it as JSON, YAML, protobuf, Table or metadata only.
#[derive(Debug)]
pub enum Reply {
    /// A stored object; its bytes are spliced. If the requested version differs from the stored
    /// one, the registry answers [`Reply::Value`] instead.
    Object(Arc<Object>),
    /// An object that is not stored as such (dry run, review, scale, status of a delete).
    Value {
        /// The tree, `kind` and `apiVersion` set.
        value: Value,
        /// Its type, for protobuf.
        ty: TypeRef,
    },
    /// Created: as `Object`, with HTTP 201.
    Created(Box<Reply>),
    /// Accepted, still being deleted: as `Object`, with HTTP 202.
    Accepted(Box<Reply>),
}

/// All resources of one apiserver.
#[derive(Debug)]
pub struct Registry {
    /// Where objects lie.
    pub store: Store,
    /// Admission.
    pub admission: Chain,
}

impl Registry {
    /// GET of an object or of a subresource that is one (`status`, `scale`).
    pub async fn get(&self, _cx: &Context, _at: apiserver_storage::Match) -> Result<Reply, Status> {
        unimplemented!()
    }

    /// GET of a collection.
    pub async fn list(&self, _cx: &Context, _query: &ListQuery) -> Result<ListPage, Status> {
        unimplemented!()
    }

    /// A watch.
    pub async fn watch(&self, _cx: &Context, _query: &WatchQuery) -> Result<Watch, Status> {
        unimplemented!()
    }

    /// POST: creates an object, or runs a subresource or review (`binding`, `eviction`, `token`, …).
    pub async fn create(&self, _cx: &Context, _body: Body) -> Result<Reply, Status> {
        unimplemented!()
    }

    /// PUT.
    pub async fn update(&self, _cx: &Context, _body: Body) -> Result<Reply, Status> {
        unimplemented!()
    }

    /// PATCH. `force` is server-side apply's.
    pub async fn patch(&self, _cx: &Context, _kind: PatchType, _force: bool, _body: Body) -> Result<Reply, Status> {
        unimplemented!()
    }

    /// DELETE of one object; `options` is `meta/v1.DeleteOptions` merged from body and query.
    pub async fn delete(&self, _cx: &Context, _options: &Value) -> Result<Reply, Status> {
        unimplemented!()
    }

    /// DELETE of a collection: the objects deleted, as a list.
    pub async fn delete_collection(
        &self,
        _cx: &Context,
        _options: &Value,
        _query: &ListQuery,
    ) -> Result<ListPage, Status> {
        unimplemented!()
    }

    /// A resource of this group, version and plural name, built in or custom.
    pub fn resource(&self, _group: &str, _version: &str, _plural: &str) -> Option<Arc<ResourceInfo>> {
        unimplemented!()
    }

    /// An object of the requested version from a stored one, if they differ (`events`,
    /// `horizontalpodautoscalers` v1, custom resources); `None` if the bytes can be used as they are.
    pub fn convert(&self, _resource: &ResourceInfo, _object: &Object) -> Option<Value> {
        unimplemented!()
    }
}
