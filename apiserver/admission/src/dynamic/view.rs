//! What the expressions of one webhook or policy see of a request.
//!
//! Upstream: `apiserver/pkg/admission/plugin/cel/activation.go`.

use super::request::{Target, describe};
use crate::builder::Authorize;
use apimachinery::Value as Json;
use apimachinery::status::Status;
use apiserver_registry::UserInfo;
use apiserver_registry::admission::Attributes;
use cel::{Bindings, Check, Value, Variable, Verdict};
use std::borrow::Cow;
use std::sync::Arc;

/// A request as expressions see it.
pub(crate) struct View<'a> {
    object: Cow<'a, Json>,
    old_object: Cow<'a, Json>,
    request: Json,
    /// The namespace of the object; `null` if there is none.
    namespace: &'a Json,
    authorizer: Asking,
}

/// The server's authorizer on behalf of the request's user.
struct Asking {
    authorizer: Option<Arc<dyn Authorize>>,
    user: Arc<UserInfo>,
    request: Check,
}

impl cel::Authorize for Asking {
    fn authorize(&self, check: &Check) -> Verdict {
        match &self.authorizer {
            Some(authorizer) => authorizer.authorize(&self.user, check),
            None => Verdict { allowed: false, reason: String::new(), error: Some("no authorizer".into()) },
        }
    }
}

impl<'a> View<'a> {
    /// The request as `target`.
    pub(crate) async fn new(
        attributes: &'a Attributes<'_>,
        target: &Target,
        namespace: &'a Json,
        authorizer: Option<Arc<dyn Authorize>>,
    ) -> Result<Self, Status> {
        let context = attributes.context;
        let request = Check {
            group: context.resource.group.to_string(),
            resource: context.resource.plural.to_string(),
            subresource: context.subresource_name().to_owned(),
            namespace: context.namespace.clone(),
            name: attributes.name.to_owned(),
            ..Check::default()
        };
        Ok(Self {
            object: target.view(attributes, attributes.object).await?,
            old_object: target.view(attributes, attributes.old_object).await?,
            request: describe(attributes, target),
            namespace,
            authorizer: Asking { authorizer, user: context.user.clone(), request },
        })
    }

    /// The object, as expressions see it.
    pub(crate) fn object(&self) -> &Json {
        &self.object
    }

    /// Replaces the object by what a mutation has made of it.
    pub(crate) fn set_object(&mut self, object: Json) {
        self.object = Cow::Owned(object);
    }

    /// The object as it has become; `None` if it was not replaced.
    pub(crate) fn into_changed(self) -> Option<Json> {
        match self.object {
            Cow::Owned(object) => Some(object),
            Cow::Borrowed(_) => None,
        }
    }

    /// The variables; `params` and `variables` if there are some.
    pub(crate) fn bindings<'b>(&'b self, params: Option<&'b Json>, variables: &'b [Variable]) -> Bindings<'b> {
        let bindings = Bindings::new()
            .with("object", Value::json(&self.object))
            .with("oldObject", Value::json(&self.old_object))
            .with("request", Value::json(&self.request))
            .with("namespaceObject", Value::json(self.namespace))
            .with("params", params.map_or(Value::Null, Value::json))
            .with("authorizer", Value::authorizer(&self.authorizer, self.authorizer.request.clone()));
        match variables.is_empty() {
            true => bindings,
            false => bindings.with_variables(variables),
        }
    }
}
