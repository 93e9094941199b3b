//! Role bindings, certificate requests and flow control.

use super::cell::Cell;
use super::column::{AGE, NAME, text};
use super::duration::of_millis;
use super::words::{NONE, condition, or, scalar};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;

pub(super) static BINDING: Printer = Printer {
    columns: &[
        NAME,
        text("Role", "The role that is granted."),
        AGE,
        text("Users", "The users it is granted to.").wide(),
        text("Groups", "The groups it is granted to.").wide(),
        text("ServiceAccounts", "The service accounts it is granted to.").wide(),
    ],
    row: |binding| {
        let role = binding.at("roleRef").map(|r| format!("{}/{}", r.text("kind"), r.text("name")));
        let subjects = |kind| Cell::text(subjects(binding, kind));
        vec![
            name(binding),
            Cell::text(role.unwrap_or_default()),
            age(binding),
            subjects("User"),
            subjects("Group"),
            subjects("ServiceAccount"),
        ]
    },
};

fn subjects(binding: &Value, kind: &str) -> String {
    let name = |subject: &Value| match kind {
        "ServiceAccount" => format!("{}/{}", subject.text("namespace"), subject.text("name")),
        _ => subject.text("name").to_owned(),
    };
    let names: Vec<String> = binding.items("subjects").iter().filter(|s| s.text("kind") == kind).map(name).collect();
    names.join(", ")
}

pub(super) static SIGNING_REQUEST: Printer = Printer {
    columns: &[
        NAME,
        AGE,
        text("SignerName", "Who is asked to sign."),
        text("Requestor", "Who asks."),
        text("RequestedDuration", "How long the certificate should be good."),
        text("Condition", "What has become of the request."),
    ],
    row: |request| {
        let spec = request.at("spec").unwrap_or(&Value::Null);
        let seconds = spec.at("expirationSeconds").and_then(Value::as_i64);
        vec![
            name(request),
            age(request),
            Cell::text(spec.text("signerName")),
            Cell::text(spec.text("username")),
            Cell::text(seconds.map_or(NONE.into(), |s| of_millis(s.saturating_mul(1000)))),
            Cell::text(verdict(request)),
        ]
    },
};

fn verdict(request: &Value) -> String {
    let has = |kind| condition(request, kind).is_some();
    let decided = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    };
    let failed = if has("Failed") { ",Failed" } else { "" };
    let issued = request.at("status").is_some_and(|s| !s.lacks("certificate"));
    format!("{decided}{failed}{}", if issued { ",Issued" } else { "" })
}

pub(super) static FLOW_SCHEMA: Printer = Printer {
    columns: &[
        NAME,
        text("PriorityLevel", "The level that its requests are served at."),
        text("MatchingPrecedence", "Lower ones are tried first."),
        text("DistinguisherMethod", "What tells its flows apart."),
        AGE,
        text("MissingPL", "Whether the level does not exist."),
    ],
    row: |schema| {
        let spec = schema.at("spec").unwrap_or(&Value::Null);
        let level = spec.at("priorityLevelConfiguration").map_or("", |l| l.text("name"));
        let method = spec.at("distinguisherMethod").map_or(NONE, |m| m.text("type"));
        vec![
            name(schema),
            Cell::text(level),
            Cell::Value(spec.int("matchingPrecedence").into()),
            Cell::text(method),
            age(schema),
            Cell::text(condition(schema, "Dangling").map_or("?", |c| c.text("status"))),
        ]
    },
};

pub(super) static PRIORITY_LEVEL: Printer = Printer {
    columns: &[
        NAME,
        text("Type", "Whether requests are limited."),
        text("NominalConcurrencyShares", "Its share of all requests at a time."),
        text("Queues", "How many queues it has."),
        text("HandSize", "How many queues a flow may use."),
        text("QueueLengthLimit", "How many requests a queue holds."),
        AGE,
    ],
    row: |level| {
        let spec = level.at("spec").unwrap_or(&Value::Null);
        let limits = spec.at("limited").or(spec.at("exempt"));
        let queuing = spec.at("limited").and_then(|l| l.at("limitResponse")).and_then(|r| r.at("queuing"));
        let cell = |object: Option<&Value>, key| match object.and_then(|o| o.at(key)) {
            Some(number) => Cell::Value(number.clone()),
            None => Cell::text(scalar(None, NONE)),
        };
        vec![
            name(level),
            Cell::text(or(spec.text("type"), NONE)),
            cell(limits, "nominalConcurrencyShares"),
            cell(queuing, "queues"),
            cell(queuing, "handSize"),
            cell(queuing, "queueLengthLimit"),
            age(level),
        ]
    },
};
