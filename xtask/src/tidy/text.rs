//! Text that does not belong into the tree.

use super::{Finding, Source};

/// Lines of code past which a file wants to be a folder.
const MAX_LINES: usize = 900;

/// Macros that mark unfinished work. Spelled in halves, so that this file passes.
const UNFINISHED: &[&str] = &[concat!("to", "do!("), concat!("unimple", "mented!(")];

/// Finds unfinished code, over-long files, `mod`s without a purpose, and unreadable white space.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().filter(|s| s.path.ends_with(".rs")).flat_map(judge).collect()
}

fn judge(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |what: String| findings.push(Finding { file: source.path.clone(), what });
    for word in UNFINISHED {
        if source.text.contains(word) {
            report(format!("contains {word}…)"));
        }
    }
    let lines = source.text.lines().count();
    if lines > MAX_LINES {
        report(format!("has {lines} lines: past {MAX_LINES} a file wants to become a folder"));
    }
    // A module of tests is named after what it tests.
    let is_tests = source.path.ends_with("tests.rs") || source.path.contains("/tests/");
    if !is_tests && !source.text.starts_with("//!") && !source.text.starts_with("#!") {
        report("does not open with //! and its purpose".to_owned());
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> usize {
        check(&[Source { path: "a.rs".into(), text: text.into() }]).len()
    }

    #[test]
    fn finds_what_does_not_belong() {
        assert_eq!(findings("//! Purpose.\nfn main() {}\n"), 0);
        assert_eq!(findings("fn main() {}\n"), 1);
        assert_eq!(findings(&format!("//! Purpose.\nfn main() {{ {}) }}\n", UNFINISHED[0])), 1);
        assert_eq!(findings(&format!("//! Purpose.\n{}", "\n".repeat(MAX_LINES))), 1);
    }
}
