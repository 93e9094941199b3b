//! What is wrong with a certificate signing request, in the words of Go, which clients see.
//!
//! Upstream: Go's `crypto/x509` (`ParseCertificateRequest`, `CheckSignature`) and `encoding/asn1`.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::error::X509Error;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no request in the text.
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Missing,
    /// The text of the request is no base64.
    #[error("{0}")]
    Text(String),
    /// It is no DER.
    #[error("asn1: syntax error: {0}")]
    Syntax(&'static str),
    /// It is another thing than a request.
    #[error("asn1: structure error: {0}")]
    Structure(String),
    /// The key is on a curve that nobody verifies signatures with.
    #[error("x509: unsupported elliptic curve")]
    Curve,
    /// The signature is made with a hash that is broken.
    #[error("x509: cannot verify signature: insecure algorithm {0}")]
    Insecure(&'static str),
    /// The signature is not made with the key, which is an elliptic curve's.
    #[error("x509: ECDSA verification failure")]
    Ecdsa,
    /// The same of an Ed25519 key.
    #[error("x509: Ed25519 verification failure")]
    Ed25519,
    /// The same of an RSA key.
    #[error("crypto/rsa: verification error")]
    Rsa,
}

const MD5_WITH_RSA: &str = "1.2.840.113549.1.1.4";
const P521: &str = "1.3.132.0.35";
/// P-224, P-256, P-384 and P-521.
const CURVES: [&str; 4] = ["1.3.132.0.33", "1.2.840.10045.3.1.7", "1.3.132.0.34", P521];
const EC_KEY: &str = "1.2.840.10045.2.1";

/// Checks a request's DER, and its signature as far as that can be told: keys and hashes that nobody here can verify
/// are left to the signer.
pub(super) fn check(der: &[u8]) -> Result<(), Refusal> {
    sequence(der)?;
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|error| unreadable(&error))?;
    if !rest.is_empty() {
        return Err(Refusal::Syntax("trailing data"));
    }
    let curve = curve(&request);
    if curve.as_deref().is_some_and(|curve| !CURVES.contains(&curve)) {
        return Err(Refusal::Curve);
    }
    if request.signature_algorithm.algorithm.to_id_string() == MD5_WITH_RSA {
        return Err(Refusal::Insecure("MD5-RSA"));
    }
    match (request.verify_signature(), uncommon(&request, curve.as_deref())) {
        (Ok(()), _) => Ok(()),
        (_, Some(algorithm)) => verify(&request, algorithm),
        (Err(X509Error::SignatureVerificationError), None) => Err(failure(&request)),
        (Err(_), None) => Ok(()),
    }
}

/// Whether bytes begin as a sequence does, and hold all of it.
fn sequence(der: &[u8]) -> Result<(), Refusal> {
    let [first, rest @ ..] = der else { return Err(Refusal::Syntax("sequence truncated")) };
    let (length, held) = length(rest)?;
    let (class, is_compound, tag) = (first >> 6, first & 0x20 != 0, first & 0x1f);
    if (class, is_compound, tag) != (0, true, 16) {
        return Err(Refusal::Structure(format!(
            "tags don't match (16 vs {{class:{class} tag:{tag} length:{length} isCompound:{is_compound}}}) \
             {{optional:false explicit:false application:false private:false defaultValue:<nil> tag:<nil> stringType:0 \
             timeType:0 set:false omitEmpty:false}} certificateRequest @{}",
            der.len() - held
        )));
    }
    if length > held { Err(Refusal::Syntax("data truncated")) } else { Ok(()) }
}

/// The length that stands in front of bytes, and how many there are.
fn length(bytes: &[u8]) -> Result<(usize, usize), Refusal> {
    const TRUNCATED: Refusal = Refusal::Syntax("truncated tag or length");
    /// Four bytes of length are more than any body has.
    const DIGITS: usize = 4;
    let [first, rest @ ..] = bytes else { return Err(TRUNCATED) };
    let count = usize::from(first & 0x7f);
    match first {
        0..0x80 => Ok((count, rest.len())),
        0x80 => Err(Refusal::Syntax("indefinite length found (not DER)")),
        _ if count > DIGITS => Err(Refusal::Structure("length too large".into())),
        _ => {
            let (digits, rest) = rest.split_at_checked(count).ok_or(TRUNCATED)?;
            if digits.first() == Some(&0) {
                return Err(Refusal::Structure("superfluous leading zeros in length".into()));
            }
            let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            if length < 0x80 { Err(Refusal::Structure("non-minimal length".into())) } else { Ok((length, rest.len())) }
        }
    }
}

fn unreadable(error: &x509_parser::nom::Err<X509Error>) -> Refusal {
    match error {
        x509_parser::nom::Err::Incomplete(_) => Refusal::Syntax("sequence truncated"),
        x509_parser::nom::Err::Error(error) | x509_parser::nom::Err::Failure(error) => {
            Refusal::Structure(error.to_string())
        }
    }
}

/// The curve of the key, if it is on one.
fn curve(request: &X509CertificationRequest<'_>) -> Option<String> {
    let algorithm = &request.certification_request_info.subject_pki.algorithm;
    let is_elliptic = algorithm.algorithm.to_id_string() == EC_KEY;
    let parameters = algorithm.parameters.as_ref().filter(|_| is_elliptic)?;
    Some(parameters.as_oid().ok()?.to_id_string())
}

/// How a signature is verified whose key is not of the usual sizes.
fn uncommon(request: &X509CertificationRequest<'_>, curve: Option<&str>) -> Option<&'static dyn VerificationAlgorithm> {
    let algorithm = request.signature_algorithm.algorithm.to_id_string();
    Some(match (algorithm.as_str(), curve) {
        ("1.2.840.113549.1.1.11", None) if is_short(request) => {
            &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
        }
        ("1.2.840.113549.1.1.13", None) if is_short(request) => {
            &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
        }
        ("1.2.840.10045.4.3.2", Some(P521)) => &signature::ECDSA_P521_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", Some(P521)) => &signature::ECDSA_P521_SHA384_ASN1,
        ("1.2.840.10045.4.3.4", Some(P521)) => &signature::ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}

fn verify(
    request: &X509CertificationRequest<'_>,
    algorithm: &'static dyn VerificationAlgorithm,
) -> Result<(), Refusal> {
    let info = &request.certification_request_info;
    let key = UnparsedPublicKey::new(algorithm, &info.subject_pki.subject_public_key.data);
    let verdict = key.verify(info.raw, &request.signature_value.data);
    // The shortest keys are too short for everybody here.
    if verdict.is_err() && key_size(request) < Some(SHORTEST) { Ok(()) } else { verdict.map_err(|_| failure(request)) }
}

/// RSA keys below this many bits cannot be verified with.
const SHORTEST: usize = 1024;

/// Whether the key is an RSA key shorter than those in common use.
fn is_short(request: &X509CertificationRequest<'_>) -> bool {
    const COMMON: usize = 2048;
    key_size(request).is_some_and(|bits| bits < COMMON)
}

/// The bits of an RSA key.
fn key_size(request: &X509CertificationRequest<'_>) -> Option<usize> {
    match request.certification_request_info.subject_pki.parsed() {
        Ok(PublicKey::RSA(key)) => Some(key.key_size()),
        _ => None,
    }
}

fn failure(request: &X509CertificationRequest<'_>) -> Refusal {
    match request.certification_request_info.subject_pki.algorithm.algorithm.to_id_string().as_str() {
        EC_KEY => Refusal::Ecdsa,
        "1.3.101.112" => Refusal::Ed25519,
        _ => Refusal::Rsa,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Key, Profile, Request, pem};
    use std::time::Duration;

    fn der(algorithm: Algorithm) -> Vec<u8> {
        let key = Key::generate(algorithm).expect("a key");
        let text = Request::create(&Profile::client("a", None, Duration::from_secs(60)), &key).expect("a request");
        pem::parse_request(text.as_bytes(), "test").expect("PEM")
    }

    #[test]
    fn signatures_must_hold() {
        for (algorithm, want) in [(Algorithm::EcdsaP256, Refusal::Ecdsa), (Algorithm::Rsa2048, Refusal::Rsa)] {
            let mut der = der(algorithm);
            assert_eq!(check(&der), Ok(()));
            let last = der.len() - 3;
            der[last] ^= 1;
            assert_eq!(check(&der), Err(want));
        }
    }

    #[test]
    fn says_what_is_no_request() {
        let whole = der(Algorithm::EcdsaP256);
        let with = |from: &[u8], to: &[u8]| {
            let at = whole.windows(from.len()).position(|window| window == from).expect("there");
            [&whole[..at], to, &whole[at + from.len()..]].concat()
        };
        // The curve's last number is another one, of a curve that does not exist.
        let curve = with(&[0xce, 0x3d, 0x03, 0x01, 0x07], &[0xce, 0x3d, 0x03, 0x01, 0x08]);
        for (der, want) in [
            (&b""[..], "asn1: syntax error: sequence truncated"),
            (b"\x30", "asn1: syntax error: truncated tag or length"),
            (b"\x30\x82\x01", "asn1: syntax error: truncated tag or length"),
            (b"\x30\x80", "asn1: syntax error: indefinite length found (not DER)"),
            (b"\x30\x81\x01\x00", "asn1: structure error: non-minimal length"),
            (b"\x30\x82\x00\x01\x00", "asn1: structure error: superfluous leading zeros in length"),
            (b"\x30\x85\x01\x01\x01\x01\x01", "asn1: structure error: length too large"),
            (b"\x30\x05\x00", "asn1: syntax error: data truncated"),
            (
                b"junk",
                "asn1: structure error: tags don't match (16 vs {class:1 tag:10 length:117 isCompound:true}) \
                 {optional:false explicit:false application:false private:false defaultValue:<nil> tag:<nil> \
                 stringType:0 timeType:0 set:false omitEmpty:false} certificateRequest @2",
            ),
            (&[&whole[..], b"\0"].concat(), "asn1: syntax error: trailing data"),
            (&curve, "x509: unsupported elliptic curve"),
        ] {
            assert_eq!(check(der).expect_err("refused").to_string(), want);
        }
    }
}
