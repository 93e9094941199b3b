//! Levels, versions and modes of the pod security standards, and how a namespace's labels choose among them.
//!
//! Upstream: `pod-security-admission/api/helpers.go`.

use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::go::quoted;
use std::fmt;

/// What the labels begin with, and the annotations of audit events.
pub(super) const PREFIX: &str = "pod-security.kubernetes.io/";

/// Labels of namespaces.
pub(super) const ENFORCE: Labels =
    Labels { level: "pod-security.kubernetes.io/enforce", version: "pod-security.kubernetes.io/enforce-version" };
pub(super) const AUDIT: Labels =
    Labels { level: "pod-security.kubernetes.io/audit", version: "pod-security.kubernetes.io/audit-version" };
pub(super) const WARN: Labels =
    Labels { level: "pod-security.kubernetes.io/warn", version: "pod-security.kubernetes.io/warn-version" };

/// The labels of a mode.
#[derive(Clone, Copy)]
pub(super) struct Labels {
    pub(super) level: &'static str,
    pub(super) version: &'static str,
}

/// A level of the standards, from the loosest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    /// Reads a level.
    ///
    /// # Errors
    /// Upstream's words.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let all = [Level::Privileged, Level::Baseline, Level::Restricted];
        all.into_iter().find(|level| level.as_str() == text).ok_or("must be one of privileged, baseline, restricted")
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

/// A version of the standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Version {
    Latest,
    /// That of Kubernetes 1.x.
    Minor(u32),
}

impl Version {
    /// Reads `latest` or `v1.x`.
    ///
    /// # Errors
    /// Upstream's words.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "latest" {
            return Ok(Version::Latest);
        }
        let digits = text.strip_prefix("v1.").filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
        let minor = digits.filter(|d| *d == "0" || !d.starts_with('0')).and_then(|d| d.parse().ok());
        minor.map(Version::Minor).ok_or("must be \"latest\" or \"v1.x\"")
    }

    /// The version as a number: checks are of the newest there are if it is newer than all of them.
    pub(super) fn minor(self) -> u32 {
        match self {
            Version::Latest => u32::MAX,
            Version::Minor(minor) => minor,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Latest => f.write_str("latest"),
            Version::Minor(minor) => write!(f, "v1.{minor}"),
        }
    }
}

/// A level of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Standard {
    pub(super) level: Level,
    pub(super) version: Version,
}

impl Standard {
    /// Nothing is forbidden.
    pub(super) const PRIVILEGED: Self = Self { level: Level::Privileged, version: Version::Latest };

    fn is_as_good_as(&self, other: &Self) -> bool {
        self == other || self.level == Level::Privileged && other.level == Level::Privileged
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level.as_str(), self.version)
    }
}

/// What a namespace asks for in each mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// What violates it is refused.
    pub(super) enforce: Standard,
    /// What violates it is told in the audit log.
    pub(super) audit: Standard,
    /// What violates it is warned about.
    pub(super) warn: Standard,
}

impl Policy {
    /// Nothing is forbidden.
    pub(super) const PRIVILEGED: Self =
        Self { enforce: Standard::PRIVILEGED, audit: Standard::PRIVILEGED, warn: Standard::PRIVILEGED };

    /// Whether no mode forbids anything.
    pub(super) fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|standard| standard.level == Level::Privileged)
    }

    /// Whether both come to the same.
    pub(super) fn is_as_good_as(&self, other: &Self) -> bool {
        self.enforce.is_as_good_as(&other.enforce)
            && self.audit.is_as_good_as(&other.audit)
            && self.warn.is_as_good_as(&other.warn)
    }

    /// The policy of labels, those that are missing taken from `defaults`; and what is wrong with them. What cannot be read
    /// is enforced as strictly as can be, and neither told nor warned about.
    pub(super) fn of<'l>(label: impl Fn(&str) -> Option<&'l str>, defaults: &Self) -> (Self, Vec<FieldError>) {
        let mut reader = Reader { label: &label, errors: Vec::new() };
        let (mut policy, strictest) = (*defaults, Level::Restricted);
        let enforced = reader.level(ENFORCE.level);
        policy.enforce.level = enforced.map_or(policy.enforce.level, |level| level.unwrap_or(strictest));
        reader.version(ENFORCE.version, &mut policy.enforce);
        if let Some(level) = reader.level(AUDIT.level) {
            policy.audit.level = level.unwrap_or(Level::Privileged);
        }
        reader.version(AUDIT.version, &mut policy.audit);
        let warned = reader.level(WARN.level);
        if let Some(level) = warned {
            policy.warn.level = level.unwrap_or(Level::Privileged);
        }
        let has_warn_version = reader.version(WARN.version, &mut policy.warn);
        // Who is refused more than they are warned of would be surprised.
        if warned.is_none() && enforced.flatten().is_some_and(|level| level > policy.warn.level) {
            policy.warn.level = policy.enforce.level;
            if !has_warn_version {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, reader.errors)
    }
}

struct Reader<'r, 'l> {
    label: &'r dyn Fn(&str) -> Option<&'l str>,
    errors: Vec<FieldError>,
}

impl Reader<'_, '_> {
    /// A level, if there is a label; none if it cannot be read.
    fn level(&mut self, name: &str) -> Option<Option<Level>> {
        let text = (self.label)(name)?;
        Some(Level::parse(text).map_err(|why| self.wrong(name, text, why)).ok())
    }

    /// Sets a version, if there is a label.
    fn version(&mut self, name: &str, standard: &mut Standard) -> bool {
        let Some(text) = (self.label)(name) else { return false };
        standard.version = Version::parse(text).unwrap_or_else(|why| {
            self.wrong(name, text, why);
            Version::Latest
        });
        true
    }

    fn wrong(&mut self, name: &str, text: &str, why: &str) {
        let path = Path::new("metadata").child("labels").key(name);
        self.errors.push(FieldError { path, kind: FieldErrorKind::Invalid(quoted(text), why.to_owned()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn of(labels: &[(&str, &'static str)]) -> (String, Vec<String>) {
        let labels: BTreeMap<String, &str> = labels.iter().map(|(k, v)| (format!("{PREFIX}{k}"), *v)).collect();
        let (policy, errors) = Policy::of(|key| labels.get(key).copied(), &Policy::PRIVILEGED);
        let text = format!("{} {} {}", policy.enforce, policy.audit, policy.warn);
        (text, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn labels_choose() {
        for (labels, want) in [
            (vec![], "privileged:latest privileged:latest privileged:latest"),
            (vec![("audit", "baseline")], "privileged:latest baseline:latest privileged:latest"),
            // Warnings follow what is enforced.
            (
                vec![("enforce", "restricted"), ("enforce-version", "v1.25")],
                "restricted:v1.25 privileged:latest restricted:v1.25",
            ),
            (
                vec![("enforce", "restricted"), ("enforce-version", "v1.25"), ("warn-version", "v1.30")],
                "restricted:v1.25 privileged:latest restricted:v1.30",
            ),
            (
                vec![("enforce", "restricted"), ("warn", "baseline")],
                "restricted:latest privileged:latest baseline:latest",
            ),
        ] {
            assert_eq!(of(&labels), (want.to_owned(), vec![]), "{labels:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_enforced_strictly() {
        let (policy, errors) = of(&[("enforce", "x"), ("audit", "y"), ("warn", "z"), ("enforce-version", "v1.02")]);
        assert_eq!(policy, "restricted:latest privileged:latest privileged:latest");
        let invalid = |label: &str, value: &str, why: &str| {
            format!("metadata.labels[{PREFIX}{label}]: Invalid value: \"{value}\": {why}")
        };
        let levels = "must be one of privileged, baseline, restricted";
        assert_eq!(
            errors,
            [
                invalid("enforce", "x", levels),
                invalid("enforce-version", "v1.02", "must be \"latest\" or \"v1.x\""),
                invalid("audit", "y", levels),
                invalid("warn", "z", levels),
            ]
        );
    }
}
