//! When a certificate ends and when to renew it: pure, given the time.
//!
//! Upstream: `client-go/util/certificate`.

use crate::{PkiError, pem};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;

/// The time a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before this.
    pub not_before: Timestamp,
    /// Not after this.
    pub not_after: Timestamp,
}

impl Validity {
    /// Of the first certificate of a file.
    pub fn of_file(path: &Path) -> Result<Self, PkiError> {
        Self::of_pem(&pem::read(path)?, &path.display().to_string())
    }

    /// Of the first certificate of a PEM text; `place` names it in errors.
    pub fn of_pem(text: &[u8], place: &str) -> Result<Self, PkiError> {
        Self::of_der(&pem::parse_certificates(text, place)?[0], place)
    }

    /// Of a certificate; `place` names it in errors.
    pub fn of_der(der: &[u8], place: &str) -> Result<Self, PkiError> {
        let malformed = |why: String| PkiError::Malformed { place: place.to_owned(), what: "certificate", why };
        let (_, parsed) = x509_parser::parse_x509_certificate(der).map_err(|error| malformed(error.to_string()))?;
        let time = |seconds| Timestamp::from_second(seconds).map_err(|error| malformed(error.to_string()));
        let validity = parsed.validity();
        Ok(Self {
            not_before: time(validity.not_before.timestamp())?,
            not_after: time(validity.not_after.timestamp())?,
        })
    }

    /// Whether it is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now > self.not_after
    }

    /// When to renew it: after 70 % to 90 % of its life; `spread` (0 to 1) picks the point, so
    /// that a fleet does not renew at once.
    pub fn renewal(&self, spread: f64) -> Timestamp {
        let life = self.not_after.duration_since(self.not_before);
        let part = 0.7 + 0.2 * spread.clamp(0.0, 1.0);
        self.not_before
            .saturating_add(SignedDuration::from_secs_f64(life.as_secs_f64() * part))
            .unwrap_or(self.not_after)
    }

    /// Whether it should be renewed now, at the latest point of [`Self::renewal`].
    pub fn needs_renewal(&self, now: Timestamp) -> bool {
        now >= self.renewal(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn renewal_lies_between_70_and_90_percent() {
        let validity = Validity { not_before: at(1000), not_after: at(2000) };
        assert_eq!(validity.renewal(0.0), at(1700));
        assert_eq!(validity.renewal(1.0).as_second(), 1900);
        for (now, renew, expired) in
            [(1000, false, false), (1899, false, false), (1901, true, false), (2001, true, true)]
        {
            assert_eq!((validity.needs_renewal(at(now)), validity.is_expired(at(now))), (renew, expired), "at {now}");
        }
    }
}
