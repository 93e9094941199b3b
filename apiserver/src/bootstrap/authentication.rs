//! `kube-system/extension-apiserver-authentication`: whom others may trust to say who is asking.
//!
//! Upstream: `pkg/controlplane/controller/clusterauthenticationtrust`.

use apimachinery::{Map, Value};
use serde_json::json;

/// What the ConfigMap publishes.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// PEM of `--client-ca-file`.
    pub client_ca: Option<String>,
    /// PEM of `--requestheader-client-ca-file`.
    pub proxy_ca: Option<String>,
    /// `--requestheader-allowed-names`.
    pub allowed_names: Vec<String>,
    /// `--requestheader-username-headers`.
    pub username_headers: Vec<String>,
    /// `--requestheader-uid-headers`.
    pub uid_headers: Vec<String>,
    /// `--requestheader-group-headers`.
    pub group_headers: Vec<String>,
    /// `--requestheader-extra-headers-prefix`.
    pub extra_prefixes: Vec<String>,
}

impl Trust {
    pub(super) fn config_map(&self) -> Value {
        let mut data = Map::new();
        if let Some(ca) = &self.client_ca {
            data.insert("client-ca-file".into(), ca.as_str().into());
        }
        if let Some(ca) = &self.proxy_ca {
            let list = |names: &[String]| Value::String(json!(names).to_string());
            data.insert("requestheader-client-ca-file".into(), ca.as_str().into());
            data.insert("requestheader-allowed-names".into(), list(&self.allowed_names));
            data.insert("requestheader-username-headers".into(), list(&self.username_headers));
            if !self.uid_headers.is_empty() {
                data.insert("requestheader-uid-headers".into(), list(&self.uid_headers));
            }
            data.insert("requestheader-group-headers".into(), list(&self.group_headers));
            data.insert("requestheader-extra-headers-prefix".into(), list(&self.extra_prefixes));
        }
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
            "data": data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishes_what_is_configured() {
        let trust = Trust { client_ca: Some("CA".into()), ..Trust::default() };
        assert_eq!(trust.config_map()["data"], json!({"client-ca-file": "CA"}));
        let trust = Trust { proxy_ca: Some("P".into()), allowed_names: vec!["front".into()], ..Trust::default() };
        assert_eq!(trust.config_map()["data"]["requestheader-allowed-names"], r#"["front"]"#);
    }
}
