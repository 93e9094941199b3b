//! Dynamically allocated devices.

use super::cell::Cell;
use super::column::{AGE, NAME, text};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(super) static CLAIM: Printer = Printer {
    columns: &[NAME, text("State", "Whether devices are allocated and in use."), AGE],
    row: |claim| vec![name(claim), Cell::text(state(claim)), age(claim)],
};

fn state(claim: &Value) -> String {
    let status = claim.at("status").unwrap_or(&Value::Null);
    let states = [
        (claim.is_deleting(), "deleted"),
        (status.has("allocation"), "allocated"),
        (!status.lacks("reservedFor"), "reserved"),
    ];
    let states: Vec<&str> = states.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word).collect();
    if states.is_empty() { "pending".into() } else { states.join(",") }
}

pub(super) static SLICE: Printer = Printer {
    columns: &[
        NAME,
        text("Node", "The node that the devices are on."),
        text("Driver", "The driver of the devices."),
        text("Pool", "The pool that the devices belong to."),
        AGE,
    ],
    row: |slice| {
        let spec = slice.at("spec").unwrap_or(&Value::Null);
        let pool = spec.at("pool").map_or("", |p| p.text("name"));
        vec![
            name(slice),
            Cell::text(spec.text("nodeName")),
            Cell::text(spec.text("driver")),
            Cell::text(pool),
            age(slice),
        ]
    },
};
