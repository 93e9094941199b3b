//! Documents in OpenAPI 3.0.

use super::operation::{Body, Content, Operation, Path, meaning};
use super::parameters::{Parameter, Place};
use super::schemas::{Dialect, kind, references};
use super::texts::Texts;
use crate::gvk::GroupVersionKind;
use crate::schema::Schema;
use crate::{Map, Value};
use serde_json::json;
use std::collections::BTreeSet;

const DIALECT: Dialect = Dialect::V3;
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

/// The document of these paths and of every type they need. Kinds that each group has (such as
/// `WatchEvent`) are listed for `group_version`; `own` types are given.
pub(super) fn document(paths: &[Path], group_version: Option<(&str, &str)>, own: &Map, texts: &Texts) -> Value {
    let roots = paths.iter().flat_map(|p| &p.operations).flat_map(named).chain(metadata(own));
    let mut schemas: Map = closure(roots.collect())
        .into_iter()
        .map(|name| {
            let schema = DIALECT.schema(&name, &kinds(&name, group_version), texts);
            (name, schema)
        })
        .collect();
    schemas.extend(own.clone());
    let paths: Map = paths.iter().map(|p| (p.path.clone(), path(p))).collect();
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": "unversioned" },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "BearerToken": { "type": "apiKey", "in": "header", "name": "authorization", "description": "Bearer token" },
            },
        },
        "security": [{ "BearerToken": [] }],
    })
}

/// The kinds of a type in the document of a group version.
fn kinds(name: &str, group_version: Option<(&str, &str)>) -> Vec<GroupVersionKind> {
    let schema = Schema::builtin();
    let Some(ty) = schema.type_named(name) else { return Vec::new() };
    let mut kinds: Vec<GroupVersionKind> = schema.kinds_of(ty.id).cloned().collect();
    let everywhere = ["DeleteOptions", "WatchEvent"].iter().any(|kind| name == format!("{META}.{kind}"));
    if let (true, Some((group, version))) = (everywhere, group_version) {
        let own = GroupVersionKind::new(group.to_owned(), version.to_owned(), ty.def().short_name().to_owned());
        if !kinds.contains(&own) {
            kinds.push(own);
        }
    }
    kinds.sort();
    kinds
}

/// The built-in types that given ones refer to.
pub(super) fn metadata(own: &Map) -> Vec<String> {
    match own.is_empty() {
        true => Vec::new(),
        false => vec![format!("{META}.ListMeta"), format!("{META}.ObjectMeta")],
    }
}

/// The types that an operation names.
pub(super) fn named(operation: &Operation) -> Vec<String> {
    let mut names = Vec::new();
    match &operation.body {
        Some(Body::Object(name)) => names.push(name.clone()),
        Some(Body::Options) => names.push(OPTIONS.into()),
        Some(Body::Patch(_)) => names.push(PATCH.into()),
        None => {}
    }
    if let Content::Object(name) = &operation.answer {
        names.push(name.clone());
    }
    names
}

/// The types, and all that they refer to.
pub(super) fn closure(mut pending: Vec<String>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    while let Some(name) = pending.pop() {
        if let (true, Some(ty)) = (names.insert(name.clone()), Schema::builtin().type_named(&name)) {
            pending.extend(references(ty.def()));
        }
    }
    names
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
    let schema = json!({ "type": parameter.kind, "uniqueItems": true });
    let mut written = match parameter.place {
        Place::Path => json!({ "in": "path", "name": parameter.name, "required": true, "schema": schema }),
        Place::Query => json!({ "in": "query", "name": parameter.name, "schema": schema }),
    };
    if let Some(text) = parameter.text() {
        written["description"] = text.into();
    }
    written
}

fn operation(o: &Operation, parameters: Vec<Value>) -> Value {
    let mut responses: Map = o.codes.iter().map(|code| (code.to_string(), response(o, *code))).collect();
    responses.insert("401".into(), json!({ "description": meaning(401) }));
    let mut operation = json!({
        "description": o.summary, "operationId": o.id, "tags": [o.tag], "responses": responses,
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &o.body {
        operation["requestBody"] = request_body(body);
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
    json!({ "description": meaning(code), "content": content(o.media.types(), &schema) })
}

fn request_body(body: &Body) -> Value {
    match body {
        Body::Object(name) => json!({ "required": true, "content": content(&["*/*"], &DIALECT.reference(name)) }),
        Body::Options => json!({ "content": content(&["*/*"], &DIALECT.reference(OPTIONS)) }),
        Body::Patch(types) => json!({ "required": true, "content": content(types, &DIALECT.reference(PATCH)) }),
    }
}

fn content(media: &[&str], schema: &Value) -> Map {
    media.iter().map(|media| ((*media).to_owned(), json!({ "schema": schema }))).collect()
}
