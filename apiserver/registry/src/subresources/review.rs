//! Reviews: kinds that are answered and not stored.

use crate::verbs::value_reply;
use crate::{Body, Context, Registry, Reply, decode, managed, metadata};
use apimachinery::Value;
use apimachinery::codec::fields;
use apimachinery::status::Status;

pub(super) async fn review(registry: &Registry, cx: &Context, body: Body) -> Result<Reply, Status> {
    let mut review = decode::object(cx, &body, &cx.resource.schema, &cx.resource.gvk())?;
    metadata::ensure_namespace(cx, &mut review)?;
    metadata::wipe(&mut review);
    rules::defaults::apply(&cx.resource, &mut review);
    managed::track(cx, &Value::Null, &mut review);
    fields::open(&mut review);
    let reviewer = registry.options.reviewer.as_ref().ok_or_else(Status::method_not_allowed)?;
    let answer = reviewer.review(cx, review).await?;
    Ok(Reply::Created(Box::new(value_reply(cx, answer))))
}
