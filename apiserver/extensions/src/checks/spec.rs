//! `spec` apart from its schemas.

use super::{SPEC, conversion, openapi};
use crate::definition::Names;
use crate::schema::{Node, Type};
use apimachinery::Value;
use rules::tree::Tree;
use rules::validation::check::{At, Report};
use rules::validation::names::{label_1035, subdomain};

const COLUMN_TYPES: &str = "boolean,date,integer,number,string";
const COLUMN_FORMATS: &str = "byte,date,date-time,double,float,int32,int64,password";
const MAX_SELECTABLE: usize = 8;
const MAX_WARNING: usize = 256;

pub(super) fn check(spec: &Value, old: Option<&Value>, out: &mut Report) {
    group(spec.text("group"), out);
    out.one_of(&SPEC.child("scope"), spec.text("scope"), &["Cluster", "Namespaced"]);
    let shared = Shared::of(spec.items("versions"));
    versions(spec, old, shared, out);
    let at = SPEC.child("names");
    let wanted = Names::read(spec.at("names"));
    for (key, text) in [
        ("plural", &wanted.plural),
        ("singular", &wanted.singular),
        ("kind", &wanted.kind),
        ("listKind", &wanted.list_kind),
    ] {
        if text.is_empty() {
            out.required(&at.child(key), "");
        }
    }
    names(&wanted, &at, out);
    if let Some(first) = spec.items("versions").first() {
        let any_status = spec.items("versions").iter().any(has_status);
        parts(first, old_version(old, first.text("name")), any_status, shared, Place::Spec, out);
    }
    conversion::check(spec, old, out);
}

/// Which parts all versions have alike. Upstream's own form of a definition has them once, at the
/// top, and complains about them there.
#[derive(Clone, Copy)]
struct Shared {
    schema: bool,
    subresources: bool,
    columns: bool,
    fields: bool,
}

impl Shared {
    fn of(versions: &[Value]) -> Self {
        let alike = |key| versions.windows(2).all(|pair| pair[0].at(key) == pair[1].at(key));
        Self {
            schema: alike("schema"),
            subresources: alike("subresources"),
            columns: alike("additionalPrinterColumns"),
            fields: alike("selectableFields"),
        }
    }
}

/// Where parts are complained about.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// At the top: those that are shared.
    Spec,
    /// In a version: those that are not.
    Version(&'a At<'a>),
}

impl Place<'_> {
    fn at<'b>(&'b self, key: &'b str) -> At<'b> {
        match self {
            Self::Spec => SPEC.child(if key == "schema" { "validation" } else { key }),
            Self::Version(at) => at.child(key),
        }
    }

    fn has(self, shared: bool) -> bool {
        matches!(self, Self::Spec) == shared
    }
}

fn has_status(version: &Value) -> bool {
    version.pointer("/subresources/status").is_some_and(|status| !status.is_null())
}

fn group(group: &str, out: &mut Report) {
    let at = SPEC.child("group");
    let wrong = subdomain(group);
    match group {
        "" => out.required(&at, ""),
        group if !wrong.is_empty() => out.invalid(&at, group, wrong.join(",")),
        group if !group.contains('.') => out.invalid(&at, group, "should be a domain with at least one dot"),
        _ => {}
    }
}

pub(super) fn names(names: &Names, at: &At<'_>, out: &mut Report) {
    let mut label = |at: &At<'_>, text: &str, lower: String, intro: &str| {
        let wrong = label_1035(&lower);
        if !wrong.is_empty() {
            out.invalid(at, text, format!("{intro}{}", wrong.join(",")));
        }
    };
    const MIXED: &str = "may have mixed case, but should otherwise match: ";
    for (key, text, intro) in [
        ("plural", &names.plural, ""),
        ("singular", &names.singular, ""),
        ("kind", &names.kind, MIXED),
        ("listKind", &names.list_kind, MIXED),
    ] {
        let lower = if intro.is_empty() { text.clone() } else { text.to_lowercase() };
        if !text.is_empty() {
            label(&at.child(key), text, lower, intro);
        }
    }
    let (short, categories) = (at.child("shortNames"), at.child("categories"));
    for (index, name) in names.short_names.iter().enumerate() {
        label(&short.index(index), name, name.clone(), "");
    }
    for (index, name) in names.categories.iter().enumerate() {
        label(&categories.index(index), name, name.clone(), "");
    }
    if !names.kind.is_empty() && names.kind == names.list_kind {
        out.invalid(&at.child("listKind"), names.list_kind.as_str(), "kind and listKind may not be the same");
    }
}

fn versions(spec: &Value, old: Option<&Value>, shared: Shared, out: &mut Report) {
    let at = SPEC.child("versions");
    let versions = spec.items("versions");
    for (index, version) in versions.iter().enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none_or(Value::is_null) {
            let at = at.index(index);
            let at = at.child("schema");
            out.required(&at.child("openAPIV3Schema"), "");
        }
    }
    for (index, version) in versions.iter().enumerate() {
        let at = at.index(index);
        let name = version.text("name");
        version_name(&at.child("name"), name, out);
        deprecation(version, &at, out);
        parts(version, old_version(old, name), has_status(version), shared, Place::Version(&at), out);
    }
    let value = spec.at("versions").unwrap_or(&Value::Null);
    let name = |version: &Value| version.text("name").to_owned();
    if (1..versions.len()).any(|i| versions[..i].iter().any(|v| name(v) == name(&versions[i]))) {
        out.invalid(&at, value, "must contain unique version names");
    }
    if versions.iter().filter(|v| v.flag("storage")).count() != 1 {
        out.invalid(&at, value, "must have exactly one version marked as storage version");
    }
    if let Some(first) = versions.first().map(|version| version.text("name")).filter(|name| !name.is_empty()) {
        version_name(&SPEC.child("version"), first, out);
    }
}

fn version_name(at: &At<'_>, name: &str, out: &mut Report) {
    let wrong = label_1035(name);
    if !wrong.is_empty() {
        out.invalid(at, name, wrong.join(","));
    }
}

fn old_version<'v>(old: Option<&'v Value>, name: &str) -> Option<&'v Value> {
    old?.pointer("/spec/versions")?.as_array()?.iter().find(|version| version.text("name") == name)
}

/// The parts of a version that stand at this place.
fn parts(version: &Value, old: Option<&Value>, has_status: bool, shared: Shared, place: Place<'_>, out: &mut Report) {
    let schema = version.pointer("/schema/openAPIV3Schema").filter(|schema| schema.is_object());
    if let Some(schema) = schema.filter(|_| place.has(shared.schema)) {
        let before = old.and_then(|old| old.pointer("/schema/openAPIV3Schema"));
        openapi::check(schema, before, has_status, &place.at("schema").child("openAPIV3Schema"), out);
    }
    let scale = version.pointer("/subresources/scale").filter(|scale| !scale.is_null());
    if let Some(scale) = scale.filter(|_| place.has(shared.subresources)) {
        scale_paths(scale, &place.at("subresources").child("scale"), out);
    }
    if place.has(shared.columns) {
        let columns = place.at("additionalPrinterColumns");
        for (index, column) in version.items("additionalPrinterColumns").iter().enumerate() {
            check_column(column, &columns.index(index), out);
        }
    }
    if place.has(shared.fields) && !version.items("selectableFields").is_empty() {
        selectable_fields(version, old, &place.at("selectableFields"), out);
    }
}

fn deprecation(version: &Value, at: &At<'_>, out: &mut Report) {
    let Some(text) = version.at("deprecationWarning").and_then(Value::as_str) else { return };
    let at = at.child("deprecationWarning");
    if !version.flag("deprecated") {
        return out.invalid(&at, text, "can only be set for deprecated versions");
    }
    if text.len() > MAX_WARNING {
        out.invalid(&at, text, format!("must be <= {MAX_WARNING} characters long"));
    }
    if text.is_empty() {
        out.invalid(&at, text, "must not be an empty string");
    }
    if let Some((index, _)) = text.char_indices().find(|(_, c)| c.is_control()) {
        let why =
            format!("must only contain printable UTF-8 characters; non-printable character found at index {index}");
        out.invalid(&at, text, why);
    }
}

fn scale_paths(scale: &Value, at: &At<'_>, out: &mut Report) {
    let mut check = |key: &str, roots: &[&str]| {
        let (at, path) = (at.child(key), scale.text(key));
        let below = |root: &&str| path.starts_with(&format!(".{root}."));
        match path {
            "" if key == "labelSelectorPath" => {}
            "" => out.required(&at, ""),
            path if !path.starts_with('.') => {
                out.invalid(&at, path, "must be a simple json path starting with .");
            }
            path if !roots.iter().any(below) => {
                let roots: Vec<String> = roots.iter().map(|root| format!(".{root}")).collect();
                let either = if roots.len() > 1 { "either " } else { "" };
                out.invalid(&at, path, format!("should be a json path under {either}{}", roots.join(" or ")));
            }
            _ => {}
        }
    };
    check("specReplicasPath", &["spec"]);
    check("statusReplicasPath", &["status"]);
    check("labelSelectorPath", &["spec", "status"]);
}

fn check_column(column: &Value, at: &At<'_>, out: &mut Report) {
    if column.text("name").is_empty() {
        out.required(&at.child("name"), "");
    }
    match column.text("type") {
        "" => out.required(&at.child("type"), &format!("must be one of {COLUMN_TYPES}")),
        kind if !COLUMN_TYPES.split(',').any(|known| known == kind) => {
            out.invalid(&at.child("type"), kind, format!("must be one of {COLUMN_TYPES}"));
        }
        _ => {}
    }
    let format = column.text("format");
    if !format.is_empty() && !COLUMN_FORMATS.split(',').any(|known| known == format) {
        out.invalid(&at.child("format"), format, format!("must be one of {COLUMN_FORMATS}"));
    }
    let path_at = at.child("JSONPath");
    // A path that cannot be followed shows nothing.
    match column.text("jsonPath") {
        "" => out.required(&path_at, ""),
        path if !path.starts_with('.') => out.invalid(&path_at, path, "must be a simple json path starting with ."),
        _ => {}
    }
}

fn selectable_fields(version: &Value, old: Option<&Value>, at: &At<'_>, out: &mut Report) {
    let fields = version.items("selectableFields");
    let Some(root) = version.pointer("/schema/openAPIV3Schema").and_then(|schema| Node::read(schema).ok()) else {
        return;
    };
    let mut seen: Vec<&str> = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let (at, path) = (at.index(index), field.text("jsonPath"));
        let at = at.child("jsonPath");
        if path.is_empty() {
            out.required(&at, "");
            continue;
        }
        match field_schema(&root, path) {
            Err(why) => {
                out.invalid(&at, path, format!("is an invalid path: {why}"));
                continue;
            }
            Ok(node) => {
                if path.strip_prefix('.').is_some_and(|path| path_token(path).0 == "metadata") {
                    out.invalid(&at, path, "must not point to fields in metadata");
                }
                if !matches!(node.ty, Some(Type::String | Type::Boolean | Type::Integer)) {
                    let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with \
                               formats are allowed.";
                    out.invalid(&at, path, why);
                }
            }
        }
        match seen.contains(&path) {
            true => out.duplicate(&at, path),
            false => seen.push(path),
        }
    }
    let unchanged = old.is_some_and(|old| old.items("selectableFields") == fields);
    if seen.len() > MAX_SELECTABLE && !unchanged {
        out.too_many(at, seen.len(), MAX_SELECTABLE);
    }
}

/// The schema that a path of members leads to.
///
/// Upstream: `ValidFieldPath` in `apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go`, without array notation.
fn field_schema<'n>(root: &'n Node, path: &str) -> Result<&'n Node, String> {
    let (mut node, mut rest) = (root, path);
    while !rest.is_empty() {
        let (token, after) = path_token(rest);
        match token {
            "." if after.is_empty() => return Err("unexpected end of JSON path".into()),
            "." => {}
            "[" => return Err("array notation is not allowed".into()),
            other => return Err(format!("expected [ or . but got: {other}")),
        }
        let (member, after) = path_token(after);
        node = node.member(member).ok_or("does not refer to a valid field")?;
        rest = after;
    }
    Ok(node)
}

/// A delimiter, or what stands before the next one.
fn path_token(path: &str) -> (&str, &str) {
    let end = path.find(['.', '[', ']']).unwrap_or(path.len());
    path.split_at(if end == 0 { 1.min(path.len()) } else { end })
}
