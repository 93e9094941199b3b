//! Which plain scalars YAML 1.1 reads as something else than a string.

/// Whether the text must be quoted to stay a string.
pub(super) fn needs_quotes(text: &str) -> bool {
    is_word(text) || is_number(text) || is_timestamp(text) || is_base_sixty(text)
}

fn is_word(text: &str) -> bool {
    let words = [
        "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "n",
        "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", ".nan", ".NaN", ".NAN", ".inf", ".Inf",
        ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
    ];
    words.contains(&text)
}

fn is_number(text: &str) -> bool {
    let Some(first) = text.bytes().next() else { return false };
    match first {
        b'.' => is_float(text),
        b'+' | b'-' | b'0'..=b'9' => {
            let plain = text.replace('_', "");
            is_integer(&plain) || is_float(&plain)
        }
        _ => false,
    }
}

/// What Go's `ParseInt` with base 0 takes, within 64 bits.
fn is_integer(text: &str) -> bool {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return false;
    }
    match u64::from_str_radix(digits, radix) {
        Ok(value) => !negative || value <= 1 << 63,
        Err(_) => false,
    }
}

fn is_float(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let exponent_is_fine = exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)));
    let mantissa_is_fine = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    // What overflows is no number for Go.
    exponent_is_fine && mantissa_is_fine && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `2001-2-3`, with a time behind `T`, `t` or a blank.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((&text[at..=at], &text[at + 1..]))),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let short = |text: &str| matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
    if !short(month) || !short(day) {
        return false;
    }
    let number = |text: &str| text.parse::<i16>().unwrap_or(-1);
    let (month, day) = (number(month) as i8, number(day) as i8);
    if jiff::civil::Date::new(number(year), month, day).is_err() {
        return false;
    }
    time.is_none_or(|(separator, time)| is_time(time, separator != " "))
}

/// `15:4:5.999` with a zone if there must be one.
fn is_time(text: &str, zoned: bool) -> bool {
    let (clock, zone) = match text.find(['Z', '+', '-']) {
        Some(at) => (&text[..at], &text[at..]),
        None => (text, ""),
    };
    let zone_is_fine = match (zoned, zone.as_bytes()) {
        (false, zone) => zone.is_empty(),
        (true, b"Z") => true,
        (true, [b'+' | b'-', a, b, b':', c, d]) => [a, b, c, d].iter().all(|x| x.is_ascii_digit()),
        _ => false,
    };
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let limits = [24u8, 60, 60];
    let parts: Vec<&str> = whole.split(':').collect();
    zone_is_fine
        && !fraction.is_empty()
        && fraction.bytes().all(|b| b.is_ascii_digit())
        && parts.len() == 3
        && parts.iter().zip(limits).all(|(part, limit)| part.len() <= 2 && part.parse::<u8>().is_ok_and(|n| n < limit))
}

/// `1:30`: a number in old YAML, which others may still read so.
fn is_base_sixty(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let first_is_fine =
        first.starts_with(|c: char| c.is_ascii_digit()) && first.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let sixtieth = |part: &str| match part.as_bytes() {
        [a] => a.is_ascii_digit(),
        [b'0'..=b'5', b] => b.is_ascii_digit(),
        _ => false,
    };
    let rest: Vec<&str> = parts.collect();
    first_is_fine
        && !rest.is_empty()
        && rest.into_iter().all(sixtieth)
        && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::needs_quotes;

    #[test]
    fn quotes_what_is_no_string() {
        for text in [
            "",
            "y",
            "No",
            "on",
            "null",
            "~",
            "1",
            "-1",
            "+1",
            "0x1f",
            "0b1",
            "017",
            "1_000",
            "1.5",
            ".5",
            "1e3",
            "5.",
            ".inf",
            "2001-01-02",
            "2001-01-02T03:04:05Z",
            "2001-1-2 3:4:5",
            "1:30",
            "12:30:45",
            "18446744073709551615",
        ] {
            assert!(needs_quotes(text), "{text:?}");
        }
    }

    #[test]
    fn leaves_strings_alone() {
        for text in [
            "a",
            "yess",
            "1.2.3",
            "10.0.0.1",
            "v1",
            "1a",
            "100m",
            "5s",
            "-",
            "2001-13-02",
            "2001-01-02x",
            "1:61",
            "a:1",
            "0x",
            "1e",
            "a_1",
            "0.0.0.0/0",
            "<<",
            "2001-01-02T03:04:05",
        ] {
            assert!(!needs_quotes(text), "{text:?}");
        }
    }
}
