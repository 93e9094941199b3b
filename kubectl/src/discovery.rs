//! What the server has: two requests for the aggregated documents tell everything, and a cache on
//! disk in upstream's layout tells it without any. Servers without those documents are asked for each
//! of their group versions.
//!
//! Upstream: `client-go/discovery`, `kubectl/pkg/cmd/apiresources`.

mod cache;
mod plain;

use crate::http::Client;
use crate::writing::{is_not_found, log_unhandled};
use apimachinery::Value;
use apimachinery::resources::{self, ResourceInfo};
use rules::patch::go_kind;
use std::sync::Arc;

/// Asks for the aggregated form and takes the plain one.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// A resource that the server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group, empty for core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural name.
    pub plural: String,
    /// Singular name.
    pub singular: String,
    /// Kind.
    pub kind: String,
    /// In namespaces.
    pub namespaced: bool,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Verbs.
    pub verbs: Vec<String>,
    /// `log`, `status`, `scale`, each with its verbs.
    pub subresources: Vec<(String, Vec<String>)>,
}

/// A namespace as one part of a path: whatever it would lead out of that with is escaped, and so refused once it is
/// asked for.
pub(crate) fn one_segment(namespace: &str) -> String {
    crate::files::segment(namespace)
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        apimachinery::gvk::api_version(&self.group, &self.version)
    }

    /// The path of the collection in a namespace, or of all.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = match self.group.is_empty() {
            true => format!("/api/{}", self.version),
            false => format!("/apis/{}/{}", self.group, self.version),
        };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{}/{}", one_segment(namespace), self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }

    /// `deployment.apps`: how messages name the type.
    pub fn display(&self) -> String {
        let singular = if self.singular.is_empty() { self.kind.to_ascii_lowercase() } else { self.singular.clone() };
        if self.group.is_empty() { singular } else { format!("{singular}.{}", self.group) }
    }

    /// `deployment.apps`, of the kind: how tables of several types name it.
    pub fn kind_name(&self) -> String {
        let kind = self.kind.to_lowercase();
        if self.group.is_empty() { kind } else { format!("{kind}.{}", self.group) }
    }

    fn has_short_name(&self, name: &str) -> bool {
        self.short_names.iter().any(|short| short == name)
    }

    /// `deployments.apps`: how errors name it.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// How often a server is asked what it serves before nothing is known of it: upstream looks for a type in several ways,
/// each of which asks anew as long as there is no answer.
///
/// Upstream: `client-go/restmapper` (`shortcutExpander`, `DeferredDiscoveryRESTMapper`, each of which asks once),
/// `cli-runtime/pkg/resource/builder.go` (`ResourceTypeOrNameArgs`, `mappingFor`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asks(usize);

impl Asks {
    /// For the kind of an object, or all that there is.
    pub const ONCE: Self = Self(1);
    /// For the name of a type: as a short one, and as it is.
    pub const TYPE: Self = Self(2);
    /// For `TYPE/NAME`: as a resource, and as a kind.
    pub const PAIR: Self = Self(4);

    /// For the words of a command line, of which upstream also wants to know whether they are categories.
    pub fn of(words: &[String]) -> Self {
        let first = words.first().map_or("", String::as_str);
        if first.contains('/') {
            return Self::PAIR;
        }
        let mut types = first.split(',').filter(|word| !word.is_empty());
        // With a version, too, it is looked for with that first.
        let with_version = types.clone().next().is_some_and(|word| word.splitn(3, '.').count() == 3);
        let extra = if with_version { Self::TYPE.0 } else { 0 };
        Self(types.by_ref().count() + Self::PAIR.0 + extra)
    }
}

/// All resources of a server, preferred versions first.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// The resources.
    pub resources: Vec<Resource>,
    /// Group versions whose resources the server could not tell.
    pub failed: Vec<Failed>,
    /// Why nothing is known.
    pub unknown: Option<String>,
}

/// A group version whose resources the server could not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// API group.
    pub group: String,
    /// Version.
    pub version: String,
    /// What it said instead.
    pub why: String,
}

impl Failed {
    /// `metrics.k8s.io/v1beta1`.
    pub fn api_version(&self) -> String {
        apimachinery::gvk::api_version(&self.group, &self.version)
    }
}

impl Discovery {
    /// What is known of a server that does not tell.
    pub fn unknown(why: String) -> Self {
        Self { unknown: Some(why), ..Self::default() }
    }

    /// What is known from before, or what the server says.
    pub async fn load(client: &Client, asks: Asks) -> anyhow::Result<Self> {
        match cache::read(client) {
            Some(known) => Ok(known),
            None => Self::fetch(client, asks).await,
        }
    }

    /// Asks the server, and tells each time that it has no answer.
    pub async fn fetch(client: &Client, asks: Asks) -> anyhow::Result<Self> {
        let mut left = asks.0;
        loop {
            left -= 1;
            match Self::ask(client).await {
                Err(error) => {
                    let text = format!("couldn't get current server API group list: {error:#}");
                    log_unhandled("memcache.go:265", &text);
                    if left == 0 {
                        return Err(error);
                    }
                }
                found => return found,
            }
        }
    }

    /// The same for what says itself that there is no answer.
    pub async fn fetch_quietly(client: &Client) -> anyhow::Result<Self> {
        Self::ask(client).await
    }

    async fn ask(client: &Client) -> anyhow::Result<Self> {
        let mut discovery = Self::default();
        for path in ["/api", "/apis"] {
            let document = match client.get_bytes(path, AGGREGATED).await {
                // A server may have no core group.
                Err(error) if path == "/api" && is_not_found(&error) => continue,
                body => groups(path, &body?)?,
            };
            match document["kind"] == "APIGroupDiscoveryList" {
                true => match mistyped(&document) {
                    Some(why) => anyhow::bail!("json: cannot unmarshal {why}"),
                    None => discovery.resources.extend(read(&document)),
                },
                false => discovery.extend(plain::ask(client, &document).await),
            }
        }
        for failed in &discovery.failed {
            let text = format!("couldn't get resource list for {}: {}", failed.api_version(), failed.why);
            log_unhandled("memcache.go:287", &text);
        }
        cache::write(client, &discovery);
        Ok(discovery)
    }

    fn extend(&mut self, other: Self) {
        self.resources.extend(other.resources);
        self.failed.extend(other.failed);
    }

    /// Complains of the group versions that are not known.
    ///
    /// # Errors
    /// Where the server could not tell the resources of some.
    pub fn require_complete(&self) -> anyhow::Result<()> {
        let mut told: Vec<String> =
            self.failed.iter().map(|failed| format!("{}: {}", failed.api_version(), failed.why)).collect();
        told.sort();
        if told.is_empty() {
            return Ok(());
        }
        anyhow::bail!("unable to retrieve the complete list of server APIs: {}", told.join(", "))
    }

    /// What every server of this version has, known without asking one.
    pub fn builtin() -> Self {
        let resource = |info: &Arc<ResourceInfo>| Resource {
            group: info.group.to_string(),
            version: info.version.to_string(),
            plural: info.plural.to_string(),
            singular: info.singular.to_string(),
            kind: info.kind.to_string(),
            namespaced: info.namespaced,
            short_names: info.short_names.iter().map(ToString::to_string).collect(),
            categories: info.categories.iter().map(ToString::to_string).collect(),
            verbs: info.verbs.iter().map(ToString::to_string).collect(),
            subresources: Vec::new(),
        };
        Self { resources: resources::builtin().iter().map(resource).collect(), ..Self::default() }
    }

    /// Whether there is a group version, even if its resources are not known.
    pub fn serves(&self, group: &str, version: &str) -> bool {
        self.resources.iter().any(|r| r.group == group && r.version == version)
            || self.failed.iter().any(|f| f.group == group && f.version == version)
    }

    /// Names that look like one that does not exist.
    pub fn nearest(&self, name: &str) -> Vec<&str> {
        let close = |r: &&Resource| {
            let names = [&r.plural, &r.singular].into_iter().chain(&r.short_names);
            names.filter(|n| !n.is_empty()).any(|n| crate::cli::distance(name, n) <= 1 + name.len() / 6)
        };
        let mut names: Vec<&str> = self.resources.iter().filter(close).map(|r| r.plural.as_str()).collect();
        names.dedup();
        names.truncate(3);
        names
    }

    /// Kinds that look like one that does not exist.
    pub fn nearest_kinds(&self, kind: &str) -> Vec<String> {
        let most = 1 + kind.len() / 6;
        let close = |r: &&Resource| crate::cli::distance(&kind.to_lowercase(), &r.kind.to_lowercase()) <= most;
        let near = self.resources.iter().filter(close);
        near.map(|r| format!("{} of {}", r.kind, r.api_version())).take(3).collect()
    }

    /// The resource of a name as people type it: plural, singular, short name, kind, each with an
    /// optional version and group, or the beginning of a group, behind dots.
    pub fn find(&self, name: &str) -> Option<&Resource> {
        let lower = name.to_ascii_lowercase();
        let (word, rest) = lower.split_once('.').unwrap_or((&lower, ""));
        let in_group =
            |r: &&Resource| rest.is_empty() || r.group == rest || rest == format!("{}.{}", r.version, r.group);
        let nearly = |r: &&Resource| r.group.starts_with(rest);
        // A full name wins over another resource's short name, and a whole group over a beginning.
        let full = |r: &&Resource| r.plural == word || r.singular == word;
        let other = |r: &&Resource| r.kind.eq_ignore_ascii_case(word) || r.has_short_name(word);
        let all = || self.resources.iter();
        let exact = all().filter(in_group).find(full).or_else(|| all().filter(in_group).find(other));
        exact.or_else(|| all().filter(nearly).find(full)).or_else(|| all().filter(nearly).find(other))
    }

    /// The resources of other types that a short name could mean as well, `plural.group` each.
    pub fn also_meant(&self, name: &str) -> Vec<String> {
        let lower = name.to_ascii_lowercase();
        let (word, group) = lower.split_once('.').unwrap_or((&lower, ""));
        let full = |r: &Resource| r.plural == word || r.singular == word;
        let mut names: Vec<String> = Vec::new();
        for resource in self.resources.iter().filter(|r| group.is_empty() || r.group == group) {
            if full(resource) {
                return Vec::new();
            }
            let name = resource.group_resource();
            if resource.has_short_name(word) && !names.contains(&name) {
                names.push(name);
            }
        }
        names.split_off(names.len().min(1))
    }

    /// The resource that serves a kind.
    pub fn for_kind(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.kind == kind && r.api_version() == api_version)
    }

    /// The resources of a category, such as `all`.
    pub fn category(&self, name: &str) -> Vec<&Resource> {
        let mut seen: Vec<(&str, &str)> = Vec::new();
        let members = self.resources.iter().filter(|r| r.categories.iter().any(|c| c == name));
        members
            .filter(|r| {
                let new = !seen.contains(&(&*r.group, &*r.plural));
                seen.push((&r.group, &r.plural));
                new
            })
            .collect()
    }
}

/// What a server has, as it says it.
fn groups(path: &str, body: &[u8]) -> anyhow::Result<Value> {
    let document = crate::http::parsed(body).map_err(|why| anyhow::anyhow!(why))?;
    match document {
        Value::Object(_) => Ok(document),
        Value::Null => Ok(serde_json::json!({})),
        other => {
            let (is, wanted) = (go_kind(&other), if path == "/api" { "APIVersions" } else { "APIGroupList" });
            anyhow::bail!("json: cannot unmarshal {is} into Go value of type v1.{wanted}")
        }
    }
}

/// What of aggregated discovery is of another type than it should be, as Go tells it.
fn mistyped(document: &Value) -> Option<String> {
    let told = |value: &Value, place: &str, wanted: &str| {
        format!("{} into Go struct field APIGroupDiscoveryList.{place} of type {wanted}", rules::patch::go_kind(value))
    };
    let members = |value: &Value, place: &str, texts: &[&str], lists: &[&str]| -> Option<String> {
        let given = |key: &str| value.get(key).filter(|member| !member.is_null());
        let text = texts.iter().find_map(|key| Some((*key, given(key).filter(|member| !member.is_string())?)));
        let list = lists.iter().find_map(|key| Some((*key, given(key).filter(|member| !member.is_array())?)));
        match (text, list) {
            (Some((key, member)), _) => Some(told(member, &format!("{place}.{key}"), "string")),
            (None, Some((key, member))) => Some(told(member, &format!("{place}.{key}"), "[]string")),
            (None, None) => None,
        }
    };
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    for (i, group) in list(document, "items").iter().enumerate() {
        for (j, version) in list(group, "versions").iter().enumerate() {
            let place = format!("items.{i}.versions.{j}");
            let wrong = members(version, &place, &["version", "freshness"], &[]);
            let mut resources = list(version, "resources").into_iter().enumerate();
            let wrong = wrong.or_else(|| {
                let texts = ["resource", "scope", "singularResource"];
                let lists = ["verbs", "shortNames", "categories"];
                resources
                    .find_map(|(k, resource)| members(&resource, &format!("{place}.resources.{k}"), &texts, &lists))
            });
            if wrong.is_some() {
                return wrong;
            }
        }
    }
    None
}

fn read(document: &Value) -> Vec<Resource> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut resources = Vec::new();
    for group in list(document, "items") {
        let name = group.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        for version in list(&group, "versions") {
            let version_name = text(&version, "version");
            resources.extend(list(&version, "resources").iter().map(|r| resource(name, &version_name, r)));
        }
    }
    resources
}

fn resource(group: &str, version: &str, value: &Value) -> Resource {
    let words = |key: &str| {
        let list = value.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Resource {
        group: group.into(),
        version: version.into(),
        plural: text(value, "resource"),
        singular: text(value, "singularResource"),
        kind: value.pointer("/responseKind/kind").and_then(Value::as_str).unwrap_or_default().into(),
        namespaced: value.get("scope").and_then(Value::as_str) == Some("Namespaced"),
        short_names: words("shortNames"),
        categories: words("categories"),
        verbs: words("verbs"),
        subresources: subresources(value),
    }
}

fn subresources(value: &Value) -> Vec<(String, Vec<String>)> {
    let list = value.get("subresources").and_then(Value::as_array).into_iter().flatten();
    list.map(|s| {
        let verbs = s.get("verbs").and_then(Value::as_array).into_iter().flatten();
        (text(s, "subresource"), verbs.filter_map(Value::as_str).map(str::to_owned).collect())
    })
    .collect()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_of_discovery_are_looked_at() {
        let with = |resource: Value| json!({"items": [{"versions": [{"version": "v1", "resources": [{}, resource]}]}]});
        let place = "Go struct field APIGroupDiscoveryList.items.0.versions.0";
        for (document, want) in [
            (with(json!({"resource": "pods", "verbs": ["get"], "scope": null})), None),
            (with(json!({"resource": 5})), Some(format!("number into {place}.resources.1.resource of type string"))),
            (with(json!({"verbs": "x"})), Some(format!("string into {place}.resources.1.verbs of type []string"))),
            (
                json!({"items": [{"versions": [{"version": []}]}]}),
                Some(format!("array into {place}.version of type string")),
            ),
        ] {
            assert_eq!(mistyped(&document), want);
        }
    }

    pub(crate) fn sample() -> Discovery {
        let resource = |plural: &str, singular: &str, kind: &str, short: &[&str], scope: &str| {
            json!({"resource": plural, "singularResource": singular, "responseKind": {"kind": kind}, "scope": scope,
                   "shortNames": short, "categories": ["all"], "verbs": ["get", "list"]})
        };
        let core = json!({"items": [{"versions": [{"version": "v1", "resources": [
            resource("pods", "pod", "Pod", &["po"], "Namespaced"), resource("nodes", "node", "Node", &["no"], "Cluster"),
            resource("events", "event", "Event", &["ev"], "Namespaced")]}]}]});
        let groups = json!({"items": [
            {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [resource("deployments", "deployment", "Deployment", &["deploy"], "Namespaced")]}]},
            {"metadata": {"name": "events.k8s.io"}, "versions": [{"version": "v1", "resources": [resource("events", "event", "Event", &["ev"], "Namespaced")]}]}]});
        Discovery { resources: [read(&core), read(&groups)].concat(), ..Discovery::default() }
    }

    #[test]
    fn finds_resources_as_people_name_them() {
        let discovery = sample();
        for (name, want) in [
            ("po", "pods"),
            ("Pod", "pods"),
            ("pods", "pods"),
            ("deploy", "deployments.apps"),
            ("deployments.apps", "deployments.apps"),
            ("deployment.v1.apps", "deployments.apps"),
            ("ev", "events"),
            ("events.events.k8s.io", "events.events.k8s.io"),
            ("ev.events", "events.events.k8s.io"),
            ("deploy.ap", "deployments.apps"),
        ] {
            assert_eq!(discovery.find(name).map(Resource::group_resource).as_deref(), Some(want), "{name}");
        }
        assert!(discovery.find("nonsense").is_none() && discovery.find("pods.apps").is_none());
        let builtin = Discovery::builtin();
        assert_eq!(
            builtin.for_kind("v1", "Secret").map(|r| (r.plural.as_str(), r.namespaced)),
            Some(("secrets", true))
        );
        assert_eq!(discovery.also_meant("ev"), ["events.events.k8s.io"]);
        assert!(discovery.also_meant("events").is_empty() && discovery.also_meant("po").is_empty());
        assert_eq!(discovery.find("no").map(|r| r.path(Some("x"))).as_deref(), Some("/api/v1/nodes"));
        assert_eq!(
            discovery.find("deploy").map(|r| r.path(Some("x"))).as_deref(),
            Some("/apis/apps/v1/namespaces/x/deployments")
        );
    }
}
