//! Reads the facts.

use anyhow::Context;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// One row of the table of fields.
#[derive(Debug, Default)]
pub(super) struct Field {
    pub(super) json: String,
    pub(super) number: String,
    pub(super) shape: String,
    pub(super) required: bool,
    pub(super) list_type: String,
    pub(super) list_keys: String,
    pub(super) patch_strategy: String,
    pub(super) patch_key: String,
    pub(super) default: String,
    pub(super) format: String,
}

/// All that the tables are made of.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Fields by type, types in the order of the file.
    pub(super) types: Vec<(String, Vec<Field>)>,
    /// Kinds by type, as `group/version/kind`.
    pub(super) kinds: HashMap<String, Vec<String>>,
    /// OpenAPI schemas by type.
    pub(super) schemas: Map<String, Value>,
    /// The groups in the order of discovery, each with its versions in theirs.
    pub(super) groups: Vec<(String, Vec<String>)>,
    /// The resources that discovery lists, by group and version.
    pub(super) discovery: BTreeMap<(String, String), Vec<Value>>,
    /// Group versions that are served by default.
    pub(super) served: BTreeSet<(String, String)>,
    /// Key prefixes in etcd by group and resource.
    pub(super) prefixes: HashMap<(String, String), String>,
    /// What resources are stored as, by group, version and resource.
    pub(super) stored: HashMap<(String, String, String), String>,
}

impl Facts {
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut facts = Facts::default();
        facts.fields(&text(folder, "fields.tsv")?);
        facts.kinds(&text(folder, "kinds.tsv")?);
        facts.etcd(&text(folder, "etcd-paths.tsv")?);
        facts.openapi(&folder.join("openapi-v3"))?;
        facts.discovery(folder)?;
        facts.served(&json(&folder.join("fresh-cluster.json"))?);
        Ok(facts)
    }

    fn fields(&mut self, text: &str) {
        for columns in rows(text) {
            let [ty, json, number, shape, required, list_type, list_keys, patch_strategy, patch_key, default, format] =
                columns;
            let field = Field {
                json: json.into(),
                number: number.into(),
                shape: shape.into(),
                required: !required.is_empty(),
                list_type: list_type.into(),
                list_keys: list_keys.into(),
                patch_strategy: patch_strategy.into(),
                patch_key: patch_key.into(),
                default: default.into(),
                format: format.into(),
            };
            match self.types.last_mut().filter(|(name, _)| name == ty) {
                Some((_, fields)) => fields.push(field),
                None => self.types.push((ty.into(), vec![field])),
            }
        }
    }

    fn kinds(&mut self, text: &str) {
        for [ty, group, version, kind] in rows(text) {
            self.kinds.entry(ty.into()).or_default().push(format!("{group}/{version}/{kind}"));
        }
    }

    fn etcd(&mut self, text: &str) {
        for [group, version, resource, key, stored] in rows(text) {
            let key = key.trim_start_matches("/registry/");
            // The prefix ends before the namespace, or before the name of what has none.
            let prefix = key.split("/<namespace>").next().filter(|p| p.len() < key.len());
            if let Some(prefix) = prefix.or_else(|| key.rsplit_once('/').map(|(prefix, _)| prefix)) {
                self.prefixes.insert((group.into(), resource.into()), prefix.into());
            }
            if !stored.is_empty() {
                self.stored.insert((group.into(), version.into(), resource.into()), stored.into());
            }
        }
    }

    fn openapi(&mut self, folder: &Path) -> anyhow::Result<()> {
        let mut paths: Vec<_> = std::fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
        paths.sort();
        for path in paths {
            let mut document = json(&path)?;
            if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas").map(Value::take) {
                self.schemas.extend(schemas);
            }
        }
        Ok(())
    }

    fn discovery(&mut self, folder: &Path) -> anyhow::Result<()> {
        let apis = json(&folder.join("discovery/apis.json"))?;
        self.groups.push((String::new(), vec!["v1".into()]));
        for group in list(&apis["groups"]) {
            let versions = list(&group["versions"]).iter().map(|v| word(&v["version"])).collect();
            self.groups.push((word(&group["name"]), versions));
        }
        for (group, versions) in &self.groups {
            for version in versions {
                let file = match group.is_empty() {
                    true => format!("discovery/api__{version}.json"),
                    false => format!("discovery/apis__{group}__{version}.json"),
                };
                let document = json(&folder.join(file))?;
                self.discovery.insert((group.clone(), version.clone()), list(&document["resources"]).to_vec());
            }
        }
        Ok(())
    }

    /// A fresh cluster has an APIService for each group version that is served.
    fn served(&mut self, cluster: &Value) {
        let services = list(&cluster["items"]).iter().filter(|item| item["kind"] == "APIService");
        for service in services {
            let spec = &service["spec"];
            self.served.insert((word(&spec["group"]), word(&spec["version"])));
        }
        // The aggregator serves itself.
        self.served.insert(("apiregistration.k8s.io".into(), "v1".into()));
    }
}

/// The elements of a list; none if it is no list.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A string; empty if it is none.
pub(super) fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Rows below the heading, missing columns empty.
fn rows<const N: usize>(text: &str) -> impl Iterator<Item = [&str; N]> {
    text.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| {
        let mut columns = line.split('\t');
        std::array::from_fn(|_| columns.next().unwrap_or_default())
    })
}

fn text(folder: &Path, name: &str) -> anyhow::Result<String> {
    let path = folder.join(name);
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

fn json(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("parsing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_types_and_places() {
        let mut facts = Facts::default();
        facts.fields("# c\ntype\tjson\na.A\tx\t1\tstring\t!\nb.B\ty\t2\t[]int32\t\tset\nb.B\tz\t3\tbool\n");
        assert_eq!(
            facts.types.iter().map(|(name, fields)| (&**name, fields.len())).collect::<Vec<_>>(),
            [("a.A", 1), ("b.B", 2)]
        );
        assert!(facts.types[0].1[0].required && facts.types[1].1[0].list_type == "set");
        facts.etcd("group\n\tv1\tpods\t/registry/pods/<namespace>/a\t\n\tv1\tnodes\t/registry/minions/n\t\nx\tv1\tys\t/registry/ys/y\tx/v2/Y\n");
        let prefix =
            |group: &str, resource: &str| facts.prefixes.get(&(group.into(), resource.into())).map(String::as_str);
        assert_eq!(
            (prefix("", "pods"), prefix("", "nodes"), prefix("x", "ys")),
            (Some("pods"), Some("minions"), Some("ys"))
        );
        assert_eq!(facts.stored[&("x".into(), "v1".into(), "ys".into())], "x/v2/Y");
    }
}
