//! What a credential program answers.
//!
//! Upstream: `client-go/plugin/pkg/client/auth/exec` (`refreshCredsLocked`), `client-go/pkg/apis/clientauthentication`.

use super::text;
use apimachinery::Value;
use apimachinery::codec::{NO_KIND, TYPE_META, json, yaml};
use std::time::SystemTime;

/// The group of the answers' versions.
const GROUP: &str = "client.authentication.k8s.io";

/// Where upstream knows the versions of answers.
const SCHEME: &str = "pkg/client/auth/exec/exec.go:64";

/// Who a program says that we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) token: Option<String>,
    /// Certificate and key in PEM.
    pub(super) identity: Option<(Vec<u8>, Vec<u8>)>,
    /// When it is not true any more.
    pub(super) expires: Option<SystemTime>,
}

/// Why an answer is of no use, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAnswer {
    #[error("decoding stdout: {0}")]
    Unreadable(String),
    #[error("exec plugin is configured to use API version {wanted}, plugin returned version {found}")]
    OtherVersion { wanted: String, found: String },
    #[error("exec plugin didn't return a status field")]
    NoStatus,
    #[error("exec plugin didn't return a token or cert/key pair")]
    Nobody,
    #[error("exec plugin returned only certificate or key, not both")]
    HalfAPair,
    #[error("failed parsing client key/certificate: tls: failed to find any PEM data in {0} input")]
    NoPem(&'static str),
}

/// Reads an answer in the version that was asked for.
pub(super) fn read(said: &[u8], version: &str) -> Result<Answer, BadAnswer> {
    let answer = decode(said).map_err(BadAnswer::Unreadable)?;
    let found = match (text(&answer, "apiVersion"), text(&answer, "kind")) {
        (None, None | Some("ExecCredential")) => format!("{GROUP}/__internal"),
        (Some(found), None | Some("ExecCredential")) if is_known(found) => found.to_owned(),
        (found, kind) => {
            let (kind, found) = (kind.unwrap_or_default(), found.unwrap_or_default());
            let why = format!("no kind {kind:?} is registered for version {found:?} in scheme {SCHEME:?}");
            return Err(BadAnswer::Unreadable(why));
        }
    };
    let status = &answer["status"];
    check_types(status).map_err(BadAnswer::Unreadable)?;
    if found != version {
        return Err(BadAnswer::OtherVersion { wanted: version.to_owned(), found });
    }
    if status.is_null() {
        return Err(BadAnswer::NoStatus);
    }
    let token = text(status, "token").map(str::to_owned);
    let pair = (text(status, "clientCertificateData"), text(status, "clientKeyData"));
    let identity = match pair {
        (None, None) if token.is_none() => return Err(BadAnswer::Nobody),
        (None, None) => None,
        (Some(certificate), Some(_)) if !certificate.contains("-----BEGIN") => {
            return Err(BadAnswer::NoPem("certificate"));
        }
        (Some(_), Some(key)) if !key.contains("-----BEGIN") => return Err(BadAnswer::NoPem("key")),
        (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
        _ => return Err(BadAnswer::HalfAPair),
    };
    let time = text(status, "expirationTimestamp").and_then(|time| time.parse::<jiff::Timestamp>().ok());
    Ok(Answer { token, identity, expires: time.map(SystemTime::from) })
}

/// JSON or YAML.
fn decode(said: &[u8]) -> Result<Value, String> {
    let wrong = |why: String| format!("{NO_KIND}{why}");
    let value = match said.trim_ascii_start().starts_with(b"{") {
        true => json::to_value(said).map_err(|error| wrong(error.to_string()))?,
        false => yaml::to_value(said).map_err(|error| error.to_string())?,
    };
    match value {
        Value::Object(_) => Ok(value),
        Value::Null => Ok(Value::Object(serde_json::Map::new())),
        other => Err(wrong(format!(
            "json: cannot unmarshal {} into Go value of type {TYPE_META}",
            rules::patch::go_kind(&other)
        ))),
    }
}

fn is_known(version: &str) -> bool {
    matches!(version.strip_prefix(GROUP), Some("/v1" | "/v1beta1"))
}

fn check_types(status: &Value) -> Result<(), String> {
    for member in ["token", "clientCertificateData", "clientKeyData", "expirationTimestamp"] {
        match status.get(member) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => {
                let found = rules::patch::go_kind(other);
                return Err(format!(
                    "json: cannot unmarshal {found} into Go struct field ExecCredentialStatus.status.{member} of type string"
                ));
            }
        }
    }
    match text(status, "expirationTimestamp").filter(|time| time.parse::<jiff::Timestamp>().is_err()) {
        Some(time) => {
            Err(format!("parsing time {time:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {time:?} as \"2006\""))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(said: &str) -> String {
        match read(said.as_bytes(), "client.authentication.k8s.io/v1") {
            Ok(answer) => answer.token.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    fn of_status(status: &str) -> String {
        told(&format!(r#"{{"apiVersion": "{GROUP}/v1", "kind": "ExecCredential", "status": {status}}}"#))
    }

    #[test]
    fn answers_are_json_or_yaml() {
        assert_eq!(of_status(r#"{"token": "t"}"#), "t");
        assert_eq!(told(&format!("apiVersion: {GROUP}/v1\nkind: ExecCredential\nstatus: {{token: t}}\n")), "t");
        for (said, want) in [
            (
                "garbage",
                "decoding stdout: couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
            ),
            (
                "{} {}",
                "decoding stdout: couldn't get version/kind; json parse error: invalid character '{' after top-level value",
            ),
            (
                "",
                "exec plugin is configured to use API version client.authentication.k8s.io/v1, plugin returned version client.authentication.k8s.io/__internal",
            ),
            (
                r#"{"kind": "Pod", "apiVersion": "client.authentication.k8s.io/v1"}"#,
                "decoding stdout: no kind \"Pod\" is registered for version \"client.authentication.k8s.io/v1\" in scheme \"pkg/client/auth/exec/exec.go:64\"",
            ),
            (
                r#"{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1", "status": {}}"#,
                "exec plugin is configured to use API version client.authentication.k8s.io/v1, plugin returned version client.authentication.k8s.io/v1beta1",
            ),
        ] {
            assert_eq!(told(said), want, "{said}");
        }
    }

    #[test]
    fn answers_say_who_we_are() {
        for (status, want) in [
            ("null", "exec plugin didn't return a status field"),
            ("{}", "exec plugin didn't return a token or cert/key pair"),
            (r#"{"clientKeyData": "x"}"#, "exec plugin returned only certificate or key, not both"),
            (
                r#"{"clientKeyData": "x", "clientCertificateData": "y"}"#,
                "failed parsing client key/certificate: tls: failed to find any PEM data in certificate input",
            ),
            (
                r#"{"token": 3}"#,
                "decoding stdout: json: cannot unmarshal number into Go struct field ExecCredentialStatus.status.token of type string",
            ),
            (
                r#"{"token": "t", "expirationTimestamp": "soon"}"#,
                "decoding stdout: parsing time \"soon\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"soon\" as \"2006\"",
            ),
        ] {
            assert_eq!(of_status(status), want, "{status}");
        }
    }
}
