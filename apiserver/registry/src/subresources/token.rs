//! `serviceaccounts/token`: a `TokenRequest` is answered with a token.
//!
//! Upstream: `pkg/registry/core/serviceaccount/storage/token.go`.

use super::decode_body;
use crate::admission::Operation;
use crate::verbs::{self, read};
use crate::{Body, Context, Registry, Reply, managed, metadata};
use apimachinery::Value;
use apimachinery::codec::fields;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::gvk::{GroupResource, GroupVersionKind};
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apimachinery::time;
use apiserver_storage::Match;

pub(super) async fn issue(registry: &Registry, cx: &Context, body: Body) -> Result<Reply, Status> {
    let (mut request, ty) = decode_body(cx, &body)?;
    metadata::ensure_namespace(cx, &mut request)?;
    managed::track_posted(cx, &ty, &mut request);
    fields::open(&mut request);
    let options = verbs::options(cx, "CreateOptions");
    verbs::admit(registry, cx, Operation::Create, &mut request, &Value::Null, &options).await?;
    check_name(cx, &request)?;
    let account = read::fetch(registry, cx, Match::MostRecent).await?.value();
    check_uid(cx, &request, &account)?;
    for key in ["name", "namespace", "uid"] {
        request.set_meta(key, account.meta_str(key));
    }
    request.set_meta("creationTimestamp", time::now());
    verbs::validate(registry, cx, Operation::Create, &mut request, &Value::Null, &options).await?;
    let issuer = registry.options.token_issuer.as_ref().ok_or_else(Status::method_not_allowed)?;
    let value = issuer.issue(cx, &account, request).await?;
    Ok(Reply::Created(Box::new(Reply::Value { value, ty })))
}

fn check_name(cx: &Context, request: &Value) -> Result<(), Status> {
    let name = request.name();
    if name.is_empty() || name == cx.name {
        return Ok(());
    }
    let why = "must match the service account name if specified".to_owned();
    let path = Path::new("metadata").child("name");
    let error = FieldError { path, kind: FieldErrorKind::Invalid(format!("{name:?}"), why) };
    Err(Status::invalid(&GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest"), &cx.name, &[error]))
}

fn check_uid(cx: &Context, request: &Value, account: &Value) -> Result<(), Status> {
    let (given, stored) = (request.uid(), account.uid());
    if given.is_empty() || given == stored {
        return Ok(());
    }
    let why =
        format!("the UID in the token request ({given}) does not match the UID of the service account ({stored})");
    Err(Status::conflict(&GroupResource::new("authentication.k8s.io", "TokenRequest"), &cx.name, &why))
}
