//! Subresources and create-only kinds that are more than a part of a stored object.

pub(crate) mod approval;
mod binding;
mod eviction;
mod review;
pub(crate) mod scale;
mod token;

use crate::admission::Operation;
use crate::{Body, Context, Registry, Reply, decode, verbs};
use apimachinery::Value;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::resources::Subresource;
use apimachinery::schema::{Schema, TypeRef};
use apimachinery::status::Status;

/// What a POST does that does not create an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// `pods/binding`, `bindings`.
    Bind,
    /// `pods/eviction`.
    Evict,
    /// `serviceaccounts/token`.
    IssueToken,
    /// A kind that is answered, not stored.
    Review,
    /// A subresource that takes no POST.
    Refuse,
}

/// The action of a POST; `None` if it creates an object.
pub(crate) fn posted(cx: &Context) -> Option<Action> {
    match (cx.subresource_name(), &*cx.resource.plural) {
        ("", "bindings") => Some(Action::Bind),
        ("", _) if cx.resource.storage_prefix.is_empty() => Some(Action::Review),
        ("", _) => None,
        ("binding", "pods") => Some(Action::Bind),
        ("eviction", "pods") => Some(Action::Evict),
        ("token", "serviceaccounts") => Some(Action::IssueToken),
        _ => Some(Action::Refuse),
    }
}

impl Action {
    pub(crate) async fn run(self, registry: &Registry, cx: &Context, body: Body) -> Result<Reply, Status> {
        match self {
            Action::Bind => binding::bind(registry, cx, body).await,
            Action::Evict => eviction::evict(registry, cx, body).await,
            Action::IssueToken => token::issue(registry, cx, body).await,
            Action::Review => review::review(registry, cx, body).await,
            Action::Refuse => Err(Status::method_not_allowed()),
        }
    }
}

/// The kind and type of a subresource's body.
fn body_type(subresource: &Subresource) -> Result<(GroupVersionKind, TypeRef), Status> {
    let kind = subresource.kind.clone();
    let ty = Schema::builtin().kind(&kind).ok_or_else(|| Status::internal(format!("no type for {kind}")))?;
    Ok((kind, ty))
}

/// Decodes the body of the request's subresource, defaults filled in.
fn decode_body(cx: &Context, body: &Body) -> Result<(Value, TypeRef), Status> {
    let subresource = cx.subresource.as_ref().ok_or_else(Status::method_not_allowed)?;
    let (kind, ty) = body_type(subresource)?;
    let mut value = decode::object(cx, body, &ty, &kind)?;
    rules::defaults::apply_typed(&ty, &mut value);
    Ok((value, ty))
}

/// Admission of what is posted to a subresource.
async fn admit_posted(registry: &Registry, cx: &Context, body: &mut Value) -> Result<(), Status> {
    let options = verbs::options(cx, "CreateOptions");
    verbs::admit(registry, cx, Operation::Create, body, &Value::Null, &options).await?;
    verbs::validate(registry, cx, Operation::Create, body, &Value::Null, &options).await
}

/// The request for a pod itself, of which this is a subresource's.
fn for_resource(cx: &Context, resource: std::sync::Arc<apimachinery::resources::ResourceInfo>, name: &str) -> Context {
    Context {
        user: cx.user.clone(),
        verb: cx.verb,
        resource,
        subresource: None,
        namespace: cx.namespace.clone(),
        name: name.to_owned(),
        dry_run: cx.dry_run,
        field_manager: cx.field_manager.clone(),
        field_validation: cx.field_validation,
        deadline: cx.deadline,
        warnings: Default::default(),
        annotations: cx.annotations.clone(),
    }
}
