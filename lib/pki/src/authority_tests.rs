use super::*;
use crate::{Algorithm, Validity};
use rustls::pki_types::CertificateDer;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn der(pem_text: &str) -> CertificateDer<'static> {
    pem::parse_certificates(pem_text.as_bytes(), "test").unwrap().remove(0)
}

/// Checks that `leaf` hangs on `authority` and gives its text form.
fn verified(leaf: &str, authority: &Authority) -> String {
    let (leaf, ca) = (der(leaf), der(authority.certificate_pem()));
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    let (_, ca) = x509_parser::parse_x509_certificate(&ca).unwrap();
    leaf.verify_signature(Some(ca.public_key())).unwrap();
    assert!(!leaf.is_ca() && ca.is_ca());
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    format!("{} server={} client={}", leaf.subject(), usage.server_auth, usage.client_auth)
}

#[test]
fn a_leaf_hangs_on_its_authority() {
    let authority = Authority::create("kubernetes-ca", YEAR).unwrap();
    let key = Key::generate(Algorithm::EcdsaP256).unwrap();
    let leaf = authority.issue(&Profile::client("system:node:n1", Some("system:nodes"), YEAR), &key).unwrap();
    assert_eq!(verified(&leaf, &authority), "O=system:nodes, CN=system:node:n1 server=false client=true");
    let validity = Validity::of_pem(leaf.as_bytes(), "test").unwrap();
    assert!(validity.not_after.as_second() - validity.not_before.as_second() >= 365 * 86_400);
}

#[test]
fn an_authority_survives_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("ca.crt"), folder.path().join("ca.key"));
    let made = Authority::load_or_create(&certificate, &key, "ca", YEAR).unwrap();
    let loaded = Authority::load_or_create(&certificate, &key, "other", YEAR).unwrap();
    assert_eq!(made.certificate_pem(), loaded.certificate_pem());
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_request_gets_what_it_may_and_no_more() {
    let authority = Authority::create("ca", YEAR).unwrap();
    for algorithm in [Algorithm::EcdsaP256, Algorithm::Rsa2048] {
        let key = Key::generate(algorithm).unwrap();
        let mut profile = Profile::client("jane", Some("dev"), YEAR);
        profile.usages.push(Usage::Server);
        let request = Request::create(&profile, &key).unwrap();
        let request = Request::parse(request.as_bytes(), "test").unwrap();
        let leaf = authority.sign(&request, &[Usage::Client], Duration::from_secs(3600)).unwrap();
        assert_eq!(verified(&leaf, &authority), "O=dev, CN=jane server=false client=true");
    }
}

#[test]
fn a_foreign_key_format_is_refused() {
    let authority = Authority::create("ca", YEAR).unwrap();
    assert!(Authority::from_pem(authority.certificate_pem().as_bytes(), b"", "ca").is_err());
    assert!(Authority::from_pem(b"", authority.key_pem().as_bytes(), "ca").is_err());
}
