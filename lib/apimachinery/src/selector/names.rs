//! What label keys and values look like.
//!
//! Upstream: `apimachinery/pkg/util/validation/validation.go`.

const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
                     and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or \
                     '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
                         '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used \
                         for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// What is wrong with a label key: an optional DNS prefix, a slash, and a name of at most 63
/// letters. Nothing if it is right.
pub fn label_key_errors(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let (prefix, name) = match key.split_once('/') {
        None => (None, key),
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a valid label key {NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => (Some(prefix), name),
    };
    match prefix {
        Some("") => errors.push("prefix part must be non-empty".into()),
        Some(prefix) => errors.extend(subdomain_errors(prefix).into_iter().map(|e| format!("prefix part {e}"))),
        None => {}
    }
    if name.is_empty() {
        errors.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        errors.push("name part must be no more than 63 bytes".into());
    }
    if !is_name(name) {
        errors.push(format!("name part {NAME}"));
    }
    errors
}

/// What is wrong with a label value: empty, or at most 63 letters. Nothing if it is right.
pub fn label_value_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > 63 {
        errors.push("must be no more than 63 bytes".into());
    }
    if !value.is_empty() && !is_name(value) {
        errors.push(VALUE.into());
    }
    errors
}

fn subdomain_errors(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > 253 {
        errors.push("must be no more than 253 bytes".into());
    }
    let is_part = |part: &str| {
        let letters = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        letters && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    if !text.split('.').all(is_part) {
        errors.push(SUBDOMAIN.into());
    }
    errors
}

fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let is_letter = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values() {
        for key in ["a", "a.b-c_d", "example.com/Name", "a/b", &"x".repeat(63)] {
            assert!(label_key_errors(key).is_empty(), "{key}");
        }
        for key in ["", "-a", "a-", "a b", "/a", "a/", "A.b/c", "a/b/c", "a..b/c", &"x".repeat(64)] {
            assert!(!label_key_errors(key).is_empty(), "{key}");
        }
        for value in ["", "a", "1.2_3-4", &"x".repeat(63)] {
            assert!(label_value_errors(value).is_empty(), "{value}");
        }
        for value in ["-", "a ", "é", "a/b", &"x".repeat(64)] {
            assert!(!label_value_errors(value).is_empty(), "{value}");
        }
    }
}
