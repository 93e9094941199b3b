//! PUT, and what every other change of a stored object shares with it.
//!
//! Upstream: `endpoints/handlers/update.go`, `registry/generic/registry/store.go` (`Update`),
//! `registry/rest/update.go`.

use super::{Target, admit, check_escalation, options, reply, told_kind, tree, unwritten_reply, validate};
use crate::admission::Operation;
use crate::failure::{Failure, STALE};
use crate::services::Claim;
use crate::strategies::pods;
use crate::strategy::{self, Allocates, Ending, Missing, Strategy, Unversioned};
use crate::transaction::{self, Decide};
use crate::{
    Body, Context, Registry, Reply, Verb, convert, decode, device_access, managed, metadata, params_access,
    subresources,
};
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_storage::{Change, Object};
use async_trait::async_trait;
use std::sync::Arc;

/// Makes the new object of an old one; called again with a newer one if the first was stale.
pub(crate) type Source<'a> = dyn FnMut(&Value) -> Result<Value, Status> + Send + 'a;

/// Which part of an object a request writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but the status.
    Main,
    /// `/status`.
    Status,
    /// `/ephemeralcontainers` of a pod.
    EphemeralContainers,
    /// `/resize` of a pod.
    Resize,
    /// `/approval` of a certificate signing request.
    Approval,
    /// `/finalize` of a namespace.
    Finalize,
}

impl Part {
    /// The part that the request's subresource names.
    pub(crate) fn of(cx: &Context) -> Result<Self, Status> {
        Ok(match cx.subresource_name() {
            "" => Part::Main,
            "status" => Part::Status,
            "ephemeralcontainers" => Part::EphemeralContainers,
            "resize" => Part::Resize,
            "approval" => Part::Approval,
            "finalize" => Part::Finalize,
            _ => return Err(Status::method_not_allowed()),
        })
    }
}

pub(crate) async fn update(registry: &Registry, cx: &Context, body: Body) -> Result<Reply, Status> {
    if cx.subresource_name() == "scale" {
        return subresources::scale::put(registry, cx, body).await;
    }
    let part = Part::of(cx)?;
    let mut object = decode::object(cx, &body, &cx.resource.schema, &cx.resource.gvk())?;
    drop(body);
    metadata::ensure_namespace(cx, &mut object)?;
    metadata::ensure_name(cx, &object)?;
    rules::defaults::apply(&cx.resource, &mut object);
    let strategy = strategy::of(&cx.resource);
    let source: &mut Source<'_> = &mut |old| {
        let mut new = object.clone();
        managed::track(cx, old, &mut new);
        Ok(new)
    };
    match change(registry, cx, part, "UpdateOptions", source).await {
        Err(status) if status.code == 404 && part == Part::Main && strategy.missing == Missing::Create => {
            may_create(registry, cx).await?;
            metadata::forget_revision(cx, &mut object)?;
            super::create::insert(registry, cx, object).await
        }
        result => result,
    }
}

/// A write that creates what it should change needs the permission to create.
pub(crate) async fn may_create(registry: &Registry, cx: &Context) -> Result<(), Status> {
    match &registry.options.permission {
        Some(permission) => permission.create(cx).await,
        None => Ok(()),
    }
}

/// What admission sees in place of the object, where a request writes a part of it that is a kind of
/// its own.
pub(crate) struct Seen<'a> {
    /// The request as it came.
    pub(crate) cx: &'a Context,
    /// The part as an object.
    pub(crate) show: fn(&Context, &Value) -> Value,
    /// The object with the part that admission may have changed.
    pub(crate) take: fn(&Context, Value, &Value) -> Result<Value, Status>,
}

/// What became of a change.
enum Outcome {
    /// Written, or nothing to write.
    Stored(Arc<Object>),
    /// A dry run: what would have been written.
    Dry(Value),
}

/// Changes the object that the request names to what `source` makes of it.
pub(crate) async fn change(
    registry: &Registry,
    cx: &Context,
    part: Part,
    options_kind: &str,
    source: &mut Source<'_>,
) -> Result<Reply, Status> {
    match apply(registry, cx, part, options_kind, source, None).await? {
        Outcome::Stored(object) => Ok(reply(cx, object)),
        Outcome::Dry(value) => Ok(unwritten_reply(cx, value)),
    }
}

/// As [`change`] of the whole object, of which admission sees a part, answering the tree.
pub(crate) async fn change_seen(
    registry: &Registry,
    cx: &Context,
    seen: &Seen<'_>,
    options_kind: &str,
    source: &mut Source<'_>,
) -> Result<Value, Status> {
    match apply(registry, cx, Part::Main, options_kind, source, Some(seen)).await? {
        Outcome::Stored(object) => Ok(tree(cx, &object)),
        Outcome::Dry(value) => Ok(value),
    }
}

async fn apply(
    registry: &Registry,
    cx: &Context,
    part: Part,
    options_kind: &str,
    source: &mut Source<'_>,
    seen: Option<&Seen<'_>>,
) -> Result<Outcome, Status> {
    let target = Target::of(cx)?;
    let options = options(cx, options_kind);
    let strategy = strategy::of(&cx.resource);
    let writer = Writer {
        registry,
        cx,
        strategy,
        part,
        seen,
        options: &options,
        claim: Claim::default(),
        dry: None,
        removed: None,
    };
    let mut attempt = Attempt { writer, source };
    let written = transaction::run(&registry.store, &target, &mut attempt).await;
    match (written, cx.dry_run) {
        (Ok(object), false) => {
            attempt.writer.claim.keep().await;
            if let Some(removed) = attempt.writer.removed {
                super::delete::after_removal(registry, strategy, &removed).await;
            }
            Ok(Outcome::Stored(convert::served(registry, &cx.resource, object).await?))
        }
        (Ok(object), true) => {
            attempt.writer.claim.release().await;
            let object = convert::served(registry, &cx.resource, object).await?;
            Ok(attempt.writer.dry.map_or(Outcome::Stored(object), Outcome::Dry))
        }
        (Err(failure), _) => {
            attempt.writer.claim.release().await;
            Err(failure.status(&cx.resource.group_resource(), &cx.name))
        }
    }
}

/// The attempts at one change.
struct Attempt<'a, 'b> {
    writer: Writer<'a>,
    source: &'a mut Source<'b>,
}

#[async_trait]
impl Decide for Attempt<'_, '_> {
    async fn decide(&mut self, current: &Arc<Object>) -> Result<Change, Failure> {
        // A second attempt starts anew.
        std::mem::take(&mut self.writer.claim).release().await;
        let cx = self.writer.cx;
        let served = convert::served(self.writer.registry, &cx.resource, current.clone()).await?;
        let old = tree(cx, &served);
        let new = (self.source)(&old)?;
        let new = self.writer.check(new, &old, current.revision()).await?;
        Ok(self.writer.settle(new, &old).await?)
    }
}

/// Makes writes of what a request wants.
struct Writer<'a> {
    registry: &'a Registry,
    cx: &'a Context,
    strategy: &'static Strategy,
    part: Part,
    seen: Option<&'a Seen<'a>>,
    options: &'a Value,
    /// What the last attempt has taken.
    claim: Claim,
    dry: Option<Value>,
    /// The object before, if the last attempt completes its deletion.
    removed: Option<Value>,
}

impl Writer<'_> {
    /// Version, admission, preparation and validation of a new object.
    async fn check(&mut self, mut new: Value, old: &Value, revision: u64) -> Result<Value, Failure> {
        let cx = self.cx;
        if cx.verb == Verb::Update {
            check_uid(cx, &new, old)?;
        }
        if check_version(cx, self.strategy, &new, revision)? == Names::Nothing {
            // Who overwrites whatever is there means what is there now.
            new.set_meta("resourceVersion", revision.to_string());
        }
        new = self.admit(new, old).await?;
        check_escalation(self.registry, cx, &new, old).await?;
        managed::keep_times(&mut new, old);
        self.prepare(&mut new, old);
        if self.part != Part::Status {
            rules::defaults::apply(&cx.resource, &mut new);
        }
        // Allocation completes what validation wants to see.
        if self.strategy.allocates == Allocates::ServiceAddresses && self.part == Part::Main {
            self.claim = self.registry.services.claim_changed(cx, &mut new, old).await?;
        }
        let mut errors = match self.part {
            Part::Status => device_access::check_status(self.registry, cx, &new, old).await,
            _ => Vec::new(),
        };
        errors.extend(match self.part {
            Part::Status => rules::validation::update_status(&cx.resource, &new, old),
            Part::Approval => rules::validation::update_approval(&cx.resource, &new, old),
            Part::EphemeralContainers => rules::validation::update_ephemeral_containers(&cx.resource, &new, old),
            Part::Resize => rules::validation::update_resize(&cx.resource, &new, old),
            Part::Finalize => rules::validation::update_finalize(&cx.resource, &new, old),
            Part::Main => rules::validation::update(&cx.resource, &new, old),
        });
        errors.extend(match self.part {
            Part::Main => (self.strategy.check_update)(&new, old),
            Part::Status => (self.strategy.check_status)(&new),
            _ => Vec::new(),
        });
        if errors.is_empty() && self.part == Part::Main {
            errors.extend(params_access::check(self.registry, cx, &new, old).await);
        }
        if !errors.is_empty() {
            return Err(Status::invalid(&told_kind(cx, &new), &cx.name, &errors).into());
        }
        match self.part {
            Part::Main => {
                rules::warnings::update(&cx.resource, &new, old, &mut |text| cx.warn(text));
                (self.strategy.warn)(&new, Some(old), &mut |text| cx.warn(text));
            }
            Part::Status => rules::warnings::status(&cx.resource, &new, old, &mut |text| cx.warn(text)),
            _ => {}
        }
        self.validate(&mut new, old).await?;
        Ok(new)
    }

    async fn admit(&self, mut new: Value, old: &Value) -> Result<Value, Status> {
        let Some(Seen { cx, show, take }) = self.seen else {
            admit(self.registry, self.cx, Operation::Update, &mut new, old, self.options).await?;
            return Ok(new);
        };
        let mut shown = show(cx, &new);
        admit(self.registry, cx, Operation::Update, &mut shown, &show(cx, old), self.options).await?;
        take(cx, new, &shown)
    }

    async fn validate(&self, new: &mut Value, old: &Value) -> Result<(), Status> {
        match self.seen {
            None => validate(self.registry, self.cx, Operation::Update, new, old, self.options).await,
            Some(Seen { cx, show, .. }) => {
                let (mut new, old) = (show(cx, new), show(cx, old));
                validate(self.registry, cx, Operation::Update, &mut new, &old, self.options).await
            }
        }
    }

    fn prepare(&self, new: &mut Value, old: &Value) {
        match self.part {
            Part::Main => self.strategy.update(self.cx, new, old),
            Part::Status => self.strategy.update_status(new, old),
            part => {
                metadata::carry_over(new, old);
                match part {
                    Part::EphemeralContainers => pods::keep_ephemeral_containers_only(new, old),
                    Part::Resize => pods::keep_resources_only(new, old),
                    Part::Approval => subresources::approval::keep_verdict_only(new, old),
                    _ => strategy::keep_all_but(new, old, &["metadata", "spec"]),
                }
            }
        }
    }

    /// What the store has to do: with its last finalizer gone, a deleted object goes.
    async fn settle(&mut self, mut new: Value, old: &Value) -> Result<Change, Status> {
        let deletes = ends_with(self.strategy, &new, old);
        self.removed = deletes.then(|| old.clone());
        if self.cx.dry_run {
            self.dry = Some(new);
            return Ok(Change::Keep);
        }
        new.metadata_mut().remove("selfLink");
        let new = convert::stored(self.registry, &self.cx.resource, new).await?;
        Ok(match (deletes, super::create::ttl(self.registry, self.strategy)) {
            (true, _) => Change::Delete(Some(new)),
            (false, Some(ttl)) => Change::PutWithTtl(new, ttl),
            (false, None) => Change::Put(new),
        })
    }
}

/// Whether an update that makes `new` of `old` completes a deletion.
fn ends_with(strategy: &Strategy, new: &Value, old: &Value) -> bool {
    let held = new.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty());
    old.is_deleting()
        && new.finalizers().is_empty()
        && metadata::grace_period(old).unwrap_or(0) == 0
        && (strategy.ending != Ending::Namespace || !held)
}

fn check_uid(cx: &Context, new: &Value, old: &Value) -> Result<(), Status> {
    if new.uid().is_empty() || new.uid() == old.uid() {
        return Ok(());
    }
    let (given, stored, key) = (new.uid(), old.uid(), Target::of(cx)?.key);
    // Where nothing is written, nobody has added the prefix of the store's keys.
    let prefix = if cx.dry_run { "" } else { "/registry" };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {prefix}/{key}, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: {given}, UID in object meta: {stored}"
    );
    Err(Status::conflict(&cx.resource.group_resource(), &cx.name, &why))
}

/// Which revision an update is meant to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// Whatever is there.
    Nothing,
    /// What is there, by its number.
    TheStored,
}

/// The resource version in the object must be the stored one, or absent where that is allowed.
fn check_version(cx: &Context, strategy: &Strategy, new: &Value, revision: u64) -> Result<Names, Status> {
    let given = metadata::revision(new).map_err(metadata::unreadable)?;
    match (given, strategy.unversioned) {
        (0, Unversioned::Overwrites) => Ok(Names::Nothing),
        (0, Unversioned::Refused) => Err(version_required(cx)),
        _ if given == revision => Ok(Names::TheStored),
        _ => Err(Status::conflict(&cx.resource.group_resource(), &cx.name, STALE)),
    }
}

/// Upstream names the resource here, where all other such errors name the kind.
fn version_required(cx: &Context) -> Status {
    let named = GroupVersionKind { kind: cx.resource.plural.clone(), ..cx.resource.gvk() };
    let path = Path::new("metadata").child("resourceVersion");
    let kind = FieldErrorKind::Invalid("0".into(), "must be specified for an update".into());
    Status::invalid(&named, &cx.name, &[FieldError { path, kind }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_deletion_ends_with_the_last_finalizer() {
        let deleting =
            json!({"metadata": {"deletionTimestamp": "t", "deletionGracePeriodSeconds": 0, "finalizers": ["a"]}});
        let free = json!({"metadata": {"deletionTimestamp": "t"}});
        let namespace = Strategy { ending: Ending::Namespace, ..strategy::DEFAULT };
        for (strategy, new, old, want) in [
            (strategy::DEFAULT, &free, &deleting, true),
            (strategy::DEFAULT, &deleting, &deleting, false),
            (strategy::DEFAULT, &free, &json!({"metadata": {}}), false),
            (
                strategy::DEFAULT,
                &free,
                &json!({"metadata": {"deletionTimestamp": "t", "deletionGracePeriodSeconds": 30}}),
                false,
            ),
            (namespace, &json!({"spec": {"finalizers": ["kubernetes"]}}), &free, false),
            (namespace, &json!({"spec": {"finalizers": []}}), &free, true),
        ] {
            assert_eq!(ends_with(&strategy, new, old), want, "{new} over {old}");
        }
    }

    #[test]
    fn versions_must_match() {
        let cx = crate::context::testing::context("coordination.k8s.io", "leases");
        let refused = Strategy { unversioned: Unversioned::Refused, ..strategy::DEFAULT };
        let with = |version: &str| json!({"metadata": {"resourceVersion": version}});
        for (strategy, object, want) in [
            (strategy::DEFAULT, json!({}), None),
            (strategy::DEFAULT, with("0"), None),
            (strategy::DEFAULT, with("7"), None),
            (strategy::DEFAULT, with("6"), Some((409, STALE))),
            (strategy::DEFAULT, with("x"), Some((500, "invalid syntax"))),
            (
                refused,
                json!({}),
                Some((422, "metadata.resourceVersion: Invalid value: 0: must be specified for an update")),
            ),
        ] {
            let got = check_version(&cx, &strategy, &object, 7).err();
            assert_eq!(got.as_ref().map(|s| s.code), want.map(|w| w.0), "{object}");
            if let (Some(status), Some((_, text))) = (got, want) {
                assert!(status.message.contains(text), "{}", status.message);
            }
        }
    }
}
