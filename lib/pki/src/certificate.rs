//! What a certificate says of itself, for whoever judges a chain of them.
//!
//! Upstream: Go's `crypto/x509` (`Certificate`).

use crate::PkiError;
use crate::identity::parse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, GeneralSubtree, ParsedExtension};

/// The extensions that Go knows what to do with, which may be critical: all of them below `2.5.29`.
const KNOWN: [&str; 10] = [
    "2.5.29.14",
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.31",
    "2.5.29.32",
    "2.5.29.35",
    "2.5.29.36",
    "2.5.29.37",
];

/// A certificate, as far as it matters to whether a server may have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// All of it, in DER.
    pub der: Vec<u8>,
    /// Its subject, in DER.
    pub subject: Vec<u8>,
    /// The subject of who signed it, in DER.
    pub issuer: Vec<u8>,
    /// The common name of its subject; empty without one.
    pub common_name: String,
    /// What a person calls it: the common name, the organization, or the serial number.
    pub called: String,
    /// When it begins to be valid, in seconds since 1970.
    pub not_before: i64,
    /// When that is over.
    pub not_after: i64,
    /// Whether it has something that must be understood, and is not.
    pub has_unknown_critical: bool,
    /// Whether it is of the third version, the first one with extensions.
    pub is_version_3: bool,
    /// Whether it is an authority; nothing if it does not say so.
    pub authority: Option<bool>,
    /// How many authorities may stand between it and a leaf, if that is limited.
    pub path_length: Option<u32>,
    /// Whether its key may sign certificates; nothing if it does not say what the key is for.
    pub signs_certificates: Option<bool>,
    /// The algorithm of its key, as an object identifier.
    pub key_algorithm: String,
    /// Whether it has names beside the one of its subject.
    pub has_names: bool,
    /// Its DNS names.
    pub dns_names: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The names that it may sign for.
    pub permitted: Constraints,
    /// The names that it must not sign for.
    pub excluded: Constraints,
}

/// Names that an authority is bound to, or kept from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Domains.
    pub domains: Vec<String>,
    /// Networks, each an address and the number of bits of it that count.
    pub networks: Vec<(IpAddr, u32)>,
}

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// If it is none.
    pub fn of_der(der: &[u8]) -> Result<Self, PkiError> {
        let parsed = parse(der, "serving certificate")?;
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or("").to_owned();
        let common_name = parsed.subject().iter_common_name().last().map(text).unwrap_or_default();
        let organization = parsed.subject().iter_organization().next().map(text);
        let called = Some(common_name.clone()).filter(|name| !name.is_empty()).or(organization);
        let basic = parsed.basic_constraints().ok().flatten().map(|basic| basic.value);
        let mut certificate = Self {
            der: der.to_owned(),
            subject: parsed.subject().as_raw().to_owned(),
            issuer: parsed.issuer().as_raw().to_owned(),
            called: called.unwrap_or_else(|| format!("serial:{}", parsed.tbs_certificate.serial)),
            common_name,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            has_unknown_critical: has_unknown_critical(&parsed),
            key_algorithm: parsed.public_key().algorithm.algorithm.to_id_string(),
            is_version_3: parsed.version().0 == 2,
            authority: basic.map(|basic| basic.ca),
            path_length: basic.filter(|basic| basic.ca).and_then(|basic| basic.path_len_constraint),
            signs_certificates: parsed.key_usage().ok().flatten().map(|usage| usage.value.key_cert_sign()),
            ..Self::default()
        };
        certificate.read_names(&parsed);
        Ok(certificate)
    }

    fn read_names(&mut self, parsed: &X509Certificate<'_>) {
        let names = parsed.subject_alternative_name().ok().flatten();
        self.has_names = names.is_some();
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => self.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        if let Some(constraints) = parsed.name_constraints().ok().flatten() {
            self.permitted = constraints_of(constraints.value.permitted_subtrees.as_deref());
            self.excluded = constraints_of(constraints.value.excluded_subtrees.as_deref());
        }
    }
}

fn has_unknown_critical(parsed: &X509Certificate<'_>) -> bool {
    parsed.extensions().iter().any(|extension| {
        let known = KNOWN.contains(&extension.oid.to_id_string().as_str());
        let read = !matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. });
        extension.critical && !(known && read)
    })
}

fn constraints_of(trees: Option<&[GeneralSubtree<'_>]>) -> Constraints {
    let mut constraints = Constraints::default();
    for tree in trees.unwrap_or_default() {
        match tree.base {
            GeneralName::DNSName(domain) => constraints.domains.push(domain.to_owned()),
            GeneralName::IPAddress(bytes) => constraints.networks.extend(network(bytes)),
            _ => {}
        }
    }
    constraints
}

/// An address of four or sixteen bytes.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

/// An address with its mask behind it.
fn network(bytes: &[u8]) -> Option<(IpAddr, u32)> {
    let (start, mask) = bytes.split_at(bytes.len() / 2);
    let bits = mask.iter().map(|byte| byte.leading_ones()).sum();
    let start = address(start)?;
    (address(mask).is_some()).then_some((start, bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Authority, Key, Profile};
    use std::time::Duration;

    fn der(pem: &str) -> Vec<u8> {
        crate::pem::parse_certificates(pem.as_bytes(), "test").expect("a certificate").remove(0).to_vec()
    }

    #[test]
    fn authorities_and_leaves_are_told_apart() {
        let day = Duration::from_secs(86_400);
        let authority = Authority::create("ca", day).expect("an authority");
        let key = Key::generate(Algorithm::EcdsaP256).expect("a key");
        let profile = Profile::server("web", &["a.test", "10.0.0.1", "::1"], day);
        let leaf = authority.issue(&profile, &key).expect("a leaf");
        let (root, leaf) = (der(authority.certificate_pem()), der(&leaf));
        let root = Certificate::of_der(&root).expect("a certificate");
        let leaf = Certificate::of_der(&leaf).expect("a certificate");
        assert_eq!((root.authority, root.signs_certificates, root.has_names), (Some(true), Some(true), false));
        assert_ne!(leaf.authority, Some(true));
        assert_eq!((leaf.issuer, leaf.common_name.as_str()), (root.subject, "web"));
        assert_eq!(leaf.dns_names, ["a.test"]);
        assert_eq!(leaf.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1", "::1"]);
        assert!(leaf.is_version_3 && !leaf.has_unknown_critical && leaf.not_after - leaf.not_before >= 86_400);
        assert!(Certificate::of_der(b"x").is_err());
    }

    #[test]
    fn networks_are_addresses_and_masks() {
        let local = Some((IpAddr::from([127, 0, 0, 0]), 8));
        assert_eq!(network(&[127, 0, 0, 0, 255, 0, 0, 0]), local);
        assert_eq!((network(&[1, 2, 3]), address(&[1])), (None, None));
    }
}
