//! Paths that rules name: `.spec.list` or `.map['key']`, through members that the schema has.
//!
//! Upstream: `ValidFieldPath` in `apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go`.

use apimachinery::Value;
use rules::tree::Tree;

/// Whether a path leads to something that the schema has.
pub(super) fn is_valid(schema: &Value, path: &str) -> bool {
    let (mut at, mut rest) = (Some(schema), path);
    while let Some((name, after)) = step(rest) {
        let Some(next) = at.and_then(|schema| below(schema, &name)) else { return false };
        (at, rest) = (next, after);
    }
    rest.is_empty()
}

/// The first name of a path and what is after it; `None` if there is none.
fn step(path: &str) -> Option<(String, &str)> {
    if let Some(rest) = path.strip_prefix('.') {
        let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
        // After a dot, a delimiter is a name as well.
        let end = if end == 0 { rest.chars().next()?.len_utf8() } else { end };
        return Some((rest[..end].to_owned(), &rest[end..]));
    }
    let rest = path.strip_prefix("['")?;
    let mut name = String::new();
    let mut chars = rest.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '\'' => return Some((name, rest[index + 1..].strip_prefix(']')?)),
            '\\' => name.push(chars.next()?.1),
            c => name.push(c),
        }
    }
    None
}

/// The schema below a name; `Some(None)` if it may be anything.
fn below<'a>(schema: &'a Value, name: &str) -> Option<Option<&'a Value>> {
    if schema.has("properties") {
        return Some(Some(schema.object("properties")?.get(name)?));
    }
    let additional = schema.at("additionalProperties")?;
    Some(Some(additional).filter(|additional| additional.is_object()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths() {
        let schema = json!({"properties": {"a": {"additionalProperties": {"properties": {"b c": {}}}}, "d": {}}});
        for good in [".a", "['a']", ".a.x", ".a['x']['b c']", ".d"] {
            assert!(is_valid(&schema, good), "{good}");
        }
        for bad in ["a", ".", ".x", "..a", ".a.", ".d.e", "[a]", "['a'", ".a]", "/a", " .a"] {
            assert!(!is_valid(&schema, bad), "{bad}");
        }
    }
}
