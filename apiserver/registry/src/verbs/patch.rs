//! PATCH: JSON patch, merge patch, strategic merge patch, server-side apply.
//!
//! Upstream: `endpoints/handlers/patch.go`.

mod apply;
mod document;

use super::update::{Part, Source, change};
use crate::{Body, Context, PatchType, Registry, Reply, decode, managed, metadata, subresources};
use apimachinery::Value;
use apimachinery::codec::json;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::{Schema, TypeRef};
use apimachinery::status::Status;
use document::Document;

pub(crate) async fn patch(
    registry: &Registry,
    cx: &Context,
    kind: PatchType,
    force: bool,
    body: Body,
) -> Result<Reply, Status> {
    if kind == PatchType::Apply {
        return apply::patch(registry, cx, force, &body).await;
    }
    let parsed = Document::parse(cx, kind, &body);
    if cx.subresource_name() == "scale" {
        let (document, repeated) = parsed?;
        return patch_scale(registry, cx, &document, &repeated).await;
    }
    let part = Part::of(cx)?;
    let ty = &cx.resource.schema;
    let source: &mut Source<'_> = &mut |old| {
        // That there is no such object is said before what is wrong with its patch.
        let (document, repeated) = parsed.as_ref().map_err(Clone::clone)?;
        let mut new = patched(cx, document, repeated, ty, old)?;
        metadata::ensure_namespace(cx, &mut new)?;
        metadata::ensure_name(cx, &new)?;
        rules::defaults::apply(&cx.resource, &mut new);
        managed::track(cx, old, &mut new);
        Ok(new)
    };
    change(registry, cx, part, "PatchOptions", source).await
}

async fn patch_scale(
    registry: &Registry,
    cx: &Context,
    document: &Document,
    repeated: &[String],
) -> Result<Reply, Status> {
    let ty = scale_type()?;
    let source: &mut Source<'_> = &mut |old| {
        let mut new = patched(cx, document, repeated, &ty, old)?;
        managed::track_scale(cx, &ty, old, &mut new);
        Ok(new)
    };
    subresources::scale::write(registry, cx, "PatchOptions", source).await
}

fn scale_type() -> Result<TypeRef, Status> {
    let kind = GroupVersionKind::new("autoscaling", "v1", "Scale");
    Schema::builtin().kind(&kind).ok_or_else(|| Status::internal("no type for scales"))
}

/// The patched object, checked against its schema like any body; `repeated` is what was found in the patch itself.
fn patched(cx: &Context, document: &Document, repeated: &[String], ty: &TypeRef, old: &Value) -> Result<Value, Status> {
    let new = document.apply(ty, old)?;
    let refused = |why: String| {
        let kind = FieldErrorKind::Invalid(document.text(&new), why);
        Status::invalid(&GroupVersionKind::new("", "", ""), "", &[FieldError { path: Path::new("patch"), kind }])
    };
    let decoded = json::conform(ty, &new).map_err(|error| refused(document.mistyped(&error)))?;
    let findings = repeated.iter().cloned().chain(decoded.findings).collect();
    decode::judge(cx, findings, refused)?;
    document.keep_kind(decoded.value, old).map_err(refused)
}
