//! Webhooks, admission policies and aggregated APIs.

use super::cell::Cell;
use super::column::{AGE, NAME, number as numbers, text};
use super::words::{UNSET, condition, count, selector};
use super::{Printer, age, name};
use crate::tree::Tree;
use apimachinery::Value;

pub(super) static WEBHOOKS: Printer = Printer {
    columns: &[NAME, numbers("Webhooks", "How many webhooks there are."), AGE],
    row: |object| vec![name(object), Cell::Value(count(object, "webhooks").into()), age(object)],
};

pub(super) static VALIDATING_POLICY: Printer = Printer {
    columns: &[
        NAME,
        numbers("Validations", "How many expressions must hold."),
        text("ParamKind", "The kind of the objects that parameterize it."),
        AGE,
    ],
    row: |policy| admission_policy(policy, "validations"),
};

pub(super) static MUTATING_POLICY: Printer = Printer {
    columns: &[
        NAME,
        numbers("Mutations", "How many changes it makes."),
        text("ParamKind", "The kind of the objects that parameterize it."),
        AGE,
    ],
    row: |policy| admission_policy(policy, "mutations"),
};

fn admission_policy(policy: &Value, list: &str) -> Vec<Cell> {
    let spec = policy.at("spec").unwrap_or(&Value::Null);
    let kind = spec.at("paramKind").map(|k| format!("{}/{}", k.text("apiVersion"), k.text("kind")));
    vec![name(policy), Cell::Value(count(spec, list).into()), Cell::text(kind.unwrap_or(UNSET.into())), age(policy)]
}

pub(super) static BINDING: Printer = Printer {
    columns: &[
        NAME,
        text("PolicyName", "The policy that is bound."),
        text("ParamRef", "The objects that parameterize it."),
        AGE,
    ],
    row: |binding| {
        let spec = binding.at("spec").unwrap_or(&Value::Null);
        let parameters = spec.at("paramRef").map_or(UNSET.into(), parameters);
        vec![name(binding), Cell::text(spec.text("policyName")), Cell::text(parameters), age(binding)]
    },
};

fn parameters(reference: &Value) -> String {
    match (reference.text("namespace"), reference.text("name")) {
        (_, "") => selector(reference.at("selector")),
        // Whether what is named has a namespace is not known here.
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

pub(super) static API_SERVICE: Printer = Printer {
    columns: &[
        NAME,
        text("Service", "The service that serves the version."),
        text("Available", "Whether the service answers."),
        AGE,
    ],
    row: |object| {
        let service = object.at("spec").and_then(|s| s.at("service"));
        let service = service.map_or("Local".into(), |s| format!("{}/{}", s.text("namespace"), s.text("name")));
        vec![name(object), Cell::text(service), Cell::text(availability(object)), age(object)]
    },
};

fn availability(object: &Value) -> String {
    let Some(condition) = condition(object, "Available") else { return "Unknown".into() };
    match (condition.text("status"), condition.text("reason")) {
        ("True", _) => "True".into(),
        (status, "") => status.into(),
        (status, reason) => format!("{status} ({reason})"),
    }
}
