//! `serviceaccounts/token`: a `TokenRequest` is answered with a token.
//!
//! Upstream: `pkg/registry/core/serviceaccount/storage/token.go`.

use super::{admit_posted, decode_body};
use crate::verbs::read;
use crate::{Body, Context, Registry, Reply};
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_storage::Match;

pub(super) async fn issue(registry: &Registry, cx: &Context, body: Body) -> Result<Reply, Status> {
    let (mut request, ty) = decode_body(cx, &body)?;
    for (what, given, wanted) in
        [("name", request.name(), cx.name.as_str()), ("namespace", request.namespace(), cx.namespace.as_str())]
    {
        if !given.is_empty() && given != wanted {
            let why = format!("the {what} of the object ({given}) does not match the {what} on the URL ({wanted})");
            return Err(Status::bad_request(why));
        }
    }
    request.set_meta("name", cx.name.as_str());
    request.set_meta("namespace", cx.namespace.as_str());
    admit_posted(registry, cx, &mut request).await?;
    let issuer = registry.options.token_issuer.as_ref().ok_or_else(Status::method_not_allowed)?;
    let account = read::fetch(registry, cx, Match::MostRecent).await?;
    let value = issuer.issue(cx, &account.value(), request).await?;
    Ok(Reply::Created(Box::new(Reply::Value { value, ty })))
}
