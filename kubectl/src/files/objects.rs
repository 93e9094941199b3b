//! Documents as objects: what they must say, the items of lists, and the resources that take them.
//!
//! Upstream: `kubectl/pkg/validation`, `cli-runtime/pkg/resource` (`mapper.go`, `visitor.go`),
//! `apimachinery/pkg/apis/meta/v1/unstructured`.

use super::{Check, Manifest, typed};
use crate::discovery::{Discovery, Resource};
use crate::print::quote;
use crate::writing::Failures;
use anyhow::{anyhow, bail};
use apimachinery::Value;
use apimachinery::codec::json::conform;
use apimachinery::gvk::{GroupVersionKind, api_version};
use apimachinery::meta::ObjectMeta;
use apimachinery::schema::Schema;
use rules::patch::go_kind;
use serde_json::json;

/// A kind that the server does not have.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct NoKind {
    text: String,
    /// Kinds with names like it.
    pub(crate) near: Vec<String>,
}

/// An object that nobody can tell the type of, as the server does not say what it serves.
#[derive(Debug, thiserror::Error)]
#[error("unable to recognize {}: {why}", quote(place))]
pub(crate) struct Unrecognized {
    place: String,
    why: String,
}

/// An error of a command that tells of an object without a known type as of one among others.
pub(crate) fn among_others(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Unrecognized>() { Failures(vec![error]).into() } else { error }
}

/// Where a document comes from and what it is read for.
pub(super) struct Reader<'a> {
    pub(super) source: &'a str,
    /// How it is written, if that is what is told where something is missing.
    pub(super) written: Option<&'a str>,
    pub(super) discovery: &'a Discovery,
    /// The namespace of the command line or the context.
    pub(super) namespace: &'a str,
    /// Whether the command line names it.
    pub(super) namespace_given: bool,
    pub(super) check: Check,
}

impl Reader<'_> {
    /// The objects of a document, each with what is wrong with it.
    pub(super) fn objects(&self, document: Value) -> Vec<anyhow::Result<Manifest>> {
        match self.decoded(document) {
            Err(error) => vec![Err(error)],
            Ok(Decoded::Object(object, resource)) => vec![self.manifest(object, &resource)],
            // Upstream tells what is wrong with items among others, even if it is of one only.
            Ok(Decoded::List(items)) => {
                let told = |error| anyhow::Error::from(Failures(vec![error]));
                items.into_iter().map(|item| self.item(item).map_err(told)).collect()
            }
        }
    }

    fn decoded(&self, document: Value) -> anyhow::Result<Decoded> {
        let source = self.source;
        let wrong = |why: String| anyhow!("unable to decode \"{source}\": {why}");
        if matches!(self.check, Check::Typed | Check::Registered)
            && let Some(why) = typed::misfit(&document, self.written)
        {
            return Err(wrong(why));
        }
        // The items become Go's types all together.
        let misfits = self.misfits(&document);
        if !misfits.is_empty() {
            return Err(Failures(misfits).into());
        }
        if !document.is_object() {
            let is = go_kind(&document);
            return Err(wrong(format!("json: cannot unmarshal {is} into Go value of type unstructured.detector")));
        }
        let items = match document.get("items") {
            None => None,
            Some(_) => Some(items(&document).map_err(|why| match why {
                Items::Mistyped(why) => wrong(why),
                Items::Nested => anyhow!("*unstructured.Unstructured is not a list: no Items field in this object"),
            })?),
        };
        let (version, kind) = type_of(&document);
        if kind.is_empty() {
            return Err(wrong(missing("Kind", &document, self.written)));
        }
        let found = self.resource(&version, kind);
        if let Some(why) = mistyped_version(&document).or_else(|| mistyped(&document)) {
            return Err(wrong(why));
        }
        if let Some(why) = self.discovery.unknown.clone().filter(|_| found.is_none()) {
            return Err(Unrecognized { place: source.to_owned(), why }.into());
        }
        let no_kind = || {
            let text = format!(
                "resource mapping not found for name: {} namespace: {} from \"{source}\": {}\nensure CRDs are installed first",
                quote(text(&document["metadata"], "name")),
                quote(text(&document["metadata"], "namespace")),
                no_match(&version, kind),
            );
            anyhow::Error::from(NoKind { text, near: self.discovery.nearest_kinds(kind) })
        };
        match items {
            Some(items) if found.is_some() || is_list(self.discovery, &version, kind) => Ok(Decoded::List(items)),
            // Go's type of lists is one without items, too.
            None if self.check == Check::Typed && is_list(self.discovery, &version, kind) => {
                Ok(Decoded::List(Vec::new()))
            }
            None if let Some(resource) = found => Ok(Decoded::Object(document, Box::new(resource))),
            // A list without items has none.
            None if is_list(self.discovery, &version, kind) => Ok(Decoded::List(Vec::new())),
            _ => Err(no_kind()),
        }
    }

    /// What of the items of a `List` is of no type that is built in, where it has to be.
    fn misfits(&self, document: &Value) -> Vec<anyhow::Error> {
        let wanted = matches!(self.check, Check::Typed | Check::Registered) && document["kind"] == "List";
        let items = document["items"].as_array().filter(|_| wanted).into_iter().flatten();
        items.filter_map(|item| typed::misfit(item, None)).map(|why| anyhow!(why)).collect()
    }

    /// The resource of a kind. Where no server is asked any kind has one.
    fn resource(&self, version: &str, kind: &str) -> Option<Resource> {
        let found = find(self.discovery, version, kind).cloned();
        match self.check {
            Check::Local | Check::Typed => found.or_else(|| Some(unknown(version, kind))),
            _ => found,
        }
    }

    /// An item of a list, which is told of in other words.
    fn item(&self, item: Value) -> anyhow::Result<Manifest> {
        let (version, kind) = type_of(&item);
        let without = |what: &str| {
            let field = if what == "Kind" { "kind" } else { what };
            let space = if what == "Kind" { " " } else { "" };
            anyhow!(
                "unable to get type info from the object \"*unstructured.Unstructured\": Object '{what}' is missing in 'object has no {field} field{space}'"
            )
        };
        if kind.is_empty() {
            return Err(without("Kind"));
        }
        if version.is_empty() {
            return Err(without("apiVersion"));
        }
        let Some(resource) = self.resource(&version, kind) else {
            bail!("unable to recognize {}", no_match(&version, kind));
        };
        self.manifest(item, &resource)
    }

    fn manifest(&self, mut object: Value, resource: &Resource) -> anyhow::Result<Manifest> {
        let own = object.namespace();
        // A namespace on the command line must be the manifest's.
        if resource.namespaced && self.namespace_given && !own.is_empty() && own != self.namespace {
            bail!(
                "the namespace from the provided object \"{own}\" does not match the namespace \"{}\". You must pass '--namespace={own}' to perform this operation.",
                self.namespace
            );
        }
        let namespace = if own.is_empty() { self.namespace.to_owned() } else { own.to_owned() };
        if resource.namespaced && !matches!(self.check, Check::Bare | Check::Local | Check::Typed) {
            object.set_meta("namespace", namespace.as_str());
        }
        Ok(Manifest { source: self.source.into(), object, resource: resource.clone(), namespace })
    }
}

/// What a document turns out to be.
enum Decoded {
    Object(Value, Box<Resource>),
    List(Vec<Value>),
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Group and version, and kind; of a version that is none neither is known.
pub(super) fn type_of(object: &Value) -> (String, &str) {
    match group_version(text(object, "apiVersion")) {
        Ok((group, version)) => (api_version(group, version), text(object, "kind")),
        Err(_) => (String::new(), ""),
    }
}

/// Group and version, either of which may be missing.
pub(super) fn group_version(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('/') {
        None => Ok(("", text)),
        Some((_, version)) if version.contains('/') => Err(format!("unexpected GroupVersion string: {text}")),
        Some(parts) => Ok(parts),
    }
}

fn no_match(version: &str, kind: &str) -> String {
    format!("no matches for kind {} in version {}", quote(kind), quote(version))
}

/// The resource of a kind, which may be in small letters; without a version the preferred one.
pub(super) fn find<'a>(discovery: &'a Discovery, version: &str, kind: &str) -> Option<&'a Resource> {
    let named = |r: &&Resource| r.kind == kind || r.kind.to_lowercase() == kind;
    discovery.resources.iter().filter(|r| is_of(r, version)).find(named)
}

/// Whether a resource is of a version, or of the group of one without a number: `apps/`.
fn is_of(resource: &Resource, version: &str) -> bool {
    match version.strip_suffix('/').or(version.is_empty().then_some("")) {
        Some(group) => resource.group == group,
        None => resource.api_version() == version,
    }
}

/// Whether it is a kind of lists: `List` of every version, and one for each kind.
fn is_list(discovery: &Discovery, version: &str, kind: &str) -> bool {
    let Some(of) = kind.strip_suffix("List") else { return false };
    let mut served = discovery.resources.iter().filter(|r| is_of(r, version));
    served.any(|r| of.is_empty() || r.kind == of)
}

/// Why a list has no items that could be read.
enum Items {
    /// One of them is a list.
    Nested,
    /// They are of another type.
    Mistyped(String),
}

/// The items of a list. Items that do not say what they are are of the list's kind.
fn items(list: &Value) -> Result<Vec<Value>, Items> {
    let list_items = match &list["items"] {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        other => {
            let is = go_kind(other);
            return Err(Items::Mistyped(format!(
                "json: cannot unmarshal {is} into Go struct field decodeList.items of type []json.RawMessage"
            )));
        }
    };
    let mut found = Vec::new();
    for item in list_items {
        let mut item = match item {
            Value::Null => json!({}),
            Value::Object(_) => item.clone(),
            other => {
                let is = go_kind(other);
                let why = format!("json: cannot unmarshal {is} into Go value of type map[string]interface {{}}");
                return Err(Items::Mistyped(why));
            }
        };
        if text(&item, "kind").is_empty() && text(&item, "apiVersion").is_empty() {
            item["kind"] = text(list, "kind").trim_end_matches("List").into();
            item["apiVersion"] = text(list, "apiVersion").into();
        }
        match item.get("items") {
            // Upstream takes it for a list, and then does not.
            Some(Value::Array(_)) => return Err(Items::Nested),
            _ => found.push(item),
        }
    }
    Ok(found)
}

fn misfit(value: &Value, member: &str, wanted: &str) -> String {
    let is = go_kind(value);
    format!("json: cannot unmarshal {is} into Go struct field metadataOnlyObject.{member} of type {wanted}")
}

/// That a document's version is no text, in Go's words. A kind that is none is missing.
fn mistyped_version(document: &Value) -> Option<String> {
    let version = Some(&document["apiVersion"]).filter(|version| !version.is_string() && !version.is_null());
    version.map(|version| misfit(version, "TypeMeta.apiVersion", "string"))
}

/// That a document does not say something, with all that it says.
pub(super) fn missing(what: &str, document: &Value, written: Option<&str>) -> String {
    let said = written.map_or_else(|| crate::apply::go_json(document), |text| text.trim().to_owned());
    format!("Object '{what}' is missing in '{said}'")
}

/// The resource of a kind that nobody was asked for.
fn unknown(version: &str, kind: &str) -> Resource {
    let (group, version) = group_version(version).unwrap_or_default();
    Resource {
        group: group.into(),
        version: version.into(),
        plural: kind.to_lowercase(),
        singular: kind.to_lowercase(),
        kind: kind.into(),
        ..crate::pods::resource()
    }
}

/// What is of another type than objects have it, in Go's words.
fn mistyped(document: &Value) -> Option<String> {
    let metadata = document.get("metadata").filter(|metadata| !metadata.is_null())?;
    if !metadata.is_object() {
        return Some(misfit(metadata, "metadata", "v1.ObjectMeta"));
    }
    // Any type has these.
    let ty = Schema::builtin().kind(&GroupVersionKind::new("", "v1", "ConfigMap"))?;
    conform(&ty, &json!({"metadata": metadata})).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::sample;

    fn read(document: Value, check: Check) -> Vec<anyhow::Result<Manifest>> {
        let discovery = sample();
        let (written, namespace) = (None, "ns");
        Reader { source: "f", written, discovery: &discovery, namespace, namespace_given: true, check }
            .objects(document)
    }

    fn said(document: Value) -> Vec<String> {
        let why = |error: anyhow::Error| match error.downcast_ref::<Failures>() {
            Some(Failures(among)) => among[0].to_string(),
            None => error.to_string(),
        };
        let told = |outcome: anyhow::Result<Manifest>| outcome.map_or_else(why, |manifest| manifest.path());
        read(document, Check::Decoded).into_iter().map(told).collect()
    }

    #[test]
    fn objects_get_the_namespace_of_the_command_line() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
        let one = |object: Value, check| read(object, check).remove(0).expect("a manifest");
        let local = one(pod.clone(), Check::Local);
        assert_eq!((local.object.namespace(), local.namespace.as_str()), ("", "ns"));
        let manifest = one(pod, Check::Decoded);
        assert_eq!((manifest.path().as_str(), manifest.display().as_str()), ("/api/v1/namespaces/ns/pods/a", "pod/a"));
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}});
        assert_eq!(one(node, Check::Decoded).object.namespace(), "");
        let other = |kind: &str| {
            said(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a", "namespace": "other"}})).remove(0)
        };
        let wrong = "the namespace from the provided object \"other\" does not match the namespace \"ns\". You must pass '--namespace=other' to perform this operation.";
        assert_eq!(other("Pod"), wrong);
        assert_eq!(other("Node"), "/api/v1/nodes/a");
    }

    #[test]
    fn says_what_is_wrong() {
        let unmarshal = "unable to decode \"f\": json: cannot unmarshal";
        let metadata = |metadata: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata});
        for (document, want) in [
            (json!({"a": 1}), "unable to decode \"f\": Object 'Kind' is missing in '{\"a\":1}'".to_owned()),
            (json!({"kind": "Pod", "apiVersion": "a/b/c"}), "unable to decode \"f\": Object 'Kind' is missing in '{\"apiVersion\":\"a/b/c\",\"kind\":\"Pod\"}'".into()),
            (json!(5), format!("{unmarshal} number into Go value of type unstructured.detector")),
            (json!({"kind": true}), "unable to decode \"f\": Object 'Kind' is missing in '{\"kind\":true}'".into()),
            (metadata(json!([])), format!("{unmarshal} array into Go struct field metadataOnlyObject.metadata of type v1.ObjectMeta")),
            (metadata(json!({"name": 5})), format!("{unmarshal} number into Go struct field ObjectMeta.metadata.name of type string")),
            (metadata(json!({"labels": {"a": true}})), format!("{unmarshal} bool into Go struct field ObjectMeta.metadata.labels of type string")),
            (metadata(json!({"annotations": []})), format!("{unmarshal} array into Go struct field ObjectMeta.metadata.annotations of type map[string]string")),
            (metadata(json!({"ownerReferences": 5})), format!("{unmarshal} number into Go struct field ObjectMeta.metadata.ownerReferences of type []v1.OwnerReference")),
            (metadata(json!({"creationTimestamp": "x"})), "unable to decode \"f\": parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"".into()),
            (
                json!({"kind": "X", "apiVersion": "y/v1", "metadata": {"name": "a"}}),
                "resource mapping not found for name: \"a\" namespace: \"\" from \"f\": no matches for kind \"X\" in version \"y/v1\"\nensure CRDs are installed first".into(),
            ),
            (json!({"kind": "Pod", "apiVersion": "/v1", "metadata": {"name": "a"}}), "/api/v1/namespaces/ns/pods/a".into()),
            (json!({"kind": "Pod", "metadata": {"name": "a", "labels": {"a": null}}}), "/api/v1/namespaces/ns/pods/a".into()),
        ] {
            assert_eq!(said(document), [want]);
        }
    }

    #[test]
    fn lists_are_their_items() {
        let pod = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}});
        let path = |name: &str| format!("/api/v1/namespaces/ns/pods/{name}");
        let list = |kind: &str, items: Value| said(json!({"apiVersion": "v1", "kind": kind, "items": items}));
        let inner = json!({"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "b"}}]});
        let nested = "*unstructured.Unstructured is not a list: no Items field in this object";
        assert_eq!(list("List", json!([pod("a"), inner])), [nested]);
        assert_eq!(list("PodList", json!([{"metadata": {"name": "a"}}])), [path("a")]);
        assert!(list("List", Value::Null).is_empty() && said(json!({"apiVersion": "v1", "kind": "List"})).is_empty());
        let wrong =
            list("List", json!([{"kind": "Pod"}, {"apiVersion": "v1"}, {"apiVersion": "v1", "kind": "X"}, pod("a")]));
        let info = "unable to get type info from the object \"*unstructured.Unstructured\": Object";
        let want = [
            format!("{info} 'apiVersion' is missing in 'object has no apiVersion field'"),
            format!("{info} 'Kind' is missing in 'object has no kind field '"),
            "unable to recognize no matches for kind \"X\" in version \"v1\"".into(),
            path("a"),
        ];
        assert_eq!(wrong, want);
        let whole = "unable to decode \"f\": json: cannot unmarshal string into Go";
        assert_eq!(list("List", json!(["x"])), [format!("{whole} value of type map[string]interface {{}}")]);
        assert_eq!(
            list("List", json!("x")),
            [format!("{whole} struct field decodeList.items of type []json.RawMessage")]
        );
    }
}
