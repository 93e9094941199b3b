//! Discovery on disk, as upstream lays it out: `servergroups.json` and a `serverresources.json` per
//! group and version. A file is replaced as a whole, so that processes can share it.
//!
//! Upstream: `client-go/discovery/cached/disk`.

use super::plain::from_list;
use super::{Discovery, Resource};
use crate::http::Client;
use apimachinery::Value;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long what was found is believed.
const LIFETIME: Duration = Duration::from_secs(6 * 60 * 60);

/// What the cache knows, if all of it is there and young enough.
pub(super) fn read(client: &Client) -> Option<Discovery> {
    let folder = folder(client)?;
    let groups = fresh(&folder.join("servergroups.json"))?;
    let mut resources = Vec::new();
    for group in groups.get("groups")?.as_array()? {
        for version in group.get("versions")?.as_array()? {
            let group_version = version.get("groupVersion")?.as_str()?;
            let list = fresh(&folder.join(checked(group_version)?).join("serverresources.json"))?;
            resources.extend(from_list(group_version, &list));
        }
    }
    Some(Discovery { resources, failed: Vec::new(), unknown: None })
}

/// Keeps what the server said. A cache that cannot be written is no reason to fail.
pub(super) fn write(client: &Client, discovery: &Discovery) {
    if let Some(folder) = folder(client) {
        let _ = store(&folder, discovery);
    }
}

/// `https://10.0.0.1:6443` → `10.0.0.1_6443`.
fn folder(client: &Client) -> Option<PathBuf> {
    let server = client.server();
    let host = server.trim_start_matches("https://").trim_start_matches("http://");
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '(' | ')') { c } else { '_' };
    let name: String = host.chars().map(safe).collect();
    let name = name.split('/').filter(|part| *part != "..").collect::<Vec<_>>().join("/");
    Some(client.cache()?.join("discovery").join(name))
}

/// A group and version as a relative path that leads nowhere else.
fn checked(group_version: &str) -> Option<&str> {
    let fine = |part: &str| !part.is_empty() && !part.starts_with('.');
    group_version.split('/').all(fine).then_some(group_version)
}

fn fresh(path: &Path) -> Option<Value> {
    let age = std::fs::metadata(path).ok()?.modified().ok()?.elapsed().ok()?;
    (age < LIFETIME).then(|| serde_json::from_slice(&std::fs::read(path).ok()?).ok())?
}

fn store(folder: &Path, discovery: &Discovery) -> std::io::Result<()> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    let found = discovery.resources.iter().map(|resource| (&resource.group, &resource.version));
    // What the server could not tell has no list, and is asked again by whoever finds none.
    for (group, version) in found.chain(discovery.failed.iter().map(|failed| (&failed.group, &failed.version))) {
        let versions = match groups.iter().position(|(name, _)| name == group) {
            Some(at) => &mut groups[at].1,
            None => {
                groups.push((group, Vec::new()));
                &mut groups.last_mut().ok_or(std::io::ErrorKind::Other)?.1
            }
        };
        if !versions.contains(&version.as_str()) {
            versions.push(version);
        }
    }
    let failed = |group: &str, version: &str| discovery.failed.iter().any(|f| f.group == group && f.version == version);
    let entry = |group: &str, version: &str| json!({"groupVersion": apimachinery::gvk::api_version(group, version), "version": version});
    let mut list = Vec::new();
    for (group, versions) in &groups {
        for version in versions.iter().filter(|version| !failed(group, version)) {
            let resources = discovery.resources.iter().filter(|r| r.group == *group && r.version == *version);
            let name = apimachinery::gvk::api_version(group, version);
            let document = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name,
                "resources": resources.flat_map(to_list).collect::<Vec<_>>()});
            replace(&folder.join(&name).join("serverresources.json"), &document)?;
        }
        list.push(json!({"name": group, "versions": versions.iter().map(|v| entry(group, v)).collect::<Vec<_>>(),
            "preferredVersion": entry(group, versions[0])}));
    }
    // Last, so that who finds it finds all others.
    replace(&folder.join("servergroups.json"), &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list}))
}

fn replace(path: &Path, document: &Value) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let part = folder.join(format!(".{}.{}", std::process::id(), path.file_name().unwrap_or_default().display()));
    std::fs::write(&part, serde_json::to_vec(document)?)?;
    std::fs::rename(&part, path)
}

fn to_list(resource: &Resource) -> Vec<Value> {
    let mut entries = vec![
        json!({"name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": resource.verbs, "shortNames": resource.short_names, "categories": resource.categories}),
    ];
    entries.extend(resource.subresources.iter().map(|(name, verbs)| {
        json!({"name": format!("{}/{name}", resource.plural), "singularName": "", "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": verbs})
    }));
    entries
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;
    use crate::config::Connection;

    fn client(cache: &Path) -> Client {
        let connection =
            Connection { server: "http://127.0.0.1:1".into(), cache: Some(cache.to_owned()), ..Connection::default() };
        Client::new(connection).expect("a client")
    }

    #[test]
    fn keeps_what_was_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let client = client(folder.path());
        assert!(read(&client).is_none());
        write(&client, &sample());
        assert_eq!(read(&client).expect("known").resources, sample().resources);
        assert!(folder.path().join("discovery/127.0.0.1_1/apps/v1/serverresources.json").exists());
    }

    #[test]
    fn what_is_broken_is_asked_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let client = client(folder.path());
        write(&client, &sample());
        std::fs::write(folder.path().join("discovery/127.0.0.1_1/v1/serverresources.json"), "{").expect("writes");
        assert!(read(&client).is_none());
        assert_eq!((checked("../x"), checked("a/../b"), checked("apps/v1")), (None, None, Some("apps/v1")));
    }
}
