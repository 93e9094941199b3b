//! `apply --prune`: deletes what was applied before and is in no manifest any more; `diff --prune`
//! shows it.
//!
//! Upstream: `kubectl/pkg/cmd/apply/prune.go`.

use crate::apply::last_applied;
use crate::cli::Apply;
use crate::commands::Session;
use crate::commands::delete::{self, Deletion, Victim};
use crate::discovery::{Discovery, Resource};
use crate::files::Manifest;
use crate::selected::list;
use crate::writing::{DryRun, Failures, Writing, is_not_found, log_warning};
use anyhow::bail;
use apimachinery::meta::ObjectMeta;

/// Kinds (group, version, kind) that are pruned unless others are named.
const DEFAULT: &[(&str, &str, &str)] = &[
    ("", "v1", "ConfigMap"),
    ("", "v1", "Endpoints"),
    ("", "v1", "Namespace"),
    ("", "v1", "PersistentVolumeClaim"),
    ("", "v1", "PersistentVolume"),
    ("", "v1", "Pod"),
    ("", "v1", "ReplicationController"),
    ("", "v1", "Secret"),
    ("", "v1", "Service"),
    ("batch", "v1", "Job"),
    ("batch", "v1", "CronJob"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("apps", "v1", "DaemonSet"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "ReplicaSet"),
    ("apps", "v1", "StatefulSet"),
];

const GOES_AWAY: &str = "Deprecated: kubectl apply will no longer prune non-namespaced resources by default when used with the --namespace flag in a future release. To preserve the current behaviour, list the resources you want to target explicitly in the --prune-allowlist flag.";

pub(super) async fn run(
    session: &Session,
    discovery: &Discovery,
    flags: &Apply,
    writing: &Writing<'_>,
    applied: &[(Manifest, String)],
) -> anyhow::Result<()> {
    warn_of_default(&flags.prune_allowlist);
    let resources = resources(discovery, &flags.prune_allowlist)?;
    let mut namespaces: Vec<&str> =
        applied.iter().filter(|(m, _)| m.resource.namespaced).map(|(m, _)| m.namespace.as_str()).collect();
    if session.namespace_given {
        namespaces = vec![session.namespace.as_str()];
    }
    namespaces.sort_unstable();
    namespaces.dedup();
    let grace = flags.removal.grace_period;
    let deletion = Deletion::new(&flags.removal, grace)?.dry_run(writing.dry_run);
    let mut pruner = Pruner { session, flags, deletion, applied, writing, confirmed: None };
    if flags.interactive {
        let uids: Vec<&str> = applied.iter().map(|(_, uid)| uid.as_str()).collect();
        let outdated = outdated_of(session, &resources, &flags.selector, &namespaces, &uids).await?;
        if !confirmed(writing, &outdated)? {
            return Ok(());
        }
        pruner.confirmed = Some(outdated.iter().map(|manifest| manifest.object.uid().to_owned()).collect());
    }
    let mut failures = Vec::new();
    for namespace in namespaces {
        for resource in resources.iter().filter(|r| r.namespaced) {
            failures.extend(pruner.prune(resource, Some(namespace)).await.err());
        }
    }
    for resource in resources.iter().filter(|r| !r.namespaced) {
        failures.extend(pruner.prune(resource, None).await.err());
    }
    Failures::outcome(failures)
}

/// Whether somebody wants the objects to go, if there are any. Nothing goes in a dry run.
pub(super) fn confirmed(writing: &Writing<'_>, outdated: &[Manifest]) -> anyhow::Result<bool> {
    if outdated.is_empty() || writing.dry_run != DryRun::None {
        return Ok(true);
    }
    let yes = delete::confirmed(&outdated.iter().map(Victim::of).collect::<Vec<_>>())?;
    if !yes {
        crate::outln!("pruning is cancelled");
    }
    Ok(yes)
}

/// Objects of a type that were applied once, but are not among those of the manifests.
async fn outdated(
    session: &Session,
    resource: &Resource,
    namespace: Option<&str>,
    selector: &str,
    uids: &[&str],
) -> anyhow::Result<Vec<Manifest>> {
    let objects = list(session, resource, namespace, selector, "").await?;
    let outdated = objects.into_iter().filter(|o| last_applied(o).is_some() && !uids.contains(&o.uid()));
    let manifest = |object: apimachinery::Value| {
        let namespace = object.namespace().to_owned();
        Manifest { source: String::new(), object, resource: resource.clone(), namespace }
    };
    Ok(outdated.map(manifest).collect())
}

/// What `apply --prune` would delete in the namespaces, and outside of them.
pub(in crate::commands) async fn all_outdated(
    session: &Session,
    discovery: &Discovery,
    allowed: &[String],
    selector: &str,
    namespaces: &[&str],
    uids: &[&str],
) -> anyhow::Result<Vec<Manifest>> {
    warn_of_default(allowed);
    outdated_of(session, &resources(discovery, allowed)?, selector, namespaces, uids).await
}

async fn outdated_of(
    session: &Session,
    resources: &[Resource],
    selector: &str,
    namespaces: &[&str],
    uids: &[&str],
) -> anyhow::Result<Vec<Manifest>> {
    let mut found = Vec::new();
    let (inside, outside): (Vec<&Resource>, Vec<&Resource>) =
        resources.iter().partition(|resource| resource.namespaced);
    for namespace in namespaces {
        for resource in &inside {
            found.extend(outdated(session, resource, Some(namespace), selector, uids).await?);
        }
    }
    for resource in &outside {
        found.extend(outdated(session, resource, None, selector, uids).await?);
    }
    Ok(found)
}

/// Tells what will change about what is pruned by default.
fn warn_of_default(allowed: &[String]) {
    if allowed.is_empty() {
        log_warning("prune.go:71", GOES_AWAY);
    }
}

/// Whether the kinds that may be pruned are there, which is told before anything is applied.
pub(super) fn check(discovery: &Discovery, allowed: &[String]) -> anyhow::Result<()> {
    allowed.iter().try_for_each(|text| named(discovery, text).map(drop))
}

fn resources(discovery: &Discovery, allowed: &[String]) -> anyhow::Result<Vec<Resource>> {
    if allowed.is_empty() {
        let known = DEFAULT.iter().filter_map(|(group, version, kind)| {
            discovery.for_kind(&apimachinery::gvk::api_version(group, version), kind).cloned()
        });
        return Ok(known.collect());
    }
    allowed.iter().map(|text| named(discovery, text)).collect()
}

/// `group/version/kind`, the group of the core written `core`.
fn named(discovery: &Discovery, text: &str) -> anyhow::Result<Resource> {
    let [group, version, kind] = text.split('/').collect::<Vec<_>>()[..] else {
        bail!("invalid GroupVersionKind format: {text}, please follow <group/version/kind>");
    };
    let group = if group == "core" { "" } else { group };
    match discovery.for_kind(&apimachinery::gvk::api_version(group, version), kind) {
        Some(resource) => Ok(resource.clone()),
        None => {
            bail!("no matches for kind \"{kind}\" in version \"{}\"", apimachinery::gvk::api_version(group, version))
        }
    }
}

struct Pruner<'a> {
    session: &'a Session,
    flags: &'a Apply,
    deletion: Deletion,
    applied: &'a [(Manifest, String)],
    writing: &'a Writing<'a>,
    /// The objects that may go, if somebody was asked.
    confirmed: Option<Vec<String>>,
}

impl Pruner<'_> {
    async fn prune(&self, resource: &Resource, namespace: Option<&str>) -> anyhow::Result<()> {
        let uids: Vec<&str> = self.applied.iter().map(|(_, uid)| uid.as_str()).collect();
        for manifest in outdated(self.session, resource, namespace, &self.flags.selector, &uids).await? {
            if self.confirmed.as_ref().is_some_and(|uids| !uids.iter().any(|uid| uid == manifest.object.uid())) {
                continue;
            }
            if self.deletion.dry_run != DryRun::Client {
                match self.deletion.ask(self.session, &Victim::of(&manifest)).await {
                    Err(error) if !is_not_found(&error) => return Err(error),
                    _ => {}
                }
            }
            self.writing.done(&manifest, &manifest.object, "pruned")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::sample;

    #[test]
    fn kinds_are_named_with_group_and_version() {
        assert_eq!(named(&sample(), "core/v1/Pod").expect("pods").plural, "pods");
        assert_eq!(named(&sample(), "apps/v1/Deployment").expect("deployments").plural, "deployments");
        assert!(named(&sample(), "Pod").is_err() && named(&sample(), "core/v2/Pod").is_err());
        assert_eq!(resources(&sample(), &[]).expect("fine").len(), 2);
    }
}
