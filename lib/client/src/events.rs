//! Recording `Event` objects: correlated, rate-limited, never blocking the caller.
//!
//! Upstream: `client-go/tools/record`.

use k8s_openapi::api::core::v1::ObjectReference;

/// Records events for one component. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {}

impl Recorder {
    /// A recorder for `component` (on `host`, empty if none), and the future that sends.
    pub fn new(
        _client: kube::Client,
        _component: &str,
        _host: &str,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        (Self {}, async {})
    }

    /// A `Normal` event about `object`.
    pub fn normal(&self, _object: &ObjectReference, _reason: &str, _message: impl Into<String>) {}

    /// A `Warning` event about `object`.
    pub fn warning(&self, _object: &ObjectReference, _reason: &str, _message: impl Into<String>) {}
}

/// A reference to a typed object.
pub fn reference<K>(_object: &K) -> ObjectReference
where
    K: kube::Resource<DynamicType = ()>,
{
    unimplemented!()
}
