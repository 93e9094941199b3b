//! What a certificate signing request says, whether or not its signature holds: for people to read.
//!
//! Upstream: Go's `x509.ParseCertificateRequest`.

use crate::{PkiError, pem};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::AttributeTypeAndValue;

/// The contents of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestText {
    /// The subject's common name; empty if it has none, as is the serial number.
    pub common_name: String,
    /// The subject's serial number.
    pub serial_number: String,
    /// The subject's organizations.
    pub organizations: Vec<String>,
    /// The subject's organizational units.
    pub organizational_units: Vec<String>,
    /// The subject's countries.
    pub countries: Vec<String>,
    /// The subject's localities.
    pub localities: Vec<String>,
    /// The subject's provinces.
    pub provinces: Vec<String>,
    /// The subject's street addresses.
    pub streets: Vec<String>,
    /// The subject's postal codes.
    pub postal_codes: Vec<String>,
    /// DNS names asked for.
    pub dns_names: Vec<String>,
    /// Mail addresses asked for.
    pub emails: Vec<String>,
    /// URIs asked for.
    pub uris: Vec<String>,
    /// IP addresses asked for.
    pub addresses: Vec<String>,
}

impl RequestText {
    /// Reads a request in PEM.
    ///
    /// # Errors
    /// If the text holds no request, or a malformed one.
    pub fn read(text: &[u8]) -> Result<Self, PkiError> {
        const PLACE: &str = "request";
        let der = pem::parse_request(text, PLACE)?;
        let (_, parsed) = X509CertificationRequest::from_der(&der).map_err(|error| PkiError::Malformed {
            place: PLACE.to_owned(),
            what: "certificate request",
            why: error.to_string(),
        })?;
        let mut request = Self::default();
        parsed.certification_request_info.subject.iter_attributes().for_each(|a| request.take_attribute(a));
        for extension in parsed.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                names.general_names.iter().for_each(|name| request.take_name(name));
            }
        }
        Ok(request)
    }

    fn take_attribute(&mut self, attribute: &AttributeTypeAndValue<'_>) {
        let text = attribute.as_str().unwrap_or_default().to_owned();
        match attribute.attr_type().to_id_string().as_str() {
            "2.5.4.3" => self.common_name = text,
            "2.5.4.5" => self.serial_number = text,
            "2.5.4.6" => self.countries.push(text),
            "2.5.4.7" => self.localities.push(text),
            "2.5.4.8" => self.provinces.push(text),
            "2.5.4.9" => self.streets.push(text),
            "2.5.4.10" => self.organizations.push(text),
            "2.5.4.11" => self.organizational_units.push(text),
            "2.5.4.17" => self.postal_codes.push(text),
            _ => {}
        }
    }

    fn take_name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => self.emails.push((*name).to_owned()),
            GeneralName::URI(name) => self.uris.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                self.addresses.extend(crate::request::address(bytes).map(|a| a.to_string()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Key, Profile, Request};
    use std::time::Duration;

    #[test]
    fn what_is_asked_for_is_read() {
        let key = Key::generate(Algorithm::EcdsaP256).unwrap();
        let mut profile = Profile::server("system:node:n1", &["n1", "10.0.0.1"], Duration::from_secs(60));
        profile.organization = Some("system:nodes".into());
        let text = RequestText::read(Request::create(&profile, &key).unwrap().as_bytes()).unwrap();
        let want = RequestText {
            common_name: "system:node:n1".into(),
            organizations: vec!["system:nodes".into()],
            dns_names: vec!["n1".into()],
            addresses: vec!["10.0.0.1".into()],
            ..RequestText::default()
        };
        assert_eq!(text, want);
        assert!(RequestText::read(b"no").is_err());
    }
}
