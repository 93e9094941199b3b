//! What is said of secrets.
//!
//! Upstream: `warningsForSecret` in `pkg/registry/core/secret/strategy.go`.

use super::text;
use apimachinery::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rules::warnings::Sink;

/// A certificate and a key that do not belong together are stored nevertheless.
pub(super) fn pair(secret: &Value, warn: &mut Sink<'_>) {
    if text(secret, "/type") != "kubernetes.io/tls" {
        return;
    }
    let data = |pointer: &str| STANDARD.decode(text(secret, pointer)).unwrap_or_default();
    if let Err(wrong) = pki::pair::check(&data("/data/tls.crt"), &data("/data/tls.key")) {
        warn(wrong.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pairs_are_checked() {
        for (kind, want) in
            [("Opaque", None), ("kubernetes.io/tls", Some("tls: failed to find any PEM data in certificate input"))]
        {
            let mut said = Vec::new();
            pair(&json!({"type": kind, "data": {"tls.crt": "", "tls.key": ""}}), &mut |text| said.push(text));
            assert_eq!(said.first().map(String::as_str), want);
        }
    }
}
