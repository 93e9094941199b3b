//! Fields that upstream's v1.36 has and this kubelet does not build yet: each that a file sets is
//! named at start.

/// Their paths.
pub const FIELDS: &[&str] = &[
    "configMapAndSecretChangeDetectionStrategy",
    "contentType",
    "enableControllerAttachDetach",
    "enableSystemLogQuery",
    "hairpinMode",
    "httpCheckFrequency",
    "imagePullCredentialsVerificationPolicy",
    "kernelMemcgNotification",
    "kubeletCgroups",
    "logging",
    "memoryReservationPolicy",
    "memoryThrottlingFactor",
    "preloadedImagesVerificationAllowlist",
    "qosReserved",
    "showHiddenMetricsForVersion",
    "staticPodURL",
    "staticPodURLHeader",
    "systemCgroups",
    "tracing",
    "userNamespaces",
    "volumePluginDir",
];
