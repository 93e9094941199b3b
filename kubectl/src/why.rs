//! Why an object is as it is: status, conditions, events and what belongs to the object, joined to
//! a few sentences, each with the evidence it rests on. Upstream has no such command.
//!
//! Everything here is a function of objects that were fetched before.

mod claim;
mod events;
mod namespace;
mod node;
mod pod;
mod service;

pub use claim::explain as claim;
pub use namespace::explain as namespace;
pub use node::explain as node;
pub use pod::explain as pod;
pub use service::explain as service;

use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::fmt::Write as _;

/// One reason, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// A sentence.
    pub text: String,
    /// Where it is written.
    pub evidence: Vec<String>,
}

/// What is to be said about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// How it is.
    pub state: String,
    /// Why.
    pub reasons: Vec<Reason>,
}

impl Explanation {
    fn new(state: impl Into<String>) -> Self {
        Self { state: state.into(), reasons: Vec::new() }
    }

    fn because(&mut self, text: impl Into<String>, evidence: impl IntoIterator<Item = String>) {
        self.reasons.push(Reason { text: text.into(), evidence: evidence.into_iter().collect() });
    }

    /// The text for people.
    pub fn text(&self, subject: &str) -> String {
        let mut text = format!("{}.\n", crate::print::harmless(&format!("{subject} {}", self.state)));
        for reason in &self.reasons {
            let _ = writeln!(text, "- {}", crate::print::harmless(&reason.text));
            for line in &reason.evidence {
                let _ = writeln!(text, "    {}", crate::print::harmless(line.trim()).replace('\n', "\n    "));
            }
        }
        text
    }
}

/// A string below an object.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A condition of a type.
fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|c| c["type"] == kind)
}

/// `condition Ready=False (KubeletNotReady): message`.
fn shown(condition: &Value) -> String {
    let part = |key: &str, lead: &str, tail: &str| match text(condition, key) {
        "" => String::new(),
        found => format!("{lead}{found}{tail}"),
    };
    format!(
        "condition {}={}{}{}",
        text(condition, "/type"),
        text(condition, "/status"),
        part("/reason", " (", ")"),
        part("/message", ": ", "")
    )
}

/// What keeps an object that is being deleted.
fn deletion(object: &Value, explanation: &mut Explanation) {
    let since = object.meta_str("deletionTimestamp");
    if since.is_empty() {
        return;
    }
    let finalizers = object.finalizers();
    let evidence = [format!("metadata.deletionTimestamp: {since}")];
    match finalizers.is_empty() {
        true => explanation.because("it is being deleted, and its grace period is not over", evidence),
        false => {
            let names = finalizers.join(", ");
            let owners = format!("metadata.finalizers: {names}");
            explanation.because(
                format!("it is being deleted, and waits for whoever is to remove: {names}"),
                evidence.into_iter().chain([owners]),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn deletions_wait_for_finalizers() {
        let object = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}});
        let mut explanation = Explanation::new("is Terminating");
        deletion(&object, &mut explanation);
        assert_eq!(
            explanation.text("pod/x"),
            "pod/x is Terminating.\n- it is being deleted, and waits for whoever is to remove: a/b\n    metadata.deletionTimestamp: 2026-01-01T00:00:00Z\n    metadata.finalizers: a/b\n"
        );
    }
}
