//! Taints of devices and their tolerations.

use super::super::check::{At, Report};
use super::super::names::{label_key_errors, label_value_errors};
use super::parts::named;
use crate::tree::Tree;
use apimachinery::Value;

const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

pub(super) fn taint(at: &At<'_>, taint: &Value, out: &mut Report) {
    named(&at.child("key"), taint.text("key"), label_key_errors, out);
    named(&at.child("value"), taint.text("value"), label_value_errors, out);
    out.one_of(&at.child("effect"), taint.text("effect"), &EFFECTS);
}

pub(super) fn toleration(at: &At<'_>, toleration: &Value, out: &mut Report) {
    let (key, value) = (toleration.text("key"), toleration.text("value"));
    if !key.is_empty() {
        named(&at.child("key"), key, label_key_errors, out);
    }
    match toleration.text("operator") {
        "Exists" if !value.is_empty() => {
            out.invalid(&at.child("value"), value, "must be empty for operator `Exists`");
        }
        "Exists" => {}
        "Equal" => named(&at.child("value"), value, label_value_errors, out),
        operator => out.one_of(&at.child("operator"), operator, &["Equal", "Exists"]),
    }
    out.one_of_or_empty(&at.child("effect"), toleration.text("effect"), &EFFECTS);
}
