//! What a leaf certificate says.

use crate::PkiError;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Clocks of a cluster may differ by this much, as upstream assumes.
const BACKDATE: Duration = Duration::from_secs(300);

/// What a certificate may be used for, besides signing the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Proving a server's identity.
    Server,
    /// Proving a client's identity.
    Client,
}

/// The contents of a leaf certificate.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The subject's common name: a client's user name.
    pub common_name: String,
    /// The subject's organization: a client's group.
    pub organization: Option<String>,
    /// DNS names and IP addresses that a server answers for.
    pub names: Vec<String>,
    /// What it may be used for.
    pub usages: Vec<Usage>,
    /// How long it is valid.
    pub lifetime: Duration,
}

impl Profile {
    /// A client's certificate: `user` in `group`.
    pub fn client(user: &str, group: Option<&str>, lifetime: Duration) -> Self {
        Self {
            common_name: user.to_owned(),
            organization: group.map(str::to_owned),
            names: Vec::new(),
            usages: vec![Usage::Client],
            lifetime,
        }
    }

    /// A server's certificate for these DNS names and IP addresses.
    pub fn server(common_name: &str, names: &[&str], lifetime: Duration) -> Self {
        Self {
            common_name: common_name.to_owned(),
            organization: None,
            names: names.iter().map(|&name| name.to_owned()).collect(),
            usages: vec![Usage::Server],
            lifetime,
        }
    }

    pub(crate) fn params(&self) -> Result<CertificateParams, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(&self.common_name, self.organization.as_deref());
        params.subject_alt_names = self.names.iter().map(|name| alternative_name(name)).collect::<Result<_, _>>()?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = self.usages.iter().map(|usage| usage.purpose()).collect();
        params.use_authority_key_identifier_extension = true;
        set_lifetime(&mut params, SystemTime::now(), self.lifetime);
        Ok(params)
    }
}

impl Usage {
    pub(crate) fn purpose(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Self::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }
    }
}

pub(crate) fn subject(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    subject.push(DnType::CommonName, common_name);
    subject
}

/// From a little before `now` on, for `lifetime`.
pub(crate) fn set_lifetime(params: &mut CertificateParams, now: SystemTime, lifetime: Duration) {
    // Without naming the `time` crate, which only rcgen uses.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = epoch + now.saturating_sub(BACKDATE);
    params.not_after = epoch + now.saturating_add(lifetime);
}

fn alternative_name(name: &str) -> Result<SanType, PkiError> {
    if let Ok(address) = name.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let dns = name.to_owned().try_into().map_err(|_| PkiError::BadName { name: name.to_owned() })?;
    Ok(SanType::DnsName(dns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_addresses_or_dns_names() {
        let profile = Profile::server("s", &["10.0.0.1", "::1", "kubernetes.default"], Duration::from_secs(60));
        let names = profile.params().unwrap().subject_alt_names;
        assert!(matches!(names[..], [SanType::IpAddress(_), SanType::IpAddress(_), SanType::DnsName(_)]));
        let bad = Profile::server("s", &["münchen"], Duration::from_secs(60));
        assert!(matches!(bad.params(), Err(PkiError::BadName { .. })));
    }
}
