//! `namePrefix`, `nameSuffix`, hashes, and references to what was renamed.

use super::Item;
use super::load::Folder;
use crate::generate::hash;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// Kinds that keep their name.
const FIXED: &[&str] = &["Namespace", "CustomResourceDefinition", "APIService"];

pub(super) fn run(folder: &Folder, items: &mut [Item]) {
    let text = |key: &str| folder.says[key].as_str().unwrap_or_default();
    let (prefix, suffix) = (text("namePrefix"), text("nameSuffix"));
    if prefix.is_empty() && suffix.is_empty() {
        return;
    }
    for item in items.iter_mut().filter(|item| !FIXED.contains(&item.kind())) {
        let name = item.object.name().to_owned();
        item.object.set_meta("name", format!("{prefix}{name}{suffix}").as_str());
        item.former.push(name);
    }
}

/// Adds the hashes and mends all references.
pub(super) fn finish(mut items: Vec<Item>) -> Vec<Value> {
    for item in items.iter_mut().filter(|item| item.needs_hash) {
        let name = item.object.name().to_owned();
        let hash = hash::nameless(&item.object);
        item.object.set_meta("name", format!("{name}-{hash}").as_str());
        item.former.push(name);
    }
    let renamed: Vec<Renamed> = items.iter().map(Renamed::of).collect();
    for item in &mut items {
        let names = Names { renamed: &renamed, namespace: item.object.namespace().to_owned() };
        names.mend(&mut item.object, "");
    }
    items.into_iter().map(|item| item.object).collect()
}

/// What an object was called and is called.
struct Renamed {
    kind: String,
    namespace: String,
    former: Vec<String>,
    name: String,
}

impl Renamed {
    fn of(item: &Item) -> Self {
        Self {
            kind: item.kind().to_owned(),
            namespace: item.object.namespace().to_owned(),
            former: item.former.clone(),
            name: item.object.name().to_owned(),
        }
    }
}

/// The names that references of one object see.
struct Names<'a> {
    renamed: &'a [Renamed],
    namespace: String,
}

impl Names<'_> {
    fn mend(&self, value: &mut Value, key: &str) {
        match value {
            Value::Object(members) => {
                if let Some((kind, field)) = reference(key, members)
                    && let Some(name) = members.get(field).and_then(Value::as_str).and_then(|n| self.current(&kind, n))
                {
                    members.insert(field.into(), name.into());
                }
                for (key, member) in members.iter_mut() {
                    let named = plain(key).and_then(|kind| self.current(kind, member.as_str()?));
                    if let Some(name) = named {
                        *member = name.into();
                    }
                    self.mend(member, key);
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|item| self.mend(item, key)),
            _ => {}
        }
    }

    fn current(&self, kind: &str, name: &str) -> Option<String> {
        let fits = |r: &&Renamed| {
            r.kind == kind
                && r.former.iter().any(|former| former == name)
                && (r.namespace.is_empty() || self.namespace.is_empty() || r.namespace == self.namespace)
        };
        self.renamed.iter().find(fits).map(|r| r.name.clone())
    }
}

/// Members whose text is the name of another object.
fn plain(key: &str) -> Option<&'static str> {
    Some(match key {
        "secretName" => "Secret",
        "serviceAccountName" => "ServiceAccount",
        "serviceName" => "Service",
        "claimName" => "PersistentVolumeClaim",
        "priorityClassName" => "PriorityClass",
        "storageClassName" => "StorageClass",
        "volumeName" => "PersistentVolume",
        "ingressClassName" => "IngressClass",
        _ => return None,
    })
}

/// Members that are references, by the key they stand under: the kind, and the field of the name.
fn reference(key: &str, members: &apimachinery::Map) -> Option<(String, &'static str)> {
    let own_kind = || members.get("kind").and_then(Value::as_str).map(str::to_owned);
    Some(match key {
        "configMapRef" | "configMapKeyRef" | "configMap" => ("ConfigMap".into(), "name"),
        "secretRef" | "secretKeyRef" | "secret" | "imagePullSecrets" | "secrets" => ("Secret".into(), "name"),
        "service" => ("Service".into(), "name"),
        "roleRef" | "subjects" | "scaleTargetRef" | "targetRef" | "dataSource" | "ownerReferences" => {
            (own_kind()?, "name")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_follow_names() {
        let mut role = Item::new(json!({"kind": "Role", "metadata": {"name": "x-r", "namespace": "n"}}));
        role.former.push("r".into());
        let binding = Item::new(
            json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "n"}, "roleRef": {"kind": "Role", "name": "r"}}),
        );
        let other = Item::new(
            json!({"kind": "RoleBinding", "metadata": {"name": "c", "namespace": "m"}, "roleRef": {"kind": "Role", "name": "r"}}),
        );
        let done = finish(vec![role, binding, other]);
        assert_eq!(done[1]["roleRef"]["name"], "x-r");
        assert_eq!(done[2]["roleRef"]["name"], "r", "another namespace's role");
    }
}
