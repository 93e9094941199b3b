//! Deployments, replica sets, stateful sets, daemon sets and what they are made of.

use super::cell::Cell;
use super::column::{AGE, CONTAINERS, Column, IMAGES, NAME, SELECTOR, number as numbers, text};
use super::words::{NONE, containers, labels, number, selector, template};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::gvk::parse_api_version;
use apimachinery::meta::ObjectMeta;

pub(super) static POD_TEMPLATE: Printer = Printer {
    columns: &[
        NAME,
        Column { priority: 0, ..CONTAINERS },
        Column { priority: 0, ..IMAGES },
        text("Pod Labels", "The labels of the template."),
    ],
    row: |object| {
        let template = object.at("template");
        let [names, images] = containers(template.and_then(|t| t.at("spec")));
        vec![name(object), names, images, Cell::text(labels(template.and_then(Value::labels)))]
    },
};

const REPLICAS: &[Column] = &[
    NAME,
    numbers("Desired", "How many pods there should be."),
    numbers("Current", "How many pods there are."),
    numbers("Ready", "How many pods are ready."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

pub(super) static REPLICATION_CONTROLLER: Printer = Printer {
    columns: REPLICAS,
    row: |object| replicas(object, labels(object.at("spec").and_then(|s| s.object("selector")))),
};

pub(super) static REPLICA_SET: Printer =
    Printer { columns: REPLICAS, row: |object| replicas(object, selector_of(object)) };

fn replicas(object: &Value, selector: String) -> Vec<Cell> {
    let [names, images] = containers(template(object));
    vec![
        name(object),
        number(object.at("spec"), "replicas"),
        number(object.at("status"), "replicas"),
        number(object.at("status"), "readyReplicas"),
        age(object),
        names,
        images,
        Cell::text(selector),
    ]
}

fn selector_of(object: &Value) -> String {
    selector(object.at("spec").and_then(|s| s.at("selector")))
}

/// `ready/desired`.
fn readiness(object: &Value) -> Cell {
    let int = |part: &str, key| object.at(part).map_or(0, |p| p.int(key));
    Cell::text(format!("{}/{}", int("status", "readyReplicas"), int("spec", "replicas")))
}

pub(super) static DEPLOYMENT: Printer = Printer {
    columns: &[
        NAME,
        text("Ready", "How many of the desired pods are ready."),
        text("Up-to-date", "How many pods are of the current template."),
        text("Available", "How many pods have been ready for long enough."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: |object| {
        let [names, images] = containers(template(object));
        vec![
            name(object),
            readiness(object),
            number(object.at("status"), "updatedReplicas"),
            number(object.at("status"), "availableReplicas"),
            age(object),
            names,
            images,
            Cell::text(selector_of(object)),
        ]
    },
};

pub(super) static STATEFUL_SET: Printer = Printer {
    columns: &[NAME, text("Ready", "How many of the desired pods are ready."), AGE, CONTAINERS, IMAGES],
    row: |object| {
        let [names, images] = containers(template(object));
        vec![name(object), readiness(object), age(object), names, images]
    },
};

pub(super) static DAEMON_SET: Printer = Printer {
    columns: &[
        NAME,
        numbers("Desired", "How many nodes should run the pod."),
        numbers("Current", "How many of them have it."),
        numbers("Ready", "On how many of them it is ready."),
        numbers("Up-to-date", "How many pods are of the current template."),
        numbers("Available", "How many pods have been ready for long enough."),
        text("Node Selector", "The labels of the nodes that should run the pod."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: daemon_set,
};

fn daemon_set(set: &Value) -> Vec<Cell> {
    let status = |key| number(set.at("status"), key);
    let [names, images] = containers(template(set));
    vec![
        name(set),
        status("desiredNumberScheduled"),
        status("currentNumberScheduled"),
        status("numberReady"),
        status("updatedNumberScheduled"),
        status("numberAvailable"),
        Cell::text(labels(template(set).and_then(|t| t.object("nodeSelector")))),
        age(set),
        names,
        images,
        Cell::text(selector_of(set)),
    ]
}

pub(super) static CONTROLLER_REVISION: Printer = Printer {
    columns: &[
        NAME,
        text("Controller", "The object whose state is kept."),
        text("Revision", "The number of the state."),
        AGE,
    ],
    row: |object| vec![name(object), Cell::text(controller(object)), number(Some(object), "revision"), age(object)],
};

/// `daemonset.apps/name` of the owner that is the controller.
fn controller(object: &Value) -> String {
    let owners = object.metadata().map(|m| m.items("ownerReferences")).unwrap_or_default();
    let Some(owner) = owners.iter().find(|o| o.flag("controller")) else { return NONE.into() };
    let (group, _) = parse_api_version(owner.text("apiVersion")).unwrap_or_default();
    let kind = owner.text("kind").to_lowercase();
    match group {
        "" => format!("{kind}/{}", owner.text("name")),
        _ => format!("{kind}.{group}/{}", owner.text("name")),
    }
}
