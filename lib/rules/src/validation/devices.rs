//! Device classes, resource claims, their templates, and slices of devices.
//!
//! Upstream: `pkg/apis/resource/validation/validation.go`. What its types declare for
//! `zz_generated.validations.go` is the same once more, and not in force yet.

mod capacity;
mod claims;
mod names;
mod parts;
mod printed;
mod slices;
mod status;
mod taints;

pub(super) use claims::{claim, claim_template, claim_template_update, claim_update};
pub(super) use slices::{slice, slice_update};
pub(super) use status::claim_status;

use super::check::{At, Report, same};
use super::pod::resources::is_extended;
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");

/// Most selectors and configurations of a class or request.
const MAX_PARTS: usize = 32;

/// A new device class.
pub(super) fn class(class: &Value, out: &mut Report) {
    class_spec(spec_of(class), &Value::Null, out);
}

/// A change of a device class.
pub(super) fn class_update(new: &Value, old: &Value, out: &mut Report) {
    class_spec(spec_of(new), spec_of(old), out);
}

fn class_spec(spec: &Value, old: &Value, out: &mut Report) {
    parts::selectors(&SPEC, spec, out);
    // What is stored may be longer than what is new.
    let is_stored = old.has("config") && same(spec.at("config"), old.at("config"));
    let check = |at: &At<'_>, config: &Value, out: &mut Report| parts::config(at, config, is_stored, out);
    parts::list(&SPEC.child("config"), spec.items("config"), MAX_PARTS, check, out);
    if let Some(name) = spec.at("extendedResourceName").and_then(Value::as_str)
        && !is_extended_name(name)
    {
        out.invalid(&SPEC.child("extendedResourceName"), name, "must be a valid extended resource name");
    }
}

/// Whether a name is one of an extended resource, also with the prefix that quotas put before it.
fn is_extended_name(name: &str) -> bool {
    is_extended(name) && super::names::label_key_errors(&format!("requests.{name}")).is_empty()
}

#[cfg(test)]
mod tests;
