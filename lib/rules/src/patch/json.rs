//! JSON patches (RFC 6902), as upstream's library reads them, which takes more than the standard does: a value that is
//! not given is `null`, members that are not there can be replaced and copied, and indices count from the end if they
//! are negative.
//!
//! Upstream: `gopkg.in/evanphx/json-patch.v4`, `apiserver/pkg/endpoints/handlers/patch.go` (`jsonPatcher`).

use super::{PatchError, go_kind};
use apimachinery::Value;
use std::borrow::Cow;

/// Operations taken at most, as upstream has it.
pub const MAX_OPERATIONS: usize = 10_000;
/// What `copy` operations may add at most, in bytes of JSON, as upstream has it.
const MAX_COPIED: usize = 3 * 1024 * 1024;
/// Go's type of an operation, which its messages name.
const GO_TYPE: &str = "handlers.jsonPatchOp";

/// Applies the operations in order; all of them or none.
pub fn apply(target: Value, patch: &Value) -> Result<Value, PatchError> {
    let mut document = Document { target, copied: 0 };
    for operation in operations(patch)? {
        document.apply(&operation)?;
    }
    Ok(document.target)
}

/// One operation as it was given.
struct Operation<'a> {
    op: &'a str,
    path: Option<&'a str>,
    from: Option<&'a str>,
    value: Option<&'a Value>,
}

impl<'a> Operation<'a> {
    fn read(given: &'a Value) -> Result<Self, PatchError> {
        if given.is_null() {
            return Ok(Self { op: "", path: None, from: None, value: None });
        }
        if !given.is_object() {
            return Err(mistyped(given, "", GO_TYPE));
        }
        let text = |name: &str| match given.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(other) => Err(mistyped(other, &format!("struct field jsonPatchOp.{name}"), "string")),
        };
        let op = text("op")?.unwrap_or_default();
        Ok(Self { op, path: text("path")?, from: text("from")?, value: given.get("value") })
    }

    fn path(&self) -> Result<&'a str, PatchError> {
        self.path.ok_or_else(|| not_applicable(self.op, "failed to decode path: missing value"))
    }

    fn from(&self) -> Result<&'a str, PatchError> {
        self.from.ok_or_else(|| not_applicable(self.op, "failed to decode from: missing value"))
    }

    fn value(&self) -> Value {
        self.value.cloned().unwrap_or_default()
    }
}

fn operations(patch: &Value) -> Result<Vec<Operation<'_>>, PatchError> {
    if patch.is_null() {
        return Ok(Vec::new());
    }
    let Some(list) = patch.as_array() else {
        return Err(mistyped(patch, "", &format!("[]{GO_TYPE}")));
    };
    if list.len() > MAX_OPERATIONS {
        return Err(PatchError::TooLong(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            list.len()
        )));
    }
    list.iter().map(Operation::read).collect()
}

/// Go's words for a value of the wrong type; `place` is the field that it is in, if it is in one.
fn mistyped(found: &Value, place: &str, wanted: &str) -> PatchError {
    let found = go_kind(found);
    let place = if place.is_empty() { "value" } else { place };
    PatchError::Malformed(format!(
        "error decoding patch: json: cannot unmarshal {found} into Go {place} of type {wanted}"
    ))
}

fn not_applicable(op: &str, why: &str) -> PatchError {
    PatchError::NotApplicable(format!("{op} operation {why}"))
}

struct Document {
    target: Value,
    /// Bytes that were copied so far.
    copied: usize,
}

impl Document {
    fn apply(&mut self, operation: &Operation<'_>) -> Result<(), PatchError> {
        let (op, path) = (operation.op, operation.path.unwrap_or_default());
        self.run(operation).map_err(|error| match error {
            PatchError::NotApplicable(why) if why.starts_with("Unable to") => {
                PatchError::NotApplicable(format!("error in {op} for path: '{path}': {why}"))
            }
            error => error,
        })
    }

    fn run(&mut self, operation: &Operation<'_>) -> Result<(), PatchError> {
        match operation.op {
            "add" => self.place(operation)?.add(operation.value()),
            "remove" => self.place(operation)?.remove().map(drop),
            "replace" if operation.path == Some("") => self.replace_all(operation),
            "replace" => self.place(operation)?.set(operation.value()),
            "move" => {
                let value = self.source(operation)?.remove()?;
                self.place(operation)?.add(value)
            }
            "copy" => self.copy(operation),
            "test" => self.test(operation),
            other => Err(PatchError::NotApplicable(format!("Unexpected kind: {other}"))),
        }
    }

    fn place(&mut self, operation: &Operation<'_>) -> Result<Place<'_>, PatchError> {
        let path = operation.path()?;
        let missing =
            || not_applicable(operation.op, &format!("does not apply: doc is missing path: {path:?}: missing value"));
        Place::find(&mut self.target, path).ok_or_else(missing)
    }

    fn source(&mut self, operation: &Operation<'_>) -> Result<Place<'_>, PatchError> {
        let from = operation.from()?;
        let missing = || {
            not_applicable(operation.op, &format!("does not apply: doc is missing from path: {from}: missing value"))
        };
        Place::find(&mut self.target, from).ok_or_else(missing)
    }

    fn replace_all(&mut self, operation: &Operation<'_>) -> Result<(), PatchError> {
        match operation.value {
            Some(value @ (Value::Object(_) | Value::Array(_))) => self.target = value.clone(),
            _ => return Err(not_applicable("replace", "value must be object or array")),
        }
        Ok(())
    }

    fn copy(&mut self, operation: &Operation<'_>) -> Result<(), PatchError> {
        let value = self.source(operation)?.get()?.cloned().unwrap_or_default();
        self.copied += if value.is_null() { 0 } else { size(&value) };
        if self.copied > MAX_COPIED {
            return Err(PatchError::CopiesTooMuch(format!(
                "Unable to complete the copy, the accumulated size increase of copy is {}, exceeding the limit {MAX_COPIED}",
                self.copied
            )));
        }
        self.place(operation)?.add(value)
    }

    fn test(&mut self, operation: &Operation<'_>) -> Result<(), PatchError> {
        let path = operation.path()?;
        let is_same = match path {
            "" => Some(&self.target) == operation.value,
            _ => self.place(operation)?.get()?.unwrap_or(&Value::Null) == operation.value.unwrap_or(&Value::Null),
        };
        match is_same {
            true => Ok(()),
            false => Err(PatchError::TestFailed(format!("testing value {path} failed: test failed"))),
        }
    }
}

/// A member of an object, or an element of a list, which need not be there.
struct Place<'a> {
    /// An object or a list.
    container: &'a mut Value,
    key: String,
}

impl<'a> Place<'a> {
    /// What a path leads to; `None` if something on the way is missing.
    fn find(target: &'a mut Value, path: &str) -> Option<Self> {
        let (_, path) = path.split_once('/')?;
        let (way, key) = path.rsplit_once('/').map_or((None, path), |(way, key)| (Some(way), key));
        let mut container = target;
        for part in way.into_iter().flat_map(|way| way.split('/')) {
            container = match container {
                Value::Object(map) => map.get_mut(&*unescaped(part))?,
                Value::Array(list) => {
                    let at = index(part, list.len())?;
                    list.get_mut(at)?
                }
                _ => return None,
            };
        }
        let is_container = container.is_object() || container.is_array();
        is_container.then(|| Self { container, key: unescaped(key).into_owned() })
    }

    fn get(&self) -> Result<Option<&Value>, PatchError> {
        match &*self.container {
            Value::Array(list) => {
                index(&self.key, list.len()).and_then(|at| list.get(at)).map(Some).ok_or_else(|| self.invalid())
            }
            other => Ok(other.get(&self.key)),
        }
    }

    fn add(self, value: Value) -> Result<(), PatchError> {
        let invalid = self.invalid();
        match self.container {
            Value::Array(list) if self.key == "-" => list.push(value),
            Value::Array(list) => {
                let at = index(&self.key, list.len() + 1).filter(|at| *at <= list.len()).ok_or(invalid)?;
                list.insert(at, value);
            }
            Value::Object(map) => drop(map.insert(self.key, value)),
            _ => return Err(invalid),
        }
        Ok(())
    }

    fn set(self, value: Value) -> Result<(), PatchError> {
        let invalid = self.invalid();
        match self.container {
            Value::Array(list) => {
                let slot = index(&self.key, list.len()).and_then(|at| list.get_mut(at)).ok_or(invalid)?;
                *slot = value;
            }
            Value::Object(map) => drop(map.insert(self.key, value)),
            _ => return Err(invalid),
        }
        Ok(())
    }

    fn remove(self) -> Result<Value, PatchError> {
        let invalid = self.invalid();
        match self.container {
            Value::Array(list) => match index(&self.key, list.len()).filter(|at| *at < list.len()) {
                Some(at) => Ok(list.remove(at)),
                None => Err(invalid),
            },
            Value::Object(map) => map.remove(&self.key).ok_or(invalid),
            _ => Err(invalid),
        }
    }

    /// Upstream's words for what is not there.
    fn invalid(&self) -> PatchError {
        let key = &self.key;
        PatchError::NotApplicable(match &*self.container {
            Value::Array(_) => format!("Unable to access invalid index: {key}: invalid index referenced"),
            _ => format!("Unable to remove nonexistent key: {key}: missing value"),
        })
    }
}

/// The place in a list of this length that an index means: from the end if it is negative.
fn index(text: &str, length: usize) -> Option<usize> {
    let at: i64 = text.parse().ok()?;
    match usize::try_from(at) {
        Ok(at) => Some(at),
        Err(_) => length.checked_sub(usize::try_from(at.unsigned_abs()).ok()?),
    }
}

/// A part of a path as the key that it stands for.
fn unescaped(part: &str) -> Cow<'_, str> {
    match part.contains('~') {
        true => part.replace("~1", "/").replace("~0", "~").into(),
        false => part.into(),
    }
}

/// Bytes of a tree as JSON.
fn size(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Neither the tree nor the counter can fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn operations_apply_in_order() {
        let patch = json!([
            {"op": "test", "path": "/spec/replicas", "value": 1},
            {"op": "replace", "path": "/spec/replicas", "value": 3},
            {"op": "add", "path": "/metadata/labels/a~1b", "value": "x"},
            {"op": "add", "path": "/spec/list/-", "value": 2},
            {"op": "remove", "path": "/spec/gone"},
            {"op": "copy", "from": "/spec/list", "path": "/spec/copy"},
            {"op": "move", "from": "/spec/copy", "path": "/spec/moved"},
        ]);
        let target = json!({"metadata": {"labels": {}}, "spec": {"replicas": 1, "list": [1], "gone": true}});
        let want =
            json!({"metadata": {"labels": {"a/b": "x"}}, "spec": {"replicas": 3, "list": [1, 2], "moved": [1, 2]}});
        assert_eq!(apply(target, &patch), Ok(want));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (patch, want) in [
            (
                json!([{"op": "remove", "path": "/b"}]),
                "error in remove for path: '/b': Unable to remove nonexistent key: b: missing value",
            ),
            (
                json!([{"op": "add", "path": "/b/c", "value": 1}]),
                "add operation does not apply: doc is missing path: \"/b/c\": missing value",
            ),
        ] {
            assert_eq!(apply(json!({"a": 1}), &patch), Err(PatchError::NotApplicable(want.into())));
        }
        let test = json!([{"op": "test", "path": "/a", "value": 2}]);
        let want = "testing value /a failed: test failed";
        assert_eq!(apply(json!({"a": 1}), &test), Err(PatchError::TestFailed(want.into())));
        for (patch, want) in [
            (json!({}), "object into Go value of type []handlers.jsonPatchOp"),
            (json!([1]), "number into Go value of type handlers.jsonPatchOp"),
            (json!([{"op": "add", "path": 1}]), "number into Go struct field jsonPatchOp.path of type string"),
        ] {
            let want = format!("error decoding patch: json: cannot unmarshal {want}");
            assert_eq!(apply(json!({"a": 1}), &patch), Err(PatchError::Malformed(want)), "{patch}");
        }
        for patch in [
            json!([{"op": "jump", "path": "/a"}]),
            json!([{"op": "add"}]),
            json!([{"op": "add", "path": "a", "value": 1}]),
            json!([{"op": "add", "path": "", "value": {}}]),
            json!([{"op": "add", "path": "/l/3", "value": 1}]),
            json!([{"op": "remove", "path": "/l/-3"}]),
            json!([null]),
        ] {
            let refused = apply(json!({"a": 1, "l": [1, 2]}), &patch);
            assert!(matches!(refused, Err(PatchError::NotApplicable(_))), "{patch}: {refused:?}");
        }
    }

    #[test]
    fn what_the_standard_refuses_is_taken() {
        for (patch, want) in [
            (json!([{"op": "add", "path": "/b"}]), json!({"a": 1, "b": null, "l": [1, 2]})),
            (json!([{"op": "replace", "path": "/b", "value": 2}]), json!({"a": 1, "b": 2, "l": [1, 2]})),
            (json!([{"op": "copy", "from": "/c", "path": "/b"}]), json!({"a": 1, "b": null, "l": [1, 2]})),
            (json!([{"op": "test", "path": "/c"}]), json!({"a": 1, "l": [1, 2]})),
            (json!([{"op": "add", "path": "/~2", "value": 2}]), json!({"a": 1, "l": [1, 2], "~2": 2})),
            (json!([{"op": "remove", "path": "/l/-1"}]), json!({"a": 1, "l": [1]})),
            (json!([{"op": "add", "path": "/l/-1", "value": 3}]), json!({"a": 1, "l": [1, 2, 3]})),
            (json!([{"op": "replace", "path": "", "value": {"b": 1}}]), json!({"b": 1})),
        ] {
            assert_eq!(apply(json!({"a": 1, "l": [1, 2]}), &patch), Ok(want), "{patch}");
        }
    }

    #[test]
    fn too_much_is_refused() {
        let many: Vec<Value> = vec![json!({"op": "test", "path": "/a", "value": 1}); MAX_OPERATIONS + 1];
        let error = apply(json!({"a": 1}), &many.into()).expect_err("too long");
        let status = apimachinery::status::Status::from(error);
        assert_eq!(
            (status.code, status.message.as_str()),
            (413, "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001")
        );
        // Doubles the object forty times.
        let doubling: Vec<Value> =
            (0..40).map(|i| json!({"op": "copy", "from": "/a", "path": format!("/a/x{i}")})).collect();
        assert!(matches!(apply(json!({"a": {"b": 1}}), &doubling.into()), Err(PatchError::CopiesTooMuch(_))));
    }

    proptest! {
        #[test]
        fn adding_then_removing_changes_nothing(key in "[a-z/~]{1,8}", value in any::<i64>()) {
            let path = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            let target = json!({"KEEP": [1, 2]});
            let patch = json!([{"op": "add", "path": path, "value": value}, {"op": "test", "path": path, "value": value},
                               {"op": "remove", "path": path}]);
            prop_assert_eq!(apply(target.clone(), &patch), Ok(target));
        }
    }
}
