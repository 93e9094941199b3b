//! `DeleteOptions`, checked.
//!
//! Upstream: `apimachinery/pkg/apis/meta/v1/validation`, `registry/rest/delete.go`.

use crate::Context;
use crate::strategy::{self, Ending};
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::gvk::{GroupResource, GroupVersionKind};
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;

/// What happens to dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// They keep living: finalizer `orphan`.
    Orphan,
    /// The garbage collector deletes them afterwards.
    Background,
    /// They go first: finalizer `foregroundDeletion`.
    Foreground,
}

/// The parts of `DeleteOptions` that count.
#[derive(Clone, Debug, Default)]
pub(super) struct DeleteOptions {
    pub(super) grace_period: Option<i64>,
    pub(super) policy: Option<Policy>,
    pub(super) dry_run: bool,
    /// `orphanDependents: false`: the old way of asking for a cascade, answered with 202.
    cascades: bool,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl DeleteOptions {
    pub(super) fn parse(options: &Value) -> Result<Self, Status> {
        let text = |pointer: &str| options.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let orphans = options.get("orphanDependents").and_then(Value::as_bool);
        let named = options.get("propagationPolicy").and_then(Value::as_str);
        Ok(Self {
            // Negative periods are as good as a second.
            grace_period: options.get("gracePeriodSeconds").and_then(Value::as_i64).map(|s| if s < 0 { 1 } else { s }),
            policy: policy(orphans, named)?,
            dry_run: dry_run(options)?,
            cascades: orphans == Some(false),
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
        })
    }

    /// Refuses another object, or another state of it, than the one that is meant.
    pub(super) fn check_preconditions(&self, cx: &Context, object: &Value, revision: u64) -> Result<(), Status> {
        if strategy::of(&cx.resource).ending == Ending::Namespace {
            return self.check_namespace(cx, object, revision);
        }
        let named = GroupResource::new(cx.resource.group.clone(), cx.resource.kind.clone());
        if let Some(uid) = self.uid.as_deref().filter(|uid| *uid != object.uid()) {
            let why = format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
                 deleted and then recreated",
                object.uid()
            );
            return Err(Status::conflict(&named, &cx.name, &why));
        }
        if let Some(version) = self.resource_version.as_deref().filter(|v| *v != revision.to_string()) {
            let why = format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record \
                 ({revision}). The object might have been modified"
            );
            return Err(Status::conflict(&named, &cx.name, &why));
        }
        Ok(())
    }

    /// The same of a namespace, which upstream looks at itself.
    fn check_namespace(&self, cx: &Context, object: &Value, revision: u64) -> Result<(), Status> {
        let revision = revision.to_string();
        for (what, given, stored) in [
            ("UID", self.uid.as_deref(), object.uid()),
            ("ResourceVersion", self.resource_version.as_deref(), revision.as_str()),
        ] {
            if let Some(given) = given.filter(|given| *given != stored) {
                let why =
                    format!("Precondition failed: {what} in precondition: {given}, {what} in object meta: {stored}");
                return Err(Status::conflict(&cx.resource.group_resource(), &cx.name, &why));
            }
        }
        Ok(())
    }

    /// The same as namespaces read them: not to orphan dependents is to delete them first.
    pub(super) fn of_namespace(&self) -> Self {
        let policy = if self.cascades { Some(Policy::Foreground) } else { self.policy };
        Self { policy, ..self.clone() }
    }

    /// Whether an object that stays for now is answered with 202.
    pub(super) fn wants_accepted(&self) -> bool {
        self.cascades
    }
}

fn policy(orphans: Option<bool>, named: Option<&str>) -> Result<Option<Policy>, Status> {
    let path = Path::new("propagationPolicy");
    match (orphans, named) {
        (Some(_), Some(name)) => {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            Err(invalid(path, FieldErrorKind::Invalid(format!("{name:?}"), why.into())))
        }
        (Some(true), None) => Ok(Some(Policy::Orphan)),
        (Some(false), None) => Ok(Some(Policy::Background)),
        (None, None) => Ok(None),
        (None, Some("Orphan")) => Ok(Some(Policy::Orphan)),
        (None, Some("Background")) => Ok(Some(Policy::Background)),
        (None, Some("Foreground")) => Ok(Some(Policy::Foreground)),
        (None, Some(other)) => {
            let known = ["Foreground", "Background", "Orphan", "nil"].map(str::to_owned).to_vec();
            Err(invalid(path, FieldErrorKind::NotSupported(format!("{other:?}"), known)))
        }
    }
}

fn dry_run(options: &Value) -> Result<bool, Status> {
    let words = options.get("dryRun").and_then(Value::as_array);
    let Some(words) = words.filter(|w| !w.is_empty()) else { return Ok(false) };
    match words.iter().all(|word| word == "All") {
        true => Ok(true),
        false => {
            let given = Value::from(words.as_slice()).to_string();
            Err(invalid(Path::new("dryRun"), FieldErrorKind::NotSupported(given, vec!["All".into()])))
        }
    }
}

fn invalid(path: Path, kind: FieldErrorKind) -> Status {
    let options = GroupVersionKind::new("meta.k8s.io", "v1", "DeleteOptions");
    Status::invalid(&options, "", &[FieldError { path, kind }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parses_policies() {
        for (options, want) in [
            (json!({}), Ok(None)),
            (json!({"orphanDependents": true}), Ok(Some(Policy::Orphan))),
            (json!({"orphanDependents": false}), Ok(Some(Policy::Background))),
            (json!({"propagationPolicy": "Foreground"}), Ok(Some(Policy::Foreground))),
            (json!({"propagationPolicy": "foreground"}), Err(422)),
            (json!({"propagationPolicy": "Orphan", "orphanDependents": true}), Err(422)),
            (json!({"dryRun": ["Some"]}), Err(422)),
        ] {
            assert_eq!(DeleteOptions::parse(&options).map(|o| o.policy).map_err(|s| s.code), want, "{options}");
        }
    }

    #[test]
    fn preconditions_name_the_object_that_is_meant() {
        let object = json!({"metadata": {"uid": "u1"}});
        for (plural, options, want) in [
            ("pods", json!({}), None),
            ("pods", json!({"preconditions": {"uid": "u1", "resourceVersion": "5"}}), None),
            ("pods", json!({"preconditions": {"uid": "u2"}}), Some("the UID in the precondition (u2)")),
            (
                "pods",
                json!({"preconditions": {"resourceVersion": "4"}}),
                Some("the ResourceVersion in the precondition (4)"),
            ),
            (
                "namespaces",
                json!({"preconditions": {"uid": "u2"}}),
                Some("on namespaces \"\": Precondition failed: UID in precondition: u2, UID in object meta: u1"),
            ),
        ] {
            let cx = crate::context::testing::context("", plural);
            let options = DeleteOptions::parse(&options).expect("options");
            let got = options.check_preconditions(&cx, &object, 5).err();
            assert_eq!(got.is_some(), want.is_some());
            if let (Some(status), Some(text)) = (got, want) {
                assert!(status.code == 409 && status.message.contains(text), "{}", status.message);
            }
        }
    }
}
