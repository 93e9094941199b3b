//! Registry credentials from `imagePullSecrets`.

use crate::runtime::images::RegistryAuth;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;
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
    auths.unwrap_or_default().into_iter().map(|(server, e)| auth(server, e)).collect()
}

fn auth(server: String, e: Entry) -> RegistryAuth {
    let decoded = STANDARD.decode(&e.auth).ok().and_then(|b| String::from_utf8(b).ok());
    let pair = decoded.as_deref().and_then(|t| t.split_once(':'));
    let (user, password) = pair.map_or((e.username, e.password), |(u, p)| (u.to_owned(), p.to_owned()));
    RegistryAuth { username: user, password, identity_token: e.identitytoken, registry_token: e.registrytoken, server }
}

/// Whether credentials for `server` are for the registry (and path) of this image. A label of the
/// server's name may be `*`.
pub fn fits(server: &str, image: &str) -> bool {
    let server = server.trim_start_matches("https://").trim_start_matches("http://");
    let server = server.trim_end_matches("/v1/").trim_end_matches("/v2/").trim_end_matches('/');
    let (host, path) = server.split_once('/').unwrap_or((server, ""));
    let (image_host, image_path) = registry(image);
    let host = if host == "index.docker.io" { "docker.io" } else { host };
    let labels = |h: &str| h.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (want, have) = (labels(host), labels(image_host));
    let hosts = want.len() == have.len() && want.iter().zip(&have).all(|(w, h)| w == "*" || w == h);
    hosts && (path.is_empty() || image_path.starts_with(path))
}

fn registry(image: &str) -> (&str, &str) {
    match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => ("docker.io", image),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn which_registry() {
        for (server, image, want) in [
            ("https://index.docker.io/v1/", "nginx", true),
            ("r.example.com", "r.example.com/a:1", true),
            ("r.example.com/a", "r.example.com/b:1", false),
            ("*.example.com", "r.example.com/b:1", true),
            ("*.example.com", "a.r.example.com/b:1", false),
            ("localhost:5000", "localhost:5000/x", true),
            ("localhost:5000", "nginx", false),
        ] {
            assert_eq!(fits(server, image), want, "{server} {image}");
        }
    }

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
        assert!(of_secret(&Secret::default()).is_empty());
    }
}
