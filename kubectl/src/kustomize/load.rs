//! Reading folders, files and what a kustomization says.

use super::order::Order;
use super::{Item, KustomizeError, MAX_DEPTH, generators, names, patches, replacements, transform};
use crate::files::{documents, flatten};
use crate::generate::data::go_error;
use apimachinery::Value;
use apimachinery::codec::yaml;
use apimachinery::meta::ObjectMeta;
use rules::patch::go_kind;
use std::path::{Path, PathBuf};

const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Fields that are built; the others are refused.
const KNOWN: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "resources",
    "bases",
    "components",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "labels",
    "commonLabels",
    "commonAnnotations",
    "images",
    "replicas",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
    "replacements",
    "sortOptions",
    "buildMetadata",
];

/// Fields that upstream knows, and that are not built.
const NOT_BUILT: &[&str] = &[
    "configurations",
    "crds",
    "generators",
    "helmChartInflationGenerator",
    "helmCharts",
    "helmGlobals",
    "openapi",
    "transformers",
    "validators",
    "vars",
];

/// The folder of a kustomization, with what it says.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) says: Value,
}

/// Builds a folder; `above` are the folders that include it.
pub(super) fn folder(path: &Path, above: &mut Vec<PathBuf>) -> Result<Vec<Item>, KustomizeError> {
    let folder = open(path)?;
    if above.contains(&folder.path) || above.len() >= MAX_DEPTH {
        return Err(KustomizeError::Cycle(folder.path));
    }
    above.push(folder.path.clone());
    let mut items = resources(&folder, above)?;
    apply(&folder, &mut items, above)?;
    above.pop();
    Ok(items)
}

/// In which order a folder's objects come out.
pub(super) fn order(path: &Path) -> Result<Order, KustomizeError> {
    match open(path)?.says["sortOptions"]["order"].as_str() {
        None | Some("legacy") => Ok(Order::Legacy),
        Some("fifo") => Ok(Order::AsWritten),
        Some(_) => {
            Err(KustomizeError::Invalid("the field 'sortOptions.order' must be one of [fifo, legacy]".to_owned()))
        }
    }
}

fn open(path: &Path) -> Result<Folder, KustomizeError> {
    let path = path.canonicalize().map_err(|e| KustomizeError::File { path: path.into(), why: go_error(&e) })?;
    let mut files = NAMES.iter().map(|name| path.join(name)).filter(|file| file.is_file());
    let file = match (files.next(), files.next()) {
        (None, _) => return Err(KustomizeError::NoKustomization(path)),
        (Some(_), Some(_)) => return Err(KustomizeError::Several(path)),
        (Some(file), None) => file,
    };
    let text = read(&file)?;
    if text.is_empty() {
        return Err(KustomizeError::Empty);
    }
    let says = yaml::to_value(text.as_bytes()).map_err(|error| KustomizeError::Malformed(error.to_string()))?;
    let says = in_known_spelling(says);
    if let Some(why) = mistyped(&says) {
        return Err(KustomizeError::Malformed(format!("json: cannot unmarshal {why}")));
    }
    let unknown = says.as_object().into_iter().flatten().map(|(key, _)| key).find(|key| !KNOWN.contains(&key.as_str()));
    match (unknown, says["kind"].as_str().unwrap_or_default()) {
        (Some(field), _) if NOT_BUILT.contains(&field.as_str()) => Err(KustomizeError::Unsupported(field.clone())),
        (Some(field), _) => Err(KustomizeError::Malformed(format!("json: unknown field {field:?}"))),
        (None, "" | "Kustomization" | "Component") => Ok(Folder { path, says }),
        (None, _) => Err(KustomizeError::OtherKind(path)),
    }
}

/// Fields that are texts.
const TEXTS: [&str; 5] = ["apiVersion", "kind", "namePrefix", "nameSuffix", "namespace"];
/// Fields that are lists of texts.
const LISTS: [&str; 4] = ["bases", "buildMetadata", "components", "resources"];
/// Fields that are texts by name.
const MAPS: [&str; 2] = ["commonAnnotations", "commonLabels"];

/// What is of another type than upstream has it, in Go's words.
fn mistyped(says: &Value) -> Option<String> {
    let Value::Object(fields) = says else {
        return (!says.is_null()).then(|| format!("{} into Go value of type types.Kustomization", go_kind(says)));
    };
    let mut fields: Vec<_> = fields.iter().filter(|(_, value)| !value.is_null()).collect();
    fields.sort_by_key(|(field, _)| *field);
    fields.into_iter().find_map(|(field, value)| {
        let name = field.as_str();
        let wrong = |value: &Value, ty: &str| {
            Some(format!("{} into Go struct field Kustomization.{field} of type {ty}", go_kind(value)))
        };
        let no_text = |value: &&Value| !value.is_string() && !value.is_null();
        match value {
            value if TEXTS.contains(&name) => no_text(&value).then(|| wrong(value, "string"))?,
            Value::Array(items) if LISTS.contains(&name) => {
                items.iter().find(no_text).and_then(|item| wrong(item, "string"))
            }
            value if LISTS.contains(&name) => wrong(value, "[]string"),
            Value::Object(pairs) if MAPS.contains(&name) => {
                pairs.iter().map(|(_, value)| value).find(no_text).and_then(|value| wrong(value, "string"))
            }
            value if MAPS.contains(&name) => wrong(value, "map[string]string"),
            _ => None,
        }
    })
}

/// Fields are known by their letters, in whatever case.
fn in_known_spelling(says: Value) -> Value {
    let Value::Object(fields) = says else { return says };
    let known = |field: &str| KNOWN.iter().find(|known| known.eq_ignore_ascii_case(field));
    let spelt = |(field, value): (String, Value)| (known(&field).map_or(field, |known| (*known).to_owned()), value);
    fields.into_iter().map(spelt).collect()
}

impl Folder {
    /// The entries of a list.
    pub(super) fn list(&self, field: &str) -> &[Value] {
        self.says[field].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The texts of a list.
    pub(super) fn texts(&self, field: &str) -> impl Iterator<Item = &str> {
        self.list(field).iter().filter_map(Value::as_str)
    }

    /// A file of the folder, never one outside of it.
    pub(super) fn file(&self, name: &str) -> Result<PathBuf, KustomizeError> {
        let path = self.path.join(name);
        let real = path.canonicalize().map_err(|e| KustomizeError::File { path: path.clone(), why: go_error(&e) })?;
        match real.starts_with(&self.path) {
            true => Ok(real),
            false => Err(KustomizeError::Outside { file: real, folder: self.path.clone() }),
        }
    }

    /// The text of a file.
    pub(super) fn read(&self, name: &str) -> Result<String, KustomizeError> {
        read(&self.file(name)?)
    }

    /// The objects of a file.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Value>, KustomizeError> {
        let file = self.file(name)?;
        let mut objects = Vec::new();
        for document in documents(&read(&file)?) {
            objects.extend(flatten(parse(&file, &document)?));
        }
        Ok(objects)
    }
}

fn read(path: &Path) -> Result<String, KustomizeError> {
    std::fs::read_to_string(path).map_err(|e| KustomizeError::File { path: path.into(), why: go_error(&e) })
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Value, KustomizeError> {
    yaml::to_value(text.as_bytes()).map_err(|e| KustomizeError::Syntax { path: path.into(), why: e.to_string() })
}

fn resources(folder: &Folder, above: &mut Vec<PathBuf>) -> Result<Vec<Item>, KustomizeError> {
    let mut items = Vec::new();
    for name in folder.texts("resources").chain(folder.texts("bases")) {
        if name.contains("://") || name.starts_with("github.com/") || name.starts_with("git@") {
            return Err(KustomizeError::Remote(name.to_owned()));
        }
        let path = folder.path.join(name);
        let is_folder = path.is_dir();
        let added = match is_folder {
            true => self::folder(&path, above),
            false => folder.objects(name).map(|objects| objects.into_iter().map(Item::new).collect()),
        };
        let added: Vec<Item> = added.map_err(|why| of_resource(name, &path, is_folder, why))?;
        for item in added {
            add(&mut items, item).map_err(|why| of_resource(name, &path, is_folder, why))?;
        }
    }
    Ok(items)
}

/// What is wrong with a resource: upstream takes it for a file first, and for a folder then.
fn of_resource(name: &str, path: &Path, is_folder: bool, why: KustomizeError) -> KustomizeError {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let shown = real.display();
    let (as_file, as_folder) = match why {
        KustomizeError::Syntax { why, .. } => return KustomizeError::BadResource { name: name.to_owned(), why },
        KustomizeError::Duplicate(_) if is_folder => return why,
        KustomizeError::Duplicate(_) => {
            (format!("merging resources from '{name}': {why}"), KustomizeError::NotFolder(real).to_string())
        }
        KustomizeError::File { .. } if !is_folder => (
            format!("accumulating resources from '{name}': {why}"),
            format!("must build at directory: not a valid directory: {why}"),
        ),
        _ if !is_folder => {
            (format!("accumulating resources from '{name}': {why}"), KustomizeError::NotFolder(real).to_string())
        }
        KustomizeError::Cycle(ref at) if *at == real => {
            (format!("accumulating resources from '{name}': '{shown}' must resolve to a file"), why.to_string())
        }
        _ => (
            format!("accumulating resources from '{name}': '{shown}' must resolve to a file"),
            format!("recursed accumulation of path '{shown}': {why}"),
        ),
    };
    KustomizeError::Resource { as_file, as_folder }
}

fn add(items: &mut Vec<Item>, item: Item) -> Result<(), KustomizeError> {
    let id = |i: &Item| {
        (i.group().to_owned(), i.kind().to_owned(), i.object.name().to_owned(), i.object.namespace().to_owned())
    };
    if item.kind().is_empty() || item.object.name().is_empty() {
        return Err(KustomizeError::Invalid(format!("missing metadata.name or kind in object {}", item.object)));
    }
    if items.iter().any(|other| id(other) == id(&item)) {
        let (group, kind, name, namespace) = id(&item);
        let place = if namespace.is_empty() { "[noNs]".to_owned() } else { namespace };
        let version = item.object["apiVersion"].as_str().and_then(|version| version.rsplit('/').next());
        let version = version.unwrap_or_default();
        let group = if group.is_empty() { "[noGrp]".to_owned() } else { group };
        return Err(KustomizeError::Duplicate(format!("{kind}.{version}.{group}/{name}.{place}")));
    }
    items.push(item);
    Ok(())
}

/// What a kustomization or a component says, in the order in which upstream does it.
fn apply(folder: &Folder, items: &mut Vec<Item>, above: &mut Vec<PathBuf>) -> Result<(), KustomizeError> {
    generators::run(folder, items)?;
    for name in folder.texts("components") {
        let component = open(&folder.path.join(name))?;
        if component.says["kind"] != "Component" {
            return Err(KustomizeError::Invalid(format!("expected kind 'Component' for path '{name}'")));
        }
        if above.contains(&component.path) {
            return Err(KustomizeError::Cycle(component.path));
        }
        above.push(component.path.clone());
        for item in resources(&component, above)? {
            add(items, item)?;
        }
        apply(&component, items, above)?;
        above.pop();
    }
    patches::run(folder, items)?;
    transform::run(folder, items)?;
    names::run(folder, items);
    replacements::run(folder, items)
}
