//! What names of all kinds look like.
//!
//! Upstream: `apimachinery/pkg/util/validation/validation.go`, `apimachinery/pkg/api/validation`.

pub use apimachinery::selector::{label_key_errors, label_value_errors};

/// What is wrong with a name; nothing if it is right.
pub type Findings = Vec<String>;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                     validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
                         '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used \
                         for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const UNDERSCORE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' \
                          or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex \
                          used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
                          alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or \
                          'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which \
                        must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric \
                        character (e.g. '*.example.com', regex used for validation is \
                        '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
                          'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex \
                      used for validation is '[-A-Za-z0-9]+')";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                       '93%', regex used for validation is '[0-9]+%')";

/// How the objects of a resource may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameRule {
    /// Labels and dots; what most are.
    Subdomain,
    /// Letters, digits and hyphens.
    Label,
    /// Anything that can stand in a path, such as `system:node`.
    PathSegment,
    /// An address in its canonical form.
    Address,
    /// At most 63 bytes of a subdomain, less what the controller appends.
    Short(usize),
}

impl NameRule {
    /// Checks a name.
    pub(super) fn check(self, name: &str) -> Findings {
        match self {
            Self::Subdomain | Self::Short(_) => subdomain(name),
            Self::Label => label(name),
            Self::PathSegment => path_segment(name),
            Self::Address => super::addresses::name_errors(name),
        }
    }

    /// Checks the beginning of a name; it may end in a hyphen.
    pub(super) fn check_prefix(self, prefix: &str) -> Findings {
        match prefix.strip_suffix('-') {
            Some(rest) if prefix.len() > 1 && self != Self::PathSegment => self.check(&format!("{rest}a")),
            _ if self == Self::PathSegment => path_segment_prefix(prefix),
            _ => self.check(prefix),
        }
    }
}

fn longer_than(text: &str, max: usize) -> Option<String> {
    (text.len() > max).then(|| format!("must be no more than {max} characters"))
}

fn findings(parts: impl IntoIterator<Item = Option<String>>) -> Findings {
    parts.into_iter().flatten().collect()
}

fn is_label(text: &str) -> bool {
    let letters = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    letters && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// A DNS label of RFC 1123.
pub fn label(text: &str) -> Findings {
    let form = match () {
        () if is_label(text) => None,
        () if is_subdomain(text) => Some("must not contain dots".to_owned()),
        () => Some(LABEL.to_owned()),
    };
    findings([longer_than(text, 63), form])
}

/// A DNS name of RFC 1123.
pub fn subdomain(text: &str) -> Findings {
    findings([longer_than(text, 253), (!is_subdomain(text)).then(|| SUBDOMAIN.into())])
}

/// The same as upstream's newer, declared rules say it.
pub(super) fn long_name(text: &str) -> Findings {
    let too_long = (text.len() > 253).then(|| "must be no more than 253 bytes".to_owned());
    findings([too_long, (!is_subdomain(text)).then(|| SUBDOMAIN.into())])
}

/// A DNS name that may have underscores.
pub(super) fn subdomain_with_underscore(text: &str) -> Findings {
    let part = |part: &str| {
        let rest = part.strip_prefix('_').unwrap_or(part);
        is_label(&rest.replace('_', "-")) && !rest.starts_with('_') && !rest.ends_with('_')
    };
    findings([longer_than(text, 253), (!text.split('.').all(part)).then(|| UNDERSCORE.into())])
}

/// A DNS name whose first label is a star.
pub(super) fn wildcard(text: &str) -> Findings {
    let right = text.strip_prefix("*.").is_some_and(is_subdomain);
    findings([longer_than(text, 253), (!right).then(|| WILDCARD.into())])
}

/// A DNS label of RFC 1035.
pub fn label_1035(text: &str) -> Findings {
    let right = is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase());
    findings([longer_than(text, 63), (!right).then(|| LABEL_1035.into())])
}

/// What can stand between two slashes of a URL.
pub fn path_segment(text: &str) -> Findings {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    path_segment_prefix(text)
}

/// What a path segment can begin with.
fn path_segment_prefix(text: &str) -> Findings {
    ["/", "%"].into_iter().filter(|c| text.contains(c)).map(|c| format!("may not contain '{c}'")).collect()
}

const HTTP_PATH: &str = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";

/// What is wrong with a path below a domain, such as `acme.io/foo`; each finding with the part that it is about. That
/// there must be one is for the caller to say.
pub fn domain_prefixed_path(text: &str) -> Vec<(&str, String)> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    match text.split_once('/') {
        None | Some(("", _) | (_, "")) => {
            vec![(text, "must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned())]
        }
        Some((domain, path)) => {
            let wrong = (!path.bytes().all(allowed)).then(|| (path, HTTP_PATH.to_owned()));
            subdomain(domain).into_iter().map(|why| (domain, why)).chain(wrong).collect()
        }
    }
}

/// The name of a port.
pub(super) fn port_name(text: &str) -> Findings {
    let says = |wrong: bool, what: &str| wrong.then(|| what.to_owned());
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    findings([
        longer_than(text, 15),
        says(
            text.is_empty() || !text.bytes().all(allowed),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        says(!text.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        says(text.contains("--"), "must not contain consecutive hyphens"),
        says(text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen"),
    ])
}

/// The number of a port.
pub(super) fn port_number(number: i64) -> Option<String> {
    in_range(number, 1, 65535)
}

/// A number between two others.
pub(super) fn in_range(number: i64, min: i64, max: i64) -> Option<String> {
    (!(min..=max).contains(&number)).then(|| format!("must be between {min} and {max}, inclusive"))
}

/// A key of a config map or secret.
pub(super) fn config_key(text: &str) -> Findings {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let form = (text.is_empty() || !text.bytes().all(allowed)).then(|| CONFIG_KEY.to_owned());
    let steps = match text {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ => text.starts_with("..").then(|| "must not start with '..'".to_owned()),
    };
    findings([longer_than(text, 253), form, steps])
}

/// The name of an environment variable.
pub(super) fn env_name(text: &str) -> Findings {
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=');
    let says = |wrong: bool, what: &str| wrong.then(|| what.to_owned());
    findings([
        says(text.is_empty(), "environment variable name must be non-empty"),
        says(
            !printable,
            "a valid environment variable name must consist only of printable ASCII characters other than '='",
        ),
    ])
}

/// The name of an HTTP header.
pub(super) fn header(text: &str) -> Findings {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    findings([(text.is_empty() || !text.bytes().all(allowed)).then(|| HEADER.into())])
}

/// A percentage, such as `25%`.
pub(super) fn percent(text: &str) -> Findings {
    let digits = text.strip_suffix('%').unwrap_or_default();
    findings([(digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit())).then(|| PERCENT.into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (rule, good, bad) in [
            (NameRule::Subdomain, &["a", "a.b-c", "1"][..], &["", "A", "a_b", "a..b", "-a", "a.", "é"][..]),
            (NameRule::Label, &["a", "1a"], &["a.b", "a-", ""]),
            (NameRule::PathSegment, &["system:node", "A b"], &["a/b", "a%b", ".", ".."]),
            (NameRule::Address, &["10.0.0.1", "::1"], &["10.0.0.01", "0::1", "a"]),
        ] {
            assert!(good.iter().all(|name| rule.check(name).is_empty()), "{rule:?}");
            assert!(bad.iter().all(|name| !rule.check(name).is_empty()), "{rule:?}");
        }
        assert_eq!(label("a.b"), ["must not contain dots"]);
        assert_eq!(label(&"a".repeat(64)), ["must be no more than 63 characters"]);
        assert!(NameRule::Label.check_prefix("a-").is_empty() && !NameRule::Label.check_prefix("-").is_empty());
    }

    #[test]
    fn smaller_names() {
        type Check = fn(&str) -> Findings;
        for (check, good, bad) in [
            (port_name as Check, &["http", "a-1"][..], &["", "1", "a--b", "-a", "A", "abcdefghijklmnop"][..]),
            (config_key, &["a.b", "_A-1", ".a"], &["", "a/b", ".", "..", "..a"]),
            (env_name, &["A", "a.b-c d", "1"], &["", "a=b", "é", "a\tb"]),
            (header, &["X-A"], &["", "a b"]),
            (label_1035, &["a", "a1"], &["1a", "a.b"]),
            (percent, &["0%", "100%"], &["", "%", "1", "a%"]),
            (subdomain_with_underscore, &["_a._b", "a_b.c"], &["__a", "a_", "A"]),
            (wildcard, &["*.a", "*.a.b"], &["*", "a", "*.*.a"]),
        ] {
            assert!(good.iter().all(|text| check(text).is_empty()), "{good:?}");
            assert!(bad.iter().all(|text| !check(text).is_empty()), "{bad:?}");
        }
    }
}
