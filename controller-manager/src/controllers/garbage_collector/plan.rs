//! What to do with one object, given what is true of its owners right now.

use super::graph::{Deletion, FOREGROUND, ORPHAN};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PropagationPolicy;

/// What is true of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnerState {
    /// It is there.
    Solid,
    /// It is gone.
    Dangling,
    /// It is being deleted and waits for its dependents, and this one blocks it.
    Waiting,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing.
    Keep,
    /// An owner stays, others do not: drop those from the owner references.
    DropOwners(Vec<OwnerReference>),
    /// Nobody owns it any more.
    Delete(PropagationPolicy),
    /// An owner waits for it while a dependent of it waits for its own: unblock, then delete.
    UnblockAndDelete(Vec<OwnerReference>),
}

/// Decides about an object (`live`, as the apiserver has it now) from the state of its owners.
/// `circular` says that a dependent of it waits for its own dependents.
pub(super) fn decide(
    live: &ObjectMeta,
    owners: &[(OwnerReference, OwnerState)],
    has_dependents: bool,
    circular: bool,
) -> Verdict {
    let of = |wanted: OwnerState| owners.iter().filter(move |(_, state)| *state == wanted).count();
    let (solid, dangling, waiting) = (of(OwnerState::Solid), of(OwnerState::Dangling), of(OwnerState::Waiting));
    if owners.is_empty() || (solid > 0 && dangling + waiting == 0) {
        return Verdict::Keep;
    }
    if solid > 0 {
        let kept = owners.iter().filter(|(_, state)| *state == OwnerState::Solid);
        return Verdict::DropOwners(kept.map(|(owner, _)| owner.clone()).collect());
    }
    if waiting > 0 && has_dependents {
        return match circular {
            true => Verdict::UnblockAndDelete(owners.iter().map(|(owner, _)| unblocked(owner)).collect()),
            false => Verdict::Delete(PropagationPolicy::Foreground),
        };
    }
    Verdict::Delete(policy(live))
}

fn unblocked(owner: &OwnerReference) -> OwnerReference {
    OwnerReference { block_owner_deletion: Some(false), ..owner.clone() }
}

/// What the object's finalizers ask for its own dependents.
fn policy(live: &ObjectMeta) -> PropagationPolicy {
    let has = |finalizer: &str| live.finalizers.iter().flatten().any(|present| present == finalizer);
    if has(ORPHAN) {
        PropagationPolicy::Orphan
    } else if has(FOREGROUND) {
        PropagationPolicy::Foreground
    } else {
        PropagationPolicy::Background
    }
}

/// The state of an owner that the apiserver was asked for: its metadata, or that it is not there.
pub(super) fn owner_state(reference: &OwnerReference, live: Option<&ObjectMeta>) -> OwnerState {
    let Some(live) = live.filter(|live| live.uid.as_deref() == Some(&reference.uid)) else {
        return OwnerState::Dangling;
    };
    let foreground = live.finalizers.iter().flatten().any(|finalizer| finalizer == FOREGROUND);
    let waits = live.deletion_timestamp.is_some() && foreground && reference.block_owner_deletion == Some(true);
    if waits { OwnerState::Waiting } else { OwnerState::Solid }
}

/// Whether an object that is being deleted still needs us.
pub(super) fn needs_care(deletion: Deletion) -> bool {
    deletion != Deletion::Plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(uid: &str) -> OwnerReference {
        OwnerReference { uid: uid.into(), block_owner_deletion: Some(true), ..Default::default() }
    }

    #[test]
    fn verdicts() {
        use OwnerState::{Dangling, Solid, Waiting};
        let delete = Verdict::Delete;
        let table: [(&[OwnerState], bool, bool, Verdict); 8] = [
            (&[], false, false, Verdict::Keep),
            (&[Solid], true, false, Verdict::Keep),
            (&[Dangling], false, false, delete(PropagationPolicy::Background)),
            (&[Dangling, Solid], false, false, Verdict::DropOwners(vec![owner("1")])),
            (&[Waiting, Solid], false, false, Verdict::DropOwners(vec![owner("1")])),
            (&[Waiting], false, false, delete(PropagationPolicy::Background)),
            (&[Waiting], true, false, delete(PropagationPolicy::Foreground)),
            (&[Waiting], true, true, Verdict::UnblockAndDelete(vec![unblocked(&owner("0"))])),
        ];
        for (states, has_dependents, circular, expected) in table {
            let owners: Vec<_> = states.iter().enumerate().map(|(i, state)| (owner(&i.to_string()), *state)).collect();
            assert_eq!(decide(&ObjectMeta::default(), &owners, has_dependents, circular), expected, "{states:?}");
        }
    }

    #[test]
    fn finalizers_decide_how_dependents_go() {
        let live = |finalizer: &str| ObjectMeta { finalizers: Some(vec![finalizer.into()]), ..Default::default() };
        assert_eq!(policy(&live(ORPHAN)), PropagationPolicy::Orphan);
        assert_eq!(policy(&live(FOREGROUND)), PropagationPolicy::Foreground);
        assert_eq!(policy(&live("else")), PropagationPolicy::Background);
    }

    #[test]
    fn an_owner_of_another_uid_is_gone() {
        let live = ObjectMeta { uid: Some("2".into()), ..Default::default() };
        assert_eq!(owner_state(&owner("1"), Some(&live)), OwnerState::Dangling);
        assert_eq!(owner_state(&owner("2"), Some(&live)), OwnerState::Solid);
        assert_eq!(owner_state(&owner("2"), None), OwnerState::Dangling);
    }
}
