//! Reads the table's text.

use super::{ResourceInfo, SelectableField, Subresource};
use crate::gvk::{GroupVersionKind, Str};
use crate::schema::Schema;
use std::sync::Arc;

/// A line of the table that makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("resource table, line {line}: {what}")]
pub(super) struct TableError {
    line: usize,
    what: &'static str,
}

/// Group, version and plural of a built-in resource.
pub(super) fn path(resource: &ResourceInfo) -> Option<(&'static str, &'static str, &'static str)> {
    match (&resource.group, &resource.version, &resource.plural) {
        (Str::Borrowed(group), Str::Borrowed(version), Str::Borrowed(plural)) => Some((group, version, plural)),
        _ => None,
    }
}

pub(super) fn parse(text: &'static str) -> Result<Vec<Arc<ResourceInfo>>, TableError> {
    let mut resources: Vec<ResourceInfo> = Vec::new();
    let (mut group, mut version) = ("", "");
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.starts_with('#')) {
        let fail = |what| TableError { line: number + 1, what };
        let mut words = line.split(' ');
        match words.next().unwrap_or_default() {
            "version" => {
                group = core(words.next().ok_or(fail("no group"))?);
                version = words.next().ok_or(fail("no version"))?;
            }
            name if name.starts_with('/') => {
                let parent = resources.last_mut().ok_or(fail("a subresource of nothing"))?;
                let subresource =
                    subresource(&name[1..], words, group, version).ok_or(fail("a subresource without a kind"))?;
                parent.subresources.push(subresource);
            }
            plural => resources.push(resource(plural, words, group, version).map_err(fail)?),
        }
    }
    Ok(resources.into_iter().map(Arc::new).collect())
}

fn core(group: &'static str) -> &'static str {
    if group == "core" { "" } else { group }
}

fn resource(
    plural: &'static str,
    mut words: std::str::Split<'static, char>,
    group: &'static str,
    version: &'static str,
) -> Result<ResourceInfo, &'static str> {
    let kind = words.next().ok_or("no kind")?;
    let singular = words.next().ok_or("no singular")?;
    let namespaced = words.next().ok_or("no scope")? == "n";
    let verbs = verbs(words.next().ok_or("no verbs")?);
    let gvk = GroupVersionKind::new(group, version, kind);
    let schema = Schema::builtin().kind(&gvk).ok_or("a kind without a schema")?;
    let is_stored = verbs.iter().any(|v| v == "get");
    let mut info = ResourceInfo {
        group: group.into(),
        version: version.into(),
        plural: plural.into(),
        singular: if singular == "-" { "" } else { singular }.into(),
        kind: kind.into(),
        list_kind: format!("{kind}List").into(),
        namespaced,
        short_names: Vec::new(),
        categories: Vec::new(),
        verbs,
        subresources: Vec::new(),
        storage_prefix: if is_stored { plural } else { "" }.into(),
        storage_kind: gvk,
        schema,
        selectable_fields: Vec::new(),
        custom: None,
    };
    words.try_for_each(|word| apply(&mut info, word))?;
    Ok(info)
}

fn apply(info: &mut ResourceInfo, word: &'static str) -> Result<(), &'static str> {
    let list = |text: &'static str| text.split(',').map(Str::from).collect();
    match word.split_once('=') {
        None if word == "virtual" => info.storage_prefix = "".into(),
        Some(("short", text)) => info.short_names = list(text),
        Some(("cat", text)) => info.categories = list(text),
        Some(("at", text)) => info.storage_prefix = text.into(),
        Some(("as", text)) => info.storage_kind = kind_path(text).ok_or("not a group, version and kind")?,
        Some(("select", text)) => info.selectable_fields = text.split(',').map(selectable).collect(),
        _ => return Err("an unknown mark"),
    }
    Ok(())
}

/// `group/version/kind`.
fn kind_path(text: &'static str) -> Option<GroupVersionKind> {
    let mut parts = text.splitn(3, '/');
    Some(GroupVersionKind::new(core(parts.next()?), parts.next()?, parts.next()?))
}

/// `label[:path...][=default]`.
fn selectable(text: &'static str) -> SelectableField {
    let (names, default) = text.split_once('=').unwrap_or((text, ""));
    let mut names = names.split(':');
    let label: Str = names.next().unwrap_or_default().into();
    let mut paths: Vec<Str> = names.map(Str::from).collect();
    if paths.is_empty() {
        paths.push(label.clone());
    }
    SelectableField { label, paths, default: default.into() }
}

fn subresource(
    name: &'static str,
    mut words: std::str::Split<'static, char>,
    group: &'static str,
    version: &'static str,
) -> Option<Subresource> {
    let kind = words.next()?;
    let kind_and_version = kind.split_once('@');
    let kind = match kind_and_version {
        Some((kind, place)) => {
            let (group, version) = place.split_once('/')?;
            GroupVersionKind::new(core(group), version, kind)
        }
        None => GroupVersionKind::new(group, version, kind),
    };
    let verbs = verbs(words.next()?);
    Some(Subresource { name: name.into(), kind, names_version: kind_and_version.is_some(), verbs })
}

fn verbs(letters: &str) -> Vec<Str> {
    let verb = |letter| {
        Some(match letter {
            'g' => "get",
            'l' => "list",
            'w' => "watch",
            'c' => "create",
            'u' => "update",
            'p' => "patch",
            'd' => "delete",
            'D' => "deletecollection",
            _ => return None,
        })
    };
    letters.chars().filter_map(verb).map(Str::from).collect()
}
