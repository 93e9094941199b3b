//! Selectors as text, in the form they are parsed from.

use super::{FieldSelector, LabelSelector, Operator, Requirement};
use std::fmt;

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.requirements)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0]),
            Operator::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0]),
            Operator::In(values) => write!(f, "{key} in ({})", values.join(",")),
            Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan(bound) => write!(f, "{key}>{bound}"),
            Operator::LessThan(bound) => write!(f, "{key}<{bound}"),
        }
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |value: &str| value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=");
        let sign = |negated| if negated { "!=" } else { "=" };
        let terms: Vec<String> =
            self.terms.iter().map(|t| format!("{}{}{}", t.field, sign(t.negated), escaped(&t.value))).collect();
        joined(f, &terms)
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[impl fmt::Display]) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        write!(f, "{}{part}", if index == 0 { "" } else { "," })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_parses_to_the_same() {
        for text in ["", "a=b,c!=d,e in (f,g),h notin (i,j),k,!l,m>1,n<2"] {
            let selector = LabelSelector::parse(text).expect("valid");
            assert_eq!(selector.to_string(), text);
        }
        for text in ["", r"a=b\,c\=d\\,e!=f"] {
            assert_eq!(FieldSelector::parse(text).expect("valid").to_string(), text);
        }
    }
}
