//! Amounts that are a number or a percentage of something.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Which way a percentage that is no whole number goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Towards more.
    Up,
    /// Towards less.
    Down,
}

/// What the amount is of `total`; `None` if it is neither a number nor a percentage.
pub fn resolve(amount: &IntOrString, total: i32, round: Round) -> Option<i32> {
    let percent: i64 = match amount {
        IntOrString::Int(number) => return Some(*number),
        IntOrString::String(text) => text.strip_suffix('%')?.parse().ok()?,
    };
    let product = percent.checked_mul(i64::from(total))?;
    let rounded = match round {
        Round::Up => product.div_euclid(100) + i64::from(product.rem_euclid(100) != 0),
        Round::Down => product.div_euclid(100),
    };
    i32::try_from(rounded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let text = |t: &str| IntOrString::String(t.into());
        let table = [
            (IntOrString::Int(3), 10, Round::Up, Some(3)),
            (text("25%"), 10, Round::Up, Some(3)),
            (text("25%"), 10, Round::Down, Some(2)),
            (text("0%"), 10, Round::Up, Some(0)),
            (text("100%"), 7, Round::Down, Some(7)),
            (text("seven"), 7, Round::Down, None),
            (text("7"), 7, Round::Down, None),
        ];
        for (amount, total, round, expected) in table {
            assert_eq!(resolve(&amount, total, round), expected, "{amount:?} of {total}");
        }
    }
}
