//! Fields that a request has no say in, so that nobody comes to manage them by it: the status on
//! the object itself, everything else on `/status`.
//!
//! Upstream: `rest.ResetFieldsStrategy`.

use super::set::FieldSet;

/// Paths of members.
pub type Paths = &'static [&'static [&'static str]];

/// The fields that a request resets: these, and all below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset(pub Paths);

impl Reset {
    /// No fields.
    pub const NOTHING: Self = Self(&[]);

    /// A set without the fields.
    pub(super) fn filter(self, mut set: FieldSet) -> FieldSet {
        self.0.iter().for_each(|path| set.remove_all(path));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::{decode, encode};
    use super::*;
    use serde_json::json;

    #[test]
    fn filters() {
        let set = || {
            let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:status": {"f:phase": {}},
                "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:resources": {"f:limits": {}}}}}});
            decode(&fields).expect("a set")
        };
        for (reset, want) in [
            (Reset(&[&["status"], &["metadata", "labels"], &["gone"]]), json!({"f:spec": encode(&set())["f:spec"]})),
            (Reset::NOTHING, encode(&set())),
        ] {
            assert_eq!(encode(&reset.filter(set())), want, "{reset:?}");
        }
    }
}
