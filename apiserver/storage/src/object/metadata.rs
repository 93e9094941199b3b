//! Finding an object's metadata in its JSON without parsing the rest.

use std::ops::Range;

/// What most objects begin with, after `kind` and `apiVersion`.
const MEMBER: &[u8] = b"\"metadata\":";

/// Where the value of the top-level member `metadata` stands. The bytes come from our own encoder: compact, well-formed,
/// with members after `kind` and `apiVersion` from `body_at` on, and the text of `resourceVersion` at `revision_at`. Of
/// what comes before the metadata only the ends are looked for, and of the metadata itself only what follows the
/// revision, which is little, as members are sorted. `None` if the bytes are something else.
pub(super) fn find(json: &[u8], body_at: usize, revision_at: usize) -> Option<Range<usize>> {
    let mut at = body_at;
    while !json.get(at..)?.starts_with(MEMBER) {
        let key_end = string_end(json, at)?;
        at = value_end(json, key_end + 1)? + 1;
    }
    let start = at + MEMBER.len();
    // The quote before the revision begins a string.
    let mut at = string_end(json, revision_at.checked_sub(1).filter(|quote| *quote > start)?)?;
    while json.get(at) == Some(&b',') {
        let key_end = string_end(json, at + 1)?;
        at = value_end(json, key_end + 1)?;
    }
    (json.get(at) == Some(&b'}')).then_some(start..at + 1)
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
            (
                r#"{"kind":"Pod","metadata":{"name":"a","resourceVersion":"7","uid":"}"},"spec":{}}"#,
                r#"{"name":"a","resourceVersion":"7","uid":"}"}"#,
            ),
            (
                r#"{"kind":"A","data":{"metadata":"no","}":"\"{"},"metadata":{"name":"}\\","resourceVersion":"70"}}"#,
                r#"{"name":"}\\","resourceVersion":"70"}"#,
            ),
            (
                r#"{"kind":"A","a":1,"b":null,"c":[],"metadata":{"a":[{}],"resourceVersion":"","x":[1,{}],"y":{"z":2}}}"#,
                r#"{"a":[{}],"resourceVersion":"","x":[1,{}],"y":{"z":2}}"#,
            ),
        ] {
            let body_at = json.find(',').expect("a member") + 1;
            let revision_at = json.find("resourceVersion\":\"").expect("a revision") + "resourceVersion\":\"".len();
            let got = find(json.as_bytes(), body_at, revision_at).map(|range| &json[range]);
            assert_eq!(got, Some(want), "{json}");
        }
    }

    #[test]
    fn finds_nothing_in_nonsense() {
        for json in [
            "",
            "{}",
            r#"{"metadata"#,
            r#"{"a":"\"#,
            r#"{"metadata":{"resourceVersion":""#,
            r#"{"a":{},"metadata":{}}"#,
        ] {
            for at in 0..=json.len() + 1 {
                assert_eq!(find(json.as_bytes(), 1, at), None, "{json} {at}");
            }
        }
    }
}
