//! Named formats of strings.
//!
//! Upstream: `apiserver/pkg/cel/library/format.go`, `apimachinery/pkg/util/validation`.

use super::{Function, global, member, text};
use crate::cost::matching;
use crate::estimate::calls::{PATTERN, WALK};
use crate::value::Value;
use crate::{Budget, EvalError};
use regex::Regex;
use std::sync::LazyLock;

/// A format: what a string has to look like.
#[derive(Debug)]
pub struct Format {
    name: &'static str,
    /// The most characters, where there is a limit.
    longest: Option<usize>,
    pattern: LazyLock<Regex>,
    /// What is said of others.
    wrong: &'static str,
    /// What upstream takes the length of its pattern for.
    length: u64,
}

/// A pattern of this table, anchored; a test reads them all.
macro_rules! format {
    ($name:literal, $longest:expr, $length:literal, $pattern:literal, $wrong:literal) => {
        Format {
            name: $name,
            longest: $longest,
            pattern: LazyLock::new(|| Regex::new(concat!("^(?:", $pattern, ")$")).expect("tested")),
            wrong: $wrong,
            length: $length,
        }
    };
}

static FORMATS: [Format; 13] = [
    format!(
        "dns1123Label",
        Some(63),
        30,
        "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    ),
    format!(
        "dns1123Subdomain",
        Some(253),
        60,
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    ),
    format!(
        "dns1035Label",
        Some(63),
        30,
        "[a-z]([-a-z0-9]*[a-z0-9])?",
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
    ),
    format!(
        "dns1123LabelPrefix",
        Some(63),
        30,
        "[a-z0-9]([-a-z0-9]*[a-z0-9])?-?",
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    ),
    format!(
        "dns1123SubdomainPrefix",
        Some(253),
        60,
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*-?",
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
    ),
    format!(
        "dns1035LabelPrefix",
        Some(63),
        30,
        "[a-z]([-a-z0-9]*[a-z0-9])?-?",
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character"
    ),
    format!(
        "qualifiedName",
        None,
        60,
        r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)",
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    ),
    format!(
        "labelValue",
        Some(63),
        40,
        "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    ),
    format!("uri", None, 1103, r"([A-Za-z][A-Za-z0-9+.\-]*:|/)[^\s]*", "invalid URI for request"),
    format!(
        "uuid",
        None,
        70,
        "[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}",
        "does not match the UUID format"
    ),
    format!("byte", None, 84, "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", "invalid base64"),
    format!("date", None, 71, "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", "invalid date"),
    format!(
        "datetime",
        None,
        71,
        r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?([Zz]|[+-][0-9]{2}:?[0-9]{2})",
        "invalid datetime"
    ),
];

const MAKE: &[&str] = &["-> format"];

/// The longest pattern that upstream has for a format.
const LONGEST_PATTERN: f64 = 128.0;

pub(super) const FUNCTIONS: &[Function] = &[
    global("format.named", &["string -> optional(format)"], |a, _| {
        let name = text(a, 0)?;
        Ok(find(name).map_or(Value::Optional(None), |format| Value::some(Value::Format(format))))
    }),
    member("validate", &["format, string -> optional(list(string))"], validate)
        .estimated(|asked| asked.size(1).scaled(WALK).scaled(LONGEST_PATTERN * PATTERN).into())
        .metered(|used| match used.arguments.first() {
            Some(Value::Format(format)) => matching(used.size(1), format.length),
            _ => 1,
        }),
    global("format.dns1123Label", MAKE, |_, _| known("dns1123Label")),
    global("format.dns1123Subdomain", MAKE, |_, _| known("dns1123Subdomain")),
    global("format.dns1035Label", MAKE, |_, _| known("dns1035Label")),
    global("format.dns1123LabelPrefix", MAKE, |_, _| known("dns1123LabelPrefix")),
    global("format.dns1123SubdomainPrefix", MAKE, |_, _| known("dns1123SubdomainPrefix")),
    global("format.dns1035LabelPrefix", MAKE, |_, _| known("dns1035LabelPrefix")),
    global("format.qualifiedName", MAKE, |_, _| known("qualifiedName")),
    global("format.labelValue", MAKE, |_, _| known("labelValue")),
    global("format.uri", MAKE, |_, _| known("uri")),
    global("format.uuid", MAKE, |_, _| known("uuid")),
    global("format.byte", MAKE, |_, _| known("byte")),
    global("format.date", MAKE, |_, _| known("date")),
    global("format.datetime", MAKE, |_, _| known("datetime")),
];

fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// Whether a text has a format.
pub(super) fn fits(name: &str, text: &str) -> bool {
    find(name).is_some_and(|format| {
        format.longest.is_none_or(|longest| text.len() <= longest) && format.pattern.is_match(text)
    })
}

fn known<'a>(name: &str) -> Result<Value<'a>, EvalError> {
    find(name).map(Value::Format).ok_or(EvalError::NoOverload)
}

fn validate<'a>(a: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, EvalError> {
    let Value::Format(format) = &a[0] else { return Err(EvalError::NoOverload) };
    let subject = text(a, 1)?;
    budget.charge_walk(subject.len().saturating_mul(10))?;
    let mut wrong = Vec::new();
    if let Some(longest) = format.longest.filter(|longest| subject.len() > *longest) {
        wrong.push(Value::text(std::format!("must be no more than {longest} bytes")));
    }
    if !format.pattern.is_match(subject) {
        wrong.push(Value::text(format.wrong));
    }
    Ok(if wrong.is_empty() { Value::Optional(None) } else { Value::some(Value::list(wrong)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_compile_and_match() {
        for format in &FORMATS {
            assert!(!format.pattern.is_match("\u{0}"), "{}", format.name);
        }
        for (name, text, want) in [
            ("dns1123Label", "a-b", true),
            ("dns1123Label", "a.b", false),
            ("qualifiedName", "example.com/Name_1", true),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000", true),
            ("datetime", "2021-01-01T00:00:00Z", true),
            ("date", "2021-13-01", false),
        ] {
            assert_eq!(find(name).is_some_and(|f| f.pattern.is_match(text)), want, "{name} {text}");
        }
    }
}
