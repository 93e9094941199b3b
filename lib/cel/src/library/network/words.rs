//! Why a text is no address or range, in the words of Go.
//!
//! Upstream: Go's `net/netip`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What is wrong with a text that cannot be read as an address.
pub(super) fn address(text: &str) -> String {
    let (what, at) = match text.find(['.', ':', '%']).map(|at| text.as_bytes()[at]) {
        Some(b'.') => quads(text),
        Some(b':') => groups(text),
        Some(_) => ("missing IPv6 address", ""),
        None => ("unable to parse IP", ""),
    };
    match at {
        "" => format!("ParseAddr({text:?}): {what}"),
        at => format!("ParseAddr({text:?}): {what} (at {at:?})"),
    }
}

/// What is wrong with a text that cannot be read as a range.
pub(super) fn range(text: &str) -> String {
    format!("netip.ParsePrefix({text:?}): {}", range_error(text))
}

fn range_error(text: &str) -> String {
    let Some((start, bits)) = text.rsplit_once('/') else { return "no '/'".into() };
    let most = match (start.parse::<Ipv4Addr>(), start.parse::<Ipv6Addr>()) {
        (Ok(_), _) => 32,
        (_, Ok(_)) => 128,
        _ if zoned(start) => return "IPv6 zones cannot be present in a prefix".into(),
        _ => return address(start),
    };
    let is_plain = bits.len() == 1 || bits.starts_with(|c: char| ('1'..='9').contains(&c));
    match bits.parse::<i64>() {
        Ok(bits) if is_plain && bits > most => "prefix length out of range".into(),
        _ => format!("bad bits after slash: {bits:?}"),
    }
}

/// Whether a text is an address with a zone.
pub(super) fn zoned(text: &str) -> bool {
    text.split_once('%').is_some_and(|(start, zone)| !zone.is_empty() && start.parse::<Ipv6Addr>().is_ok())
}

/// What is wrong, and what is left of the text there.
type Wrong<'a> = (&'static str, &'a str);

fn quads(text: &str) -> Wrong<'_> {
    let (mut value, mut digits, mut dots) = (0_u32, 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '0'..='9' => {
                if digits == 1 && value == 0 {
                    return ("IPv4 field has octet with leading zero", "");
                }
                value = value * 10 + c.to_digit(10).unwrap_or_default();
                digits += 1;
                if value > 255 {
                    return ("IPv4 field has value >255", "");
                }
            }
            '.' => {
                if at == 0 || at == text.len() - 1 || text.as_bytes()[at - 1] == b'.' {
                    return ("IPv4 field must have at least one digit", &text[at..]);
                }
                if dots == 3 {
                    return ("IPv4 address too long", "");
                }
                (value, digits, dots) = (0, 0, dots + 1);
            }
            _ => return ("unexpected character", &text[at..]),
        }
    }
    ("IPv4 address too short", "")
}

fn groups(text: &str) -> Wrong<'_> {
    let mut rest = match text.split_once('%') {
        Some((_, "")) => return ("zone must be a non-empty string", ""),
        Some((start, _)) => start,
        None => text,
    };
    let mut elided = rest.starts_with("::");
    if elided {
        rest = &rest[2..];
    }
    let mut count = 0;
    while count < 8 {
        let length = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        if length > 4 {
            return ("each group must have 4 or less digits", rest);
        }
        if length == 0 {
            return ("each colon-separated field must have at least one digit", rest);
        }
        if rest[length..].starts_with('.') {
            return match (elided, count) {
                (false, count) if count != 6 => {
                    ("embedded IPv4 address must replace the final 2 fields of the address", rest)
                }
                (_, 7..) => ("too many hex fields to fit an embedded IPv4 at the end of the address", rest),
                _ => quads(rest),
            };
        }
        count += 1;
        rest = &rest[length..];
        if rest.is_empty() {
            break;
        }
        let Some(next) = rest.strip_prefix(':') else { return ("unexpected character, want colon", rest) };
        if next.is_empty() {
            return ("colon must be followed by more characters", rest);
        }
        rest = next;
        if let Some(next) = rest.strip_prefix(':') {
            if elided {
                return ("multiple :: in address", rest);
            }
            (elided, rest) = (true, next);
            if rest.is_empty() {
                break;
            }
        }
    }
    match (rest, elided) {
        ("", true) => ("the :: must expand to at least one field of zeros", ""),
        ("", false) => ("address string too short", ""),
        (rest, _) => ("trailing garbage after address", rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_go_says() {
        for (text, want) in [
            ("", r#"ParseAddr(""): unable to parse IP"#),
            ("1.2.3", r#"ParseAddr("1.2.3"): IPv4 address too short"#),
            ("1.2.3.", r#"ParseAddr("1.2.3."): IPv4 field must have at least one digit (at ".")"#),
            ("1.2.3.4.5", r#"ParseAddr("1.2.3.4.5"): IPv4 address too long"#),
            ("256.1.1.1", r#"ParseAddr("256.1.1.1"): IPv4 field has value >255"#),
            ("1.2.3.04", r#"ParseAddr("1.2.3.04"): IPv4 field has octet with leading zero"#),
            ("1:2", r#"ParseAddr("1:2"): address string too short"#),
            ("1::2::3", r#"ParseAddr("1::2::3"): multiple :: in address (at ":3")"#),
            (":1", r#"ParseAddr(":1"): each colon-separated field must have at least one digit (at ":1")"#),
            ("12345::", r#"ParseAddr("12345::"): each group must have 4 or less digits (at "12345::")"#),
            ("1:2:3:4:5:6:7:8:9", r#"ParseAddr("1:2:3:4:5:6:7:8:9"): trailing garbage after address (at "9")"#),
            ("%eth0", r#"ParseAddr("%eth0"): missing IPv6 address"#),
        ] {
            assert_eq!(address(text), want);
        }
        for (text, want) in [
            ("10.0.0.0", r#"netip.ParsePrefix("10.0.0.0"): no '/'"#),
            ("10.0.0.0/33", r#"netip.ParsePrefix("10.0.0.0/33"): prefix length out of range"#),
            ("10.0.0.0/08", r#"netip.ParsePrefix("10.0.0.0/08"): bad bits after slash: "08""#),
            ("/8", r#"netip.ParsePrefix("/8"): ParseAddr(""): unable to parse IP"#),
            ("fe80::1%a/8", r#"netip.ParsePrefix("fe80::1%a/8"): IPv6 zones cannot be present in a prefix"#),
        ] {
            assert_eq!(range(text), want);
        }
    }
}
