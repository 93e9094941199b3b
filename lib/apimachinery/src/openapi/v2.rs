//! The document in Swagger 2.0, for clients that do not know better.

use super::operation::{Body, Content, Operation, Path, meaning};
use super::parameters::{Parameter, Place};
use super::schemas::{Dialect, kind};
use super::texts::Texts;
use super::v3::{closure, metadata, named};
use crate::gvk::GroupVersionKind;
use crate::resources;
use crate::schema::Schema;
use crate::{Map, Value};
use serde_json::json;
use std::collections::BTreeSet;

const DIALECT: Dialect = Dialect::V2;
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The document of these paths and of every type they need; `own` types are given.
pub(super) fn document(paths: &[Path], own: &Map, texts: &Texts) -> Value {
    let roots = paths.iter().flat_map(|p| &p.operations).flat_map(named).chain(metadata(own));
    let mut definitions: Map = closure(roots.collect())
        .into_iter()
        .map(|name| {
            let definition = DIALECT.schema(&name, &kinds(&name), texts);
            (name, definition)
        })
        .collect();
    definitions.extend(own.clone());
    let paths: Map = paths.iter().map(|p| (p.path.clone(), path(p))).collect();
    json!({
        "swagger": "2.0",
        "info": { "title": "Kubernetes", "version": "unversioned" },
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": {
            "BearerToken": { "type": "apiKey", "in": "header", "name": "authorization", "description": "Bearer token" },
        },
        "security": [{ "BearerToken": [] }],
    })
}

/// The kinds of a type; some exist in every group version.
fn kinds(name: &str) -> Vec<GroupVersionKind> {
    let schema = Schema::builtin();
    let Some(ty) = schema.type_named(name) else { return Vec::new() };
    let mut kinds: BTreeSet<GroupVersionKind> = schema.kinds_of(ty.id).cloned().collect();
    if ["DeleteOptions", "WatchEvent"].iter().any(|kind| name == format!("{META}.{kind}")) {
        let own = |r: &resources::ResourceInfo| {
            GroupVersionKind::new(r.group.clone(), r.version.clone(), ty.def().short_name().to_owned())
        };
        kinds.extend(resources::builtin().iter().map(|r| own(r)));
    }
    kinds.into_iter().collect()
}

fn path(path: &Path) -> Value {
    let shared = path.shared_parameters();
    let mut item = Map::new();
    if !shared.is_empty() {
        item.insert("parameters".into(), shared.iter().copied().map(parameter).collect());
    }
    for o in &path.operations {
        let own: Vec<Value> = o.parameters.iter().filter(|p| !shared.contains(p)).map(parameter).collect();
        item.insert(o.method.into(), operation(o, own));
    }
    Value::Object(item)
}

fn parameter(parameter: &Parameter) -> Value {
    let (name, kind) = (&parameter.name, parameter.kind);
    let mut written = match parameter.place {
        Place::Path => json!({ "in": "path", "name": name, "required": true, "type": kind, "uniqueItems": true }),
        Place::Query => json!({ "in": "query", "name": name, "type": kind, "uniqueItems": true }),
    };
    if let Some(text) = parameter.text() {
        written["description"] = text.into();
    }
    written
}

fn operation(o: &Operation, mut parameters: Vec<Value>) -> Value {
    let consumes = if let Some(Body::Patch(types)) = o.body { types } else { &["*/*"] };
    parameters.extend(o.body.as_ref().map(body));
    let mut responses: Map = o.codes.iter().map(|code| (code.to_string(), response(o, *code))).collect();
    responses.insert("401".into(), json!({ "description": meaning(401) }));
    let mut operation = json!({
        "description": o.summary, "operationId": o.id, "tags": [o.tag], "schemes": ["https"],
        "consumes": consumes, "produces": o.media.types(), "responses": responses,
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some((action, gvk)) = &o.action {
        operation["x-kubernetes-action"] = (*action).into();
        operation["x-kubernetes-group-version-kind"] = kind(gvk);
    }
    operation
}

fn response(o: &Operation, code: u16) -> Value {
    let schema = match &o.answer {
        Content::Object(name) => DIALECT.reference(name),
        Content::Text => json!({ "type": "string" }),
    };
    json!({ "description": meaning(code), "schema": schema })
}

fn body(body: &Body) -> Value {
    let (name, required) = match body {
        Body::Object(name) => (name.clone(), true),
        Body::Options => (format!("{META}.DeleteOptions"), false),
        Body::Patch(_) => (format!("{META}.Patch"), true),
    };
    let mut parameter = json!({ "in": "body", "name": "body", "schema": DIALECT.reference(&name) });
    if required {
        parameter["required"] = true.into();
    }
    parameter
}
