//! Manifests: files, folders, standard input; YAML with several documents, JSON, lists.

mod documents;
mod glob;
mod json;
mod named;
pub(crate) mod objects;
mod schema;
mod typed;
mod validate;

use crate::cli::Files;
use crate::commands::Session;
use crate::discovery::{Discovery, Resource};
use crate::http::io_words;
use crate::writing::Failures;
use anyhow::bail;
use apimachinery::Value;
use apimachinery::codec::yaml;
use apimachinery::meta::ObjectMeta;
use documents::{Documents, Fault};
use named::Place;
use std::collections::VecDeque;
use std::path::{Component, Path, PathBuf};
pub(crate) use validate::not_validated;

/// Said of a command line that wants standard input for two things.
pub(crate) const STDIN_TWICE: &str = "standard input cannot be used for multiple arguments";
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
        format!("{}/{}", self.collection(), segment(self.object.name()))
    }

    /// `deployment.apps/web`.
    pub fn display(&self) -> String {
        format!("{}/{}", self.resource.display(), self.object.name())
    }
}

/// What a path says of a name, whatever the name says.
pub(crate) fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, NO_SEGMENT).to_string()
}

/// What Go escapes in paths, and what would end the name.
const NO_SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

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
    /// The same, but what it does not say is not filled in.
    Bare,
    /// It is for no server, and may be of any type.
    Local,
    /// The same, and its type must be one that is built in.
    Typed,
    /// The type must be built in, and be one that the server takes.
    Registered,
    /// It must have a kind and a version, or the rest of its file is not read.
    Validated,
    /// The same, and what no server looks at for members that should not be there is warned of.
    Warned,
}

impl Check {
    /// The check of a value of `--validate`.
    pub fn of(validate: &str) -> Self {
        match validate {
            "ignore" | "false" => Check::Decoded,
            "warn" => Check::Warned,
            _ => Check::Validated,
        }
    }

    /// Whether it is one of `--validate`.
    pub(crate) fn validates(self) -> bool {
        matches!(self, Check::Validated | Check::Warned)
    }
}

/// Reads all manifests that the flags name. What is wrong with one is told beside the others.
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
    let (mut read, mut reading) = (Manifests::default(), Reading::of(files, discovery, session, check)?);
    while let Some(outcome) = reading.next().await {
        match outcome {
            Ok(manifest) => read.manifests.push(manifest),
            Err(error) => read.failures.push(error),
        }
    }
    Ok(read)
}

/// Manifests one after the other as they are read: no more is held than the document that they come from.
pub struct Reading<'a> {
    places: VecDeque<Place>,
    /// What is being read, and how it is named.
    open: Option<(String, Source)>,
    /// The objects of the last document.
    waiting: VecDeque<anyhow::Result<Manifest>>,
    discovery: &'a Discovery,
    session: &'a Session,
    check: Check,
    /// What the server publishes of its types, once a document needs it.
    published: Option<Value>,
}

/// Where documents come from.
enum Source {
    /// A file, an answer, standard input.
    Stream(Documents),
    /// A folder with what was built of it.
    Built(std::vec::IntoIter<Value>),
}

impl<'a> Reading<'a> {
    /// Begins to read what the flags name.
    pub fn of(files: &Files, discovery: &'a Discovery, session: &'a Session, check: Check) -> anyhow::Result<Self> {
        let mut reading = Self {
            places: VecDeque::new(),
            open: None,
            waiting: VecDeque::new(),
            discovery,
            session,
            check,
            published: None,
        };
        match (files.names().next().is_none(), files.kustomize.is_empty()) {
            (true, true) => bail!("must specify one of -f and -k"),
            (false, false) => bail!("only one of -f or -k can be specified"),
            (true, false) if files.recursive => bail!("the -k flag can't be used with -f or -R"),
            (true, false) => {
                let built = crate::kustomize::build(Path::new(&files.kustomize))?;
                reading.open = Some((files.kustomize.clone(), Source::Built(built.into_iter())));
            }
            (false, true) => reading.places = named::places(files)?.into(),
        }
        Ok(reading)
    }

    /// The next manifest, or what is wrong with it.
    pub async fn next(&mut self) -> Option<anyhow::Result<Manifest>> {
        loop {
            if let Some(outcome) = self.waiting.pop_front() {
                return Some(outcome);
            }
            let Some((name, source)) = &mut self.open else {
                let place = self.places.pop_front()?;
                let name = place.name();
                match opened(place).await {
                    Ok(documents) => self.open = Some((name, Source::Stream(documents))),
                    Err(error) => return Some(Err(error)),
                }
                continue;
            };
            let mut written = None;
            let document = match source {
                Source::Stream(documents) => {
                    let document = documents.next().map(|document| document.map_err(|why| unread(name, why)));
                    written = documents.written();
                    document
                }
                Source::Built(objects) => objects.next().map(Ok),
            };
            if let (Check::Validated, Some(Ok(document)), None) = (self.check, &document, &self.published)
                && validate::wants_published(document, self.discovery)
            {
                match self.session.published().await {
                    Ok(published) => self.published = Some(published),
                    Err(why) => {
                        let error = not_validated(name, format_args!("{why:#}"));
                        self.open = None;
                        return Some(Err(error));
                    }
                }
            }
            let document = document.map(|document| match self.check {
                Check::Decoded | Check::Bare | Check::Local | Check::Typed | Check::Registered => document,
                Check::Validated => {
                    document.and_then(|document| validate::validated(name, document, self.published.as_ref()))
                }
                Check::Warned => document.and_then(|document| validate::warned(name, document, self.discovery)),
            });
            match document {
                None => self.open = None,
                Some(Ok(document)) => {
                    let reader = objects::Reader {
                        source: name,
                        written,
                        discovery: self.discovery,
                        namespace: &self.session.namespace,
                        namespace_given: self.session.namespace_given,
                        check: self.check,
                    };
                    self.waiting.extend(reader.objects(document));
                }
                // What is behind it in the same file is not looked at.
                Some(Err(error)) => {
                    self.open = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn unread(name: &str, why: Fault) -> anyhow::Error {
    match why {
        Fault::Read(error) => anyhow::anyhow!("error parsing {name}: read {name}: {}", io_words(&error)),
        Fault::Syntax(why) => anyhow::anyhow!("error parsing {name}: {why}"),
    }
}

/// What an edited text says. Objects are in the namespace that they name, whatever the command line says.
pub(crate) fn edited(text: &str, discovery: &Discovery, session: &Session) -> anyhow::Result<Vec<Manifest>> {
    let source = "edited-file";
    let (namespace, check) = (session.namespace.as_str(), Check::Decoded);
    let reader = objects::Reader { source, written: None, discovery, namespace, namespace_given: false, check };
    let (mut manifests, mut failures) = (Vec::new(), Vec::new());
    for document in Documents::of(text.to_owned()) {
        match document {
            Ok(document) => {
                for outcome in reader.objects(document) {
                    match outcome {
                        Ok(manifest) => manifests.push(manifest),
                        Err(error) => failures.push(error),
                    }
                }
            }
            Err(why) => {
                failures.push(unread(source, why));
                break;
            }
        }
    }
    Failures::outcome(failures).map(|()| manifests)
}

/// Why a text is not valid as one document, if it is not.
pub(crate) async fn invalid(text: &str, check: Check, discovery: &Discovery, session: &Session) -> Option<String> {
    match yaml::to_value(text.as_bytes()) {
        Ok(document) if check == Check::Warned => validate::invalid_or_warned(&document, discovery),
        Ok(document) if validate::wants_published(&document, discovery) => match session.published().await {
            Ok(published) => validate::invalid(&document, Some(&published)),
            Err(why) => Some(format!("{why:#}")),
        },
        Ok(document) => validate::invalid(&document, None),
        Err(why) => Some(why.to_string()),
    }
}

/// The documents of a place.
async fn opened(place: Place) -> anyhow::Result<Documents> {
    let name = place.name();
    let read = |error: std::io::Error| anyhow::anyhow!("error parsing {name}: read {name}: {}", io_words(&error));
    match place {
        Place::Url(url) => Ok(Documents::of(crate::http::download(&url, MAX_DOWNLOAD).await?)),
        Place::Input => Documents::read(std::io::stdin()).map_err(read),
        Place::File(path) => {
            let failed = |error: std::io::Error| anyhow::anyhow!("open {name}: {}", io_words(&error));
            Documents::read(std::fs::File::open(&path).map_err(failed)?).map_err(read)
        }
    }
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

/// Whether the flags lead to one place that is not standard input: what it has stands for itself, not in a list.
///
/// Upstream: `singleItemImplied` of `cli-runtime/pkg/resource/builder.go` (`visitByPaths`).
pub(crate) fn is_one_place(files: &Files) -> bool {
    match named::places(files) {
        Ok(places) if places.is_empty() => !files.kustomize.is_empty(),
        Ok(places) => matches!(places.as_slice(), [Place::Url(_) | Place::File(_)]),
        Err(_) => false,
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
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)?.flatten().map(|e| in_short(&e.path())).collect();
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

/// A path without parts that lead nowhere, as Go names what it finds in folders: `x.yaml`, not `./x.yaml`.
fn in_short(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        match (part, short.components().next_back()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(short.pop()),
            _ => short.push(part),
        }
    }
    short
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
    fn one_place_stands_for_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(name("a.yaml"), "").expect("written");
        let is_one = |names: &[String], kustomize: &str| {
            is_one_place(&Files { filenames: names.to_vec(), kustomize: kustomize.into(), recursive: false })
        };
        assert!(is_one(&[name("a.yaml")], "") && is_one(&[name("")], "") && is_one(&[], "built"));
        assert!(!is_one(&["-".into()], "") && !is_one(&[name("a.yaml"), "-".into()], ""));
        std::fs::write(name("b.json"), "").expect("written");
        assert!(!is_one(&[name("")], ""));
    }

    #[test]
    fn what_is_in_folders_is_named_in_short() {
        for (path, want) in [
            ("./a.yaml", "a.yaml"),
            ("x/../y/./a.yaml", "y/a.yaml"),
            ("../../a.yaml", "../../a.yaml"),
            ("/../a.yaml", "/a.yaml"),
        ] {
            assert_eq!(in_short(Path::new(path)), Path::new(want));
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
}
