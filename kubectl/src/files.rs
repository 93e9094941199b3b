//! Manifests: files, folders, standard input; YAML with several documents, JSON, lists.

mod glob;
mod named;

use crate::cli::Files;
use crate::commands::Session;
use crate::discovery::{Discovery, Resource};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::codec::yaml;
use apimachinery::meta::ObjectMeta;
use apimachinery::schema::{Schema, Shape};
use named::Place;
use rules::patch::go_kind;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Said of a command line that wants standard input for two things.
pub(crate) const STDIN_TWICE: &str = "standard input cannot be used for multiple arguments";
/// Longest file that is read.
const MAX_FILE: u64 = 256 << 20;
/// Longest answer that is read as one.
const MAX_DOWNLOAD: u64 = 64 << 20;

/// An object of a manifest with the resource that takes it.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Where it came from.
    pub source: String,
    /// The object.
    pub object: Value,
    /// Its resource.
    pub resource: Resource,
    /// Its namespace: its own, or that of the command line.
    pub namespace: String,
}

impl Manifest {
    /// Path of the collection.
    pub fn collection(&self) -> String {
        self.resource.path(Some(&self.namespace))
    }

    /// Path of the object.
    pub fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.object.name())
    }

    /// `deployment.apps/web`.
    pub fn display(&self) -> String {
        format!("{}/{}", self.resource.display(), self.object.name())
    }
}

/// What manifests say, and what is wrong with others of them.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The objects in their order.
    pub manifests: Vec<Manifest>,
    /// What could not be read.
    pub failures: Vec<anyhow::Error>,
}

impl Manifests {
    /// All objects, or the first thing that is wrong.
    pub fn all(self) -> anyhow::Result<Vec<Manifest>> {
        self.failures.into_iter().next().map_or(Ok(self.manifests), Err)
    }
}

/// Whether a document must say what it is before it is read any further, as `--validate` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It must be an object of a known type.
    Decoded,
    /// The same, but what it does not say is not filled in, as it is for no server.
    Local,
    /// It must have a kind and a version, or the rest of its file is not read.
    Validated,
}

impl Check {
    /// The check of a value of `--validate`.
    pub fn of(validate: &str) -> Self {
        if matches!(validate, "ignore" | "false") { Check::Decoded } else { Check::Validated }
    }
}

/// Reads all manifests that the flags name. A file that cannot be had at all is an error; what is
/// wrong inside of one is told beside the objects of the others.
pub async fn read(files: &Files, discovery: &Discovery, session: &Session) -> anyhow::Result<Manifests> {
    read_checked(files, discovery, session, Check::Decoded).await
}

/// The same with the check of a command that has `--validate`.
pub async fn read_checked(
    files: &Files,
    discovery: &Discovery,
    session: &Session,
    check: Check,
) -> anyhow::Result<Manifests> {
    let mut read = Manifests::default();
    for source in sources(files).await? {
        let (name, documents) = match source {
            Source::Built(name, objects) => (name, objects.into_iter().map(Ok).collect()),
            Source::Text(name, text) => {
                let (text, odd) = before_odd_separator(&text);
                let parse = |document: &String| yaml::to_value(document.as_bytes()).map_err(|e| unparsed(&name, &e));
                let mut parsed: Vec<_> = documents(text).iter().map(parse).collect();
                parsed.extend(
                    odd.map(|odd| Err(anyhow::anyhow!("error parsing {name}: invalid Yaml document separator: {odd}"))),
                );
                (name, parsed)
            }
        };
        for document in documents {
            // What says nothing at all is no object that lacks something.
            if matches!(document, Ok(Value::Null)) {
                continue;
            }
            let document = match document.and_then(|document| match check {
                Check::Decoded | Check::Local => Ok(document),
                Check::Validated => validated(&name, document),
            }) {
                Ok(document) => document,
                // What is behind it in the same file is not looked at.
                Err(error) => {
                    read.failures.push(error);
                    break;
                }
            };
            for object in flatten(document) {
                let manifest = check_namespace(&object, session)
                    .and_then(|()| manifest(&name, object, discovery, &session.namespace, check));
                match manifest {
                    Ok(manifest) => read.manifests.push(manifest),
                    Err(error) => read.failures.push(error),
                }
            }
        }
    }
    Ok(read)
}

fn unparsed(source: &str, error: &impl std::fmt::Display) -> anyhow::Error {
    let text = error.to_string();
    let text = text.trim_start_matches("yaml: ").trim_start_matches("error: ");
    anyhow::anyhow!("error parsing {source}: error converting YAML to JSON: yaml: {text}")
}

/// The document, if it says what it is.
fn validated(source: &str, document: Value) -> anyhow::Result<Value> {
    let why = match &document {
        Value::Object(object) => {
            let missing = |key: &str| match object.get(key) {
                None | Some(Value::Null) => Some(format!("{key} not set")),
                Some(Value::String(text)) if text.is_empty() => Some(format!("{key} not set")),
                Some(Value::String(_)) => None,
                Some(_) => Some(format!("{key} isn't string type")),
            };
            let missing: Vec<String> = ["apiVersion", "kind"].into_iter().filter_map(missing).collect();
            match missing.as_slice() {
                [] => return Ok(document),
                [one] => one.clone(),
                several => format!("[{}]", several.join(", ")),
            }
        }
        _ => "invalid object to validate".to_owned(),
    };
    Err(not_validated(source, why))
}

/// A document that is not valid, or cannot be validated.
pub(crate) fn not_validated(source: impl std::fmt::Display, why: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!(
        "error validating \"{source}\": error validating data: {why}; if you choose to ignore these errors, turn validation off with --validate=false"
    )
}

/// Refuses files that are not there, all of them by name, and a folder to build that is not: upstream
/// looks before it asks the server for anything. The names of those that are there.
pub(crate) fn all_named_exist(files: &Files) -> anyhow::Result<Vec<String>> {
    if !files.kustomize.is_empty() && files.names().next().is_none() && !Path::new(&files.kustomize).exists() {
        crate::kustomize::build(Path::new(&files.kustomize))?;
    }
    let places = named::places(files)?;
    let folder = Some(&files.kustomize).filter(|folder| places.is_empty() && !folder.is_empty());
    Ok(places.iter().map(Place::name).chain(folder.cloned()).collect())
}

/// Where objects come from.
enum Source {
    /// A text, and how it is named.
    Text(String, String),
    /// A folder with what was built of it.
    Built(String, Vec<Value>),
}

async fn sources(files: &Files) -> anyhow::Result<Vec<Source>> {
    match (files.names().next().is_none(), files.kustomize.is_empty()) {
        (true, true) => bail!("must specify one of -f and -k"),
        (false, false) => bail!("only one of -f or -k can be specified"),
        (true, false) if files.recursive => bail!("the -k flag can't be used with -f or -R"),
        (true, false) => {
            let built = crate::kustomize::build(Path::new(&files.kustomize))?;
            return Ok(vec![Source::Built(files.kustomize.clone(), built)]);
        }
        (false, true) => {}
    }
    let mut sources = Vec::new();
    for place in named::places(files)? {
        let (name, text) = text(place).await?;
        sources.push(Source::Text(name, text));
    }
    Ok(sources)
}

/// A namespace on the command line must be the manifest's.
fn check_namespace(object: &Value, session: &Session) -> anyhow::Result<()> {
    let own = object.namespace();
    if session.namespace_given && !own.is_empty() && own != session.namespace {
        bail!(
            "the namespace from the provided object \"{own}\" does not match the namespace \"{}\". You must pass '--namespace={own}' to perform this operation.",
            session.namespace
        );
    }
    Ok(())
}

fn manifest(
    source: &str,
    mut object: Value,
    discovery: &Discovery,
    namespace: &str,
    check: Check,
) -> anyhow::Result<Manifest> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if !object.is_object() {
        bail!(
            "unable to decode \"{source}\": json: cannot unmarshal {} into Go value of type unstructured.detector",
            go_kind(&object)
        );
    }
    if kind.is_empty() {
        let text = crate::apply::go_json(&object);
        bail!("unable to decode \"{source}\": Object 'Kind' is missing in '{text}'");
    }
    for key in ["apiVersion", "metadata"] {
        let (member, wanted) = match key {
            "metadata" => ("metadata", "v1.ObjectMeta"),
            key => (&*format!("TypeMeta.{key}"), "string"),
        };
        let fits =
            |value: &Value| value.is_null() || if key == "metadata" { value.is_object() } else { value.is_string() };
        if let Some(value) = object.get(key).filter(|value| !fits(value)) {
            let ty = go_kind(value);
            bail!(
                "unable to decode \"{source}\": json: cannot unmarshal {ty} into Go struct field metadataOnlyObject.{member} of type {wanted}"
            );
        }
    }
    if let Some(why) = mistyped(&object["metadata"]) {
        bail!("unable to decode \"{source}\": json: {why}");
    }
    let Some(resource) = discovery.for_kind(&api_version, &kind) else {
        bail!(
            "resource mapping not found for name: \"{}\" namespace: \"{}\" from \"{source}\": no matches for kind \"{kind}\" in version \"{api_version}\"\nensure CRDs are installed first",
            object.name(),
            object.namespace()
        );
    };
    let namespace = match object.namespace() {
        "" => namespace.to_owned(),
        own => own.to_owned(),
    };
    if resource.namespaced && check != Check::Local {
        object.set_meta("namespace", namespace.as_str());
    }
    Ok(Manifest { source: source.into(), object, resource: resource.clone(), namespace })
}

/// What is no text in metadata but must be one, in Go's words.
fn mistyped(metadata: &Value) -> Option<String> {
    let ty = Schema::builtin().type_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")?;
    let wrong = |value: &Value, key: &str, wanted: &str| {
        let is = match value {
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) | Value::Null => "object",
        };
        format!("cannot unmarshal {is} into Go struct field ObjectMeta.metadata.{key} of type {wanted}")
    };
    metadata.as_object()?.iter().find_map(|(key, value)| match (&ty.field(key)?.shape, value) {
        (_, Value::Null) | (Shape::String, Value::String(_)) => None,
        (Shape::String, _) => Some(wrong(value, key, "string")),
        (Shape::Map(_), Value::Object(map)) => {
            let odd = map.values().find(|value| !value.is_string() && !value.is_null())?;
            Some(wrong(odd, key, "string"))
        }
        (Shape::Map(_), _) => Some(wrong(value, key, "map[string]string")),
        _ => None,
    })
}

/// The text of a place, with its name.
async fn text(place: Place) -> anyhow::Result<(String, String)> {
    let name = place.name();
    let text = match place {
        Place::Url(url) => crate::http::download(&url, MAX_DOWNLOAD).await?,
        Place::Input => bounded(&name, std::io::stdin())?,
        Place::File(path) => {
            let failed = |error: std::io::Error| anyhow::anyhow!("open {name}: {}", crate::http::io_words(&error));
            bounded(&name, std::fs::File::open(&path).map_err(failed)?)?
        }
    };
    Ok((name, text))
}

/// All that is behind a name: half of a manifest is none.
fn bounded(name: &str, source: impl Read) -> anyhow::Result<String> {
    let mut text = Vec::new();
    let failed = |error: std::io::Error| anyhow::anyhow!("read {name}: {}", crate::http::io_words(&error));
    source.take(MAX_FILE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        bail!("{name} is longer than {} MiB", MAX_FILE >> 20);
    }
    Ok(decoded(text))
}

/// A text in UTF-16 if it begins as one, in UTF-8 otherwise; what is neither becomes a sign that stands for it.
fn decoded(text: Vec<u8>) -> String {
    let wide = |bytes: &[u8], pair: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|unit| pair([unit[0], unit[1]]));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match text.as_slice() {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => match String::from_utf8(text) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        },
    }
}

fn collect(path: &Path, recursive: bool, top: bool, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if !top && !recursive {
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)?.flatten().map(|e| e.path()).collect();
    entries.sort();
    for entry in entries {
        let is_manifest = entry.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        // A link to a folder may lead back here.
        if entry.is_dir() && !entry.is_symlink() || is_manifest {
            collect(&entry, recursive, false, files)?;
        }
    }
    Ok(())
}

/// The documents of a stream, without empty ones: YAML between lines of dashes, or JSON, one value
/// after another.
pub(crate) fn documents(text: &str) -> Vec<String> {
    let (mut documents, rest) = json_values(text);
    documents.extend(yaml_documents(rest));
    documents
}

/// The JSON values that a stream begins with, and what comes behind them.
fn json_values(text: &str) -> (Vec<String>, &str) {
    let (mut values, mut rest) = (Vec::new(), text);
    while rest.trim_start().starts_with('{') {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<serde::de::IgnoredAny>();
        let Some(Ok(_)) = stream.next() else { break };
        let (value, behind) = rest.split_at(stream.byte_offset());
        values.push(value.trim().to_owned());
        rest = behind;
    }
    (values, rest)
}

/// The text before a line of dashes with something behind them that is no comment, and that something. Nothing of
/// what follows is read.
fn before_odd_separator(text: &str) -> (&str, Option<&str>) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("---").map(str::trim) {
            Some(odd) if !odd.is_empty() && !odd.starts_with('#') => return (&text[..start], Some(odd)),
            _ => start += line.len(),
        }
    }
    (text, None)
}

fn yaml_documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        match line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
            true => documents.push(String::new()),
            false => {
                if let Some(last) = documents.last_mut() {
                    last.push_str(line);
                    last.push('\n');
                }
            }
        }
    }
    let has_content = |d: &String| d.lines().any(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'));
    documents.into_iter().filter(has_content).collect()
}

/// The objects of a `List`, or the object itself.
pub(crate) fn flatten(value: Value) -> Vec<Value> {
    let is_list = value.get("kind").and_then(Value::as_str).is_some_and(|k| k.ends_with("List"));
    match value.get("items") {
        Some(Value::Array(items)) if is_list => items.iter().cloned().flat_map(flatten).collect(),
        _ => vec![value],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::sample;
    use serde_json::json;

    #[test]
    fn files_that_are_missing_are_all_named() {
        let said = |names: &[&str], kustomize: &str| {
            let filenames = names.iter().map(|name| (*name).to_owned()).collect();
            let outcome = all_named_exist(&Files { filenames, kustomize: kustomize.into(), recursive: false });
            outcome.err().map(|error| crate::commands::error_text(&error))
        };
        assert_eq!(said(&["-", "/", "https://example.com/a.yaml"], ""), None);
        assert_eq!(said(&["/none"], "").as_deref(), Some("error: the path \"/none\" does not exist"));
        let both = "the path \"/none\" does not exist\nthe path \"*.none\" does not exist";
        assert_eq!(said(&["/none", "*.none"], "").as_deref(), Some(both));
        assert!(said(&[], "/none").is_some_and(|text| text.starts_with("error: must build at directory: ")));
    }

    #[test]
    fn metadata_are_texts() {
        let said = |metadata: Value| mistyped(&metadata);
        assert_eq!(said(serde_json::json!({"name": "a", "labels": {"a": "b", "c": null}, "generation": 1})), None);
        for (metadata, want) in [
            (
                serde_json::json!({"labels": {"a": true}}),
                "bool into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            (serde_json::json!({"name": 5}), "number into Go struct field ObjectMeta.metadata.name of type string"),
            (
                serde_json::json!({"annotations": []}),
                "array into Go struct field ObjectMeta.metadata.annotations of type map[string]string",
            ),
        ] {
            assert_eq!(said(metadata), Some(format!("cannot unmarshal {want}")));
        }
    }

    #[test]
    fn splits_documents() {
        let text = "# only a comment\n---\na: 1\n--- # second\nb: '---'\n---\n\n";
        assert_eq!(documents(text), ["a: 1\n", "b: '---'\n"]);
        assert_eq!(documents("{\"a\": \"}\"}\n {\"b\": 1}\n---\nc: 1"), ["{\"a\": \"}\"}", "{\"b\": 1}", "c: 1\n"]);
        assert_eq!(documents("{a: 1, b: {}}"), ["{a: 1, b: {}}\n"]);
    }

    #[test]
    fn separators_are_followed_by_comments_only() {
        for (text, want) in [
            ("a: 1\n--- # b\n---  \nb: 1\n", ("a: 1\n--- # b\n---  \nb: 1\n", None)),
            ("a: 1\n----\nb: 1\n", ("a: 1\n", Some("-"))),
            ("--- a: 1\n", ("", Some("a: 1"))),
            ("a: |\n  ---- x", ("a: |\n  ---- x", None)),
        ] {
            assert_eq!(before_odd_separator(text), want);
        }
    }

    #[test]
    fn texts_need_not_be_in_utf8() {
        for (bytes, want) in [
            (&b"a: b"[..], "a: b"),
            (b"a: \xff", "a: \u{fffd}"),
            (b"\xff\xfea\0:\0", "a:"),
            (b"\xfe\xff\0a\0:", "a:"),
            (b"\xff\xfe\0\xd8", "\u{fffd}"),
        ] {
            assert_eq!(decoded(bytes.to_vec()), want);
        }
    }

    #[test]
    fn folders_that_lead_to_themselves_end() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.yaml"), "").expect("written");
        for name in ["x", "y"] {
            std::os::unix::fs::symlink(folder.path(), folder.path().join(name)).expect("a link");
        }
        let mut files = Vec::new();
        collect(folder.path(), true, true, &mut files).expect("an end");
        assert_eq!(files, [folder.path().join("a.yaml")]);
    }

    #[test]
    fn flattens_lists() {
        let list = json!({"kind": "List", "items": [{"kind": "Pod"}, {"kind": "PodList", "items": [{"kind": "Pod"}]}]});
        assert_eq!(flatten(list).len(), 2);
    }

    #[test]
    fn objects_get_the_namespace_of_the_command_line() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
        let local = manifest("f", pod.clone(), &sample(), "ns", Check::Local).expect("a manifest");
        assert_eq!((local.object.namespace(), local.namespace.as_str()), ("", "ns"));
        let manifest = manifest("f", pod, &sample(), "ns", Check::Decoded).expect("a manifest");
        assert_eq!((manifest.path().as_str(), manifest.display().as_str()), ("/api/v1/namespaces/ns/pods/a", "pod/a"));
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}});
        let node = super::manifest("f", node, &sample(), "ns", Check::Decoded).expect("a manifest");
        assert_eq!(node.object.namespace(), "");
    }

    #[test]
    fn says_what_is_missing() {
        let says =
            |value| manifest("f", value, &sample(), "ns", Check::Decoded).map(drop).expect_err("wrong").to_string();
        assert_eq!(says(json!({"a": 1})), "unable to decode \"f\": Object 'Kind' is missing in '{\"a\":1}'");
        assert!(says(json!({"kind": "Pod"})).contains("no matches for kind \"Pod\" in version \"\""));
        let why = |value| validated("f", value).map(drop).expect_err("wrong").to_string();
        let ending = "; if you choose to ignore these errors, turn validation off with --validate=false";
        for (value, want) in [
            (json!({"kind": "Pod"}), "apiVersion not set"),
            (json!({}), "[apiVersion not set, kind not set]"),
            (json!({"kind": 1, "apiVersion": "v1"}), "kind isn't string type"),
            (json!([1]), "invalid object to validate"),
        ] {
            assert_eq!(why(value), format!("error validating \"f\": error validating data: {want}{ending}"));
        }
        assert!(validated("f", json!({"kind": "Pod", "apiVersion": "v1"})).is_ok());
        assert!(
            says(json!({"kind": "X", "apiVersion": "y/v1"})).contains("no matches for kind \"X\" in version \"y/v1\"")
        );
    }
}
