//! Groups and versions in the order that clients are shown.

use apimachinery::Value;
use apimachinery::resources::ResourceInfo;
use apiserver_aggregator::{Freshness, RemoteVersion, priority};
use std::cmp::Reverse;
use std::sync::Arc;

pub(super) struct Group<'a> {
    pub(super) name: &'a str,
    pub(super) versions: Vec<Version<'a>>,
}

pub(super) struct Version<'a> {
    pub(super) version: &'a str,
    pub(super) content: Content<'a>,
    priority: priority::Priority,
}

/// What a version serves.
pub(super) enum Content<'a> {
    /// Here: resources, sorted by name.
    Local(Vec<&'a ResourceInfo>),
    /// Elsewhere: entries of aggregated discovery.
    Remote(Freshness, &'a [Value]),
}

/// All groups. A version that is served elsewhere hides a local one.
pub(super) fn groups<'a>(resources: &'a [Arc<ResourceInfo>], remote: &'a [Arc<RemoteVersion>]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for version in remote {
        let content = Content::Remote(version.freshness, &version.resources);
        group(&mut groups, &version.group).versions.push(Version {
            version: &version.version,
            content,
            priority: version.priority,
        });
    }
    for resource in resources {
        let versions = &mut group(&mut groups, &resource.group).versions;
        match versions.iter_mut().find(|v| v.version == resource.version).map(|v| &mut v.content) {
            Some(Content::Local(resources)) => resources.push(resource),
            Some(Content::Remote(..)) => {}
            None => versions.push(Version {
                version: &resource.version,
                content: Content::Local(vec![resource]),
                priority: priority::local(&resource.group, &resource.version),
            }),
        }
    }
    sort(&mut groups);
    groups
}

fn group<'g, 'a>(groups: &'g mut Vec<Group<'a>>, name: &'a str) -> &'g mut Group<'a> {
    let index = groups.iter().position(|g| g.name == name).unwrap_or_else(|| {
        groups.push(Group { name, versions: Vec::new() });
        groups.len() - 1
    });
    &mut groups[index]
}

fn sort(groups: &mut [Group<'_>]) {
    for group in groups.iter_mut() {
        group.versions.sort_by(|a, b| {
            let by_name = || priority::compare_versions(a.version, b.version);
            b.priority.version.cmp(&a.priority.version).then_with(by_name)
        });
        for version in &mut group.versions {
            if let Content::Local(resources) = &mut version.content {
                resources.sort_by(|a, b| a.plural.cmp(&b.plural));
            }
        }
    }
    groups.sort_by_key(|g| (Reverse(g.versions.iter().map(|v| v.priority.group).max()), g.name.to_owned()));
}
