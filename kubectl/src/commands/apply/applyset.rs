//! Apply sets: an object, the parent, keeps in its metadata which kinds and namespaces the applied
//! objects are of; these carry its identity as a label. What has the label and was not applied
//! again is pruned.
//!
//! Upstream: `kubectl/pkg/cmd/apply/{applyset,applyset_pruner}.go` (KEP-3659, alpha).

use super::prune;
use crate::commands::Session;
use crate::commands::delete::{Deletion, Victim};
use crate::discovery::{Discovery, Resource};
use crate::files::Manifest;
use crate::selected::list;
use crate::writing::{DryRun, PatchKind, Writing, code, is_not_found, log_warning};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use base64::Engine;
use http::Method;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Switches the flag on.
const GATE: &str = "KUBECTL_APPLYSET";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
/// What older versions wrote instead of [`KINDS`].
const RESOURCES: &str = "applyset.kubernetes.io/contains-group-resources";
/// On the parent: its identity.
const ID: &str = "applyset.kubernetes.io/id";
/// On the members: the identity of their parent.
const PART_OF: &str = "applyset.kubernetes.io/part-of";
/// On definitions: their objects may be parents.
const PARENT_TYPE: &str = "applyset.kubernetes.io/is-parent-type";

/// Which program keeps the sets that we may change.
const TOOL: &str = "kubectl";
const MANAGER: &str = "kubectl-applyset";

/// Whether the environment switches apply sets on; the flag does not exist otherwise.
pub(super) fn is_enabled() -> bool {
    std::env::var(GATE).is_ok_and(|value| value == "true")
}

/// Kinds and namespaces of members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Members {
    /// Group and kind.
    kinds: BTreeSet<(String, String)>,
    namespaces: BTreeSet<String>,
}

impl Members {
    fn union(&self, other: &Self) -> Self {
        Self { kinds: &self.kinds | &other.kinds, namespaces: &self.namespaces | &other.namespaces }
    }
}

/// A set, known by its parent.
pub(super) struct ApplySet<'a> {
    session: &'a Session,
    discovery: &'a Discovery,
    parent: Resource,
    name: String,
    namespace: String,
    /// The members before.
    current: Members,
    /// The members that are applied now.
    updated: Members,
}

impl<'a> ApplySet<'a> {
    /// Reads `[RESOURCE][.GROUP]/NAME`; a secret if there is a name only.
    pub(super) fn parse(session: &'a Session, discovery: &'a Discovery, text: &str) -> anyhow::Result<Self> {
        let (resource, name) = text.split_once('/').unwrap_or(("secrets", text));
        let wrong = |why: String| anyhow::anyhow!("invalid parent reference {text:?}: {why}");
        if name.is_empty() {
            return Err(wrong("name cannot be blank".into()));
        }
        let Some(parent) = discovery.find(resource) else {
            let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
            return Err(wrong(format!("no matches for {group}/, Resource={plural}")));
        };
        // Of a namespace that is only the context's nobody may know.
        let namespace = if parent.namespaced && session.namespace_given { session.namespace.as_str() } else { "" };
        let (parent, name, namespace) = (parent.clone(), name.to_owned(), namespace.to_owned());
        let (current, updated) = Default::default();
        Ok(Self { session, discovery, parent, name, namespace, current, updated })
    }

    /// Whether the parent may be one.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        if self.parent.namespaced && self.namespace.is_empty() {
            bail!("namespace is required to use namespace-scoped ApplySet");
        }
        if self.is_builtin() {
            return Ok(());
        }
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions?labelSelector={PARENT_TYPE}");
        let definitions = self.session.client.get(&path, "application/json").await;
        let definitions = definitions.context("identifying allowed custom resource parent types")?;
        let wanted = format!("{}.{}", self.parent.plural, self.parent.group);
        let mut permitted = definitions["items"].as_array().into_iter().flatten();
        if !permitted.any(|definition| definition.name() == wanted) {
            let Resource { group, version, plural, .. } = &self.parent;
            bail!("resource \"{group}/{version}, Resource={plural}\" is not permitted as an ApplySet parent");
        }
        Ok(())
    }

    /// Secrets and config maps are made when they are not there.
    fn is_builtin(&self) -> bool {
        self.parent.group.is_empty() && matches!(self.parent.plural.as_str(), "secrets" | "configmaps")
    }

    fn id(&self) -> String {
        let text = [&*self.name, &*self.namespace, &*self.parent.kind, &*self.parent.group].join(".");
        let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(text));
        format!("applyset-{hash}-v1")
    }

    /// Makes members of the objects, and the parent one of both the old members and these.
    pub(super) async fn begin(&mut self, writing: &Writing<'_>, manifests: &mut [Manifest]) -> anyhow::Result<()> {
        let id = self.id();
        for manifest in &mut *manifests {
            let labels = manifest.object.metadata_mut().entry("labels").or_insert_with(|| json!({}));
            if labels.get(PART_OF).is_some() {
                bail!("ApplySet label {PART_OF:?} already set in input data");
            }
            if let Some(labels) = labels.as_object_mut() {
                labels.insert(PART_OF.to_owned(), id.as_str().into());
            }
        }
        self.fetch().await?;
        for manifest in manifests {
            self.updated.kinds.insert((manifest.resource.group.clone(), manifest.resource.kind.clone()));
            if manifest.resource.namespaced && !manifest.namespace.is_empty() {
                self.updated.namespaces.insert(manifest.namespace.clone());
            }
        }
        // If anything goes wrong from here on, nothing is forgotten.
        self.update(writing, &self.current.union(&self.updated)).await
    }

    /// Deletes the members that were not applied; the parent then has the others only.
    pub(super) async fn end(
        &self,
        writing: &Writing<'_>,
        deletion: &Deletion,
        uids: &[&str],
        interactive: bool,
    ) -> anyhow::Result<()> {
        let outdated = self.outdated(uids).await?;
        if interactive && !prune::confirmed(writing, &outdated)? {
            // The parent still has all members.
            return Ok(());
        }
        for manifest in outdated {
            if deletion.dry_run != DryRun::Client {
                let Manifest { object, resource, namespace, .. } = &manifest;
                let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
                let asked = deletion.ask(self.session, &Victim::of(&manifest)).await;
                let kind = group_kind(&resource.group, &resource.kind);
                asked.with_context(|| format!("pruning {kind} {place}{}", object.name()))?;
            }
            writing.done(&manifest, &manifest.object, "pruned")?;
        }
        let updated = self.update(writing, &self.updated).await;
        updated.context("apply and prune succeeded, but ApplySet update failed")
    }

    async fn outdated(&self, uids: &[&str]) -> anyhow::Result<Vec<Manifest>> {
        let selector = format!("{PART_OF}={}", self.id());
        let mut found = Vec::new();
        for (group, kind) in &self.current.kinds {
            let resource = self.resource(group, kind)?;
            let namespaces: Vec<Option<&str>> = match resource.namespaced {
                true => self.current.namespaces.iter().map(|namespace| Some(namespace.as_str())).collect(),
                false => vec![None],
            };
            for namespace in namespaces {
                let objects = list(self.session, resource, namespace, &selector, "").await;
                let Resource { group, version, kind, .. } = resource;
                let objects =
                    objects.with_context(|| format!("listing {group}/{version}, Kind={kind} objects for pruning"))?;
                let outdated = objects.into_iter().filter(|object| !uids.contains(&object.uid()));
                found.extend(outdated.map(|object| Manifest {
                    source: String::new(),
                    resource: resource.clone(),
                    namespace: object.namespace().to_owned(),
                    object,
                }));
            }
        }
        Ok(found)
    }

    fn resource(&self, group: &str, kind: &str) -> anyhow::Result<&Resource> {
        let found = self.discovery.resources.iter().find(|resource| resource.group == group && resource.kind == kind);
        let missing = || format!("no matches for kind {kind:?} in group {group:?}");
        found.with_context(missing).with_context(|| format!("could not find mapping for kind in {KINDS:?} annotation"))
    }

    /// Reads the members from the parent, if there is one.
    async fn fetch(&mut self) -> anyhow::Result<()> {
        let parent = match self.session.client.get(&self.path(), "application/json").await {
            Ok(parent) => parent,
            Err(error) if is_not_found(&error) && self.is_builtin() => return Ok(()),
            Err(error) if is_not_found(&error) => {
                bail!("custom resource ApplySet parents cannot be created automatically")
            }
            Err(error) => {
                return Err(error.context(format!("failed to fetch ApplySet parent object {:?}", self.shown())));
            }
        };
        let shown = self.shown();
        check_parent(&parent, &self.id(), &shown)?;
        let annotation = |key: &str| parent.annotations().and_then(|all| all.get(key)).and_then(Value::as_str);
        let kinds = match (annotation(KINDS), annotation(RESOURCES).filter(|text| !text.is_empty())) {
            (Some(text), _) => kinds(text),
            (None, Some(text)) => self.kinds_of_resources(text)?,
            (None, None) => bail!(
                "parsing ApplySet annotation on {shown:?}: kubectl requires the {KINDS:?} annotation to be set on all ApplySet parent objects"
            ),
        };
        for (group, kind) in &kinds {
            self.resource(group, kind).with_context(|| format!("parsing ApplySet annotation on {shown:?}"))?;
        }
        let mut namespaces: BTreeSet<String> = parts(annotation(NAMESPACES).unwrap_or_default()).collect();
        if self.parent.namespaced {
            namespaces.insert(self.namespace.clone());
        }
        self.current = Members { kinds, namespaces };
        Ok(())
    }

    fn kinds_of_resources(&self, text: &str) -> anyhow::Result<BTreeSet<(String, String)>> {
        let kind = |name: String| match self.discovery.find(&name) {
            Some(resource) => Ok((resource.group.clone(), resource.kind.clone())),
            None => bail!(
                "parsing ApplySet annotation on {:?}: invalid group resource in {RESOURCES:?} annotation: no matches for {name}",
                self.shown()
            ),
        };
        parts(text).map(kind).collect()
    }

    fn path(&self) -> String {
        format!("{}/{}", self.parent.path(Some(&self.namespace)), self.name)
    }

    /// How messages name the parent.
    fn shown(&self) -> String {
        format!("{}.{}/{}", self.parent.plural, self.parent.group, self.name)
    }

    async fn update(&self, writing: &Writing<'_>, members: &Members) -> anyhow::Result<()> {
        if writing.dry_run == DryRun::Client {
            return Ok(());
        }
        let patch = self.patch(members);
        let send = async |force: &str| {
            let path = format!("{}&force={force}", writing.path_as(&self.path(), MANAGER));
            self.session.client.write(Method::PATCH, &path, PatchKind::Apply.content_type(), &patch).await
        };
        let sent = match send("false").await {
            Err(error) if code(&error) == Some(409) => {
                log_warning(
                    "applyset.go:447",
                    &format!(
                        "WARNING: failed to update ApplySet: {error:#}\nApplySet field manager {MANAGER} should own these fields. Retrying with conflicts forced."
                    ),
                );
                send("true").await
            }
            sent => sent,
        };
        sent.map(drop).context("failed to update ApplySet")
    }

    fn patch(&self, members: &Members) -> Value {
        let kinds: BTreeSet<String> = members.kinds.iter().map(|(group, kind)| group_kind(group, kind)).collect();
        let others = members.namespaces.iter().filter(|namespace| **namespace != self.namespace);
        let mut patch = json!({
            "apiVersion": self.parent.api_version(), "kind": self.parent.kind,
            "metadata": {
                "name": self.name,
                "labels": {ID: self.id()},
                "annotations": {
                    TOOLING: concat!("kubectl/v", env!("CARGO_PKG_VERSION")),
                    KINDS: kinds.into_iter().collect::<Vec<_>>().join(","),
                    NAMESPACES: others.map(String::as_str).collect::<Vec<_>>().join(","),
                },
            },
        });
        if !self.namespace.is_empty() {
            patch.set_meta("namespace", self.namespace.as_str());
        }
        patch
    }
}

/// Whether a parent that is there is ours.
fn check_parent(parent: &Value, id: &str, shown: &str) -> anyhow::Result<()> {
    let Some(tooling) = parent.annotations().and_then(|all| all.get(TOOLING)).and_then(Value::as_str) else {
        bail!("ApplySet parent object {shown:?} already exists and is missing required annotation {TOOLING:?}");
    };
    let tool = tooling.rsplit_once('/').map_or(tooling, |(tool, _)| tool);
    if tool != TOOL {
        bail!("ApplySet parent object {shown:?} already exists and is managed by tooling {tool:?} instead of {TOOL:?}");
    }
    match parent.labels().and_then(|all| all.get(ID)).and_then(Value::as_str) {
        Some(label) if label == id => Ok(()),
        Some(label) => bail!(
            "ApplySet parent object {shown:?} exists and has incorrect value for label {ID:?} (got: {label}, want: {id})"
        ),
        None => bail!("ApplySet parent object {shown:?} exists and does not have required label {ID}"),
    }
}

/// `Deployment.apps`.
fn group_kind(group: &str, kind: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

fn kinds(text: &str) -> BTreeSet<(String, String)> {
    parts(text)
        .map(|text| match text.split_once('.') {
            Some((kind, group)) => (group.to_owned(), kind.to_owned()),
            None => (String::new(), text),
        })
        .collect()
}

fn parts(text: &str) -> impl Iterator<Item = String> {
    text.split(',').filter(|part| !part.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_they_are_read() {
        let read = kinds("ConfigMap,Deployment.apps,Certificate.cert-manager.io");
        let texts: Vec<String> = read.iter().map(|(group, kind)| group_kind(group, kind)).collect();
        assert_eq!(texts, ["ConfigMap", "Deployment.apps", "Certificate.cert-manager.io"]);
        assert!(kinds("").is_empty());
    }

    #[test]
    fn parents_of_others_are_left_alone() {
        let parent =
            |tooling: &str, id: &str| json!({"metadata": {"annotations": {TOOLING: tooling}, "labels": {ID: id}}});
        let said = |parent: &Value| check_parent(parent, "me", "secrets./p").map_err(|error| error.to_string());
        assert_eq!(said(&parent("kubectl/v1.30.0", "me")), Ok(()));
        assert_eq!(
            said(&parent("a/b/v1", "me")),
            Err("ApplySet parent object \"secrets./p\" already exists and is managed by tooling \"a/b\" instead of \"kubectl\"".into())
        );
        assert_eq!(
            said(&parent("kubectl/v1", "you")),
            Err("ApplySet parent object \"secrets./p\" exists and has incorrect value for label \"applyset.kubernetes.io/id\" (got: you, want: me)".into())
        );
        assert_eq!(
            said(&json!({"metadata": {}})),
            Err("ApplySet parent object \"secrets./p\" already exists and is missing required annotation \"applyset.kubernetes.io/tooling\"".into())
        );
    }
}
