//! A custom resource definition as the server works with it: read once from each version of the
//! object, never changed.

use crate::schema::{Node, SchemaError, table};
use crate::version::Version;
use apimachinery::Value;
use apimachinery::gvk::{GroupVersionKind, Str};
use apimachinery::meta::ObjectMeta;
use apimachinery::openapi::type_name;
use apimachinery::resources::{ConversionWebhook, ResourceInfo, ScalePaths, SelectableField, Subresource};
use apimachinery::schema::TypeRef;
use rules::tree::Tree;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The names of a resource, wanted or accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Names {
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub list_kind: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
}

impl Names {
    /// Reads `spec.names` or `status.acceptedNames`.
    pub fn read(names: Option<&Value>) -> Self {
        let names = names.unwrap_or(&Value::Null);
        let list = |key: &str| names.texts(key).map(str::to_owned).collect();
        Self {
            plural: names.text("plural").to_owned(),
            singular: names.text("singular").to_owned(),
            kind: names.text("kind").to_owned(),
            list_kind: names.text("listKind").to_owned(),
            short_names: list("shortNames"),
            categories: list("categories"),
        }
    }
}

/// What is served for one definition.
#[derive(Clone, Debug)]
pub struct Definition {
    /// `metadata.name`.
    pub name: String,
    /// API group.
    pub group: String,
    /// The resource in each served version, the storage version included only if it is served.
    pub served: Vec<Arc<ResourceInfo>>,
    /// The resource as the store knows it.
    pub stored: Arc<ResourceInfo>,
    /// The versions as the definition has them, for OpenAPI.
    pub documents: Vec<Document>,
}

/// What OpenAPI says of one served version.
#[derive(Clone, Debug)]
pub struct Document {
    /// The resource.
    pub resource: Arc<ResourceInfo>,
    /// `openAPIV3Schema` of the version.
    pub schema: Value,
}

/// Why a definition cannot be served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// No version is the storage version.
    #[error("no storage version")]
    NoStorageVersion,
    /// A schema cannot be used.
    #[error("version {version}")]
    Schema {
        /// The version.
        version: String,
        /// Why.
        source: SchemaError,
    },
}

/// A version's schema in all its forms.
struct Compiled {
    node: Arc<Node>,
    table: TypeRef,
}

impl Definition {
    /// Reads a definition whose names have been accepted.
    pub fn read(definition: &Value) -> Result<Self, DefinitionError> {
        let spec = definition.at("spec").unwrap_or(&Value::Null);
        let names = Names::read(definition.pointer("/status/acceptedNames"));
        let versions = spec.items("versions");
        let mut compiled = BTreeMap::new();
        for version in versions {
            let name = version.text("name");
            let node = Node::read(schema_of(version))
                .map_err(|source| DefinitionError::Schema { version: name.into(), source })?;
            let table = table(&type_name(spec.text("group"), name, &names.kind), &node);
            compiled.insert(name.to_owned(), Compiled { node: Arc::new(node), table });
        }
        let nodes: Arc<BTreeMap<String, (Arc<Node>, TypeRef)>> =
            Arc::new(compiled.iter().map(|(name, c)| (name.clone(), (c.node.clone(), c.table.clone()))).collect());
        let storage = versions.iter().find(|v| v.flag("storage")).ok_or(DefinitionError::NoStorageVersion)?;
        let make = |version: &Value, fields: Vec<SelectableField>| {
            let resource = resource(definition, spec, &names, version, storage.text("name"), &nodes);
            Arc::new(ResourceInfo { selectable_fields: fields, ..resource })
        };
        let mut all_fields: Vec<SelectableField> = Vec::new();
        for field in versions.iter().flat_map(selectable) {
            if !all_fields.contains(&field) {
                all_fields.push(field);
            }
        }
        let served: Vec<_> =
            versions.iter().filter(|v| v.flag("served")).map(|v| (v, make(v, selectable(v)))).collect();
        Ok(Self {
            name: definition.name().to_owned(),
            group: spec.text("group").to_owned(),
            stored: make(storage, all_fields),
            documents: served
                .iter()
                .map(|(version, resource)| Document { resource: resource.clone(), schema: schema_of(version).clone() })
                .collect(),
            served: in_order(served.into_iter().map(|(_, resource)| resource).collect()),
        })
    }
}

fn schema_of(version: &Value) -> &Value {
    version.pointer("/schema/openAPIV3Schema").unwrap_or(&Value::Null)
}

/// `spec.conversion`, if a webhook is asked.
pub(crate) fn conversion(definition: &Value) -> Option<ConversionWebhook> {
    let conversion = definition.pointer("/spec/conversion")?;
    let webhook = conversion.at("webhook").filter(|_| conversion.text("strategy") == "Webhook")?;
    Some(ConversionWebhook {
        definition: definition.name().to_owned(),
        client: webhook.at("clientConfig").cloned().unwrap_or_default(),
        review_versions: webhook.texts("conversionReviewVersions").map(str::to_owned).collect(),
    })
}

fn selectable(version: &Value) -> Vec<SelectableField> {
    let paths = version.items("selectableFields").iter().map(|field| field.text("jsonPath").trim_start_matches('.'));
    paths
        .map(|path| {
            let path = Str::from(path.to_owned());
            SelectableField { label: path.clone(), paths: vec![path], default: "".into() }
        })
        .collect()
}

fn resource(
    definition: &Value,
    spec: &Value,
    names: &Names,
    version: &Value,
    storage_version: &str,
    nodes: &Arc<BTreeMap<String, (Arc<Node>, TypeRef)>>,
) -> ResourceInfo {
    let owned = |text: &str| Str::from(text.to_owned());
    let (group, name) = (spec.text("group"), version.text("name"));
    let list = |texts: &[String]| texts.iter().map(|text| owned(text)).collect();
    let custom = Version::new(definition, version, nodes.clone());
    let terminating = crate::status::is_true(definition, "Terminating");
    ResourceInfo {
        group: owned(group),
        version: owned(name),
        plural: owned(&names.plural),
        singular: owned(&names.singular),
        kind: owned(&names.kind),
        list_kind: owned(&names.list_kind),
        namespaced: spec.text("scope") == "Namespaced",
        short_names: list(&names.short_names),
        categories: list(&names.categories),
        verbs: verbs(terminating),
        subresources: subresources(group, name, &names.kind, version),
        storage_prefix: owned(&format!("{group}/{}", names.plural)),
        storage_kind: GroupVersionKind::new(owned(group), owned(storage_version), owned(&names.kind)),
        schema: custom.table().clone(),
        selectable_fields: Vec::new(),
        custom: Some(Arc::new(custom)),
    }
}

/// While instances are being deleted, no new ones are made.
fn verbs(terminating: bool) -> Vec<Str> {
    const ALL: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    ALL.into_iter().filter(|verb| !(terminating && *verb == "create")).map(Str::from).collect()
}

fn subresources(group: &str, version: &str, kind: &str, declared: &Value) -> Vec<Subresource> {
    let verbs = || ["get", "patch", "update"].map(Str::from).to_vec();
    let own = GroupVersionKind::new(group.to_owned(), version.to_owned(), kind.to_owned());
    let scale = GroupVersionKind::new("autoscaling", "v1", "Scale");
    let of = |name: &'static str, kind: GroupVersionKind, names_version| {
        declared.pointer(&format!("/subresources/{name}")).filter(|v| !v.is_null())?;
        Some(Subresource { name: name.into(), kind, names_version, verbs: verbs() })
    };
    [of("status", own, false), of("scale", scale, true)].into_iter().flatten().collect()
}

/// The paths of `subresources.scale`.
pub(crate) fn scale_paths(version: &Value) -> Option<ScalePaths> {
    let scale = version.pointer("/subresources/scale").filter(|v| !v.is_null())?;
    let path = |key: &str| {
        let text = scale.text(key);
        let members = text.trim_start_matches('.').split('.').map(str::to_owned).collect();
        (!text.is_empty()).then(|| (text.to_owned(), members))
    };
    Some(ScalePaths {
        spec_replicas: path("specReplicasPath")?,
        status_replicas: path("statusReplicasPath")?,
        selector: path("labelSelectorPath"),
    })
}

/// Stable versions first, then betas, then alphas, each the newest first; other names at the end.
fn in_order(mut served: Vec<Arc<ResourceInfo>>) -> Vec<Arc<ResourceInfo>> {
    served.sort_by(|a, b| compare_versions(&a.version, &b.version));
    served
}

/// The order of versions in discovery.
pub fn compare_versions(left: &str, right: &str) -> std::cmp::Ordering {
    match (rank(left), rank(right)) {
        (Some(left), Some(right)) => right.cmp(&left),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

/// Stability, major and minor of `v2`, `v1beta3`.
fn rank(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at(digits);
    let (stability, minor) = match rest {
        "" => (2, "0"),
        _ => match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
            (Some(minor), _) => (1, minor),
            (None, Some(minor)) => (0, minor),
            (None, None) => return None,
        },
    };
    Some((stability, major.parse().ok()?, if minor.is_empty() { return None } else { minor.parse().ok()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_order() {
        let mut versions =
            vec!["v1alpha1", "foo1", "v11beta2", "v10", "v2", "v10beta3", "foo10", "v3beta1", "v12alpha1", "v1"];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v1alpha1", "foo1", "foo10"]
        );
    }

    #[test]
    fn type_names_are_backwards() {
        assert_eq!(type_name("stable.example.com", "v1", "CronTab"), "com.example.stable.v1.CronTab");
    }
}
