//! `resource.Quantity`: exact decimal amounts with SI suffixes.
//!
//! Upstream: `apimachinery/pkg/api/resource/quantity.go`. Amounts are kept in nanos, as fine as
//! upstream lets them be.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

const NANO: i128 = 1_000_000_000;
/// Upstream caps amounts at 2^63-1 units.
const MAX: i128 = i64::MAX as i128 * NANO;

/// How an amount prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Powers of 1024: `Ki`, `Mi`, …
    BinarySi,
    /// Powers of 1000: `m`, `k`, `M`, …
    DecimalSi,
    /// `e3`.
    DecimalExponent,
}

/// An amount; compares by value, prints in canonical form.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Text that is not a quantity; upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not of the form.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// A point without digits.
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// An unknown suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// Whole units.
    pub fn from_units(units: i64, format: Format) -> Self {
        Self { nanos: i128::from(units) * NANO, format }
    }

    /// Thousandths of a unit.
    pub fn from_millis(millis: i64) -> Self {
        Self { nanos: i128::from(millis) * (NANO / 1000), format: Format::DecimalSi }
    }

    /// Whole units, rounded up.
    pub fn value(&self) -> i64 {
        ceil_div(self.nanos, NANO)
    }

    /// Thousandths, rounded up.
    pub fn milli_value(&self) -> i64 {
        ceil_div(self.nanos, NANO / 1000)
    }

    /// Whether the amount is zero.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Whether the amount is below zero.
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// How it prints.
    pub fn format(&self) -> Format {
        self.format
    }

    fn decimal(&self, suffixes: impl Fn(i32) -> String) -> String {
        // The largest power of 1000 that divides the amount.
        let (mut amount, mut exponent) = (self.nanos, -9);
        while amount != 0 && amount % 1000 == 0 && exponent < 18 {
            amount /= 1000;
            exponent += 3;
        }
        if amount == 0 {
            exponent = 0;
        }
        format!("{amount}{}", suffixes(exponent))
    }

    fn binary(&self) -> String {
        let small = -1024 * NANO < self.nanos && self.nanos < 1024 * NANO;
        if small || self.nanos % NANO != 0 {
            return self.decimal(|e| decimal_suffix(e).to_owned());
        }
        let (mut amount, mut power) = (self.nanos / NANO, 0);
        while amount % 1024 == 0 && power < 6 {
            amount /= 1024;
            power += 1;
        }
        format!("{amount}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power])
    }
}

fn ceil_div(amount: i128, by: i128) -> i64 {
    let (quotient, rest) = (amount / by, amount % by);
    let up = quotient + i128::from(rest > 0);
    i64::try_from(up).unwrap_or(if up > 0 { i64::MAX } else { i64::MIN })
}

fn decimal_suffix(exponent: i32) -> &'static str {
    match exponent {
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        18 => "E",
        _ => "",
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (number, suffix) = unsigned.split_at(number_length(unsigned));
        if text.is_empty() || text.len() > 256 || !is_suffix(suffix) {
            return Err(QuantityError::Form);
        }
        let (scale, format) = scale(suffix)?;
        let nanos = scaled(number, scale)?;
        Ok(Self { nanos: if text.starts_with('-') { -nanos } else { nanos }, format })
    }
}

/// How much of a text is a number: digits, and a point with digits.
fn number_length(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    match text[whole..].strip_prefix('.') {
        Some(fraction) => whole + 1 + digits(fraction),
        None => whole,
    }
}

/// Letters, a sign, digits: what the form allows after the number.
fn is_suffix(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii() && b"eEinumkKMGTP".contains(&(c as u8)));
    let rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    rest.bytes().all(|b| b.is_ascii_digit())
}

/// A power to multiply with.
enum Scale {
    Binary(u32),
    Decimal(i32),
}

fn scale(suffix: &str) -> Result<(Scale, Format), QuantityError> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|s| *s == suffix);
    if let Some(power) = binary {
        return Ok((Scale::Binary(10 * (power as u32 + 1)), Format::BinarySi));
    }
    let decimal =
        [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
    if let Some((_, power)) = decimal.iter().find(|(s, _)| *s == suffix) {
        return Ok((Scale::Decimal(*power), Format::DecimalSi));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let exponent: i32 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
    Ok((Scale::Decimal(exponent), Format::DecimalExponent))
}

/// `number` times the scale in nanos, rounded up to a nano and capped as upstream does.
fn scaled(number: &str, scale: Scale) -> Result<i128, QuantityError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if number == "." {
        return Err(QuantityError::Number);
    }
    let fraction = fraction.trim_end_matches('0');
    let whole = whole.trim_start_matches('0');
    let digits = match fraction {
        "" => Cow::Borrowed(whole),
        _ => Cow::Owned(format!("{whole}{fraction}")),
    };
    if digits.bytes().all(|b| b == b'0') {
        return Ok(0);
    }
    let (power, binary) = match scale {
        Scale::Decimal(power) => (power, 0),
        Scale::Binary(bits) => (0, bits),
    };
    let shift = i64::from(power) + 9 - fraction.len() as i64;
    if digits.len() as i64 + shift > 30 {
        return Ok(MAX);
    }
    let digits: i128 = digits.get(..38.min(digits.len())).and_then(|d| d.parse().ok()).ok_or(QuantityError::Number)?;
    let amount = match binary {
        0 => digits,
        bits => digits.checked_shl(bits).filter(|v| v >> bits == digits).unwrap_or(MAX),
    };
    Ok(shifted(amount, shift).min(MAX))
}

fn shifted(amount: i128, power: i64) -> i128 {
    let factor = |n: i64| 10_i128.checked_pow(u32::try_from(n.min(38)).unwrap_or(0));
    match power {
        0.. => factor(power).and_then(|f| amount.checked_mul(f)).unwrap_or(MAX),
        _ => match factor(-power) {
            Some(f) => amount / f + i128::from(amount % f != 0),
            None => 1,
        },
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.format {
            Format::BinarySi => self.binary(),
            Format::DecimalSi => self.decimal(|e| decimal_suffix(e).to_owned()),
            Format::DecimalExponent => self.decimal(|e| if e == 0 { String::new() } else { format!("e{e}") }),
        };
        f.write_str(&text)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl std::ops::Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos), format }
    }
}

impl std::ops::Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_sub(other.nanos), format }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_canonically() {
        for (text, want) in [
            ("0", "0"),
            ("100m", "100m"),
            ("0.1", "100m"),
            ("1", "1"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1.5", "1500m"),
            ("1024Mi", "1Gi"),
            ("1Gi", "1Gi"),
            ("0.5Gi", "512Mi"),
            ("1025Ki", "1025Ki"),
            ("512", "512"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
            ("1e3", "1e3"),
            ("1000k", "1M"),
            ("5G", "5G"),
            ("1Ki", "1Ki"),
            ("1000Ki", "1000Ki"),
            (".5", "500m"),
            ("+5", "5"),
            ("-1.5k", "-1500"),
            ("1n", "1n"),
            ("0.0000000001", "1n"),
            ("12e-1", "1200e-3"),
            ("1E3", "1e3"),
            ("2E", "2E"),
            ("100.5Mi", "102912Ki"),
            ("1.1Mi", "1153433600m"),
            ("0Mi", "0"),
            // No digits are none.
            ("Mi", "0"),
            ("-", "0"),
            ("00100", "100"),
            ("99999999999999999999", "9223372036854775807"),
        ] {
            assert_eq!(text.parse::<Quantity>().map(|q| q.to_string()), Ok(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn refuses_nonsense() {
        for text in ["", "a", "1.2.3", "1X", "1Kib", "--1", " 1", "1 ", ".", "1e", "1ee3", "1-", "1e5m"] {
            assert!(text.parse::<Quantity>().is_err(), "{text:?}");
        }
        for (text, why) in [
            ("1.2.3", QuantityError::Form),
            ("a", QuantityError::Form),
            ("1X", QuantityError::Form),
            ("1-", QuantityError::Suffix),
            ("1e", QuantityError::Suffix),
            (".", QuantityError::Number),
        ] {
            assert_eq!(text.parse::<Quantity>(), Err(why), "{text}");
        }
    }

    #[test]
    fn compares_and_computes_by_value() {
        let q = |text: &str| text.parse::<Quantity>().expect("a quantity");
        assert_eq!(q("1Gi"), q("1073741824"));
        assert!(q("1500m") > q("1") && q("-1") < q("0"));
        assert_eq!((q("500m") + q("500m")).to_string(), "1");
        assert_eq!((q("1Gi") - q("512Mi")).to_string(), "512Mi");
        assert_eq!((q("1500m").value(), q("1500m").milli_value(), q("1n").milli_value()), (2, 1500, 1));
    }
}
