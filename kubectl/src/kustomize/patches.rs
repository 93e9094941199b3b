//! `patches`, `patchesStrategicMerge`, `patchesJson6902`.

use super::load::{Folder, parse};
use super::{Item, KustomizeError};
use crate::apply::schema_of;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::LabelSelector;
use regex::Regex;

pub(super) fn run(folder: &Folder, items: &mut Vec<Item>) -> Result<(), KustomizeError> {
    for entry in folder.list("patchesStrategicMerge") {
        let text = entry.as_str().unwrap_or_default();
        // A patch in place, or the name of a file.
        let objects = match text.contains('\n') {
            true => vec![parse(&folder.path, text)?],
            false => folder.objects(text)?,
        };
        for patch in objects {
            merge_named(items, &patch)?;
        }
    }
    for entry in folder.list("patches").iter().chain(folder.list("patchesJson6902")) {
        one(folder, items, entry)?;
    }
    Ok(())
}

fn one(folder: &Folder, items: &mut Vec<Item>, entry: &Value) -> Result<(), KustomizeError> {
    let text = match (entry["path"].as_str(), entry["patch"].as_str()) {
        (Some(path), None) => folder.read(path).map_err(|why| KustomizeError::Patch {
            config: crate::print::yaml(entry),
            name: path.to_owned(),
            why: Box::new(why),
        })?,
        (None, Some(text)) => text.to_owned(),
        _ => return Err(KustomizeError::Invalid("must specify one of patch and path in a patch".into())),
    };
    for document in crate::files::documents(&text) {
        let patch = parse(&folder.path, &document)?;
        match (entry["target"].is_null(), patch.is_array()) {
            (true, true) => return Err(KustomizeError::Invalid("must specify a target for JSON patch".into())),
            (true, false) => merge_named(items, &patch)?,
            (false, _) => {
                let target = Target::of(&entry["target"])?;
                for at in (0..items.len()).rev() {
                    if target.fits(&items[at]) {
                        change(items, at, &patch)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// A strategic patch that names its object.
fn merge_named(items: &mut Vec<Item>, patch: &Value) -> Result<(), KustomizeError> {
    let kind = patch["kind"].as_str().unwrap_or_default();
    let at = items.iter().position(|item| {
        item.kind() == kind
            && item.object["apiVersion"] == patch["apiVersion"]
            && item.is_named(patch.name())
            && (patch.namespace().is_empty()
                || patch.namespace() == item.object.namespace()
                || patch.namespace() == item.former_namespace)
    });
    match at {
        Some(at) => change(items, at, patch),
        None => Err(KustomizeError::Invalid(format!(
            "no matches for Id {kind}/{}; failed to find unique target for patch",
            patch.name()
        ))),
    }
}

fn change(items: &mut Vec<Item>, at: usize, patch: &Value) -> Result<(), KustomizeError> {
    let object = items[at].object.clone();
    let (name, namespace) = (object.name().to_owned(), object.namespace().to_owned());
    let failed = |why: rules::patch::PatchError| KustomizeError::Invalid(format!("unable to patch {name}: {why}"));
    if patch.is_array() {
        items[at].object = rules::patch::json::apply(object, patch).map_err(failed)?;
        return Ok(());
    }
    if patch["$patch"] == "delete" {
        items.remove(at);
        return Ok(());
    }
    // The identity of the object is the object's own.
    let mut patch = patch.clone();
    for key in ["name", "namespace"] {
        patch.metadata_mut().remove(key);
    }
    let patched = match schema_of(&object) {
        Some(ty) => rules::patch::strategic::apply(&ty, object, &patch),
        None => rules::patch::merge::apply(object, &patch),
    };
    let mut patched = patched.map_err(failed)?;
    patched.set_meta("name", name.as_str());
    if !namespace.is_empty() {
        patched.set_meta("namespace", namespace.as_str());
    }
    items[at].object = patched;
    Ok(())
}

/// Which objects; names and kinds are patterns.
pub(super) struct Target {
    patterns: Vec<(&'static str, Regex)>,
    labels: Option<LabelSelector>,
    annotations: Option<LabelSelector>,
}

impl Target {
    pub(super) fn of(target: &Value) -> Result<Self, KustomizeError> {
        let mut patterns = Vec::new();
        for key in ["group", "version", "kind", "name", "namespace"] {
            if let Some(text) = target[key].as_str().filter(|t| !t.is_empty()) {
                let pattern =
                    Regex::new(&format!("^(?:{text})$")).map_err(|e| KustomizeError::Invalid(e.to_string()))?;
                patterns.push((key, pattern));
            }
        }
        let selector = |key: &str| match target[key].as_str() {
            Some(text) => LabelSelector::parse(text).map(Some).map_err(|e| KustomizeError::Invalid(e.to_string())),
            None => Ok(None),
        };
        Ok(Self { patterns, labels: selector("labelSelector")?, annotations: selector("annotationSelector")? })
    }

    pub(super) fn fits(&self, item: &Item) -> bool {
        let api_version = item.object["apiVersion"].as_str().unwrap_or_default();
        let version = api_version.rsplit('/').next().unwrap_or_default();
        let fits = |(key, pattern): &(&str, Regex)| match *key {
            "group" => pattern.is_match(item.group()),
            "version" => pattern.is_match(version),
            "kind" => pattern.is_match(item.kind()),
            "namespace" => pattern.is_match(item.object.namespace()) || pattern.is_match(&item.former_namespace),
            _ => pattern.is_match(item.object.name()) || item.former.iter().any(|name| pattern.is_match(name)),
        };
        let has = |selector: &Option<LabelSelector>, map: Option<&apimachinery::Map>| {
            selector.as_ref().is_none_or(|s| s.matches(|key| map.and_then(|m| m.get(key)?.as_str())))
        };
        self.patterns.iter().all(fits)
            && has(&self.labels, item.object.labels())
            && has(&self.annotations, item.object.annotations())
    }
}
