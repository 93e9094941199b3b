//! Fields that upstream's v1.36 has and this kubelet does not build yet: each that a file sets is
//! named at start.

/// Their paths.
pub const FIELDS: &[&str] = &[
    "configMapAndSecretChangeDetectionStrategy",
    "contentType",
    "enableControllerAttachDetach",
    "hairpinMode",
    "kernelMemcgNotification",
    "kubeletCgroups",
    "logging",
    "memoryReservationPolicy",
    "memoryThrottlingFactor",
    "qosReserved",
    "showHiddenMetricsForVersion",
    "systemCgroups",
    "tracing",
    "userNamespaces",
    "volumePluginDir",
];
