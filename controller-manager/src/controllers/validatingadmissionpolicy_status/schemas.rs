//! The types of resources, by discovery and the OpenAPI documents of the apiserver.

use super::plan::{Kind, MAX_KINDS, Resource, Types};
use crate::scaffold::{At, ReconcileError, is_not_found};
use cel::Type;
use http::Request;
use rules::expressions::schema::type_of_kind;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What has been asked for one policy.
pub(super) struct Schemas {
    client: kube::Client,
    /// OpenAPI documents by group and version; `None` if there is none.
    documents: BTreeMap<(String, String), Option<Value>>,
}

impl Schemas {
    pub(super) fn new(client: kube::Client) -> Self {
        Self { client, documents: BTreeMap::new() }
    }

    /// The types of resources and parameters. What is not served has none, which is no error.
    pub(super) async fn types(mut self, resources: &[Resource], params: Option<Kind>) -> Result<Types, ReconcileError> {
        let mut types = Types::default();
        for kind in self.kinds(resources).await? {
            if let Some(of) = self.of_kind(&kind).await? {
                types.objects.push((kind, of));
            }
        }
        if let Some(kind) = params {
            types.params = self.of_kind(&kind).await?;
        }
        Ok(types)
    }

    /// The kinds of resources, sorted.
    async fn kinds(&self, resources: &[Resource]) -> Result<BTreeSet<Kind>, ReconcileError> {
        let mut kinds = BTreeSet::new();
        for Resource { group, version, plural } in resources {
            let list = match group.is_empty() {
                true => self.client.list_core_api_resources(version).await,
                false => self.client.list_api_group_resources(&format!("{group}/{version}")).await,
            };
            let served = match list {
                Ok(list) => list.resources,
                Err(error) if is_not_found(&error) => continue,
                Err(error) => return Err(error).at(|| format!("discover {group}/{version}")),
            };
            let found = served.into_iter().find(|resource| resource.name == *plural);
            let kind = |kind: String| Kind { group: group.clone(), version: version.clone(), kind };
            kinds.extend(found.map(|resource| kind(resource.kind)));
            if kinds.len() == MAX_KINDS {
                break;
            }
        }
        Ok(kinds)
    }

    async fn of_kind(&mut self, kind: &Kind) -> Result<Option<Type>, ReconcileError> {
        let key = (kind.group.clone(), kind.version.clone());
        if !self.documents.contains_key(&key) {
            let document = self.document(kind).await?;
            self.documents.insert(key.clone(), document);
        }
        let document = self.documents.get(&key).and_then(Option::as_ref);
        Ok(document.and_then(|document| type_of_kind(document, &kind.group, &kind.version, &kind.kind)))
    }

    async fn document(&self, Kind { group, version, .. }: &Kind) -> Result<Option<Value>, ReconcileError> {
        let path = match group.is_empty() {
            true => format!("/openapi/v3/api/{version}"),
            false => format!("/openapi/v3/apis/{group}/{version}"),
        };
        let request = Request::get(&path).header("accept", "application/json").body(Vec::new());
        let request =
            request.map_err(|error| ReconcileError::Unusable { object: path.clone(), why: error.to_string() })?;
        match self.client.request::<Value>(request).await {
            Ok(document) => Ok(Some(document)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error).at(|| format!("get {path}")),
        }
    }
}
