//! Registry credentials from `imagePullSecrets` and from the node's files.

use super::access::{Source, records::Object};
use crate::runtime::images::RegistryAuth;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

/// The credentials in a secret of type `dockerconfigjson` or `dockercfg`; malformed ones are
/// skipped, as a pull without them says more than a secret that is refused.
pub fn of_secret(secret: &Secret) -> Vec<RegistryAuth> {
    let data = |key| secret.data.as_ref().and_then(|d| d.get(key)).map(|b| b.0.as_slice());
    let auths = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => {
            data(".dockerconfigjson").and_then(|b| serde_json::from_slice::<Config>(b).ok()).map(|c| c.auths)
        }
        Some("kubernetes.io/dockercfg") => data(".dockercfg").and_then(|b| serde_json::from_slice(b).ok()),
        _ => None,
    };
    let meta = &secret.metadata;
    let text = |of: &Option<String>| of.clone().unwrap_or_default();
    let object = Object { namespace: text(&meta.namespace), name: text(&meta.name), uid: text(&meta.uid) };
    let own = |(server, entry)| {
        let auth = auth(server, entry);
        RegistryAuth { source: Source::Secret { object: object.clone(), hash: digest(&auth) }, ..auth }
    };
    auths.unwrap_or_default().into_iter().map(own).collect()
}

/// What upstream knows credentials by: the digest of their JSON, as Go writes it.
fn digest(auth: &RegistryAuth) -> String {
    let fields = [
        ("username", &auth.username),
        ("password", &auth.password),
        ("identitytoken", &auth.identity_token),
        ("registrytoken", &auth.registry_token),
    ];
    let given = fields.iter().filter(|(_, value)| !value.is_empty());
    let given = given.map(|(name, value)| format!("\"{name}\":{}", go_text(value)));
    let json = format!("{{{}}}", given.collect::<Vec<_>>().join(","));
    Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A JSON text, in which Go writes what might be taken for HTML as numbers.
fn go_text(value: &str) -> String {
    let text = serde_json::Value::from(value).to_string();
    let odd = [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")];
    odd.iter().fold(text, |text, (from, to)| text.replace(from, to))
}

/// The credentials in a file of the newer form (`config.json`) or of the older; `None` if it is of neither.
pub fn of_file(text: &[u8], is_new: bool) -> Option<Vec<RegistryAuth>> {
    let auths = match is_new {
        true => serde_json::from_slice::<Config>(text).ok()?.auths,
        false => serde_json::from_slice(text).ok()?,
    };
    Some(auths.into_iter().map(|(server, e)| auth(server, e)).collect())
}

fn auth(server: String, e: Entry) -> RegistryAuth {
    let decoded = STANDARD.decode(&e.auth).ok().and_then(|b| String::from_utf8(b).ok());
    let pair = decoded.as_deref().and_then(|t| t.split_once(':'));
    let (user, password) = pair.map_or((e.username, e.password), |(u, p)| (u.to_owned(), p.to_owned()));
    let (identity_token, registry_token) = (e.identitytoken, e.registrytoken);
    RegistryAuth { username: user, password, identity_token, registry_token, server, source: Source::Node }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn docker_config() {
        let json = format!(r#"{{"auths":{{"r":{{"auth":"{}"}}}}}}"#, STANDARD.encode("u:p:w"));
        let secret = Secret {
            type_: Some("kubernetes.io/dockerconfigjson".into()),
            data: Some([(".dockerconfigjson".to_owned(), ByteString(json.into_bytes()))].into()),
            ..Secret::default()
        };
        let got = of_secret(&secret);
        assert_eq!((got[0].username.as_str(), got[0].password.as_str(), got[0].server.as_str()), ("u", "p:w", "r"));
        let Source::Secret { hash, .. } = &got[0].source else { panic!("whose are they?") };
        let want = Sha256::digest(r#"{"username":"u","password":"p:w"}"#);
        assert_eq!(*hash, want.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert_eq!(go_text("a<\"&"), r#""a\u003c\"\u0026""#);
        assert!(of_secret(&Secret::default()).is_empty());
    }
}
