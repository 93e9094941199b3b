//! PATCH: JSON patch, merge patch, strategic merge patch, server-side apply.
//!
//! Upstream: `endpoints/handlers/patch.go`.

mod apply;
mod document;
mod reading;

use super::update::{Part, Source, change};
use crate::{Body, Context, PatchType, Registry, Reply, decode, managed, metadata, subresources};
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::go::quoted;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::schema::{Origin, Schema, TypeRef};
use apimachinery::status::Status;
use document::{Document, Patched};

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
    let Patched { decoded, shown } = document.apply(ty, old)?;
    let refused = |why: String| {
        let kind = FieldErrorKind::Invalid(shown.to_string(), why);
        Status::invalid(&GroupVersionKind::new("", "", ""), "", &[FieldError { path: Path::new("patch"), kind }])
    };
    let decoded = decoded.map_err(refused)?;
    let findings = repeated.iter().cloned().chain(decoded.findings).collect();
    decode::judge(cx, findings, refused)?;
    keep_kind(cx, ty, decoded.value, old)
}

/// The patched object with its own kind, which no patch can change: of a custom resource upstream checks that, of others
/// it has been read as that.
fn keep_kind(cx: &Context, ty: &TypeRef, mut new: Value, old: &Value) -> Result<Value, Status> {
    let text = |object: &Value, key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let members = ["kind", "apiVersion"].map(|key| (key, text(&new, key), text(old, key)));
    if ty.schema.origin == Origin::Definition {
        if members.iter().any(|(key, given, _)| *key == "apiVersion" && given.is_empty()) {
            let why = "Object 'apiVersion' is missing in 'object has no apiVersion field'";
            return Err(Status::internal(why));
        }
        let wrong = members.iter().filter(|(_, given, own)| given != own);
        let wrong = wrong.map(|(key, given, own)| FieldError {
            path: Path::new(key),
            kind: FieldErrorKind::Invalid(quoted(given), format!("must be {own}")),
        });
        let errors: Vec<FieldError> = wrong.collect();
        // A status is taken out of the object, whatever that is.
        if !errors.is_empty() && cx.subresource_name() != "status" {
            let [(_, kind, _), (_, version, _)] = &members;
            let given =
                GroupVersionKind::parse(version, kind).unwrap_or_else(|| GroupVersionKind::new("", "", kind.clone()));
            return Err(Status::invalid(&given, new.name(), &errors));
        }
    }
    if let Some(map) = new.as_object_mut() {
        map.extend(members.map(|(key, _, own)| (key.to_owned(), own.into())));
    }
    Ok(new)
}
