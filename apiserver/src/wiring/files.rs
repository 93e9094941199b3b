//! Files that flags name; errors name the flag.

use crate::bootstrap::Trust;
use crate::options::{Kubelet, Options};
use anyhow::Context as _;
use apiserver_server::connect::{AddressType, Identity, KubeletOptions};
use rustls::RootCertStore;
use std::path::{Path, PathBuf};

/// The bytes of a file, if the flag is set.
pub(super) fn optional(path: &Option<PathBuf>, flag: &str) -> anyhow::Result<Option<Vec<u8>>> {
    path.as_ref().map(|path| pki::pem::read(path).with_context(|| format!("--{flag}"))).transpose()
}

/// The bytes of a file for comparison; of one that cannot be read none.
pub(super) fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_default()
}

/// The text of a file, if the flag is set.
pub(super) fn optional_text(path: &Option<PathBuf>, flag: &str) -> anyhow::Result<Option<String>> {
    let bytes = optional(path, flag)?;
    bytes.map(|b| String::from_utf8(b).with_context(|| format!("--{flag}: not a text file"))).transpose()
}

/// The certificates of a file as authorities.
pub(super) fn authorities(path: &Path, flag: &str) -> anyhow::Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in pki::pem::certificates(path).with_context(|| format!("--{flag}"))? {
        store.add(certificate).with_context(|| format!("--{flag}: {}", path.display()))?;
    }
    Ok(store)
}

/// A certificate with its key.
pub(super) fn identity(certificate: &Path, key: &Path, flags: &str) -> anyhow::Result<Identity> {
    Ok(Identity {
        certificates: pki::pem::certificates(certificate).with_context(|| flags.to_owned())?,
        key: pki::pem::private_key(key).with_context(|| flags.to_owned())?,
    })
}

/// The files of all authorities whose client certificates may mean something here, checked.
pub(super) fn client_authorities(options: &Options) -> anyhow::Result<Vec<PathBuf>> {
    let authentication = &options.authentication;
    let mut files = Vec::new();
    for (path, flag) in [
        (&authentication.client_ca_file, "client-ca-file"),
        (&authentication.requestheader_client_ca_file, "requestheader-client-ca-file"),
    ] {
        if let Some(path) = path {
            authorities(path, flag)?;
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// `--kubelet-*`.
pub(super) fn kubelet(options: &Kubelet) -> anyhow::Result<KubeletOptions> {
    let identity = match (&options.kubelet_client_certificate, &options.kubelet_client_key) {
        (Some(certificate), Some(key)) => {
            Some(identity(certificate, key, "--kubelet-client-certificate, --kubelet-client-key")?)
        }
        _ => None,
    };
    let parse = |t: &String| t.parse::<AddressType>().context("--kubelet-preferred-address-types");
    Ok(KubeletOptions {
        identity,
        authorities: match &options.kubelet_certificate_authority {
            Some(path) => Some(authorities(path, "kubelet-certificate-authority")?),
            None => None,
        },
        address_types: options.kubelet_preferred_address_types.iter().map(parse).collect::<Result<_, _>>()?,
        timeout: options.kubelet_timeout.0,
    })
}

/// What is published for delegated authentication.
pub(super) fn trust(options: &Options) -> Trust {
    let authentication = &options.authentication;
    Trust {
        client_ca: authentication.client_ca_file.clone(),
        proxy_ca: authentication.requestheader_client_ca_file.clone(),
        allowed_names: authentication.requestheader_allowed_names.clone(),
        username_headers: authentication.requestheader_username_headers.clone(),
        uid_headers: authentication.requestheader_uid_headers.clone(),
        group_headers: authentication.requestheader_group_headers.clone(),
        extra_prefixes: authentication.requestheader_extra_headers_prefix.clone(),
    }
}
