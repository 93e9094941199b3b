//! Volumes, claims and storage classes.
//!
//! Upstream: `pkg/apis/core/validation`, `pkg/apis/storage/validation`.

mod attachments;
mod claims;
mod classes;
mod csi;
mod sources;
mod volumes;

pub(super) use attachments::{attachment, attachment_status, attachment_update};
pub(super) use claims::{claim, claim_spec, claim_status, claim_update};
pub(super) use classes::{attributes_class, attributes_class_update, class, class_update};
pub(super) use csi::{capacity, capacity_update, driver, driver_update, node, node_update};
pub(super) use volumes::{volume, volume_status, volume_update};

use super::check::{At, Report};
use super::names::subdomain;
use super::printed::Internal;
use super::values::quantity;
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");
const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

/// Access modes that exist and go together.
fn access_modes(at: &At<'_>, spec: &Value, out: &mut Report) {
    let known = |mode: &&str| MODES.contains(mode);
    for mode in spec.texts("accessModes").filter(|mode| !known(mode)) {
        out.not_supported(at, mode, &MODES);
    }
    let (mut alone, mut other) = (false, false);
    for mode in spec.texts("accessModes").filter(known) {
        alone |= mode == "ReadWriteOncePod";
        other |= mode != "ReadWriteOncePod";
    }
    if alone && other {
        out.forbidden(at, "may not use ReadWriteOncePod with other access modes");
    }
}

/// The name of a class, if there is one.
fn class_name(at: &At<'_>, name: &str, out: &mut Report) {
    if !name.is_empty() {
        out.invalid_each(at, name, subdomain(name));
    }
}

/// An amount of a resource that is not negative.
fn not_negative_amount(at: &At<'_>, amount: &Value, out: &mut Report) {
    if let Some(value) = quantity(amount).map(|amount| amount.value()).filter(|value| *value < 0) {
        out.invalid(at, value, "must be a valid resource quantity");
    }
}

/// A specification that must stay as it is.
pub(super) fn spec_update(new: &Value, old: &Value, out: &mut Report) {
    let shown = Internal(new.at("spec"), "@storage.VolumeAttachmentSpec");
    out.immutable_shown(&SPEC, new.at("spec"), old.at("spec"), shown);
}
