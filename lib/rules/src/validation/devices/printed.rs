//! Specs of claims as upstream prints them.

use super::super::printed::Form::{self, Metadata, Number, Optional, Plain, Struct, Structs, Text};
use super::super::printed::Member;

/// The spec of a template.
pub(super) const TEMPLATE: Form = Struct(&[("", "metadata", Metadata), ("Spec", "spec", CLAIM)]);

/// The spec of a claim.
pub(super) const CLAIM: Form = Struct(&[("Devices", "devices", Struct(DEVICES))]);

const DEVICES: &[Member] = &[
    ("Requests", "requests", Structs(REQUEST)),
    ("Constraints", "constraints", Structs(CONSTRAINT)),
    ("Config", "config", Structs(CONFIG)),
];

const REQUEST: &[Member] = &[
    ("Name", "name", Text),
    ("Exactly", "exactly", Optional(EXACTLY)),
    ("FirstAvailable", "firstAvailable", Structs(CHOICE)),
];

const EXACTLY: &[Member] = &[
    ("DeviceClassName", "deviceClassName", Text),
    ("Selectors", "selectors", Structs(SELECTOR)),
    ("AllocationMode", "allocationMode", Text),
    ("Count", "count", Number),
    ("AdminAccess", "adminAccess", Plain),
    ("Tolerations", "tolerations", Structs(TOLERATION)),
    ("Capacity", "capacity", Optional(CAPACITY)),
];

const CHOICE: &[Member] = &[
    ("Name", "name", Text),
    ("DeviceClassName", "deviceClassName", Text),
    ("Selectors", "selectors", Structs(SELECTOR)),
    ("AllocationMode", "allocationMode", Text),
    ("Count", "count", Number),
    ("Tolerations", "tolerations", Structs(TOLERATION)),
    ("Capacity", "capacity", Optional(CAPACITY)),
];

const SELECTOR: &[Member] = &[("CEL", "cel", Optional(&[("Expression", "expression", Text)]))];

const TOLERATION: &[Member] = &[
    ("Key", "key", Text),
    ("Operator", "operator", Text),
    ("Value", "value", Text),
    ("Effect", "effect", Text),
    ("TolerationSeconds", "tolerationSeconds", Plain),
];

const CAPACITY: &[Member] = &[("Requests", "requests", Plain)];

const CONSTRAINT: &[Member] = &[
    ("Requests", "requests", Plain),
    ("MatchAttribute", "matchAttribute", Plain),
    ("DistinctAttribute", "distinctAttribute", Plain),
];

const CONFIG: &[Member] = &[
    ("Requests", "requests", Plain),
    ("Opaque", "opaque", Optional(&[("Driver", "driver", Text), ("Parameters", "parameters", Plain)])),
];
