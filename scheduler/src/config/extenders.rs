//! Extenders: HTTP servers that take part in decisions.
//!
//! Upstream: `Extender` in `kube-scheduler/config/v1/types.go`.

use component::GoDuration;
use serde::{Deserialize, Serialize};

/// An extender. A verb that is empty is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ExtenderConfig {
    /// Where it is; verbs are appended.
    pub url_prefix: String,
    /// Leaves nodes out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_verb: String,
    /// Leaves nodes and victims out where room is to be made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub preempt_verb: String,
    /// Scores nodes from 0 to 10.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prioritize_verb: String,
    /// How much its scores count.
    pub weight: i64,
    /// Binds pods instead of the scheduler.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bind_verb: String,
    /// Whether to speak TLS; without authorities nobody is checked.
    #[serde(rename = "enableHTTPS")]
    pub enable_https: bool,
    /// How to speak TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<ExtenderTls>,
    /// How long one request may take; 0 means 5 s.
    #[serde(rename = "httpTimeout")]
    pub http_timeout: GoDuration,
    /// Whether it knows nodes by their names.
    pub node_cache_capable: bool,
    /// It is asked only about pods that want one of these; about all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managed_resources: Vec<ManagedResource>,
    /// Whether pods are scheduled without it while it cannot be reached.
    pub ignorable: bool,
}

/// An extended resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ManagedResource {
    /// Its name.
    pub name: String,
    /// Whether `NodeResourcesFit` leaves it to the extender.
    pub ignored_by_scheduler: bool,
}

/// How to speak TLS with an extender. Files are used where data are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ExtenderTls {
    /// Whether the server is not checked.
    pub insecure: bool,
    /// Whose name its certificate must have, if not the host's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    /// A client's certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_file: String,
    /// Its key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key_file: String,
    /// Trusted authorities.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_file: String,
    /// In base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_data: String,
    /// In base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key_data: String,
    /// In base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_data: String,
}

impl ExtenderConfig {
    /// How long one request may take.
    pub fn timeout(&self) -> std::time::Duration {
        if self.http_timeout.0.is_zero() { std::time::Duration::from_secs(5) } else { self.http_timeout.0 }
    }
}
