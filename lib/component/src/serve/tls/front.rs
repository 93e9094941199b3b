//! Proxies in front: which client certificates are theirs, and where the apiserver publishes that.
//!
//! Upstream: `apiserver/pkg/server/options/authentication_dynamic_request_header.go`.

use crate::serve::front_proxy::ProxyHeaders;
use crate::serve::{ServeError, User};
use k8s_openapi::api::core::v1::ConfigMap;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long the lookup may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Proxies that are trusted to name users, and how they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Front {
    /// Their authorities, PEM.
    pub authorities: Vec<u8>,
    /// Their common names; empty is any.
    pub allowed_names: Vec<String>,
    /// What they say.
    pub headers: ProxyHeaders,
}

/// Where it is said which proxies are trusted.
#[derive(Clone)]
pub enum FrontAuthority {
    /// Nowhere: none are.
    None,
    /// By flags; the authorities are in a file.
    File {
        /// The file.
        file: PathBuf,
        /// All else.
        front: Front,
    },
    /// In `kube-system/extension-apiserver-authentication`.
    Cluster(kube::Client),
}

impl std::fmt::Debug for FrontAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::File { file, front } => f.debug_tuple("File").field(file).field(&front.allowed_names).finish(),
            Self::Cluster(_) => f.write_str("Cluster"),
        }
    }
}

impl FrontAuthority {
    pub(super) fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File { file, .. } => Some(file),
            Self::None | Self::Cluster(_) => None,
        }
    }

    pub(super) async fn gather(&self) -> Result<Option<Front>, ServeError> {
        match self {
            Self::None => Ok(None),
            Self::File { file, front } => Ok(Some(Front { authorities: pki::pem::read(file)?, ..front.clone() })),
            Self::Cluster(client) => Ok(published(client).await.and_then(|found| found.front)),
        }
    }
}

/// What the apiserver publishes for the servers behind it.
pub(super) struct Published {
    /// The authorities of clients, PEM.
    pub clients: Option<Vec<u8>>,
    /// The proxies in front: the apiserver itself.
    pub front: Option<Front>,
}

pub(super) async fn published(client: &kube::Client) -> Option<Published> {
    let maps: kube::Api<ConfigMap> = kube::Api::namespaced(client.clone(), "kube-system");
    let lookup = maps.get("extension-apiserver-authentication");
    match tokio::time::timeout(PATIENCE, lookup).await {
        Ok(Ok(map)) => Some(read(map.data.unwrap_or_default())),
        Ok(Err(error)) => {
            tracing::warn!(%error, "cannot look up the authorities of client certificates; looking again later");
            None
        }
        Err(_) => None,
    }
}

fn read(mut data: BTreeMap<String, String>) -> Published {
    let mut take = |key: &str| data.remove(key).filter(|text| !text.is_empty());
    let clients = take("client-ca-file").map(String::into_bytes);
    let authorities = take("requestheader-client-ca-file").map(String::into_bytes);
    // Lists are JSON; a broken one trusts nobody more than an empty one.
    let mut list = |key: &str| take(key).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let allowed_names = list("requestheader-allowed-names");
    let headers = ProxyHeaders {
        username: list("requestheader-username-headers"),
        uid: list("requestheader-uid-headers"),
        group: list("requestheader-group-headers"),
        extra_prefixes: list("requestheader-extra-headers-prefix"),
    };
    Published { clients, front: authorities.map(|authorities| Front { authorities, allowed_names, headers }) }
}

/// What a client's certificates say of it.
#[derive(Clone, Debug, Default)]
pub struct Presented {
    /// Who it is.
    pub user: Option<User>,
    /// How it names others, if it is trusted to.
    pub front: Option<ProxyHeaders>,
}

/// Tells clients and proxies apart.
pub(super) enum Judge {
    /// There are no proxies: the handshake has seen to everything.
    Simple,
    /// Each has authorities of its own.
    Fronted { clients: Option<Arc<dyn ClientCertVerifier>>, proxies: Arc<dyn ClientCertVerifier>, front: Front },
}

impl Judge {
    pub(super) fn presented(&self, chain: &[CertificateDer<'_>]) -> Presented {
        let Some((leaf, others)) = chain.split_first() else { return Presented::default() };
        let Some(identity) = pki::identity(leaf).ok().flatten() else { return Presented::default() };
        let Self::Fronted { clients, proxies, front } = self else {
            return Presented { user: Some(User::of_certificate(identity)), front: None };
        };
        let knows =
            |verifier: &Arc<dyn ClientCertVerifier>| verifier.verify_client_cert(leaf, others, UnixTime::now()).is_ok();
        let is_allowed = front.allowed_names.is_empty() || front.allowed_names.contains(&identity.user);
        Presented {
            front: (is_allowed && knows(proxies)).then(|| front.headers.clone()),
            user: clients.as_ref().is_some_and(knows).then(|| User::of_certificate(identity)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_apiserver_publishes_is_read() {
        let data = [
            ("client-ca-file", "a"),
            ("requestheader-client-ca-file", "b"),
            ("requestheader-allowed-names", "[\"front\"]"),
            ("requestheader-username-headers", "[\"X-Remote-User\"]"),
            ("requestheader-group-headers", "broken"),
        ];
        let found = read(data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
        assert_eq!(found.clients.as_deref(), Some(b"a".as_slice()));
        let front = found.front.expect("proxies");
        assert_eq!(
            (front.authorities.as_slice(), front.allowed_names.as_slice()),
            (b"b".as_slice(), &["front".to_owned()][..])
        );
        assert_eq!((front.headers.username.len(), front.headers.group.len()), (1, 0));
        assert!(read(BTreeMap::new()).front.is_none());
    }
}
