//! `format`: the names that are known, and what texts of them look like.
//!
//! Upstream: `kube-openapi/pkg/validation/strfmt`,
//! `apiextensions-apiserver/pkg/apiserver/validation/formats.go`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// A format that is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Format {
    Int32,
    Int64,
    Float,
    Double,
    ObjectId,
    Uri,
    Email,
    Hostname,
    Ipv4,
    Ipv6,
    Cidr,
    Mac,
    Uuid,
    Uuid3,
    Uuid4,
    Uuid5,
    Isbn,
    Isbn10,
    Isbn13,
    CreditCard,
    Ssn,
    HexColor,
    RgbColor,
    Byte,
    Password,
    Date,
    Duration,
    /// As the definition spells it: `datetime` or `date-time`.
    DateTime {
        dashed: bool,
    },
    ShortName,
    LongName,
}

/// Names of formats of texts, without dashes.
const TEXTS: &[(&str, &str, Format)] = &[
    ("bsonobjectid", "bsonobjectid", Format::ObjectId),
    ("uri", "uri", Format::Uri),
    ("email", "email", Format::Email),
    ("hostname", "hostname", Format::Hostname),
    ("ipv4", "ipv4", Format::Ipv4),
    ("ipv6", "ipv6", Format::Ipv6),
    ("cidr", "cidr", Format::Cidr),
    ("mac", "mac", Format::Mac),
    ("uuid", "uuid", Format::Uuid),
    ("uuid3", "uuid3", Format::Uuid3),
    ("uuid4", "uuid4", Format::Uuid4),
    ("uuid5", "uuid5", Format::Uuid5),
    ("isbn", "isbn", Format::Isbn),
    ("isbn10", "isbn10", Format::Isbn10),
    ("isbn13", "isbn13", Format::Isbn13),
    ("creditcard", "creditcard", Format::CreditCard),
    ("ssn", "ssn", Format::Ssn),
    ("hexcolor", "hexcolor", Format::HexColor),
    ("rgbcolor", "rgbcolor", Format::RgbColor),
    ("byte", "byte", Format::Byte),
    ("password", "password", Format::Password),
    ("date", "date", Format::Date),
    ("duration", "duration", Format::Duration),
    ("datetime", "datetime", Format::DateTime { dashed: false }),
    ("k8sshortname", "k8s-short-name", Format::ShortName),
    ("k8slongname", "k8s-long-name", Format::LongName),
];

/// Whether a format means something for a type; others are ignored with a warning.
pub fn is_known(name: &str, ty: &str) -> bool {
    Format::parse(name, ty).is_some()
}

impl Format {
    /// The format of this name for values of this type; `None` if it is not enforced.
    pub fn parse(name: &str, ty: &str) -> Option<Self> {
        match (ty, name) {
            ("integer", "int32") => Some(Format::Int32),
            ("integer", "int64") => Some(Format::Int64),
            ("number", "float") => Some(Format::Float),
            ("number", "double") => Some(Format::Double),
            ("" | "string", "date-time") => Some(Format::DateTime { dashed: true }),
            ("" | "string", name) => {
                let plain = name.replace('-', "");
                TEXTS.iter().find(|(known, ..)| *known == plain).map(|(.., format)| *format)
            }
            _ => None,
        }
    }

    /// The name, as messages have it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Int32 => "int32",
            Format::Int64 => "int64",
            Format::Float => "float",
            Format::Double => "double",
            Format::DateTime { dashed: true } => "date-time",
            other => TEXTS.iter().find(|(.., format)| *format == other).map_or("", |(_, name, _)| name),
        }
    }

    /// Whether it is about numbers.
    pub fn is_numeric(self) -> bool {
        matches!(self, Format::Int32 | Format::Int64 | Format::Float | Format::Double)
    }

    /// Whether a text is of this format.
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Format::Int32 | Format::Int64 | Format::Float | Format::Double | Format::Password => true,
            Format::Uri => is_uri(text),
            Format::Email => is_email(text),
            Format::Hostname => is_hostname(text),
            Format::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Format::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Format::Cidr => is_cidr(text),
            Format::Mac => is_mac(text),
            Format::Isbn => is_isbn10(text) || is_isbn13(text),
            Format::Isbn10 => is_isbn10(text),
            Format::Isbn13 => is_isbn13(text),
            Format::CreditCard => PATTERNS.credit_card.is_match(&digits(text)),
            Format::RgbColor => is_rgb_color(text),
            Format::Byte => text.is_empty() || STANDARD.decode(text).is_ok(),
            Format::Date => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
            Format::Duration => is_duration(text),
            Format::DateTime { .. } => is_date_time(text),
            Format::ShortName => is_label(text),
            Format::LongName => text.len() <= 253 && text.split('.').all(is_label),
            Format::ObjectId => text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()),
            Format::Uuid => PATTERNS.uuid.is_match(text),
            Format::Uuid3 => PATTERNS.uuid3.is_match(text),
            Format::Uuid4 => PATTERNS.uuid4.is_match(text),
            Format::Uuid5 => PATTERNS.uuid5.is_match(text),
            Format::Ssn => PATTERNS.ssn.is_match(text),
            Format::HexColor => PATTERNS.hex_color.is_match(text),
        }
    }
}

struct Patterns {
    uuid: Regex,
    uuid3: Regex,
    uuid4: Regex,
    uuid5: Regex,
    ssn: Regex,
    hex_color: Regex,
    credit_card: Regex,
    duration: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let regex = |pattern: &str| Regex::new(pattern).expect("a constant pattern: tested");
    let uuid = |version: &str, variant: &str| {
        regex(&format!("(?i)^[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{version}-?{variant}-?[0-9a-f]{{12}}$"))
    };
    Patterns {
        uuid: uuid("[0-9a-f]{4}", "[0-9a-f]{4}"),
        uuid3: uuid("3[0-9a-f]{3}", "[0-9a-f]{4}"),
        uuid4: uuid("4[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
        uuid5: uuid("5[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
        ssn: regex("^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$"),
        hex_color: regex("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
        credit_card: regex(
            "^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11})$",
        ),
        duration: regex(
            "^([0-9]+) *(nanoseconds?|nanos?|ns|microseconds?|micros?|us|µs|milliseconds?|millis?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|hour|h|days?|d|weeks?|w)$",
        ),
    }
});

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (first, last) = (text.bytes().next(), text.bytes().last());
    text.len() <= 63
        && first.is_some_and(inner)
        && last.is_some_and(inner)
        && text.bytes().all(|b| inner(b) || b == b'-')
}

/// What Go's `url.ParseRequestURI` takes: a path, or a scheme with something behind it.
fn is_uri(text: &str) -> bool {
    let clean = !text.bytes().any(|b| b <= b' ' || b == 0x7f);
    let scheme = text.split_once(':').is_some_and(|(scheme, rest)| {
        let letters = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        let host_ok = !rest
            .strip_prefix("//")
            .unwrap_or_default()
            .split('/')
            .next()
            .unwrap_or_default()
            .contains(['<', '>', '"', '^', '`', '{', '}', '|', '\\']);
        letters && scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && !rest.is_empty() && host_ok
    });
    clean && (text.starts_with('/') || scheme)
}

fn is_email(text: &str) -> bool {
    // A display name may stand before an address in angle brackets.
    let address = match (text.rfind('<'), text.ends_with('>')) {
        (Some(at), true) => &text[at + 1..text.len() - 1],
        _ => text,
    };
    address.rsplit_once('@').is_some_and(|(local, domain)| {
        let atom = |part: &str| {
            !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "()<>[]:;@\\,\"".contains(c))
        };
        let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
        (quoted || local.split('.').all(atom)) && domain.split('.').all(atom)
    })
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        let inner = |c: char| c.is_alphanumeric();
        !label.is_empty()
            && label.len() <= 63
            && label.starts_with(inner)
            && label.ends_with(inner)
            && label.chars().all(|c| inner(c) || c == '-')
    };
    !text.is_empty() && text.len() <= 255 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let max = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|bits| bits <= max)
}

fn is_mac(text: &str) -> bool {
    let groups = |separator: char, size: usize| {
        let parts: Vec<&str> = text.split(separator).collect();
        let bytes = parts.len() * size / 2;
        parts.iter().all(|part| part.len() == size && part.bytes().all(|b| b.is_ascii_hexdigit()))
            && matches!(bytes, 6 | 8 | 20)
    };
    groups(':', 2) || groups('-', 2) || groups('.', 4)
}

fn is_isbn10(text: &str) -> bool {
    let text: Vec<char> = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let value = |(at, c): (usize, &char)| match c {
        'X' if at == 9 => Some(10),
        c => c.to_digit(10),
    };
    let digits: Option<Vec<u32>> = text.iter().enumerate().map(value).collect();
    digits.is_some_and(|d| d.len() == 10 && (1..).zip(&d).map(|(weight, digit)| weight * digit).sum::<u32>() % 11 == 0)
}

fn is_isbn13(text: &str) -> bool {
    let text: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(10)).collect();
    digits.is_some_and(|d| {
        let sum: u32 = d.iter().zip([1, 3].iter().cycle()).map(|(digit, weight)| digit * weight).sum();
        d.len() == 13 && sum.is_multiple_of(10)
    })
}

fn is_rgb_color(text: &str) -> bool {
    let inner = text.strip_prefix("rgb(").and_then(|t| t.strip_suffix(')'));
    inner.is_some_and(|inner| {
        let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
        parts.len() == 3 && parts.iter().all(|part| part.parse::<u8>().is_ok())
    })
}

fn is_duration(text: &str) -> bool {
    apimachinery::time::parse_go_nanos(text).is_some() || PATTERNS.duration.is_match(text.trim())
}

/// RFC 3339 and the looser forms that upstream takes.
fn is_date_time(text: &str) -> bool {
    let upper = text.to_uppercase();
    let has_time = upper.len() > 10 && upper.is_char_boundary(10) && upper[10..].starts_with('T');
    has_time && (upper.parse::<jiff::Timestamp>().is_ok() || upper.parse::<jiff::civil::DateTime>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses() {
        for (format, good, bad) in [
            ("date-time", "2014-12-15T19:30:20.000Z", "2014-12-15"),
            ("date", "2014-12-15", "2014-13-15"),
            ("ipv4", "10.0.0.1", "10.0.0"),
            ("ipv6", "fe80::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "01:02:03:04:05:06", "01:02"),
            ("uuid", "A8098c1a-f86e-11da-bd1a-00112444be1e", "a8098c1a"),
            ("uuid4", "025b0d74-00a2-4048-bf57-227c5111bb34", "025b0d74-00a2-3048-bf57-227c5111bb34"),
            ("byte", "aGVsbG8=", "%%%"),
            ("email", "a@b.c", "a.b.c"),
            ("hostname", "a.example.com", "-a"),
            ("uri", "https://example.com/a?b", "not a uri"),
            ("duration", "1h30m", "soon"),
            ("duration", "22 ns", "22 moons"),
            ("hexcolor", "#FFFFFF", "red"),
            ("rgbcolor", "rgb(255, 255, 25)", "rgb(256,0,0)"),
            ("isbn", "0321751043", "0321751044"),
            ("isbn13", "978-0321751041", "978-0321751042"),
            ("creditcard", "4111 1111 1111 1111", "1234"),
            ("ssn", "111-11-1111", "1"),
            ("bsonobjectid", "507f1f77bcf86cd799439011", "x"),
            ("k8s-short-name", "a-b", "A"),
            ("k8s-long-name", "a.b-c", "a..b"),
        ] {
            let parsed = Format::parse(format, "string").expect(format);
            assert!(parsed.accepts(good), "{format}: {good}");
            assert!(!parsed.accepts(bad), "{format}: {bad}");
        }
        assert!(Format::parse("nonsense", "string").is_none() && Format::parse("int32", "string").is_none());
        assert_eq!(Format::parse("date-time", "").map(Format::name), Some("date-time"));
        assert_eq!(Format::parse("k8s-long-name", "").map(Format::name), Some("k8s-long-name"));
    }
}
