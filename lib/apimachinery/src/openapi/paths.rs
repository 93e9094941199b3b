//! Which paths a group version has and what can be done on each.
//!
//! Upstream: `staging/src/k8s.io/apiserver/pkg/endpoints/installer.go`.

use super::names::{capital, infix, root, tag};
pub(super) use super::operation::Path;
use super::operation::{Body, CUSTOM_PATCHES, Content, Media, Operation, PATCHES};
use super::parameters::{self, Parameter};
use crate::gvk::GroupVersionKind;
use crate::resources::{ResourceInfo, Subresource};
use crate::schema::Schema;
use std::sync::Arc;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Resources whose deletion answers with the object; the others answer with a `Status`.
const ANSWER_WITH_OBJECT: &[(&str, &str)] = &[
    ("", "persistentvolumeclaims"),
    ("", "persistentvolumes"),
    ("", "pods"),
    ("", "podtemplates"),
    ("", "resourcequotas"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("resource.k8s.io", "resourceslices"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
];

/// Methods that a proxy passes on, and those that open a stream.
const PROXIED: &[&str] = &["delete", "get", "head", "options", "patch", "post", "put"];
const STREAMED: &[&str] = &["get", "post"];

/// `/api/`.
pub(super) fn core_versions() -> Path {
    discovery("/api/", "getCoreAPIVersions".into(), "core".into(), "APIVersions")
}

/// `/apis/`.
pub(super) fn groups() -> Path {
    discovery("/apis/", "getAPIVersions".into(), "apis".into(), "APIGroupList")
}

/// `/apis/GROUP/`.
pub(super) fn group(group: &str) -> Path {
    discovery(&format!("/apis/{group}/"), format!("get{}APIGroup", infix(group, "")), tag(group, ""), "APIGroup")
}

/// All paths of a group version that these resources are served at.
pub(super) fn group_version(group: &str, version: &str, served: &[Arc<ResourceInfo>]) -> Vec<Path> {
    let base = format!("/{}", root(group, version));
    let id = format!("get{}APIResources", infix(group, version));
    let mut paths = vec![discovery(&format!("{base}/"), id, tag(group, version), "APIResourceList")];
    for resource in served.iter().filter(|r| r.group == group && r.version == version) {
        paths.extend(Builder { resource, base: &base }.paths());
    }
    paths.retain(|path| !path.operations.is_empty());
    paths
}

fn discovery(path: &str, id: String, tag: String, kind: &str) -> Path {
    let operation = Operation {
        method: "get",
        id,
        summary: "discover what is served here".into(),
        tag,
        action: None,
        parameters: Vec::new(),
        body: None,
        answer: Content::Object(format!("{META}.{kind}")),
        codes: &[200],
        media: Media::Object,
    };
    Path { path: path.into(), operations: vec![operation] }
}

/// What an operation does, apart from where.
struct Deed {
    method: &'static str,
    verb: &'static str,
    action: &'static str,
    kind: GroupVersionKind,
    parameters: Vec<Parameter>,
    body: Option<Body>,
    answer: Content,
    codes: &'static [u16],
    media: Media,
}

struct Builder<'a> {
    resource: &'a ResourceInfo,
    base: &'a str,
}

impl Builder<'_> {
    fn paths(&self) -> Vec<Path> {
        let r = self.resource;
        let (plural, base) = (&r.plural, self.base);
        let scope = if r.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{base}{scope}/{plural}");
        let item = format!("{collection}/{{name}}");
        let mut paths = vec![self.collection(collection), self.item(item.clone())];
        if r.namespaced && self.has("list") {
            paths.push(self.path(format!("{base}/{plural}"), "", "ForAllNamespaces", vec![self.list()]));
        }
        if self.has("watch") {
            paths.extend(self.watches(scope));
        }
        for subresource in &r.subresources {
            paths.extend(self.subresource(&item, subresource));
        }
        paths
    }

    fn collection(&self, path: String) -> Path {
        let deeds = [("list", self.list()), ("create", self.create(self.gvk())), ("deletecollection", self.clear())];
        let mut path = self.path(path, "", "", self.allowed(deeds));
        for operation in path.operations.iter_mut().filter(|o| o.method == "delete") {
            operation.id = operation.id.replacen(&self.infix(), &format!("{}Collection", self.infix()), 1);
        }
        path
    }

    fn item(&self, path: String) -> Path {
        let gvk = self.gvk();
        let deeds = [
            ("get", self.read(gvk.clone(), self.own())),
            ("update", self.replace(gvk.clone())),
            ("patch", self.patch(gvk)),
            ("delete", self.delete()),
        ];
        self.path(path, "", "", self.allowed(deeds))
    }

    fn allowed<const N: usize>(&self, deeds: [(&str, Deed); N]) -> Vec<Deed> {
        deeds.into_iter().filter(|(verb, _)| self.has(verb)).map(|(_, deed)| deed).collect()
    }

    fn has(&self, verb: &str) -> bool {
        self.resource.verbs.iter().any(|v| v == verb)
    }

    fn watches(&self, scope: &str) -> Vec<Path> {
        let (base, plural) = (self.base, &self.resource.plural);
        let collection = format!("{base}/watch{scope}/{plural}");
        let mut paths = vec![
            self.path(collection.clone(), "", "List", vec![self.watch("watchlist")]),
            self.path(format!("{collection}/{{name}}"), "", "", vec![self.watch("watch")]),
        ];
        if self.resource.namespaced {
            let all = format!("{base}/watch/{plural}");
            paths.push(self.path(all, "", "ListForAllNamespaces", vec![self.watch("watchlist")]));
        }
        paths
    }

    fn subresource(&self, item: &str, subresource: &Subresource) -> Vec<Path> {
        let path = format!("{item}/{}", subresource.name);
        let part = capital(&subresource.name);
        if subresource.name == "log" {
            let mut read = self.read(self.gvk(), Content::Text);
            read.parameters = parameters::core_options("PodLogOptions");
            read.media = Media::Log;
            return vec![self.path(path, &part, "", vec![read])];
        }
        if subresource.kind.kind.ends_with("Options") {
            return self.connections(path, &part, subresource);
        }
        let kind = &subresource.kind;
        let deeds = subresource.verbs.iter().filter_map(|verb| match &**verb {
            "get" => Some(self.read(kind.clone(), content(kind))),
            "create" => Some(self.create(kind.clone())),
            "update" => Some(self.replace(kind.clone())),
            "patch" => Some(self.patch(kind.clone())),
            _ => None,
        });
        let deeds = deeds.collect();
        vec![self.path(path, &part, "", deeds)]
    }

    fn connections(&self, path: String, part: &str, subresource: &Subresource) -> Vec<Path> {
        let methods = if subresource.name == "proxy" { PROXIED } else { STREAMED };
        let deeds = || methods.iter().map(|method| self.connect(method, &subresource.kind)).collect();
        let mut paths = vec![self.path(path.clone(), part, "", deeds())];
        if subresource.name == "proxy" {
            paths.push(self.path(format!("{path}/{{path}}"), part, "WithPath", deeds()));
        }
        paths
    }

    fn path(&self, path: String, part: &str, suffix: &str, deeds: Vec<Deed>) -> Path {
        let operations = deeds.into_iter().map(|deed| self.operation(&path, part, suffix, deed)).collect();
        Path { path, operations }
    }

    fn operation(&self, path: &str, part: &str, suffix: &str, deed: Deed) -> Operation {
        let scope = if path.contains("{namespace}") { "Namespaced" } else { "" };
        let method = if deed.action == "connect" { capital(deed.method) } else { String::new() };
        let kind = &self.resource.kind;
        let id = format!("{}{}{method}{scope}{kind}{part}{suffix}", deed.verb, self.infix());
        let mut all = parameters::in_path(path);
        all.extend(deed.parameters);
        if deed.action != "connect" && !all.iter().any(|p| p.name == "pretty") {
            all.push(parameters::pretty());
        }
        all.sort();
        let of = if part.is_empty() { String::new() } else { format!("{} of ", part.to_lowercase()) };
        Operation {
            method: deed.method,
            id,
            summary: format!("{} {of}{kind}", deed.verb),
            tag: tag(&self.resource.group, &self.resource.version),
            action: Some((deed.action, deed.kind)),
            parameters: all,
            body: deed.body,
            answer: deed.answer,
            codes: deed.codes,
            media: deed.media,
        }
    }

    fn infix(&self) -> String {
        infix(&self.resource.group, &self.resource.version)
    }

    fn gvk(&self) -> GroupVersionKind {
        self.resource.gvk()
    }

    fn own(&self) -> Content {
        content(&self.gvk())
    }

    fn list(&self) -> Deed {
        let r = self.resource;
        let list = GroupVersionKind::new(r.group.clone(), r.version.clone(), r.list_kind.clone());
        Deed {
            method: "get",
            verb: "list",
            action: "list",
            kind: self.gvk(),
            parameters: parameters::list(),
            body: None,
            answer: content(&list),
            codes: &[200],
            media: Media::Watch,
        }
    }

    fn watch(&self, action: &'static str) -> Deed {
        let answer = Content::Object(format!("{META}.WatchEvent"));
        Deed { verb: "watch", action, answer, ..self.list() }
    }

    fn read(&self, kind: GroupVersionKind, answer: Content) -> Deed {
        Deed {
            method: "get",
            verb: "read",
            action: "get",
            kind,
            parameters: Vec::new(),
            body: None,
            answer,
            codes: &[200],
            media: Media::Object,
        }
    }

    fn create(&self, kind: GroupVersionKind) -> Deed {
        let answer = content(&kind);
        Deed {
            method: "post",
            verb: "create",
            action: "post",
            parameters: parameters::write(),
            body: Some(body(&kind)),
            codes: &[200, 201, 202],
            ..self.read(kind, answer)
        }
    }

    fn replace(&self, kind: GroupVersionKind) -> Deed {
        Deed { method: "put", verb: "replace", action: "put", codes: &[200, 201], ..self.create(kind) }
    }

    fn patch(&self, kind: GroupVersionKind) -> Deed {
        Deed {
            method: "patch",
            verb: "patch",
            action: "patch",
            parameters: parameters::patch(),
            body: Some(Body::Patch(if self.resource.custom.is_some() { CUSTOM_PATCHES } else { PATCHES })),
            ..self.replace(kind)
        }
    }

    fn delete(&self) -> Deed {
        let own = ANSWER_WITH_OBJECT.contains(&(&*self.resource.group, &*self.resource.plural));
        let answer = if own { self.own() } else { Content::Object(format!("{META}.Status")) };
        Deed {
            method: "delete",
            verb: "delete",
            action: "delete",
            parameters: parameters::delete(),
            body: Some(Body::Options),
            codes: &[200, 202],
            ..self.read(self.gvk(), answer)
        }
    }

    fn clear(&self) -> Deed {
        Deed {
            action: "deletecollection",
            parameters: parameters::delete_collection(),
            answer: Content::Object(format!("{META}.Status")),
            codes: &[200],
            ..self.delete()
        }
    }

    fn connect(&self, method: &'static str, kind: &GroupVersionKind) -> Deed {
        Deed {
            method,
            verb: "connect",
            action: "connect",
            parameters: parameters::core_options(&kind.kind),
            media: Media::Connection,
            ..self.read(kind.clone(), Content::Text)
        }
    }
}

/// Kinds of domains that the table does not know are custom.
fn type_name(kind: &GroupVersionKind) -> Option<String> {
    match Schema::builtin().kind(kind) {
        Some(ty) => Some(ty.def().name.to_string()),
        None => kind.group.contains('.').then(|| super::type_name(&kind.group, &kind.version, &kind.kind)),
    }
}

fn content(kind: &GroupVersionKind) -> Content {
    type_name(kind).map_or(Content::Text, Content::Object)
}

fn body(kind: &GroupVersionKind) -> Body {
    type_name(kind).map_or(Body::Patch(PATCHES), Body::Object)
}
