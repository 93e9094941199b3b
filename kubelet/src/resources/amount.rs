//! Quantities as exact numbers of nano units.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// An amount in nano units. Ordered and added by value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

const NANO: i128 = 1_000_000_000;

impl Amount {
    /// Whole units.
    pub fn whole(units: i64) -> Self {
        Self(i128::from(units) * NANO)
    }

    /// Thousandths.
    pub fn milli(thousandths: i64) -> Self {
        Self(i128::from(thousandths) * (NANO / 1000))
    }

    /// Reads a quantity such as `100m`, `1.5`, `64Mi` or `1e3`. `None` if it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let split = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
        let (digits, suffix) = text.split_at(split);
        if digits.is_empty() || text.len() > 64 {
            return None;
        }
        let (numerator, denominator) = suffix_scale(suffix)?;
        let (mantissa, places) = decimal(digits)?;
        let scaled = mantissa.checked_mul(NANO)?.checked_mul(numerator)?;
        Some(Self(div_ceil(scaled, denominator.checked_mul(10_i128.checked_pow(places)?)?)))
    }

    /// The amount of a wire quantity; malformed ones count as nothing.
    pub fn of(quantity: &Quantity) -> Self {
        Self::parse(&quantity.0).unwrap_or_default()
    }

    /// Whole units, rounded up.
    pub fn value(self) -> i64 {
        clamp(div_ceil(self.0, NANO))
    }

    /// Thousandths, rounded up.
    pub fn milli_value(self) -> i64 {
        clamp(div_ceil(self.0, NANO / 1000))
    }

    /// How often `divisor` goes into it, rounded up.
    pub fn divide_up(self, divisor: Self) -> i64 {
        clamp(div_ceil(self.0, divisor.0.max(1)))
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Amount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| a + b)
    }
}

fn decimal(digits: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let joined = format!("{whole}{fraction}");
    if fraction.len() > 18 || joined.is_empty() {
        return None;
    }
    Some((joined.parse().ok()?, u32::try_from(fraction.len()).ok()?))
}

fn suffix_scale(suffix: &str) -> Option<(i128, i128)> {
    let binary = |power: u32| Some((1024_i128.pow(power), 1));
    let decimal = |power: u32| Some((10_i128.pow(power), 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, NANO)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => exponent(suffix),
    }
}

fn exponent(suffix: &str) -> Option<(i128, i128)> {
    let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let scale = 10_i128.pow(power.unsigned_abs().min(18));
    Some(if power < 0 { (1, scale) } else { (scale, 1) })
}

fn div_ceil(a: i128, b: i128) -> i128 {
    let quotient = a.div_euclid(b);
    if a.rem_euclid(b) == 0 { quotient } else { quotient + 1 }
}

fn clamp(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_suffix() {
        for (text, value, milli) in [
            ("0", 0, 0),
            ("100m", 1, 100),
            ("1.5", 2, 1500),
            ("64Mi", 67_108_864, 67_108_864_000),
            ("1e3", 1000, 1_000_000),
            ("1E", 1_000_000_000_000_000_000, i64::MAX),
            ("2k", 2000, 2_000_000),
            ("1n", 1, 1),
            ("-1", -1, -1000),
        ] {
            let a = Amount::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((a.value(), a.milli_value()), (value, milli), "{text}");
        }
    }

    #[test]
    fn refuses_nonsense() {
        for text in ["", "m", "1x", "1.2.3", "--1", "1e", "Ki"] {
            assert!(Amount::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn divides_upwards() {
        let mib = Amount::parse("1Mi").unwrap();
        assert_eq!(Amount::parse("65536Ki").unwrap().divide_up(mib), 64);
        assert_eq!(Amount::milli(1500).divide_up(Amount::whole(1)), 2);
    }
}
