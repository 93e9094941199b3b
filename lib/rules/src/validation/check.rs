//! Where a check stands in an object, and what it has found.

use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind as Kind, Path};
use apimachinery::go::{push_json_text, quoted};

/// A place in an object. It is only spelled out when something is wrong there.
#[derive(Clone, Copy)]
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Child(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> At<'a> {
    /// A member of the object itself.
    pub const fn root(name: &'a str) -> Self {
        Self { parent: None, step: Step::Child(name) }
    }

    /// Upstream names no field, which it prints as an element of nothing.
    pub const NOWHERE: At<'static> = At::root("[]");

    /// A member below this place.
    pub fn child<'b>(&'b self, name: &'b str) -> At<'b> {
        At { parent: Some(self), step: Step::Child(name) }
    }

    /// An element of the list at this place.
    pub fn index(&self, index: usize) -> At<'_> {
        At { parent: Some(self), step: Step::Index(index) }
    }

    /// An entry of the map at this place.
    pub fn key<'b>(&'b self, key: &'b str) -> At<'b> {
        At { parent: Some(self), step: Step::Key(key) }
    }

    /// The place, spelled out.
    pub fn path(&self) -> Path {
        let parent = self.parent.map(At::path).unwrap_or_default();
        match self.step {
            Step::Child(name) => parent.child(name),
            Step::Index(index) => parent.index(index),
            Step::Key(key) => parent.key(key),
        }
    }
}

/// What has been found so far.
#[derive(Default, Debug)]
pub struct Report(Vec<FieldError>);

impl From<Vec<FieldError>> for Report {
    fn from(errors: Vec<FieldError>) -> Self {
        Self(errors)
    }
}

impl Report {
    /// A value that must be there is not.
    pub fn required(&mut self, at: &At<'_>, detail: &str) {
        self.add(at, Kind::Required(detail.to_owned()));
    }

    /// A value is not what it must be.
    pub fn invalid(&mut self, at: &At<'_>, value: impl Show, detail: impl Into<String>) {
        self.add(at, Kind::Invalid(value.show(), detail.into()));
    }

    /// Something is wrong with a value that is not shown.
    pub fn invalid_whole(&mut self, at: &At<'_>, detail: &str) {
        self.add(at, Kind::Invalid(detail.to_owned(), String::new()));
    }

    /// One error for each of the findings.
    pub fn invalid_each(&mut self, at: &At<'_>, value: &str, findings: Vec<String>) {
        for finding in findings {
            self.invalid(at, value, finding);
        }
    }

    /// A value is there twice.
    pub fn duplicate(&mut self, at: &At<'_>, value: impl Show) {
        self.add(at, Kind::Duplicate(value.show()));
    }

    /// A value is there twice, and it is said what makes it the same.
    pub fn duplicate_because(&mut self, at: &At<'_>, value: impl Show, detail: &str) {
        self.add(at, Kind::Duplicate(format!("{}: {detail}", value.show())));
    }

    /// A value names something that does not exist.
    pub fn not_found(&mut self, at: &At<'_>, value: impl Show) {
        self.add(at, Kind::NotFound(value.show()));
    }

    /// As [`Self::not_found`], saying where it was looked for.
    pub fn not_found_in(&mut self, at: &At<'_>, value: impl Show, detail: &str) {
        self.add(at, Kind::NotFound(format!("{}: {detail}", value.show())));
    }

    /// A value is none of those supported.
    pub fn not_supported(&mut self, at: &At<'_>, value: impl Show, supported: &[&str]) {
        self.add(at, Kind::NotSupported(value.show(), supported.iter().map(|s| (*s).to_owned()).collect()));
    }

    /// A value must not be there.
    pub fn forbidden(&mut self, at: &At<'_>, detail: impl Into<String>) {
        self.add(at, Kind::Forbidden(detail.into()));
    }

    /// Something that only the server can mend.
    pub fn internal(&mut self, at: &At<'_>, detail: impl Into<String>) {
        self.add(at, Kind::Internal(detail.into()));
    }

    /// A text is longer than this many bytes.
    pub fn too_long(&mut self, at: &At<'_>, max: usize) {
        self.add(at, Kind::TooLong(max));
    }

    /// A list has more elements than allowed.
    pub fn too_many(&mut self, at: &At<'_>, actual: usize, max: usize) {
        self.add(at, Kind::TooMany(actual, max));
    }

    /// A text that must be there and be one of these.
    pub fn one_of(&mut self, at: &At<'_>, text: &str, supported: &[&str]) {
        match text {
            "" => self.required(at, ""),
            text => self.one_of_or_empty(at, text, supported),
        }
    }

    /// A text that must be one of these, if there is one.
    pub fn one_of_or_empty(&mut self, at: &At<'_>, text: &str, supported: &[&str]) {
        if !text.is_empty() && !supported.contains(&text) {
            self.not_supported(at, Typed(text), supported);
        }
    }

    /// A value that must not change.
    pub fn immutable(&mut self, at: &At<'_>, new: Option<&Value>, old: Option<&Value>) {
        if !same(new, old) {
            self.invalid(at, new.unwrap_or(&Value::Null), IMMUTABLE);
        }
    }

    /// The same of a value that is shown otherwise than the tree has it.
    pub fn immutable_shown(&mut self, at: &At<'_>, new: Option<&Value>, old: Option<&Value>, shown: impl Show) {
        if !same(new, old) {
            self.invalid(at, shown, IMMUTABLE);
        }
    }

    /// Whether nothing has been found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what another report has.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// The findings and those of another report.
    pub fn with(mut self, others: Vec<FieldError>) -> Vec<FieldError> {
        self.0.extend(others);
        self.0
    }

    /// The findings. What has been found twice is in the answer twice, though not in its message.
    pub fn finish(self) -> Vec<FieldError> {
        self.0
    }

    fn add(&mut self, at: &At<'_>, kind: Kind) {
        self.0.push(FieldError { path: at.path(), kind });
    }
}

/// What is said of a value that must not change.
pub const IMMUTABLE: &str = "field is immutable";

/// Whether two values are the same to upstream, where absent and empty are.
pub fn same(new: Option<&Value>, old: Option<&Value>) -> bool {
    let content = |value: Option<&Value>| value.is_some_and(|v| !crate::tree::is_empty(v));
    match (new, old) {
        (Some(Value::Object(new)), Some(Value::Object(old))) => {
            let both = new.iter().all(|(key, value)| same(Some(value), old.get(key)));
            both && old.iter().all(|(key, value)| new.contains_key(key) || !content(Some(value)))
        }
        (Some(Value::Array(new)), Some(Value::Array(old))) => {
            new.len() == old.len() && new.iter().zip(old).all(|(new, old)| same(Some(new), Some(old)))
        }
        (Some(new), Some(old)) if new == old => true,
        // An empty object can be a choice, such as `emptyDir: {}`.
        (Some(Value::Object(_)), None | Some(Value::Null)) | (None | Some(Value::Null), Some(Value::Object(_))) => {
            false
        }
        _ => !content(new) && !content(old),
    }
}

/// How upstream prints a value in a message.
pub trait Show {
    /// The text.
    fn show(&self) -> String;
}

impl Show for &str {
    fn show(&self) -> String {
        quoted(self)
    }
}

/// A text of a type of its own, such as an enumeration's: upstream prints those as JSON.
pub struct Typed<'a>(pub &'a str);

impl Show for Typed<'_> {
    fn show(&self) -> String {
        let mut json = String::new();
        push_json_text(&mut json, self.0);
        json
    }
}

/// A text that is printed as it is.
pub struct Printed(pub String);

impl Show for Printed {
    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Show for i64 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for usize {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for bool {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for &Value {
    fn show(&self) -> String {
        match self {
            Value::String(text) => text.as_str().show(),
            other => escaped(&other.to_string()),
        }
    }
}

/// A value of a type that upstream knows inside only, where JSON has Go's names for fields and leaves none out: each with
/// its name in the API and what stands for none.
pub struct Inner<'a>(pub &'a Value, pub &'a [(&'a str, &'a str, &'a str)]);

impl Show for Inner<'_> {
    fn show(&self) -> String {
        let Self(value, fields) = self;
        if value.is_null() {
            return "null".into();
        }
        let member = |(name, key, none): &(&str, &str, &str)| match value.get(*key).filter(|v| !v.is_null()) {
            Some(value) => format!("\"{name}\":{}", escaped(&value.to_string())),
            None => format!("\"{name}\":{none}"),
        };
        let members: Vec<String> = fields.iter().map(member).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// JSON as Go writes it, which spells out what HTML would read.
pub(super) fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spells_places_out() {
        let mut report = Report::default();
        let spec = At::root("spec");
        report.required(&spec.child("containers").index(1).child("name"), "");
        report.invalid(&spec.child("labels").key("a/b"), "x\"y", "bad");
        report.invalid(&spec.child("n"), &json!({"a": 1}), "bad");
        report.one_of(&spec.child("policy"), "X", &["A", "B"]);
        let texts: Vec<String> = report.finish().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.containers[1].name: Required value",
                r#"spec.labels[a/b]: Invalid value: "x\"y": bad"#,
                r#"spec.n: Invalid value: {"a":1}: bad"#,
                r#"spec.policy: Unsupported value: "X": supported values: "A", "B""#,
            ]
        );
    }

    #[test]
    fn inner_values() {
        let fields = [("Key", "key", "\"\""), ("TimeAdded", "timeAdded", "null")];
        assert_eq!(Inner(&json!({"key": "a<b"}), &fields).show(), r#"{"Key":"a\u003cb","TimeAdded":null}"#);
        assert_eq!(Inner(&Value::Null, &fields).show(), "null");
        assert_eq!((&json!(["<"])).show(), r#"["\u003c"]"#);
        assert_eq!("\u{1}\u{2028}".show(), r#""\x01\u2028""#);
    }

    #[test]
    fn sameness() {
        let eq = |a: Value, b: Value| same(Some(&a), Some(&b));
        assert!(eq(json!({"a": 1}), json!({"a": 1, "b": null, "c": []})) && eq(json!(""), json!(null)));
        assert!(!eq(json!({"a": 1}), json!({"a": 2})) && !eq(json!({"a": 1}), json!({"a": 1, "b": 0})));
        assert!(!eq(json!({"emptyDir": {}}), json!({"hostPath": {}})) && !eq(json!([1]), json!([1, 2])));
    }
}
