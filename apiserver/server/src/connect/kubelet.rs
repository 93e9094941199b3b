//! The way to a node's kubelet: its address, its port, TLS.
//!
//! Upstream: `pkg/kubelet/client/kubelet_client.go`.

use apimachinery::Value;
use apimachinery::status::Status;
use apiserver_aggregator::unchecked::Unchecked;
use apiserver_webhook::connect_text;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, Error, RootCertStore};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Kinds of node addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AddressType {
    Hostname,
    InternalDns,
    InternalIp,
    ExternalDns,
    ExternalIp,
}

/// Not one of the kinds of node addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown node address type {0:?}")]
pub struct UnknownAddressType(String);

impl AddressType {
    fn name(self) -> &'static str {
        match self {
            AddressType::Hostname => "Hostname",
            AddressType::InternalDns => "InternalDNS",
            AddressType::InternalIp => "InternalIP",
            AddressType::ExternalDns => "ExternalDNS",
            AddressType::ExternalIp => "ExternalIP",
        }
    }

    /// Upstream's default order.
    pub const ALL: [Self; 5] =
        [Self::Hostname, Self::InternalDns, Self::InternalIp, Self::ExternalDns, Self::ExternalIp];
}

impl FromStr for AddressType {
    type Err = UnknownAddressType;

    fn from_str(text: &str) -> Result<Self, UnknownAddressType> {
        Self::ALL.into_iter().find(|t| t.name() == text).ok_or_else(|| UnknownAddressType(text.to_owned()))
    }
}

/// What this server proves its identity with.
#[derive(Debug)]
pub struct Identity {
    /// Its certificate with its chain.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The certificate's key.
    pub key: PrivateKeyDer<'static>,
}

/// `--kubelet-*`.
#[derive(Debug)]
pub struct KubeletOptions {
    /// `--kubelet-client-certificate` and `--kubelet-client-key`.
    pub identity: Option<Identity>,
    /// `--kubelet-certificate-authority`; without it any serving certificate will do, as upstream.
    pub authorities: Option<RootCertStore>,
    /// `--kubelet-preferred-address-types`.
    pub address_types: Vec<AddressType>,
    /// `--kubelet-timeout`: longest time until a connection stands.
    pub timeout: Duration,
}

impl Default for KubeletOptions {
    fn default() -> Self {
        Self {
            identity: None,
            authorities: None,
            address_types: AddressType::ALL.to_vec(),
            timeout: Duration::from_secs(5),
        }
    }
}

/// The way to all kubelets, and to pods and services that speak TLS.
pub struct Kubelets {
    kubelet: TlsConnector,
    any: TlsConnector,
    address_types: Vec<AddressType>,
    timeout: Duration,
}

impl std::fmt::Debug for Kubelets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubelets").field("address_types", &self.address_types).finish_non_exhaustive()
    }
}

/// Where a kubelet listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Port of a kubelet whose node does not say.
const DEFAULT_PORT: u64 = 10250;

impl Kubelets {
    /// Prepares TLS.
    pub fn new(options: KubeletOptions) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = || ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let unchecked = || {
            let verifier = Unchecked::new(provider.signature_verification_algorithms);
            Ok::<_, Error>(builder()?.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
        };
        let kubelet = match options.authorities {
            Some(authorities) => builder()?.with_root_certificates(authorities),
            None => unchecked()?,
        };
        let kubelet = match options.identity {
            Some(identity) => kubelet.with_client_auth_cert(identity.certificates, identity.key)?,
            None => kubelet.with_no_client_auth(),
        };
        Ok(Self {
            kubelet: TlsConnector::from(Arc::new(kubelet)),
            any: TlsConnector::from(Arc::new(unchecked()?.with_no_client_auth())),
            address_types: options.address_types,
            timeout: options.timeout,
        })
    }

    /// Where the kubelet of a node listens.
    pub(super) fn address(&self, node: &Value) -> Option<Address> {
        let addresses = node.pointer("/status/addresses")?.as_array()?;
        let of = |kind: &AddressType| {
            let address = addresses.iter().find(|a| a.get("type").and_then(Value::as_str) == Some(kind.name()))?;
            address.get("address")?.as_str().map(str::to_owned)
        };
        let host = self.address_types.iter().find_map(of)?;
        let port = node.pointer("/status/daemonEndpoints/kubeletEndpoint/Port").and_then(Value::as_u64);
        let port = u16::try_from(port.filter(|p| *p > 0).unwrap_or(DEFAULT_PORT)).ok()?;
        Some(Address { host, port })
    }

    /// A TLS connection to a kubelet.
    pub(super) async fn connect(&self, address: &Address) -> Result<TlsStream<TcpStream>, Status> {
        self.tls(&self.kubelet, address).await.map_err(|why| dialing(address, &why))
    }

    /// A TLS connection to whatever listens there.
    pub(super) async fn connect_any(&self, address: &Address) -> Result<TlsStream<TcpStream>, String> {
        self.tls(&self.any, address).await
    }

    /// The same for other parts of the server; what is wrong is said in Go's words.
    pub(crate) async fn unverified(&self, host: &str, port: u16) -> Result<TlsStream<TcpStream>, String> {
        let address = Address { host: host.to_owned(), port };
        self.connect_any(&address).await.map_err(|why| format!("dial tcp {address}: {why}"))
    }

    async fn tls(&self, connector: &TlsConnector, address: &Address) -> Result<TlsStream<TcpStream>, String> {
        let stream = self.tcp(address).await?;
        let name = ServerName::try_from(address.host.clone()).map_err(|e| e.to_string())?;
        match tokio::time::timeout(self.timeout, connector.connect(name, stream)).await {
            Ok(stream) => stream.map_err(|error| error.to_string()),
            Err(_) => Err("TLS handshake timeout".into()),
        }
    }

    /// A TCP connection.
    pub(super) async fn tcp(&self, address: &Address) -> Result<TcpStream, String> {
        let host = address.host.trim_matches(['[', ']']);
        match tokio::time::timeout(self.timeout, TcpStream::connect((host, address.port))).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                Ok(stream)
            }
            Ok(Err(error)) => Err(connect_text(&error)),
            Err(_) => Err("i/o timeout".into()),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn dialing(address: &Address, why: &str) -> Status {
    Status::internal(format!("error dialing backend: dial tcp {address}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_by_preference() {
        let node = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.2"}, {"type": "Hostname", "address": "n1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10251}},
        }});
        let of = |types: &[AddressType], node: &Value| {
            let options = KubeletOptions { address_types: types.to_vec(), ..KubeletOptions::default() };
            Kubelets::new(options).expect("TLS").address(node).map(|a| a.to_string())
        };
        assert_eq!(of(&[AddressType::InternalIp, AddressType::Hostname], &node).as_deref(), Some("10.0.0.2:10251"));
        assert_eq!(of(&AddressType::ALL, &node).as_deref(), Some("n1:10251"));
        assert_eq!(of(&[AddressType::ExternalIp], &node), None);
        assert_eq!(of(&AddressType::ALL, &json!({})), None);
    }

    #[test]
    fn address_types_by_name() {
        assert_eq!("InternalIP".parse(), Ok(AddressType::InternalIp));
        assert!("internalip".parse::<AddressType>().is_err());
    }
}
