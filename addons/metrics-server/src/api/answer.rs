//! Answers as objects and as Tables.

use super::GROUP;
use super::path::Kind;
use crate::store::Usage;
use apimachinery::quantity::{Format, Quantity};
use component::GoDuration;
use component::serve::{Response, router};
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

const VERSION: &str = "metrics.k8s.io/v1beta1";

/// How a client wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As objects.
    Objects,
    /// As a Table.
    Table,
}

impl Form {
    /// The first clause that can be served decides.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let clauses = accept.split(',').map(|clause| clause.replace(' ', ""));
        let known = clauses.filter(|clause| {
            let media = clause.split(';').next().unwrap_or_default();
            matches!(media, "application/json" | "application/*" | "*/*")
        });
        let mut forms = known.filter_map(|clause| match clause.split(';').find_map(|part| part.strip_prefix("as=")) {
            Some("Table") if clause.contains(";v=v1;") || clause.ends_with(";v=v1") => Some(Self::Table),
            Some(_) => None,
            None => Some(Self::Objects),
        });
        forms.next().unwrap_or(Self::Objects)
    }

    pub(super) fn one(self, kind: Kind, object: &Value) -> Response {
        match self {
            Self::Objects => router::json(StatusCode::OK, object),
            Self::Table => router::json(StatusCode::OK, &table(kind, std::slice::from_ref(object))),
        }
    }

    pub(super) fn list(self, kind: Kind, objects: &[Value]) -> Response {
        match self {
            Self::Objects => {
                let list = json!({
                    "kind": format!("{}List", kind.name()), "apiVersion": VERSION, "metadata": {}, "items": objects,
                });
                router::json(StatusCode::OK, &list)
            }
            Self::Table => router::json(StatusCode::OK, &table(kind, objects)),
        }
    }
}

/// All but the figures of an object.
pub(super) fn head(kind: Kind, of: &ObjectMeta, usage: &Usage) -> Value {
    let mut metadata = Map::new();
    for (field, value) in [("name", &of.name), ("namespace", &of.namespace)] {
        metadata.extend(value.as_ref().map(|value| (field.to_owned(), json!(value))));
    }
    metadata.insert("creationTimestamp".to_owned(), json!(seconds(Timestamp::now())));
    if let Some(labels) = of.labels.as_ref().filter(|labels| !labels.is_empty()) {
        metadata.insert("labels".to_owned(), json!(labels));
    }
    json!({
        "kind": kind.name(), "apiVersion": VERSION, "metadata": metadata,
        "timestamp": seconds(usage.time), "window": GoDuration(usage.window).to_string(),
    })
}

/// Quantities of processor and memory.
pub(super) fn usage(usage: &Usage) -> Value {
    let cpu: Quantity = format!("{}n", usage.nano_cores).parse().unwrap_or(Quantity::ZERO);
    let memory = Quantity::from_units(i64::try_from(usage.memory).unwrap_or(i64::MAX), Format::BinarySi);
    json!({"cpu": cpu.to_string(), "memory": memory.to_string()})
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `cpu`, `memory` and the window beside the name; of pods the sum of their containers.
fn table(kind: Kind, objects: &[Value]) -> Value {
    let column = |name: &str, format: &str| json!({"name": name, "type": "string", "format": format, "description": "", "priority": 0});
    let rows: Vec<Value> = objects.iter().map(|object| row(kind, object)).collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {},
        "columnDefinitions": [column("Name", "name"), column("cpu", ""), column("memory", ""), column("Window", "duration")],
        "rows": rows,
    })
}

fn row(kind: Kind, object: &Value) -> Value {
    let parts = match kind {
        Kind::Node => vec![&object["usage"]],
        Kind::Pod => object["containers"].as_array().into_iter().flatten().map(|c| &c["usage"]).collect(),
    };
    let sum = |field: &str| {
        let quantities = parts.iter().filter_map(|part| part[field].as_str()?.parse::<Quantity>().ok());
        quantities.reduce(|a, b| a + b).unwrap_or(Quantity::ZERO).to_string()
    };
    json!({
        "cells": [object["metadata"]["name"], sum("cpu"), sum("memory"), object["window"]],
        "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]},
    })
}

/// `/apis`.
pub(super) fn groups() -> Value {
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group_entry()]})
}

/// The group.
pub(super) fn group() -> Value {
    let mut group = group_entry();
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    group
}

fn group_entry() -> Value {
    let version = json!({"groupVersion": VERSION, "version": "v1beta1"});
    json!({"name": GROUP, "versions": [version], "preferredVersion": version})
}

/// The group's resources.
pub(super) fn resources() -> Value {
    let resource = |kind: Kind, namespaced: bool| {
        json!({
            "name": kind.resource(), "singularName": "", "namespaced": namespaced, "kind": kind.name(),
            "verbs": ["get", "list"],
        })
    };
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": VERSION,
        "resources": [resource(Kind::Node, false), resource(Kind::Pod, true)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn used(nano_cores: u64, memory: u64) -> Usage {
        let time = Timestamp::from_second(0).expect("a time");
        Usage { time, window: Duration::from_millis(15_012), nano_cores, memory }
    }

    #[test]
    fn figures_are_quantities() {
        assert_eq!(usage(&used(1_234_567, 15_192 << 10)), json!({"cpu": "1234567n", "memory": "15192Ki"}));
        assert_eq!(usage(&used(250_000_000, 1 << 20)), json!({"cpu": "250m", "memory": "1Mi"}));
        assert_eq!(usage(&used(0, 0)), json!({"cpu": "0", "memory": "0"}));
        let metadata = ObjectMeta { name: Some("a".into()), ..ObjectMeta::default() };
        let object = head(Kind::Node, &metadata, &used(0, 0));
        assert_eq!((&object["timestamp"], &object["window"]), (&json!("1970-01-01T00:00:00Z"), &json!("15.012s")));
        assert!(object["metadata"].get("namespace").is_none());
    }

    #[test]
    fn a_table_sums_up_what_a_pod_s_containers_use() {
        let container = |cpu: &str| json!({"name": "c", "usage": {"cpu": cpu, "memory": "1Mi"}});
        let pod = json!({"metadata": {"name": "p"}, "window": "15s", "containers": [container("250m"), container("5000000n")]});
        let table = table(Kind::Pod, &[pod]);
        assert_eq!(table["rows"][0]["cells"], json!(["p", "255m", "2Mi", "15s"]));
    }

    #[test]
    fn the_first_clause_that_is_known_decides() {
        for (accept, form) in [
            ("", Form::Objects),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Form::Table),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io, application/json", Form::Objects),
            ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", Form::Objects),
            ("*/*", Form::Objects),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a value"));
            assert_eq!(Form::of(&headers), form, "{accept}");
        }
    }
}
