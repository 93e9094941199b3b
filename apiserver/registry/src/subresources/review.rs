//! Reviews: kinds that are answered and not stored.

use crate::verbs::value_reply;
use crate::{Body, Context, Registry, Reply, decode, metadata};
use apimachinery::status::Status;

pub(super) async fn review(registry: &Registry, cx: &Context, body: Body) -> Result<Reply, Status> {
    let mut review = decode::object(cx, &body, &cx.resource.schema, &cx.resource.gvk())?;
    metadata::ensure_namespace(cx, &mut review)?;
    metadata::wipe(&mut review);
    let reviewer = registry.options.reviewer.as_ref().ok_or_else(Status::method_not_allowed)?;
    let answer = reviewer.review(cx, review).await?;
    Ok(Reply::Created(Box::new(value_reply(cx, answer))))
}
