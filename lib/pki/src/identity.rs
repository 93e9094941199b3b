//! Who a client certificate says its bearer is.
//!
//! Upstream: `apiserver/pkg/authentication/request/x509`.

use crate::PkiError;

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
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| PkiError::Malformed {
        place: "client certificate".to_owned(),
        what: "certificate",
        why: error.to_string(),
    })?;
    let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or("").to_owned();
    let subject = parsed.subject();
    let user = subject.iter_common_name().next().map(text).filter(|user| !user.is_empty());
    Ok(user.map(|user| Identity { user, groups: subject.iter_organization().map(text).collect() }))
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
}
