//! Which checks of metadata each resource makes itself, besides those that upstream makes for all.
//!
//! Upstream's generic code checks all metadata, names as path segments only; most resources check them again, some
//! of them twice, and a client sees each finding as often. Some resources do not care.
//!
//! Upstream: `pkg/apis/*/validation`, `pkg/registry/*/*/strategy.go`.

use apimachinery::resources::ResourceInfo;

/// One walk over the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// The object's metadata as a new object's.
    Whole,
    /// What the write does to it.
    Change,
}

/// What else than being label keys is asked of finalizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finalizers {
    /// Those without a domain must be Kubernetes' own.
    Known,
    /// Nothing.
    Any,
}

/// What is asked of the beginning of a name that is to be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// What is asked of names.
    Checked,
    /// Nothing: the name that was made of it counts.
    Ignored,
}

/// The passes of a resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passes {
    pub(super) create: &'static [Pass],
    pub(super) update: &'static [Pass],
    pub(super) status: &'static [Pass],
    pub(super) finalizers: Finalizers,
    pub(super) prefix: Prefix,
}

/// Most updates check what has changed only.
const PLAIN: Passes = Passes {
    create: &[Pass::Whole],
    update: &[Pass::Change],
    status: &[Pass::Change],
    finalizers: Finalizers::Known,
    prefix: Prefix::Checked,
};

const CHANGE_WHOLE: Passes = Passes { update: &[Pass::Change, Pass::Whole], ..PLAIN };
const WHOLE_CHANGE: Passes = Passes { update: &[Pass::Whole, Pass::Change], ..PLAIN };
const WHOLE: Passes = Passes { update: &[Pass::Whole], status: &[], ..PLAIN };
const NONE: Passes = Passes { create: &[], update: &[], status: &[], ..PLAIN };

impl Passes {
    const fn any_finalizers(self) -> Self {
        Self { finalizers: Finalizers::Any, ..self }
    }

    const fn any_prefix(self) -> Self {
        Self { prefix: Prefix::Ignored, ..self }
    }
}

/// The passes of a resource.
pub(super) fn of(resource: &ResourceInfo) -> Passes {
    if resource.custom.is_some() {
        return PLAIN.any_finalizers();
    }
    let plural = &*resource.plural;
    match &*resource.group {
        "" => core(plural),
        "apps" => match plural {
            "controllerrevisions" => CHANGE_WHOLE,
            "statefulsets" => WHOLE_CHANGE,
            _ => PLAIN,
        },
        "batch" if plural == "jobs" => WHOLE_CHANGE,
        "rbac.authorization.k8s.io" => WHOLE_CHANGE,
        "certificates.k8s.io" if plural == "certificatesigningrequests" => {
            Passes { status: &[Pass::Whole, Pass::Change], ..WHOLE_CHANGE }
        }
        "storage.k8s.io" => storage(plural),
        "networking.k8s.io" => match plural {
            "ingresses" | "ingressclasses" => CHANGE_WHOLE,
            "ipaddresses" => WHOLE_CHANGE,
            _ => PLAIN,
        },
        "node.k8s.io" => WHOLE_CHANGE.any_finalizers(),
        "storagemigration.k8s.io" => WHOLE_CHANGE,
        "resource.k8s.io" => match plural {
            "deviceclasses" => WHOLE_CHANGE.any_prefix(),
            "resourceclaims" | "resourceclaimtemplates" => WHOLE_CHANGE,
            _ => PLAIN,
        },
        "flowcontrol.apiserver.k8s.io" | "discovery.k8s.io" => WHOLE,
        "policy" => NONE,
        "coordination.k8s.io" => PLAIN.any_finalizers(),
        "admissionregistration.k8s.io" => WHOLE.any_finalizers(),
        "apiregistration.k8s.io" => CHANGE_WHOLE.any_finalizers(),
        "apiextensions.k8s.io" => PLAIN.any_finalizers(),
        _ => PLAIN,
    }
}

fn core(plural: &str) -> Passes {
    match plural {
        "events" => NONE,
        "limitranges" => WHOLE,
        "namespaces" | "nodes" => WHOLE_CHANGE,
        "persistentvolumes" => Passes { update: &[Pass::Whole, Pass::Whole], ..PLAIN },
        "configmaps" | "secrets" | "serviceaccounts" | "endpoints" | "persistentvolumeclaims" | "pods" => CHANGE_WHOLE,
        "replicationcontrollers" => PLAIN.any_prefix(),
        _ => PLAIN,
    }
}

fn storage(plural: &str) -> Passes {
    match plural {
        "storageclasses" | "csistoragecapacities" => WHOLE_CHANGE,
        "volumeattributesclasses" => CHANGE_WHOLE,
        "volumeattachments" | "csinodes" => WHOLE,
        _ => PLAIN,
    }
}
