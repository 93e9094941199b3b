//! Text in the making: indented lines whose cells are divided by tabs.
//!
//! Upstream: `PrefixWriter` of `kubectl/pkg/describe`. A write is one of upstream's writes, since each begins with
//! the indentation of what it is nested in, also in the middle of a line.

use crate::print::tabs;
use apimachinery::{Map, Value};
use jiff::Timestamp;
use std::fmt::Display;

/// Longest annotation that stands on the line of its key.
const MAX_ANNOTATION: usize = 140;

/// A description in the making.
pub(super) struct Sections {
    text: String,
    nesting: usize,
    /// What ages are counted from.
    pub(super) now: Timestamp,
}

impl Sections {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { text: String::new(), nesting: 0, now }
    }

    /// The text as it was written.
    pub(super) fn tabbed(self) -> String {
        self.text
    }

    /// The text with its columns aligned.
    pub(super) fn aligned(self) -> String {
        tabs::align(&self.text, 0, 2)
    }

    /// Text at a level of indentation; it may hold tabs and line breaks.
    pub(super) fn write(&mut self, level: usize, text: impl Display) {
        self.text.extend(std::iter::repeat_n("  ", level + self.nesting));
        // A terminal must not act on what an object says.
        self.text.push_str(&crate::print::harmless(&text.to_string().replace('\r', "\\r")));
    }

    /// A line at a level of indentation.
    pub(super) fn line(&mut self, level: usize, text: impl Display) {
        self.write(level, format_args!("{text}\n"));
    }

    /// `Title:` and a value in the next column.
    pub(super) fn field(&mut self, level: usize, title: &str, value: impl Display) {
        self.write(level, format_args!("{title}:\t{value}\n"));
    }

    /// The same, if there is a value.
    pub(super) fn field_if(&mut self, level: usize, title: &str, value: &str) {
        if !value.is_empty() {
            self.field(level, title, value);
        }
    }

    /// The head of a table with a line below it.
    pub(super) fn head(&mut self, level: usize, titles: &[&str]) {
        let dashes: Vec<String> = titles.iter().map(|title| "-".repeat(title.len())).collect();
        self.line(level, titles.join("\t"));
        self.line(level, dashes.join("\t"));
    }

    /// What `write` does inside is so many levels deeper.
    pub(super) fn nested(&mut self, levels: usize, write: impl FnOnce(&mut Self)) {
        self.nesting += levels;
        write(self);
        self.nesting -= levels;
    }

    /// `Title:`, then one line for each text; `<none>` without any.
    pub(super) fn multiline(&mut self, title: &str, texts: impl IntoIterator<Item = impl Display>) {
        self.multiline_indented("", title, texts);
    }

    /// The same behind an indentation of its own.
    pub(super) fn multiline_indented(
        &mut self,
        indent: &str,
        title: &str,
        texts: impl IntoIterator<Item = impl Display>,
    ) {
        self.write(0, format_args!("{indent}{title}:\t"));
        let mut texts = texts.into_iter().peekable();
        if texts.peek().is_none() {
            self.line(0, "<none>");
        }
        for (i, text) in texts.enumerate() {
            if i > 0 {
                self.write(0, indent);
                self.write(0, "\t");
            }
            self.line(0, text);
        }
    }

    /// Labels or the like, one a line.
    pub(super) fn labels(&mut self, title: &str, labels: Option<&Map>) {
        self.multiline(title, equations(labels));
    }

    /// Annotations: long ones below their key, and without what `apply` keeps for itself.
    pub(super) fn annotations(&mut self, title: &str, annotations: Option<&Map>) {
        self.write(0, format_args!("{title}:\t"));
        let mut shown =
            annotations.into_iter().flatten().filter(|(key, _)| *key != crate::apply::LAST_APPLIED).peekable();
        if shown.peek().is_none() {
            self.line(0, "<none>");
        }
        for (i, (key, value)) in shown.enumerate() {
            if i > 0 {
                self.write(0, "\t");
            }
            let value = value.as_str().unwrap_or_default();
            let value = value.strip_suffix('\n').unwrap_or(value);
            if value.len() + key.len() + 2 <= MAX_ANNOTATION && !value.contains('\n') {
                self.line(0, format_args!("{key}: {value}"));
                continue;
            }
            self.line(0, format_args!("{key}:"));
            for line in value.split('\n') {
                self.line(0, format_args!("\t  {}", shortened(line, MAX_ANNOTATION - 2)));
            }
        }
    }
}

/// `key=value` of each entry.
pub(super) fn equations(map: Option<&Map>) -> impl Iterator<Item = String> {
    map.into_iter().flatten().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
}

/// `a=b,c=d`, or `<none>`.
pub(super) fn joined(map: Option<&Map>) -> String {
    or_none(equations(map).collect::<Vec<_>>().join(","))
}

/// `<none>` for nothing.
pub(super) fn or_none(text: impl Into<String>) -> String {
    let text = text.into();
    if text.is_empty() { "<none>".into() } else { text }
}

/// At most so many bytes, and dots for what is cut off.
pub(super) fn shortened(text: &str, length: usize) -> String {
    match text.len() > length {
        true => format!("{}...", &text[..text.floor_char_boundary(length)]),
        false => text.to_owned(),
    }
}

/// `True` or `False`.
pub(super) fn yes(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}

/// A value that may be absent.
pub(super) fn or_unset(value: Option<&Value>) -> String {
    value.map_or_else(|| "<unset>".into(), shown)
}

/// A value as Go's `%v` prints it.
pub(super) fn shown(value: &Value) -> String {
    crate::print::template::print(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn annotations_that_are_long_stand_below_their_key() {
        let mut out = Sections::new(Timestamp::UNIX_EPOCH);
        let long = "x".repeat(150);
        let annotations = json!({"a": "b", "lines": "1\n2\n", "long": long, crate::apply::LAST_APPLIED: "{}"});
        out.annotations("Annotations", annotations.as_object());
        let want = format!(
            "Annotations:  a: b\n              lines:\n                1\n                2\n              long:\n                {}...\n",
            "x".repeat(138)
        );
        assert_eq!(out.aligned(), want);
    }

    #[test]
    fn what_is_nested_is_indented_at_each_write() {
        let mut out = Sections::new(Timestamp::UNIX_EPOCH);
        out.nested(1, |out| out.labels("Labels", None));
        out.field(1, "Escape", "\u{1b}[1m");
        assert_eq!(out.aligned(), "  Labels:    <none>\n  Escape:  ^[[1m\n");
    }
}
