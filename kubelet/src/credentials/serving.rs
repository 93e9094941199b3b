//! The certificate by which the kubelet serves, signed by the cluster: the first one, and the next before it ends.
//!
//! Upstream: `NewKubeletServerCertificateManager` of `pkg/kubelet/certificate/kubelet.go`,
//! `client-go/util/certificate/certificate_manager.go`.

use super::metrics::Metrics;
use super::store::Store;
use super::{CredentialsError, order};
use k8s_openapi::jiff::Timestamp;
use std::net::IpAddr;
use std::time::Duration;

/// After what time a certificate that could not be had is asked for again; twice as long each time.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(128);

/// What it takes to have a certificate.
pub struct Serving {
    pub client: kube::Client,
    pub store: Store,
    pub node: String,
    /// DNS names and addresses that it has to be for.
    pub names: Vec<String>,
    pub metrics: Metrics,
}

/// The names of a node: DNS names first, then addresses, each sorted.
///
/// Upstream: `addressesToHostnamesAndIPs`.
pub fn names(node: &str, ips: &[String]) -> Vec<String> {
    let all = ips.iter().map(String::as_str).chain([node]).filter(|name| !name.is_empty());
    let (mut ips, mut hosts): (Vec<_>, Vec<_>) = all.map(str::to_owned).partition(|n| n.parse::<IpAddr>().is_ok());
    for list in [&mut hosts, &mut ips] {
        list.sort();
        list.dedup();
    }
    hosts.into_iter().chain(ips).collect()
}

impl Serving {
    /// Goes on for ever; give it to the supervisor. The server reads the new file by itself.
    pub async fn run(self) {
        let mut retry = FIRST_RETRY;
        loop {
            if let Some(then) = self.deadline() {
                tracing::info!(%then, "the certificate to serve with will be renewed");
                let left = then.duration_since(Timestamp::now());
                tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
            }
            match self.renew().await {
                Ok(()) => {
                    retry = FIRST_RETRY;
                    continue;
                }
                Err(error) => {
                    self.metrics.failures.inc();
                    tracing::error!(%error, "cannot get a certificate to serve with");
                }
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    /// When the present certificate is to be replaced; `None` if there is none, or it is for other names.
    fn deadline(&self) -> Option<Timestamp> {
        let validity = self.store.validity().ok()?;
        let missing = missing(&self.store, &self.node, &self.names);
        match missing.as_slice() {
            [] => Some(validity.renewal(rand::random())),
            missing => {
                tracing::info!(?missing, "the certificate to serve with is not for all names of the node");
                None
            }
        }
    }

    async fn renew(&self) -> Result<(), CredentialsError> {
        let before = self.store.validity().ok();
        let key = pki::Key::generate(pki::Algorithm::EcdsaP256)?;
        let certificate = order::serving_certificate(&self.client, &self.node, &self.names, &key).await?;
        let file = self.store.update(&certificate, &key.to_pem(), Timestamp::now())?;
        if let Some(before) = before {
            self.metrics.ages.observe(Timestamp::now().duration_since(before.not_before).as_secs_f64());
        }
        tracing::info!(file = %file.display(), "there is a new certificate to serve with");
        Ok(())
    }
}

/// What the stored certificate is not for and should be; its user counts as a name.
fn missing(store: &Store, node: &str, names: &[String]) -> Vec<String> {
    let file = store.current();
    let leaf = pki::pem::read(&file).and_then(|text| pki::pem::parse_certificates(&text, &file.display().to_string()));
    let Ok([leaf, ..]) = leaf.as_deref() else { return names.to_vec() };
    let user = format!("system:node:{node}");
    let found = pki::alternative_names(leaf).unwrap_or_default();
    let is_user = pki::identity(leaf).ok().flatten().is_some_and(|identity| identity.user == user);
    let missing = names.iter().filter(|name| !found.contains(name)).cloned();
    missing.chain((!is_user).then_some(user)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pki::{Authority, Key, Profile};

    #[test]
    fn a_nodes_names() {
        let ips = ["fd00::1", "10.0.0.1"].map(str::to_owned);
        assert_eq!(names("n1", &ips), ["n1", "10.0.0.1", "fd00::1"]);
        assert_eq!(names("10.0.0.1", &ips), ["10.0.0.1", "fd00::1"]);
    }

    #[test]
    fn a_certificate_for_other_names_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path(), "kubelet-server");
        let all = ["n1", "10.0.0.1"].map(str::to_owned);
        assert_eq!(missing(&store, "n1", &all), all);
        let authority = Authority::create("ca", Duration::from_secs(3600)).unwrap();
        let key = Key::generate(pki::Algorithm::EcdsaP256).unwrap();
        let profile = Profile::server("system:node:n1", &["n1", "10.0.0.1"], Duration::from_secs(3600));
        let certificate = authority.issue(&profile, &key).unwrap();
        store.update(&certificate, &key.to_pem(), Timestamp::now()).unwrap();
        assert!(missing(&store, "n1", &all).is_empty());
        assert_eq!(missing(&store, "n1", &["n1".to_owned(), "10.0.0.2".to_owned()]), ["10.0.0.2"]);
        assert_eq!(missing(&store, "n2", &all), ["system:node:n2"]);
    }
}
