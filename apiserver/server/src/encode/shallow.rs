//! Finding an object's metadata in its JSON without parsing the rest.

use std::ops::Range;

/// Where the value of the top-level member `metadata` stands. The bytes come from our own
/// encoder: compact and well-formed. `None` if they are not, or there is no such member.
pub(super) fn metadata(json: &[u8]) -> Option<Range<usize>> {
    let mut at = 1;
    if json.first() != Some(&b'{') {
        return None;
    }
    while json.get(at) == Some(&b'"') {
        let key_end = string_end(json, at)?;
        if json.get(key_end) != Some(&b':') {
            return None;
        }
        let end = value_end(json, key_end + 1)?;
        if &json[at..key_end] == b"\"metadata\"" {
            return Some(key_end + 1..end);
        }
        at = end + 1;
    }
    None
}

/// The end of the string that begins at `start` with its quote.
fn string_end(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        match json[at] {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// The end of the value that begins at `start`.
fn value_end(json: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0usize);
    loop {
        match json.get(at)? {
            b'"' => at = string_end(json, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b',' if depth == 0 => return Some(at),
            _ => at += 1,
        }
        if depth == 0 && matches!(json.get(at), None | Some(b',' | b'}')) {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_metadata_wherever_it_stands() {
        for (json, want) in [
            (r#"{"kind":"Pod","metadata":{"name":"a","x":[1,{}]},"spec":{}}"#, Some(r#"{"name":"a","x":[1,{}]}"#)),
            (r#"{"data":{"metadata":"no","}":"\"{"},"metadata":{"name":"}\\"}}"#, Some(r#"{"name":"}\\"}"#)),
            (r#"{"a":1,"b":null,"c":[],"metadata":{}}"#, Some("{}")),
            (r#"{"spec":{"metadata":{"name":"x"}}}"#, None),
            ("{}", None),
            ("", None),
            (r#"{"metadata"#, None),
            (r#"{"a":"\"#, None),
        ] {
            let got = metadata(json.as_bytes()).map(|r| &json[r]);
            assert_eq!(got, want, "{json}");
        }
    }
}
