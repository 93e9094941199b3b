//! What differs between two runs of the same thing: times, ages, identifiers, versions, ports and addresses by chance.

use regex::Regex;
use std::sync::LazyLock;

/// Patterns with what stands in their place. The blanks behind a cell go with it, since its column may be as wide as it.
static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        // A log's line.
        (r"(?m)^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \w+\.go:\d+\] ", "LOG "),
        // Identifiers.
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r#"("?resourceVersion"?: ?)"\d+""#, r#"$1"RV""#),
        (r"(Resource Version: +)\d+", "${1}RV"),
        (r"resourceVersion:\d+", "resourceVersion:RV"),
        // Times and ages.
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "TIME"),
        (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000", "DATE"),
        (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \+0000( UTC\b)?", "DATE"),
        (r"(?m)(^|[ \t(])(\d{1,3}[smh]){1,2}\b *", "${1}AGE"),
        // Headers of columns that are as wide as an age.
        (r"\b(AGE|Age) +", "$1"),
        // What a server picks.
        (r"127\.0\.0\.1:\d+", "SERVER"),
        (r"\b10\.111\.111\.\d{3}\b", "10.111.111.X"),
        (r"\b3[0-2]\d{3}(/TCP|/UDP)?\b", "PORT$1"),
        // Who keeps a set of applied objects.
        (r"kubectl/v1\.[\w.+-]+", "kubectl/VERSION"),
        (r"/tmp/[\w./-]+", "/tmp/X"),
    ];
    rules.into_iter().map(|(pattern, by)| (Regex::new(pattern).expect("a pattern"), by)).collect()
});

/// Text without what chance decides.
pub(crate) fn normal(text: &str) -> String {
    RULES.iter().fold(text.to_owned(), |text, (pattern, by)| pattern.replace_all(&text, *by).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_taken_out() {
        for (text, want) in [
            ("web   1/1   0   9s    x\n", "web   1/1   0   AGEx\n"),
            ("web   1/1   0   12s   x\n", "web   1/1   0   AGEx\n"),
            ("web   1/1   0   104s  x\n", "web   1/1   0   AGEx\n"),
            ("resourceVersion: \"12\"", "resourceVersion: \"RV\""),
            ("Start Time: Thu, 26 Nov 2026 15:05:04 +0000", "Start Time: DATE"),
            ("memory 64Mi 5m30s", "memory 64Mi AGE"),
            ("NAME   AGE     SELECTOR\nx      2m12s   <none>", "NAME   AGESELECTOR\nx      AGE<none>"),
            ("https://127.0.0.1:4711/api", "https://SERVER/api"),
            ("W1126 23:10:13.861635   30123 prune.go:71] no", "LOG no"),
        ] {
            assert_eq!(normal(text), want);
        }
    }
}
