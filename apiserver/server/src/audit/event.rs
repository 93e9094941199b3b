//! One event, as `audit.k8s.io/v1` has it; members stand in upstream's order.

use super::Level;
use apimachinery::Value;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// When in a request's life an event is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It has been authenticated.
    RequestReceived,
    /// A long answer has begun.
    ResponseStarted,
    /// The answer is complete.
    ResponseComplete,
    /// The handler panicked.
    Panic,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) api_version: &'static str,
    pub(super) level: Level,
    #[serde(rename = "auditID")]
    pub(super) audit_id: String,
    pub(super) stage: Stage,
    #[serde(rename = "requestURI")]
    pub(super) request_uri: String,
    pub(super) verb: String,
    pub(super) user: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) impersonated_user: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authentication_metadata: Option<Value>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    pub(super) source_ips: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) user_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) object_ref: Option<ObjectRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_status: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_object: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_object: Option<Value>,
    pub(super) request_received_timestamp: String,
    pub(super) stage_timestamp: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectRef {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) subresource: String,
}

impl Event {
    /// The event as a line of the `legacy` format.
    pub(super) fn legacy(&self) -> String {
        let text = |value: Option<&Value>, or: &str| match value.and_then(Value::as_str) {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => or.to_owned(),
        };
        let groups = |user: Option<&Value>, or: &str| match user.and_then(|u| u.get("groups")).and_then(Value::as_array)
        {
            Some(list) if !list.is_empty() => list.iter().map(Value::to_string).collect::<Vec<_>>().join(","),
            _ => or.to_owned(),
        };
        let acting = self.impersonated_user.as_ref();
        let namespace = self.object_ref.as_ref().map(|r| r.namespace.as_str()).filter(|n| !n.is_empty());
        let code = self.response_status.as_ref().and_then(|s| s.get("code")).map(Value::to_string);
        let mut line = format!("{} AUDIT:", self.request_received_timestamp);
        for (key, value) in [
            ("id", self.audit_id.clone()),
            ("stage", format!("{:?}", self.stage)),
            ("ip", self.source_ips.first().cloned().unwrap_or_else(|| "<unknown>".into())),
            ("method", self.verb.clone()),
            ("user", text(self.user.get("username"), "<none>")),
            ("groups", groups(Some(&self.user), "<none>")),
            ("as", text(acting.and_then(|u| u.get("username")), "<self>")),
            ("asgroups", groups(acting, "<lookup>")),
            ("user-agent", self.user_agent.clone()),
            ("namespace", namespace.unwrap_or("<none>").to_owned()),
            ("uri", self.request_uri.clone()),
            ("response", code.unwrap_or_else(|| "<deferred>".into())),
        ] {
            // Writing to a string cannot fail.
            let _ = write!(line, " {key}={value:?}");
        }
        line
    }
}
