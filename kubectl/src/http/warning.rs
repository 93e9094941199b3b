//! Warnings: what servers say beside their answers.
//!
//! Upstream: `client-go/rest/warnings.go`.

use http::{HeaderMap, header};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Warnings of the server so far.
static WARNINGS: AtomicUsize = AtomicUsize::new(0);

/// How many warnings the server gave.
pub(super) fn count() -> usize {
    WARNINGS.load(Ordering::Relaxed)
}

/// Tells what an answer warns of.
pub(super) fn tell(headers: &HeaderMap) {
    for warning in headers.get_all(header::WARNING) {
        // Texts are in UTF-8, whatever headers are.
        for text in std::str::from_utf8(warning.as_bytes()).map(warning_texts).unwrap_or_default() {
            WARNINGS.fetch_add(usize::from(warn(&text)), Ordering::Relaxed);
        }
    }
}

/// The texts of a `Warning` header: of each warning of code 299 what stands first in quotes, with quotes and
/// backslashes after backslashes. What other codes warn of is about caches.
///
/// Upstream: `apimachinery/pkg/util/net/http.go` (`ParseWarningHeader`), `client-go/rest/warnings.go`.
fn warning_texts(header: &str) -> Vec<String> {
    let (mut texts, mut rest) = (Vec::new(), header.chars());
    // Before a text, in it, or in the date that may follow it.
    while let Some((before, _)) = rest.as_str().split_once('"') {
        let told = before.trim_start_matches([',', ' ']).split(' ').next() == Some("299");
        rest = rest.as_str()[before.len() + 1..].chars();
        let mut text = String::new();
        loop {
            match rest.next() {
                Some('\\') => text.extend(rest.next()),
                Some('"') => break,
                Some(c) => text.push(c),
                None => return texts,
            }
        }
        texts.extend(Some(text).filter(|text| told && !text.is_empty()));
        if !rest.as_str().trim_start().starts_with(',') {
            // A date, if there is one, is in quotes, too.
            let _date = rest.by_ref().skip_while(|c| *c != '"').skip(1).find(|c| *c == '"');
        }
    }
    texts
}

/// `Warning:` in the colour of warnings, where a terminal has colours; each text once. Answers whether it was
/// said now.
///
/// Upstream: `client-go/rest/warnings.go` (`NewWarningWriter` with `Deduplicate`).
pub(crate) fn warn(text: &str) -> bool {
    use std::io::IsTerminal;
    static SAID: std::sync::Mutex<BTreeSet<String>> = std::sync::Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !said.insert(text.to_owned()) {
        return false;
    }
    let text = crate::print::harmless(text);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match colour && std::env::var("TERM").is_ok_and(|t| t != "dumb") {
        true => eprintln!("\u{1b}[33;1mWarning:\u{1b}[0m {text}"),
        false => eprintln!("Warning: {text}"),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_warnings() {
        for (header, want) in [
            (r#"299 - "a""#, &["a"][..]),
            (r#"299 - "say \"b\" or \\""#, &[r#"say "b" or \"#]),
            (r#"299 - "a", 299 - "b""#, &["a", "b"]),
            (r#"299 - "a" "Sat, 25 Aug 2012 23:34:45 GMT", 299 x "b""#, &["a", "b"]),
            (r#"199 - "a", 299 - """#, &[]),
            ("299 - \"cut", &[]),
            ("nonsense", &[]),
        ] {
            assert_eq!(warning_texts(header), want, "{header}");
        }
    }
}
