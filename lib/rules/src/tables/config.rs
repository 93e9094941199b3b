//! Namespaces, config maps, secrets, quotas, classes and leases.

use super::cell::Cell;
use super::column::{AGE, NAME, flag, number as numbers, text};
use super::words::{UNSET, count, number, or};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;

pub(super) static NAME_AND_AGE: Printer =
    Printer { columns: &[NAME, AGE], row: |object| vec![name(object), age(object)] };

pub(super) static NAMESPACE: Printer = Printer {
    columns: &[NAME, text("Status", "Whether it is in use or being deleted."), AGE],
    row: |object| vec![name(object), Cell::text(object.at("status").map_or("", |s| s.text("phase"))), age(object)],
};

pub(super) static CONFIG_MAP: Printer = Printer {
    columns: &[NAME, text("Data", "How many entries it has."), AGE],
    row: |object| {
        let entries = count(object, "data") + count(object, "binaryData");
        vec![name(object), Cell::Value(entries.into()), age(object)]
    },
};

pub(super) static SECRET: Printer = Printer {
    columns: &[NAME, text("Type", "What the secret is for."), text("Data", "How many entries it has."), AGE],
    row: |object| {
        let entries = Cell::Value(count(object, "data").into());
        vec![name(object), Cell::text(object.text("type")), entries, age(object)]
    },
};

pub(super) static RESOURCE_QUOTA: Printer = Printer {
    columns: &[
        NAME,
        text("Request", "What is used of what may be requested."),
        text("Limit", "What is used of what limits may come to."),
        AGE,
    ],
    row: |quota| vec![name(quota), Cell::text(usage(quota, false)), Cell::text(usage(quota, true)), age(quota)],
};

/// `cpu: 1/2, …` of the resources that are limits, or of those that are not.
fn usage(quota: &Value, limits: bool) -> String {
    let Some(status) = quota.at("status") else { return String::new() };
    let used = |key| status.at("used").map_or("", |u| u.text(key));
    let parts: Vec<String> = status
        .entries("hard")
        .filter(|(key, _)| key.contains("limit") == limits)
        .map(|(key, hard)| format!("{key}: {}/{}", or(used(key), "0"), hard.as_str().unwrap_or("0")))
        .collect();
    parts.join(", ")
}

pub(super) static COMPONENT_STATUS: Printer = Printer {
    columns: &[
        NAME,
        text("Status", "Whether the component is healthy."),
        text("Message", "What the component says."),
        text("Error", "Why it could not be asked."),
    ],
    row: component_status,
};

fn component_status(object: &Value) -> Vec<Cell> {
    let condition = object.items("conditions").iter().find(|c| c.text("type") == "Healthy");
    let status = match condition.map(|c| c.text("status")) {
        Some("True") => "Healthy",
        Some(_) => "Unhealthy",
        None => "Unknown",
    };
    let of = |key| Cell::text(condition.map_or("", |c| c.text(key)));
    vec![name(object), Cell::text(status), of("message"), of("error")]
}

pub(super) static LEASE: Printer = Printer {
    columns: &[NAME, text("Holder", "Who holds the lease."), AGE],
    row: |lease| vec![name(lease), Cell::text(lease.at("spec").map_or("", |s| s.text("holderIdentity"))), age(lease)],
};

pub(super) static RUNTIME_CLASS: Printer = Printer {
    columns: &[NAME, text("Handler", "The configuration of the container runtime."), AGE],
    row: |class| vec![name(class), Cell::text(class.text("handler")), age(class)],
};

pub(super) static PRIORITY_CLASS: Printer = Printer {
    columns: &[
        NAME,
        numbers("Value", "The priority of the class's pods."),
        flag("Global-Default", "Whether pods without a class get this one."),
        AGE,
        text("PreemptionPolicy", "Whether the class's pods evict others."),
    ],
    row: |class| {
        vec![
            name(class),
            number(Some(class), "value"),
            Cell::Value(class.flag("globalDefault").into()),
            age(class),
            Cell::text(or(class.text("preemptionPolicy"), UNSET)),
        ]
    },
};
