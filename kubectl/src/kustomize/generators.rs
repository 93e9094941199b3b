//! `configMapGenerator` and `secretGenerator`.

use super::load::Folder;
use super::{Item, KustomizeError};
use crate::generate::GenerateError;
use crate::generate::data::{self, Entries};
use apimachinery::meta::ObjectMeta;
use apimachinery::{Map, Value};
use std::collections::HashSet;

pub(super) fn run(folder: &Folder, items: &mut Vec<Item>) -> Result<(), KustomizeError> {
    for (field, secret) in [("configMapGenerator", false), ("secretGenerator", true)] {
        for spec in folder.list(field) {
            let item = generated(folder, spec, secret)?;
            place(items, item, spec)?;
        }
    }
    Ok(())
}

fn generated(folder: &Folder, spec: &Value, secret: bool) -> Result<Item, KustomizeError> {
    let name = spec["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Err(KustomizeError::Invalid("a generator has no name".into()));
    }
    let invalid = |error: GenerateError| KustomizeError::Invalid(format!("{name}: {error}"));
    let entries = entries(folder, spec)?;
    let mut keys = HashSet::new();
    if let Some((key, _)) = entries.iter().find(|(key, _)| !keys.insert(key)) {
        // So upstream says of secrets, too.
        return Err(KustomizeError::Invalid(format!("configmap {name} illegally repeats the key `{key}`")));
    }
    let mut object = match secret {
        true => data::secret(name, spec["type"].as_str().unwrap_or("Opaque"), entries, false),
        false => data::config_map(name, entries, false),
    }
    .map_err(invalid)?;
    if let Some(namespace) = spec["namespace"].as_str() {
        object.set_meta("namespace", namespace);
    }
    let global = &folder.says["generatorOptions"];
    let own = &spec["options"];
    for member in ["labels", "annotations"] {
        let mut all: Map = global[member].as_object().cloned().unwrap_or_default();
        all.extend(own[member].as_object().cloned().unwrap_or_default());
        if !all.is_empty() {
            object.set_meta(member, Value::Object(all));
        }
    }
    let flag = |key: &str| own[key].as_bool().or_else(|| global[key].as_bool()).unwrap_or(false);
    if flag("immutable") {
        object["immutable"] = true.into();
    }
    let mut item = Item::new(object);
    item.needs_hash = !flag("disableNameSuffixHash");
    Ok(item)
}

fn unread(what: &'static str, names: impl Iterator<Item = String>, why: KustomizeError) -> KustomizeError {
    KustomizeError::Source { what, names: names.collect::<Vec<_>>().join(" "), why: Box::new(why) }
}

fn entries(folder: &Folder, spec: &Value) -> Result<Entries, KustomizeError> {
    let texts = |key: &str| spec[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let invalid = |error: GenerateError| KustomizeError::Invalid(error.to_string());
    let mut entries = Entries::new();
    for source in texts("literals") {
        let (key, value) = data::literal(&source).map_err(invalid)?;
        // Quotes around a value belong to the YAML of the author.
        let value = match value.as_slice() {
            [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner.to_vec(),
            _ => value,
        };
        entries.push((key, value));
    }
    for source in texts("files") {
        let (key, name) = match source.split_once('=') {
            Some((key, name)) => (key.to_owned(), name.to_owned()),
            None => (source.rsplit('/').next().unwrap_or(&source).to_owned(), source.clone()),
        };
        let path = folder.file(&name).map_err(|why| unread("file sources", texts("files"), why))?;
        let content =
            std::fs::read(&path).map_err(|e| KustomizeError::File { path: path.clone(), why: data::go_error(&e) })?;
        entries.push((key, content));
    }
    for source in texts("envs").chain(spec["env"].as_str().map(str::to_owned)) {
        let path = folder.file(&source).map_err(|why| unread("env source files", texts("envs"), why))?;
        entries.extend(data::env_file(&path.to_string_lossy(), "configmap").map_err(invalid)?);
    }
    Ok(entries)
}

/// A new object, or a change to one that a base generated.
fn place(items: &mut Vec<Item>, item: Item, spec: &Value) -> Result<(), KustomizeError> {
    let name = item.object.name().to_owned();
    let there = items.iter_mut().find(|other| other.kind() == item.kind() && other.is_named(&name));
    match (spec["behavior"].as_str().unwrap_or("create"), there) {
        ("create" | "unspecified", None) => items.push(item),
        ("create" | "unspecified", Some(_)) => {
            return Err(KustomizeError::Duplicate(format!("{}/{name}", item.kind())));
        }
        (_, None) => {
            return Err(KustomizeError::Invalid(format!(
                "id {}/{name} does not exist; cannot merge or replace",
                item.kind()
            )));
        }
        (behavior, Some(other)) => {
            for member in ["data", "binaryData"] {
                let mut data = match behavior {
                    "merge" => other.object[member].as_object().cloned().unwrap_or_default(),
                    _ => Map::new(),
                };
                data.extend(item.object[member].as_object().cloned().unwrap_or_default());
                match (data.is_empty(), other.object.as_object_mut()) {
                    (true, Some(members)) => drop(members.remove(member)),
                    _ => other.object[member] = Value::Object(data),
                }
            }
        }
    }
    Ok(())
}
