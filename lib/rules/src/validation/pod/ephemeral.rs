//! Changes of ephemeral containers: they can only become more.

use super::super::check::{At, Report, same};
use super::super::printed::{Internal, difference};
use super::annotations::MIRROR;
use super::update::annotation_change;
use super::{SPEC, spec_of};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// A change of a pod in which only its ephemeral containers may differ.
pub(in super::super) fn ephemeral_containers(new: &Value, old: &Value, out: &mut Report) {
    // Upstream says nothing else of these.
    if old.annotations().is_some_and(|a| a.contains_key(MIRROR)) {
        *out = Report::default();
        return out.forbidden(&At::NOWHERE, "static pods do not support ephemeral containers");
    }
    super::changed(new, old, out);
    annotation_change(new, old, out);
    let at = SPEC.child("ephemeralContainers");
    let containers = spec_of(new).items("ephemeralContainers");
    for container in spec_of(old).items("ephemeralContainers") {
        let name = container.text("name");
        match containers.iter().rev().find(|c| c.text("name") == name) {
            None => out.forbidden(&at, format!("existing ephemeral containers {name:?} may not be removed\n")),
            Some(other) if !same(Some(other), Some(container)) => {
                let form = "@core.EphemeralContainer";
                let changes = difference(&Internal(Some(container), form), &Internal(Some(other), form));
                out.forbidden(&at, format!("existing ephemeral containers {name:?} may not be changed\n{changes}"));
            }
            Some(_) => {}
        }
    }
}
