//! What stands in the file that is edited: reasons as comments, and the objects.

use crate::print;
use anyhow::bail;
use apimachinery::Value;
use apimachinery::codec::yaml;
use serde_json::json;

/// What stands above objects.
const HEADER: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
";

/// What stands above what was applied last.
const HEADER_OF_APPLIED: &str = "# Please edit the 'last-applied-configuration' annotations below.
# Lines beginning with a '#' will be ignored, and an empty file will abort the edit.
#
";

/// The text's form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    output: Output,
    carriage_returns: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Yaml,
    Json,
    Kyaml,
}

impl Form {
    pub(super) fn of(output: &str, carriage_returns: bool) -> anyhow::Result<Self> {
        let output = match output {
            "" | "yaml" => Output::Yaml,
            "json" => Output::Json,
            "kyaml" => Output::Kyaml,
            other => bail!(
                "unable to match a printer suitable for the output format {other:?}, allowed formats are: json,kyaml,yaml"
            ),
        };
        Ok(Self { output, carriage_returns })
    }

    /// How the file's name ends.
    pub(super) fn suffix(self) -> &'static str {
        if self.output == Output::Json { ".json" } else { ".yaml" }
    }

    /// What stands above the objects, and why they must be edited again. JSON has no comments.
    pub(super) fn head(self, applied: bool, reasons: &[Reason]) -> String {
        if self.output == Output::Json {
            return String::new();
        }
        let mut text = if applied { HEADER_OF_APPLIED } else { HEADER }.to_owned();
        reasons.iter().for_each(|reason| reason.write(&mut text));
        self.lines(text)
    }

    /// The objects.
    pub(super) fn body(self, objects: &[Value]) -> String {
        let object = match objects {
            [one] => one.clone(),
            many => json!({"apiVersion": "v1", "kind": "List", "items": many, "metadata": {}}),
        };
        self.lines(match self.output {
            Output::Yaml => print::yaml(&object),
            Output::Json => print::json(&object),
            Output::Kyaml => print::kyaml(&object),
        })
    }

    fn lines(self, text: String) -> String {
        if self.carriage_returns { text.replace('\n', "\r\n") } else { text }
    }
}

/// Why a file must be edited again.
#[derive(Debug)]
pub(super) struct Reason {
    pub(super) head: String,
    pub(super) causes: Vec<String>,
}

impl Reason {
    fn write(&self, text: &mut String) {
        let colon = if self.causes.is_empty() { "" } else { ":" };
        text.push_str(&format!("# {}{colon}\n", commented(&self.head)));
        for cause in &self.causes {
            text.push_str(&format!("# * {}\n", commented(cause)));
        }
        text.push_str("#\n");
    }
}

/// A text of several lines that stays a comment.
fn commented(text: &str) -> String {
    let mut lines = text.split_inclusive('\n');
    let mut all = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        all.push_str(if line.starts_with('#') { "" } else { "# " });
        all.push_str(line);
    }
    all
}

/// A text without its lines of comments.
pub(super) fn without_comments(text: &str) -> String {
    let is_comment = |line: &str| line.trim().starts_with('#') && !line.trim().starts_with("#!");
    text.split_inclusive('\n').filter(|line| !is_comment(line)).collect()
}

/// Whether two texts say the same, comments aside.
pub(super) fn same(a: &str, b: &str) -> bool {
    match (yaml::to_value(a.as_bytes()), yaml::to_value(b.as_bytes())) {
        (Ok(a), Ok(b)) => a == b,
        (Err(_), Err(_)) => without_comments(a) == without_comments(b),
        _ => false,
    }
}

/// Whether there is anything but comments.
pub(super) fn has_lines(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A value as Go's `%#v` has it.
pub(super) fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => print::quote(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            let members: Vec<String> =
                members.into_iter().map(|(key, value)| format!("{}:{}", print::quote(key), go_syntax(value))).collect();
            format!("map[string]interface {{}}{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_in_comments() {
        let reason = Reason { head: "no\ngood".into(), causes: vec!["a: b".into(), "c".into()] };
        let mut text = String::new();
        reason.write(&mut text);
        assert_eq!(text, "# no\n# good:\n# * a: b\n# * c\n#\n");
        let form = |output| Form::of(output, true).expect("a form");
        assert!(form("yaml").head(true, &[reason]).ends_with("# * c\r\n#\r\n"));
        assert_eq!(form("json").head(false, &[]), "");
        assert!(Form::of("name", false).is_err());
    }

    #[test]
    fn comments_do_not_count() {
        assert_eq!(without_comments("# a\nb: 1\n  # c\n#!d\n"), "b: 1\n#!d\n");
        assert!(same("a: 1 # b\n", "# c\na: 1\n") && !same("a: 1", "a: 2"));
        assert!(same("a: [\n# x\n", "a: [\n") && !same("a: [", "a: ]"));
        assert!(has_lines("\n a") && !has_lines("# a\n \n"));
    }

    #[test]
    fn values_are_told_in_go() {
        let value = json!({"b": [1, null], "a": {"c": "d\n"}});
        let want = "map[string]interface {}{\"a\":map[string]interface {}{\"c\":\"d\\n\"}, \"b\":[]interface {}{1, interface {}(nil)}}";
        assert_eq!(go_syntax(&value), want);
    }
}
