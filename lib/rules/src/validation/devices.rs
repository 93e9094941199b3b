//! Selectors of devices in device classes, resource claims and their templates.
//!
//! Upstream: `pkg/apis/resource/validation/validation.go` (`validateSelector`).

use super::check::{At, Report};
use super::workloads::spec_of;
use crate::expressions::devices::{SelectorError, device_selector};
use crate::tree::Tree;
use apimachinery::Value;

const SPEC: At<'static> = At::root("spec");

/// Longest expression of a selector, in bytes.
const MAX_EXPRESSION: usize = 10 * 1024;

pub(super) fn class(class: &Value, out: &mut Report) {
    selectors(&SPEC, spec_of(class), out);
}

pub(super) fn claim(claim: &Value, out: &mut Report) {
    requests(&SPEC, spec_of(claim), out);
}

pub(super) fn claim_template(template: &Value, out: &mut Report) {
    requests(&SPEC.child("spec"), spec_of(spec_of(template)), out);
}

fn requests(at: &At<'_>, spec: &Value, out: &mut Report) {
    let devices = spec.at("devices").unwrap_or(&Value::Null);
    let devices_at = at.child("devices");
    let requests_at = devices_at.child("requests");
    for (index, request) in devices.items("requests").iter().enumerate() {
        let at = requests_at.index(index);
        if let Some(exactly) = request.at("exactly") {
            selectors(&at.child("exactly"), exactly, out);
        }
        let choices = at.child("firstAvailable");
        for (index, choice) in request.items("firstAvailable").iter().enumerate() {
            selectors(&choices.index(index), choice, out);
        }
    }
}

fn selectors(at: &At<'_>, owner: &Value, out: &mut Report) {
    let at = at.child("selectors");
    for (index, selector) in owner.items("selectors").iter().enumerate() {
        let at = at.index(index);
        let cel_at = at.child("cel");
        let Some(cel) = selector.at("cel") else {
            out.required(&cel_at, "");
            continue;
        };
        let at = cel_at.child("expression");
        let source = cel.text("expression");
        if source.len() > MAX_EXPRESSION {
            out.too_long(&at, MAX_EXPRESSION);
        } else {
            match device_selector(source) {
                Ok(_) => {}
                Err(SelectorError::Invalid(why)) => out.invalid(&at, source, why),
                Err(why @ SelectorError::TooComplex) => out.forbidden(&at, why.to_string()),
            }
        }
    }
}
