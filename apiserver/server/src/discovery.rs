//! Discovery documents, made from the resource table and from what aggregated servers say when one
//! of them changes, and served as bytes.
//!
//! Upstream: `apiserver/pkg/endpoints/discovery`, `kube-aggregator/pkg/apiserver/handler_apis.go`.

mod aggregated;
mod groups;
mod legacy;

use crate::document::Document;
use crate::openapi::OpenApi;
use apimachinery::openapi::Documents;
use apimachinery::resources::ResourceInfo;
use apiserver_aggregator::RemoteVersion;
use apiserver_extensions::Definition;
use arc_swap::{ArcSwap, Guard};
use groups::{Content, groups};
use imbl::OrdMap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// All discovery documents of one set of resources.
#[derive(Debug)]
pub struct Discovery {
    /// By path without a trailing slash: `/api`, `/apis`, `/api/v1`, `/apis/apps`, `/apis/apps/v1`.
    documents: HashMap<String, Document>,
    aggregated_core: Document,
    aggregated: Document,
}

/// `Accept` parameters that ask for the aggregated form.
const AGGREGATED: &str = "as=APIGroupDiscoveryList";
/// Its content type.
const AGGREGATED_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

impl Discovery {
    /// Makes the documents. `address` is where clients in the cluster reach the server.
    pub fn new(resources: &[Arc<ResourceInfo>], remote: &[Arc<RemoteVersion>], address: &str) -> Self {
        let groups = groups(resources, remote);
        let (core, named): (Vec<_>, Vec<_>) = groups.iter().partition(|g| g.name.is_empty());
        let mut documents = HashMap::new();
        let mut add = |path: String, document: Document| documents.insert(path, document);
        add("/api".into(), Document::json(&legacy::api_versions(&core, address)));
        add("/apis".into(), Document::json(&legacy::group_list(&named)));
        for group in &groups {
            let prefix = if group.name.is_empty() { "/api".to_owned() } else { format!("/apis/{}", group.name) };
            if !group.name.is_empty() {
                add(prefix.clone(), Document::json(&legacy::api_group(group, true)));
            }
            for version in &group.versions {
                // The others answer for themselves.
                if let Content::Local(resources) = &version.content {
                    let list = legacy::resource_list(group.name, version.version, resources);
                    add(format!("{prefix}/{}", version.version), Document::json(&list));
                }
            }
        }
        Self {
            documents,
            aggregated_core: Document::new(&aggregated::group_list(&core), AGGREGATED_TYPE),
            aggregated: Document::new(&aggregated::group_list(&named), AGGREGATED_TYPE),
        }
    }

    /// The document of a path, in the form that the `Accept` header asks for.
    pub fn find(&self, path: &str, accept: &str) -> Option<&Document> {
        let path = path.trim_end_matches('/');
        match (path, wants_aggregated(accept)) {
            ("/api", true) => Some(&self.aggregated_core),
            ("/apis", true) => Some(&self.aggregated),
            _ => self.documents.get(path),
        }
    }

    /// All paths, sorted.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.documents.keys().map(String::as_str).collect();
        paths.sort_unstable();
        paths
    }
}

/// The documents of the moment, and what they are made of.
#[derive(Debug)]
pub struct Catalog {
    current: ArcSwap<Edition>,
    sources: Mutex<Sources>,
    address: String,
}

#[derive(Clone, Debug)]
struct Sources {
    builtin: Vec<Arc<ResourceInfo>>,
    /// Definitions of custom resources by name.
    custom: OrdMap<String, Arc<Definition>>,
    remote: Vec<Arc<RemoteVersion>>,
}

/// One state of the catalog. Its documents are made when somebody asks: a thousand definitions in a
/// row cost one making.
#[derive(Debug)]
pub struct Edition {
    sources: Sources,
    address: String,
    made: OnceLock<Discovery>,
    openapi: Arc<OpenApi>,
}

impl Edition {
    fn new(sources: Sources, address: &str, openapi: Arc<OpenApi>) -> Self {
        Self { sources, address: address.to_owned(), made: OnceLock::new(), openapi }
    }

    /// What OpenAPI tells of the resources.
    pub fn openapi(&self) -> &OpenApi {
        &self.openapi
    }
}

impl Deref for Edition {
    type Target = Discovery;

    fn deref(&self) -> &Discovery {
        self.made.get_or_init(|| {
            let Sources { builtin, custom, remote } = &self.sources;
            let resources: Vec<_> = builtin.iter().chain(custom.values().flat_map(|d| &d.served)).cloned().collect();
            Discovery::new(&resources, remote, &self.address)
        })
    }
}

impl Catalog {
    /// Of these resources alone.
    pub fn new(builtin: &[Arc<ResourceInfo>], address: &str) -> Self {
        let sources = Sources { builtin: builtin.to_vec(), custom: OrdMap::new(), remote: Vec::new() };
        let openapi =
            Arc::new(OpenApi::new(Arc::new(Documents::new(builtin, apiserver_descriptions::texts)), Vec::new()));
        Self {
            current: ArcSwap::from_pointee(Edition::new(sources.clone(), address, openapi)),
            sources: Mutex::new(sources),
            address: address.to_owned(),
        }
    }

    /// The documents.
    pub fn load(&self) -> Guard<Arc<Edition>> {
        self.current.load()
    }

    /// Replaces the definition of a custom resource; `None` if it is gone.
    pub fn set_custom(&self, name: &str, definition: Option<&Definition>) {
        let mut sources = self.sources.lock();
        match definition {
            None => drop(sources.custom.remove(name)),
            Some(definition) => drop(sources.custom.insert(name.to_owned(), Arc::new(definition.clone()))),
        }
        let openapi = self.load().openapi.with(sources.custom.values().cloned().collect());
        self.publish(&sources, Arc::new(openapi));
    }

    /// Replaces what aggregated servers serve.
    pub fn set_remote(&self, remote: &[Arc<RemoteVersion>]) {
        let mut sources = self.sources.lock();
        sources.remote = remote.to_vec();
        let openapi = self.load().openapi.with_remote(remote);
        self.publish(&sources, Arc::new(openapi));
    }

    fn publish(&self, sources: &Sources, openapi: Arc<OpenApi>) {
        self.current.store(Arc::new(Edition::new(sources.clone(), &self.address, openapi)));
    }
}

fn wants_aggregated(accept: &str) -> bool {
    accept.split(',').any(|clause| {
        clause.trim_start().starts_with("application/json")
            && clause.contains(AGGREGATED)
            && clause.contains("g=apidiscovery.k8s.io")
            && clause.split(';').any(|p| p.trim() == "v=v2")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::{Value, resources};
    use serde_json::json;

    fn discovery() -> Discovery {
        Discovery::new(resources::builtin(), &[], "10.0.0.1:6443")
    }

    fn value(discovery: &Discovery, path: &str) -> Value {
        serde_json::from_slice(&discovery.find(path, "").expect("a document").bytes).expect("json")
    }

    #[test]
    fn lists_versions_groups_and_resources() {
        let discovery = discovery();
        assert_eq!(value(&discovery, "/api")["versions"], json!(["v1"]));
        assert_eq!(value(&discovery, "/apis/autoscaling/")["preferredVersion"]["version"], "v2");
        let pods = value(&discovery, "/api/v1");
        let find =
            |name: &str| pods["resources"].as_array().expect("a list").iter().find(|r| r["name"] == name).cloned();
        assert_eq!(find("pods").expect("pods")["storageVersionHash"], "xPOwRZ+Yhw8=");
        assert_eq!(find("pods/eviction").expect("eviction")["group"], "policy");
        assert!(discovery.find("/apis/nothing", "").is_none());
    }

    #[test]
    fn members_stand_in_upstreams_order() {
        let discovery = discovery();
        let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        for (path, accept, part) in [
            ("/api", "", r#"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[{"clientCIDR":"#),
            ("/apis/batch", "", r#"{"kind":"APIGroup","apiVersion":"v1","name":"batch","versions":[{"groupVersion":"#),
            (
                "/api/v1",
                "",
                r#"{"name":"configmaps","singularName":"configmap","namespaced":true,"kind":"ConfigMap","verbs":["#,
            ),
            ("/api/v1", "", r#""shortNames":["po"],"categories":["all"],"storageVersionHash":"#),
            (
                "/apis",
                accept,
                r#"{"resource":"deployments","responseKind":{"group":"","version":"","kind":"Deployment"},"#,
            ),
        ] {
            let document = discovery.find(path, accept).expect(path);
            let text = std::str::from_utf8(&document.bytes).expect("text");
            assert!(text.contains(part), "{path}: {text}");
        }
    }

    #[test]
    fn aggregated_form_on_request() {
        let discovery = discovery();
        let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        let document = discovery.find("/apis", accept).expect("a document");
        assert_eq!(document.content_type, AGGREGATED_TYPE);
        let items: Value = serde_json::from_slice(&document.bytes).expect("json");
        assert_eq!(items["items"][0]["metadata"]["name"], "apiregistration.k8s.io");
        let other = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        assert_eq!(discovery.find("/apis", other).expect("a document").content_type, "application/json");
    }

    #[test]
    fn aggregated_servers_are_listed_by_priority() {
        let version = |group: &str, priority, freshness| {
            Arc::new(RemoteVersion {
                group: group.into(),
                version: "v1alpha1".into(),
                priority: apiserver_aggregator::Priority { group: priority, version: 15 },
                freshness,
                resources: vec![json!({"resource": "flunders"})],
                openapi: String::new(),
                swagger: None,
            })
        };
        use apiserver_aggregator::Freshness::{Current, Stale};
        let catalog = Catalog::new(resources::builtin(), "10.0.0.1:6443");
        catalog.set_remote(&[version("last.io", 2000, Stale), version("first.io", 19000, Current)]);
        let discovery = catalog.load();
        let names: Vec<Value> = value(&discovery, "/apis")["groups"]
            .as_array()
            .expect("groups")
            .iter()
            .map(|g| g["name"].clone())
            .collect();
        assert_eq!(names[..3], ["apiregistration.k8s.io", "first.io", "apps"]);
        assert_eq!(names.last().expect("a group"), "last.io");
        assert_eq!(value(&discovery, "/apis/first.io")["preferredVersion"]["groupVersion"], "first.io/v1alpha1");
        assert!(discovery.find("/apis/first.io/v1alpha1", "").is_none(), "the server answers itself");
        let document: Value = serde_json::from_slice(&discovery.aggregated.bytes).expect("json");
        let last = document["items"].as_array().and_then(|i| i.last()).expect("a group");
        assert_eq!(last["versions"][0]["freshness"], "Stale");
        assert_eq!(last["versions"][0]["resources"][0]["resource"], "flunders");
    }

    /// What a fresh upstream cluster publishes, where the stable versions are concerned.
    #[test]
    fn matches_what_upstream_publishes() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kubernetes-1.36/discovery");
        let Ok(files) = std::fs::read_dir(&folder) else {
            println!("skipped: {} is absent", folder.display());
            return;
        };
        let discovery = discovery();
        for file in files {
            let file = file.expect("a file").path();
            let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
            let path = format!("/{}", name.replace("__", "/"));
            if name.contains("alpha")
                || name.contains("beta")
                || !path.starts_with("/api")
                || name.matches("__").count() < 1
            {
                continue;
            }
            let Some(document) = discovery.find(&path, "") else { continue };
            let want: Value = serde_json::from_slice(&std::fs::read(&file).expect("readable")).expect("json");
            let got: Value = serde_json::from_slice(&document.bytes).expect("json");
            if want["kind"] == "APIResourceList" {
                assert_eq!(got, want, "{path}");
            }
        }
    }
}
