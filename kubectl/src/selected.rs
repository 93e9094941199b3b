//! The objects that a command line selects: by type and name, by label or field, by manifest.
//!
//! Upstream: `cli-runtime/pkg/resource/builder.go`.

use crate::cli::Files;
use crate::commands::{Session, with_query};
use crate::discovery::{Asks, Discovery, Resource};
use crate::files::{self, Check, Manifest, Reading};
use crate::http::Refused;
use crate::targets::{self, Words};
use crate::writing::{Failures, is_not_found};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::LabelSelector;
use bytes::Bytes;
use http::Method;

/// What is said when nothing is selected.
pub(crate) const NOTHING: &str = "You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'";

/// Which objects.
#[derive(Debug)]
pub struct Query<'a> {
    /// `TYPE NAME`, `TYPE/NAME`.
    pub words: &'a [String],
    /// Manifests.
    pub files: &'a Files,
    /// Label selector.
    pub selector: &'a str,
    /// Field selector.
    pub field_selector: &'a str,
    /// All of a type.
    pub all: bool,
    /// In all namespaces.
    pub all_namespaces: bool,
    /// Manifests and names as they are written, without asking the server.
    pub local: bool,
    /// Manifests as they are written, but names as the server knows them.
    pub as_written: bool,
    /// Objects are held in Go's types, which are those that are built in.
    pub typed: bool,
    /// What of the named objects is asked for, if it is not all of them.
    pub subresource: &'a str,
    /// How many objects a page of a list has; zero asks for all at once.
    pub page: i64,
}

impl<'a> Query<'a> {
    /// By words and manifests only.
    pub fn new(words: &'a [String], files: &'a Files) -> Self {
        Query {
            words,
            files,
            selector: "",
            field_selector: "",
            all: false,
            all_namespaces: false,
            local: false,
            as_written: false,
            typed: false,
            subresource: "",
            page: PAGE,
        }
    }

    /// Also by label.
    pub fn selector(mut self, selector: &'a str) -> Self {
        self.selector = selector;
        self
    }

    /// All of a type.
    pub fn all(mut self, all: bool) -> Self {
        self.all = all;
        self
    }

    /// Manifests as they are written.
    pub fn local(mut self, local: bool) -> Self {
        self.local = local;
        self
    }

    /// Objects in Go's types.
    pub fn typed(mut self) -> Self {
        self.typed = true;
        self
    }

    /// A part of the named objects.
    pub fn subresource(mut self, subresource: &'a str) -> Self {
        self.subresource = subresource;
        self
    }

    /// Manifests as they are written, names as the server knows them.
    pub fn as_written(mut self) -> Self {
        self.as_written = true;
        self
    }

    fn selects(&self) -> bool {
        self.filters() || self.all
    }

    fn filters(&self) -> bool {
        !self.selector.is_empty() || !self.field_selector.is_empty()
    }

    /// For a command to which all of a type is a selector; to others it only makes up for one that is missing.
    pub fn all_alone(&self) -> anyhow::Result<()> {
        if !self.all || self.words.is_empty() {
            return Ok(());
        }
        if !self.selector.is_empty() {
            bail!("setting 'all' parameter but found a non empty selector. ");
        }
        match Words::read("edit", self.words)? {
            Words::Pairs(_) => bail!("selectors and the all flag cannot be used when passing resource/name arguments"),
            Words::Types { names, .. } if !names.is_empty() => {
                bail!("name cannot be provided when a selector is specified")
            }
            Words::Types { .. } => Ok(()),
        }
    }

    /// What the server serves, unless the query makes no sense, which is told without asking it.
    pub async fn discovery(&self, session: &Session) -> anyhow::Result<Discovery> {
        self.discovery_asking(session, Asks::of(self.words)).await
    }

    /// The same for words that upstream looks for in another way.
    pub async fn discovery_asking(&self, session: &Session, asks: Asks) -> anyhow::Result<Discovery> {
        // Manifests that are not there are told of before words that should not be.
        if self.files.kustomize.is_empty() {
            files::all_named_exist(self.files)?;
        }
        self.check()?;
        session.discovery_for(self.files, asks, Check::Decoded).await
    }

    /// Whether the words, the manifests and the selectors go together.
    pub fn check(&self) -> anyhow::Result<()> {
        self.files.one_kind()?;
        if self.files.any() && !self.selector.is_empty() {
            selector_of_manifests(self.selector)?;
        }
        let words = match self.words.is_empty() {
            true => None,
            false => Some(Words::read("edit", self.words)?),
        };
        match (words, self.files.any()) {
            (None, true) => Ok(()),
            (Some(Words::Pairs(_)), true) => {
                bail!("resource/name arguments cannot be provided when a path is specified")
            }
            (Some(Words::Types { .. }), true) => {
                bail!("when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well")
            }
            (None, false) if self.filters() => bail!("at least one resource must be specified to use a selector"),
            (None, false) => bail!(NOTHING),
            (Some(Words::Pairs(_)), false) if self.filters() => {
                bail!("selectors and the all flag cannot be used when passing resource/name arguments")
            }
            (Some(Words::Types { names, .. }), false) if self.filters() && !names.is_empty() => {
                bail!("name cannot be provided when a selector is specified")
            }
            (Some(Words::Types { names, .. }), false) if names.is_empty() && !self.subresource.is_empty() => {
                bail!("subresource cannot be used when bulk resources are specified")
            }
            (Some(_), false) => Ok(()),
        }
    }
}

/// The objects, as the server has them. Those that could not be had are failures; the others are
/// there nevertheless.
#[derive(Debug, Default)]
pub struct Selected {
    /// Objects in the order of the command line.
    pub objects: Vec<Manifest>,
    /// What could not be had. Upstream tells it after what went wrong with objects (`Failures::with_unread`).
    pub failures: Vec<anyhow::Error>,
}

impl Selected {
    /// All objects, or what went wrong.
    pub fn all_or_nothing(self) -> anyhow::Result<Vec<Manifest>> {
        Failures::outcome(self.failures)?;
        Ok(self.objects)
    }
}

/// Finds what a query selects.
pub async fn resolve(session: &Session, discovery: &Discovery, query: &Query<'_>) -> anyhow::Result<Selected> {
    query.check()?;
    let mut selected = Selected::default();
    if query.files.any() {
        let check = match (query.local, query.typed) {
            (true, true) => Check::Typed,
            (true, false) => Check::Local,
            (false, true) => Check::Registered,
            (false, false) => Check::Decoded,
        };
        let mut reading = Reading::of(query.files, discovery, session, check)?;
        while let Some(outcome) = reading.next().await {
            let manifest = match outcome {
                Ok(manifest) => manifest,
                Err(error) => {
                    selected.failures.push(error);
                    continue;
                }
            };
            if !query.selector.is_empty() && !labelled(&manifest.object, query.selector)? {
                continue;
            }
            match query.local || query.as_written {
                true => selected.objects.push(manifest),
                false => selected.fetch(session, query, manifest).await,
            }
        }
        return Ok(selected);
    }
    for target in targets::parse(discovery, "edit", query.words)? {
        match target.name {
            Some(_) if query.all_namespaces && target.resource.namespaced => {
                bail!("a resource cannot be retrieved by name across all namespaces")
            }
            Some(name) if query.local => selected.objects.push(named(session, target.resource, &name)),
            Some(name) => selected.fetch(session, query, named(session, target.resource, &name)).await,
            None if query.selects() => {
                if let Err(error) = selected.list(session, query, target.resource).await {
                    selected.failures.push(error);
                }
            }
            None => bail!("resource(s) were provided, but no name was specified"),
        }
    }
    Ok(selected)
}

/// Whether an object of a manifest has the labels.
pub fn labelled(object: &Value, selector: &str) -> anyhow::Result<bool> {
    Ok(selector_of_manifests(selector)?.matches(|key| object.labels().and_then(|labels| labels.get(key)?.as_str())))
}

fn selector_of_manifests(selector: &str) -> anyhow::Result<LabelSelector> {
    LabelSelector::parse(selector)
        .map_err(|error| anyhow::anyhow!("the provided selector {selector:?} is not valid: {error}"))
}

/// A resource and a name as an object that is not there yet.
pub fn named(session: &Session, resource: Resource, name: &str) -> Manifest {
    let object =
        serde_json::json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": {"name": name}});
    Manifest { source: String::new(), object, resource, namespace: session.namespace.clone() }
}

impl Selected {
    async fn fetch(&mut self, session: &Session, query: &Query<'_>, mut manifest: Manifest) {
        // What has no name stays as it is written.
        if manifest.object.name().is_empty() && !manifest.source.is_empty() {
            self.objects.push(manifest);
            return;
        }
        let mut path = manifest.path();
        // What manifests say is fetched as a whole.
        if !query.subresource.is_empty() && manifest.source.is_empty() {
            path = format!("{path}/{}", query.subresource);
        }
        let fetched = match query.typed {
            true => session.client.get(&path, "application/json").await,
            false => session.client.get_object(&path).await,
        };
        match fetched {
            Ok(object) => {
                manifest.object = object;
                self.objects.push(manifest);
            }
            Err(error) => {
                let why = not_had(session, &manifest.resource, &manifest.namespace, error).await;
                self.failures.push(why);
            }
        }
    }

    async fn list(&mut self, session: &Session, query: &Query<'_>, resource: Resource) -> anyhow::Result<()> {
        let namespace = (!query.all_namespaces).then_some(session.namespace.as_str());
        for object in list_by(session, &resource, namespace, query.selector, query.field_selector, query.page).await? {
            let namespace = object.namespace().to_owned();
            self.objects.push(Manifest { source: String::new(), object, resource: resource.clone(), namespace });
        }
        Ok(())
    }
}

/// How many objects a page has unless the command line says so.
const PAGE: i64 = 500;

/// A named object as the server has it.
pub(crate) async fn had(session: &Session, manifest: &Manifest) -> anyhow::Result<Value> {
    match session.client.get(&manifest.path(), "application/json").await {
        Ok(object) => Ok(object),
        Err(error) => Err(not_had(session, &manifest.resource, &manifest.namespace, error).await),
    }
}

/// Why a named object cannot be had: where its namespace is not there either, that is why.
///
/// Upstream: `cli-runtime/pkg/resource/visitor.go` (`Info.Get`).
pub(crate) async fn not_had(
    session: &Session,
    resource: &Resource,
    namespace: &str,
    error: anyhow::Error,
) -> anyhow::Error {
    if !resource.namespaced || matches!(namespace, "" | "default") || !is_not_found(&error) {
        return error;
    }
    let path = format!("/api/v1/namespaces/{}", files::segment(namespace));
    match session.client.send_raw(Method::GET, &path, &[], Bytes::new()).await {
        Err(missing) if is_not_found(&missing) => missing,
        _ => error,
    }
}

/// All objects of a resource, page by page, with their type as single objects have it.
pub async fn list(
    session: &Session,
    resource: &Resource,
    namespace: Option<&str>,
    selector: &str,
    field_selector: &str,
) -> anyhow::Result<Vec<Value>> {
    list_by(session, resource, namespace, selector, field_selector, PAGE).await
}

/// The same with pages of a size, or all at once if that is zero.
pub async fn list_by(
    session: &Session,
    resource: &Resource,
    namespace: Option<&str>,
    selector: &str,
    field_selector: &str,
    page: i64,
) -> anyhow::Result<Vec<Value>> {
    let limit = if page > 0 { page.to_string() } else { String::new() };
    let path = resource.path(namespace);
    let mut token = String::new();
    let mut objects = Vec::new();
    loop {
        let parameters =
            [("labelSelector", selector), ("fieldSelector", field_selector), ("limit", &limit), ("continue", &token)];
        let page = session.client.get_object(&with_query(&path, &parameters)).await;
        let mut page = page.map_err(|error| of_list(error, resource, selector, field_selector))?;
        if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
            objects.extend(items.into_iter().map(|item| typed(resource, item)));
        }
        token = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
        if token.is_empty() {
            return Ok(objects);
        }
    }
}

/// A refusal to list, with what was to be listed where the server cannot know that.
///
/// Upstream: `cli-runtime/pkg/resource/selector.go`.
pub(crate) fn of_list(error: anyhow::Error, resource: &Resource, selector: &str, fields: &str) -> anyhow::Error {
    let what = format!("\"{}/{}, Resource={}\"", resource.group, resource.version, resource.plural);
    let doing = match selector.is_empty() && fields.is_empty() {
        true => format!("Unable to list {what}"),
        false => {
            format!("Unable to find {what} that match label selector {selector:?}, field selector {fields:?}")
        }
    };
    while_listing(error, &doing)
}

/// The same for whatever could not be done.
pub(crate) fn while_listing(error: anyhow::Error, doing: &str) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(refused) if matches!(refused.reason.as_str(), "NotFound" | "BadRequest") => {
            let message = format!("{doing}: {}", refused.message);
            Refused { message, ..refused }.into()
        }
        Ok(refused) => refused.into(),
        Err(error) => error,
    }
}

fn typed(resource: &Resource, mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.entry("apiVersion").or_insert_with(|| resource.api_version().into());
        members.entry("kind").or_insert_with(|| resource.kind.as_str().into());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_queries_are_refused() {
        let (words, none) = (["pods".to_owned()], Files::default());
        let files = Files { filenames: vec!["f".into()], ..Files::default() };
        assert!(
            Query::new(&[], &none)
                .check()
                .expect_err("nothing")
                .to_string()
                .starts_with("You must provide one or more")
        );
        assert!(Query::new(&words, &files).check().is_err());
        assert!(Query::new(&words, &none).selector("a=b").all(true).all_alone().is_err());
        let named = ["pods".to_owned(), "p".to_owned()];
        assert!(Query::new(&named, &none).all(true).all_alone().is_err());
        assert!(Query::new(&named, &none).all(true).check().is_ok());
        let wrong = Query::new(&[], &files).selector("=").check().expect_err("no selector").to_string();
        assert!(wrong.starts_with("the provided selector \"=\" is not valid: "), "{wrong}");
        assert!(Query::new(&words, &none).check().is_ok());
        let told = |line: &str, selector: &str, files: &Files| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Query::new(&words, files).selector(selector).check().map_err(|error| error.to_string())
        };
        for (line, selector, files, want) in [
            ("pods p", "a=b", &none, "name cannot be provided when a selector is specified"),
            ("pods/p", "a=b", &none, "selectors and the all flag cannot be used when passing resource/name arguments"),
            ("", "a=b", &none, "at least one resource must be specified to use a selector"),
            ("pods/p", "", &files, "resource/name arguments cannot be provided when a path is specified"),
            ("pods/", "a=b", &none, "arguments in resource/name form must have a single resource and name"),
        ] {
            assert_eq!(told(line, selector, files), Err(want.to_owned()), "{line} {selector}");
        }
    }
}
