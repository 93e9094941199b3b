//! Who a client certificate says its bearer is.
//!
//! Upstream: `apiserver/pkg/authentication/request/x509`.

use crate::PkiError;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// A client certificate's user and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The common name.
    pub user: String,
    /// The organizations.
    pub groups: Vec<String>,
}

/// Reads the subject of a certificate that was verified already; `None` without a common name.
pub fn identity(certificate: &[u8]) -> Result<Option<Identity>, PkiError> {
    let parsed = parse(certificate, "client certificate")?;
    let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or("").to_owned();
    let subject = parsed.subject();
    let user = subject.iter_common_name().next().map(text).filter(|user| !user.is_empty());
    Ok(user.map(|user| Identity { user, groups: subject.iter_organization().map(text).collect() }))
}

/// The names of hosts that a serving certificate is for: its common name, if that is one, and its
/// DNS names. Addresses are left out.
pub fn host_names(certificate: &[u8]) -> Result<Vec<String>, PkiError> {
    let parsed = parse(certificate, "serving certificate")?;
    let common = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let mut names: Vec<String> = common.filter(|name| is_host_name(name)).map(str::to_owned).into_iter().collect();
    let others = parsed.subject_alternative_name().ok().flatten();
    for name in others.iter().flat_map(|extension| &extension.value.general_names) {
        if let GeneralName::DNSName(name) = name {
            names.push((*name).to_owned());
        }
    }
    Ok(names)
}

/// What a serving certificate is for: the DNS names and addresses beside the one of its subject.
pub fn alternative_names(certificate: &[u8]) -> Result<Vec<String>, PkiError> {
    let parsed = parse(certificate, "serving certificate")?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => crate::request::address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    Ok(names.iter().flat_map(|extension| &extension.value.general_names).filter_map(text).collect())
}

/// Whether a certificate has names beside the one of its subject.
pub fn has_alternative_names(certificate: &[u8]) -> bool {
    let parsed = parse(certificate, "serving certificate");
    parsed.is_ok_and(|parsed| parsed.subject_alternative_name().is_ok_and(|names| names.is_some()))
}

/// A DNS name, possibly with `*` as its first label, and no address.
fn is_host_name(name: &str) -> bool {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name == "*" || (name.parse::<std::net::IpAddr>().is_err() && bare.split('.').all(is_label))
}

pub(crate) fn parse<'a>(certificate: &'a [u8], place: &str) -> Result<X509Certificate<'a>, PkiError> {
    let parsed = x509_parser::parse_x509_certificate(certificate).map_err(|error| PkiError::Malformed {
        place: place.to_owned(),
        what: "certificate",
        why: error.to_string(),
    })?;
    Ok(parsed.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Authority, Key, Profile};
    use std::time::Duration;

    #[test]
    fn the_subject_is_the_identity() {
        let day = Duration::from_secs(86_400);
        let authority = Authority::create("ca", day).unwrap();
        let key = Key::generate(Algorithm::EcdsaP256).unwrap();
        let of = |user: &str, group| {
            let leaf = authority.issue(&Profile::client(user, group, day), &key).unwrap();
            identity(&crate::pem::parse_certificates(leaf.as_bytes(), "test").unwrap()[0]).unwrap()
        };
        let jane = Identity { user: "jane".into(), groups: vec!["dev".into()] };
        assert_eq!(of("jane", Some("dev")), Some(jane));
        assert_eq!(of("", None), None);
        assert!(identity(b"x").is_err());
    }
    #[test]
    fn host_names_are_no_addresses() {
        let day = Duration::from_secs(86_400);
        let authority = Authority::create("ca", day).unwrap();
        let key = Key::generate(Algorithm::EcdsaP256).unwrap();
        let of = |common: &str, names: &[&str]| {
            let leaf = authority.issue(&Profile::server(common, names, day), &key).unwrap();
            host_names(&crate::pem::parse_certificates(leaf.as_bytes(), "test").unwrap()[0]).unwrap()
        };
        assert_eq!(of("a.test", &["b.test", "10.0.0.1"]), ["a.test", "b.test"]);
        assert_eq!(of("10.0.0.1", &["b.test"]), ["b.test"]);
        assert_eq!(of("*.a.test", &[]), ["*.a.test"]);
        assert_eq!(of("A Name", &[]), Vec::<String>::new());
        let leaf = authority.issue(&Profile::server("a.test", &["b.test", "fd00::1"], day), &key).unwrap();
        let leaf = &crate::pem::parse_certificates(leaf.as_bytes(), "test").unwrap()[0];
        assert_eq!(alternative_names(leaf).unwrap(), ["b.test", "fd00::1"]);
    }
}
