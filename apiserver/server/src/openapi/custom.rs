//! The documents of custom resources.

use apimachinery::openapi::{self, Texts};
use apimachinery::resources::ResourceInfo;
use apimachinery::{Map, Value};
use apiserver_extensions::definition::Document;
use apiserver_extensions::openapi::{Dialect, types};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// OpenAPI documents of one set of custom resources.
#[derive(Debug)]
pub struct CustomDocuments {
    /// By path: `apis/GROUP/VERSION`.
    v3: BTreeMap<String, Bytes>,
    documents: Vec<Document>,
}

impl CustomDocuments {
    /// Makes the documents of version 3.
    pub fn new(documents: Vec<&Document>, texts: &Texts) -> Self {
        let mut versions: BTreeMap<(&str, &str), Vec<&Document>> = BTreeMap::new();
        for document in &documents {
            let resource = &document.resource;
            versions.entry((&*resource.group, &*resource.version)).or_default().push(document);
        }
        let v3 = versions.iter().map(|((group, version), of_version)| {
            let all = kinds(of_version, Dialect::V3, texts);
            let document = openapi::custom_v3(group, version, &resources(of_version), &all, texts);
            (format!("apis/{group}/{version}"), document)
        });
        Self { v3: v3.collect(), documents: documents.into_iter().cloned().collect() }
    }

    /// The document of a group version.
    pub fn v3(&self, path: &str) -> Option<Bytes> {
        self.v3.get(path).cloned()
    }

    /// All documents of version 3 by path.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.v3.iter().map(|(path, bytes)| (path.as_str(), bytes))
    }

    /// The document of version 2, with the built-in resources.
    pub fn v2(&self, builtin: &openapi::Documents) -> Value {
        let all: Vec<&Document> = self.documents.iter().collect();
        builtin.v2(&resources(&all), &kinds(&all, Dialect::V2, &builtin.texts()))
    }
}

fn kinds(documents: &[&Document], dialect: Dialect, texts: &Texts) -> Map {
    documents.iter().flat_map(|document| types(document, dialect, texts)).collect()
}

fn resources(documents: &[&Document]) -> Vec<Arc<ResourceInfo>> {
    documents.iter().map(|document| document.resource.clone()).collect()
}
