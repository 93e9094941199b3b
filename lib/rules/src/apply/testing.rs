//! Types and places for the tests of this folder.

use super::place::Place;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::{Schema, Shape, TypeRef};

/// A built-in kind's type, and its shape.
pub(super) fn ty(group: &str, version: &str, kind: &str) -> (TypeRef, Shape) {
    let kind = GroupVersionKind::new(group.to_owned(), version.to_owned(), kind.to_owned());
    let ty = Schema::builtin().kind(&kind).expect("a built-in kind");
    let shape = Shape::Message(ty.id);
    (ty, shape)
}

/// The place of a whole object.
pub(super) fn place<'a>(ty: &'a TypeRef, shape: &'a Shape) -> Place<'a> {
    Place::root(ty, shape)
}
