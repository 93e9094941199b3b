//! `storage.k8s.io`, `resource.k8s.io`, `node.k8s.io`, `scheduling.k8s.io` and `coordination.k8s.io`.
//!
//! Upstream: `pkg/registry/{storage,resource,node,scheduling,coordination}/*/strategy.go`.

use crate::strategy::*;

pub(crate) const GROUPS: &[(&str, super::Rows)] = &[
    ("storage.k8s.io", STORAGE),
    ("resource.k8s.io", RESOURCE),
    ("node.k8s.io", &[("runtimeclasses", VERSIONED)]),
    ("scheduling.k8s.io", &[("priorityclasses", Strategy { generation: Generation::Members(&[]), ..DEFAULT })]),
    (
        "coordination.k8s.io",
        &[("leases", Strategy { unversioned: Unversioned::Refused, missing: Missing::Create, ..DEFAULT })],
    ),
];

/// An update must say which version it changes.
const VERSIONED: Strategy = Strategy { unversioned: Unversioned::Refused, ..DEFAULT };

const STORAGE: super::Rows = &[
    ("csidrivers", Strategy { deleted: Deleted::Object, generation: Generation::LaterMembers(&["spec"]), ..VERSIONED }),
    ("csinodes", Strategy { deleted: Deleted::Object, ..VERSIONED }),
    ("csistoragecapacities", Strategy { deleted: Deleted::Object, ..VERSIONED }),
    ("storageclasses", Strategy { deleted: Deleted::Object, ..DEFAULT }),
    ("volumeattachments", Strategy { deleted: Deleted::Object, status_metadata: StatusMetadata::Free, ..VERSIONED }),
    ("volumeattributesclasses", Strategy { deleted: Deleted::Object, ..DEFAULT }),
];

const RESOURCE: super::Rows = &[
    ("deviceclasses", Strategy { generation: Generation::Members(&["spec"]), ..DEFAULT }),
    ("resourceclaims", Strategy { deleted: Deleted::Object, ..DEFAULT }),
    ("resourceslices", Strategy { generation: Generation::Members(&["spec"]), ..DEFAULT }),
];
