//! JSON patches (RFC 6902), as upstream's library reads them, which takes more than the standard does: a value that is
//! not given is `null`, members that are not there can be replaced and copied, and indices count from the end if they
//! are negative.
//!
//! Upstream: `gopkg.in/evanphx/json-patch.v4`, `apiserver/pkg/endpoints/handlers/patch.go` (`jsonPatcher`).

use super::lazy::{self, Members, Node};
use super::{PatchError, go_kind};
use apimachinery::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Operations taken at most, as upstream has it.
pub const MAX_OPERATIONS: usize = 10_000;
/// What `copy` operations may add at most, in bytes of JSON, as upstream has it.
const MAX_COPIED: usize = 3 * 1024 * 1024;
/// Go's type of an operation, which its messages name.
const GO_TYPE: &str = "handlers.jsonPatchOp";
/// The members of an operation.
const MEMBERS: [&str; 4] = ["op", "path", "from", "value"];

/// Applies the operations in order; all of them or none.
pub fn apply(target: Value, patch: &Value) -> Result<Value, PatchError> {
    check(patch)?;
    let patched = apply_to_text(&target.to_string(), &patch.to_string())?;
    serde_json::from_str(&patched).map_err(|error| PatchError::Malformed(error.to_string()))
}

/// The text of an object with the operations applied. Both texts are well-formed.
pub fn apply_to_text(target: &str, patch: &str) -> Result<String, PatchError> {
    let mut document = Document { target: Node::of(target), copied: 0 };
    if let Some(node) = &mut document.target {
        // What is read as an object is written with sorted members, even if nothing is done to it.
        node.as_object();
    }
    for operation in operations(patch)? {
        document.apply(&operation)?;
    }
    Ok(lazy::text(document.target.as_ref()))
}

/// Checks that a patch is a list of operations, as a request is that has its fields validated.
pub fn check(patch: &Value) -> Result<(), PatchError> {
    if patch.is_null() {
        return Ok(());
    }
    let list = patch.as_array().ok_or_else(|| mistyped(patch, "", &format!("[]{GO_TYPE}")))?;
    for operation in list.iter().filter(|operation| !operation.is_null()) {
        let members = operation.as_object().ok_or_else(|| mistyped(operation, "", GO_TYPE))?;
        for name in ["op", "path", "from"] {
            match members.get(name) {
                None | Some(Value::Null | Value::String(_)) => {}
                Some(other) => return Err(mistyped(other, &format!("struct field jsonPatchOp.{name}"), "string")),
            }
        }
    }
    Ok(())
}

/// The members of operations that no operation has, in upstream's words.
pub fn unknown_members(patch: &Value) -> impl Iterator<Item = String> {
    let operations = patch.as_array().into_iter().flatten().enumerate();
    operations.flat_map(|(at, operation)| {
        let names = operation.as_object().into_iter().flat_map(apimachinery::Map::keys);
        let unknown = names.filter(|name| !MEMBERS.contains(&name.as_str()));
        unknown.map(move |name| format!("unknown field \"[{at}].{name}\""))
    })
}

/// Go's words for a value of the wrong type; `place` is the field that it is in, if it is in one.
fn mistyped(found: &Value, place: &str, wanted: &str) -> PatchError {
    let found = go_kind(found);
    let place = if place.is_empty() { "value" } else { place };
    PatchError::Malformed(format!(
        "error decoding patch: json: cannot unmarshal {found} into Go {place} of type {wanted}"
    ))
}

/// An operation as it was given: `null` has no members.
struct Operation<'a>(BTreeMap<String, Option<&'a RawValue>>);

impl<'a> Operation<'a> {
    fn read(given: Option<&'a RawValue>) -> Result<Self, PatchError> {
        let Some(given) = given else { return Ok(Self(BTreeMap::new())) };
        serde_json::from_str(given.get()).map(Self).map_err(|_| unreadable(given.get(), "Operation"))
    }

    fn kind(&self) -> String {
        let given = self.0.get("op").copied().flatten();
        given.and_then(|op| serde_json::from_str(op.get()).ok()).unwrap_or_else(|| "unknown".into())
    }

    /// A text; none if it is not given, which `null` is not.
    fn text(&self, name: &str) -> Result<Option<String>, PatchError> {
        let Some(given) = self.0.get(name).copied().flatten() else { return Ok(None) };
        let failed = |_| not_applicable(&self.kind(), &format!("failed to decode {name}: {}", misread(given.get())));
        serde_json::from_str(given.get()).map(Some).map_err(failed)
    }

    fn path(&self) -> Result<String, PatchError> {
        self.required("path")
    }

    fn from(&self) -> Result<String, PatchError> {
        self.required("from")
    }

    fn required(&self, name: &str) -> Result<String, PatchError> {
        let missing = || not_applicable(&self.kind(), &format!("failed to decode {name}: missing value"));
        self.text(name)?.ok_or_else(missing)
    }

    fn value(&self) -> Option<Node> {
        self.0.get("value").copied().flatten().and_then(|value| Node::of(value.get()))
    }
}

fn operations(patch: &str) -> Result<Vec<Operation<'_>>, PatchError> {
    let list: Option<Vec<Option<&RawValue>>> = serde_json::from_str(patch).map_err(|_| unreadable(patch, "Patch"))?;
    let list = list.unwrap_or_default();
    if list.len() > MAX_OPERATIONS {
        return Err(PatchError::TooLong(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            list.len()
        )));
    }
    list.into_iter().map(Operation::read).collect()
}

/// Go's words for a text that is no list of operations, or no operation.
fn unreadable(given: &str, ty: &str) -> PatchError {
    PatchError::Malformed(format!("json: cannot unmarshal {} into Go value of type jsonpatch.{ty}", kind(given)))
}

/// Go's words for a text that is no string.
fn misread(given: &str) -> String {
    format!("json: cannot unmarshal {} into Go value of type string", kind(given))
}

fn kind(given: &str) -> &'static str {
    match given.bytes().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        _ => "number",
    }
}

fn not_applicable(op: &str, why: &str) -> PatchError {
    PatchError::NotApplicable(format!("{op} operation {why}"))
}

struct Document {
    target: Option<Node>,
    /// Bytes that were copied so far.
    copied: usize,
}

impl Document {
    fn apply(&mut self, operation: &Operation<'_>) -> Result<(), PatchError> {
        match &*operation.kind() {
            "add" => {
                let path = operation.path()?;
                self.place("add", "path", &path)?.add(operation.value()).map_err(|why| failed("add", &path, &why))
            }
            "remove" => {
                let path = operation.path()?;
                self.place("remove", "path", &path)?.remove().map(drop).map_err(|why| failed("remove", &path, &why))
            }
            "replace" => self.replace(operation),
            "move" => self.shift(operation),
            "copy" => self.copy(operation),
            "test" => self.test(operation),
            other => Err(PatchError::NotApplicable(format!("Unexpected kind: {other}"))),
        }
    }

    /// Where a path leads to; `what` is missing if it leads nowhere.
    fn place(&mut self, op: &str, what: &str, path: &str) -> Result<Place<'_>, PatchError> {
        let shown = match op {
            "add" | "remove" => format!("\"{path}\""),
            _ => path.to_owned(),
        };
        let doc = if op == "test" { "" } else { "doc " };
        let missing = || not_applicable(op, &format!("does not apply: {doc}is missing {what}: {shown}: missing value"));
        Place::find(self.target.as_mut(), path).ok_or_else(missing)
    }

    fn replace(&mut self, operation: &Operation<'_>) -> Result<(), PatchError> {
        let path = operation.path()?;
        if path.is_empty() {
            let mut value = operation.value();
            if value.as_mut().is_none_or(|value| value.as_object().is_none() && value.as_list().is_none()) {
                return Err(not_applicable("replace", "value must be object or array: %!w(<nil>)"));
            }
            self.target = value;
            return Ok(());
        }
        let mut place = self.place("replace", "path", &path)?;
        if place.get().is_err() {
            let why = format!("does not apply: doc is missing key: {path}: missing value");
            return Err(not_applicable("replace", &why));
        }
        place.set(operation.value());
        Ok(())
    }

    fn shift(&mut self, operation: &Operation<'_>) -> Result<(), PatchError> {
        let from = operation.from()?;
        let source = self.place("move", "from path", &from)?;
        let key = source.key.clone();
        let value = source.remove().map_err(|why| failed("move", &key, &why))?;
        let path = operation.path()?;
        self.place("move", "destination path", &path)?.add(value).map_err(|why| failed("move", &path, &why))
    }

    fn copy(&mut self, operation: &Operation<'_>) -> Result<(), PatchError> {
        let from = operation.from()?;
        let failed = |why: String| PatchError::NotApplicable(format!("error in copy for from: '{from}': {why}"));
        self.place("copy", "from path", &from)?.get().map_err(failed)?;
        let path = operation.path()?;
        // What is read on the way there is copied as it has been read.
        self.place("copy", "destination path", &path)?;
        let mut source = self.place("copy", "from path", &from)?;
        let found = source.get().map_err(failed)?.and_then(|found| found.as_ref());
        let value = found.map(|value| lazy::text(Some(value)));
        self.copied += value.as_ref().map_or(0, String::len);
        if self.copied > MAX_COPIED {
            return Err(PatchError::CopiesTooMuch(format!(
                "Unable to complete the copy, the accumulated size increase of copy is {}, exceeding the limit {MAX_COPIED}",
                self.copied
            )));
        }
        let copied = value.and_then(|value| Node::of(&value));
        let failed = |why: String| PatchError::NotApplicable(format!("error while adding value during copy: {why}"));
        self.place("copy", "destination path", &path)?.add(copied).map_err(failed)
    }

    fn test(&mut self, operation: &Operation<'_>) -> Result<(), PatchError> {
        let (path, mut value) = (operation.path()?, operation.value());
        let is_same = match &*path {
            "" => lazy::same(&mut self.target, &mut value, 0),
            _ => {
                let mut place = self.place("test", "path", &path)?;
                let found = place.get().map_err(|why| failed("test", &path, &why))?;
                found.map_or(value.is_none(), |found| lazy::same(found, &mut value, 0))
            }
        };
        match is_same {
            true => Ok(()),
            false => Err(PatchError::TestFailed(format!("testing value {path} failed: test failed"))),
        }
    }
}

fn failed(op: &str, path: &str, why: &str) -> PatchError {
    PatchError::NotApplicable(format!("error in {op} for path: '{path}': {why}"))
}

/// A member of an object, or an element of a list, which need not be there.
struct Place<'a> {
    container: Container<'a>,
    key: String,
}

enum Container<'a> {
    Object(&'a mut Members),
    List(&'a mut Vec<Option<Node>>),
}

impl<'a> Container<'a> {
    fn of(node: &'a mut Node) -> Option<Self> {
        // It is read twice because a borrow that is returned on one way only is one on both.
        match node.as_object().is_some() {
            true => node.as_object().map(Self::Object),
            false => node.as_list().map(Self::List),
        }
    }
}

impl<'a> Place<'a> {
    /// What a path leads to; `None` if something on the way is missing.
    fn find(target: Option<&'a mut Node>, path: &str) -> Option<Self> {
        let (_, path) = path.split_once('/').filter(|(_, path)| path.split('/').nth(lazy::MAX_DEPTH).is_none())?;
        let (way, key) = path.rsplit_once('/').map_or((None, path), |(way, key)| (Some(way), key));
        let mut container = Container::of(target?)?;
        for part in way.into_iter().flat_map(|way| way.split('/')) {
            let next = match container {
                Container::Object(members) => members.get_mut(&*unescaped(part))?,
                Container::List(elements) => {
                    let at = existing(&unescaped(part), elements.len()).ok()?;
                    elements.get_mut(at)?
                }
            };
            container = Container::of(next.as_mut()?)?;
        }
        Some(Self { container, key: unescaped(key).into_owned() })
    }

    /// What is there: nothing if an object has no such member.
    fn get(&mut self) -> Result<Option<&mut Option<Node>>, String> {
        match &mut self.container {
            Container::Object(members) => Ok(members.get_mut(&self.key)),
            Container::List(elements) => {
                let at = existing(&self.key, elements.len())?;
                Ok(elements.get_mut(at))
            }
        }
    }

    fn add(self, value: Option<Node>) -> Result<(), String> {
        match self.container {
            Container::Object(members) => drop(members.insert(self.key, value)),
            Container::List(elements) if self.key == "-" => elements.push(value),
            Container::List(elements) => {
                let key = &self.key;
                let at = index(key).map_err(|why| format!("value was not a proper array index: '{key}': {why}"))?;
                elements.insert(within(at, elements.len() + 1)?, value);
            }
        }
        Ok(())
    }

    /// Sets a member, or an element that is there.
    fn set(self, value: Option<Node>) {
        match self.container {
            Container::Object(members) => drop(members.insert(self.key, value)),
            Container::List(elements) => {
                let slot = existing(&self.key, elements.len()).ok().and_then(|at| elements.get_mut(at));
                slot.into_iter().for_each(|slot| slot.clone_from(&value));
            }
        }
    }

    fn remove(self) -> Result<Option<Node>, String> {
        match self.container {
            Container::Object(members) => {
                let key = &self.key;
                members.remove(key).ok_or_else(|| format!("Unable to remove nonexistent key: {key}: missing value"))
            }
            Container::List(elements) => {
                let at = existing(&self.key, elements.len())?;
                Ok(elements.remove(at))
            }
        }
    }
}

/// The place of an element that is there.
fn existing(key: &str, length: usize) -> Result<usize, String> {
    within(index(key)?, length)
}

/// A number as Go's `strconv.Atoi` reads it.
fn index(key: &str) -> Result<i64, String> {
    key.parse().map_err(|_| format!("strconv.Atoi: parsing {}: invalid syntax", apimachinery::go::quoted(key)))
}

/// The place among so many that an index means: from the end if it is negative.
fn within(at: i64, length: usize) -> Result<usize, String> {
    let invalid = || format!("Unable to access invalid index: {at}: invalid index referenced");
    let place = match usize::try_from(at) {
        Ok(place) => Some(place),
        Err(_) => usize::try_from(at.unsigned_abs()).ok().and_then(|back| length.checked_sub(back)),
    };
    place.filter(|place| *place < length).ok_or_else(invalid)
}

/// A part of a path as the key that it stands for.
fn unescaped(part: &str) -> Cow<'_, str> {
    match part.contains('~') {
        true => part.replace("~1", "/").replace("~0", "~").into(),
        false => part.into(),
    }
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
            json!([{"op": "replace", "path": "", "value": 1}]),
            json!([{"op": "replace", "path": "/l/2", "value": 1}]),
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

    #[test]
    fn what_a_patch_does_not_reach_stays_as_it_is() {
        let target = r#"{"kind":"K","b":{"z":1.0,"a":{"y":1,"x":2}},"a":[{"z":1,"y":"\u003c"}]}"#;
        for (patch, want) in [
            ("[]", r#"{"a":[{"z":1,"y":"\u003c"}],"b":{"z":1.0,"a":{"y":1,"x":2}},"kind":"K"}"#),
            (
                r#"[{"op": "add", "path": "/b/c", "value": {"q": 1e3, "p": "<", "p": "é"}}]"#,
                r#"{"a":[{"z":1,"y":"\u003c"}],"b":{"a":{"y":1,"x":2},"c":{"q":1e3,"p":"\u003c","p":"é"},"z":1.0},"kind":"K"}"#,
            ),
            (
                r#"[{"op":"test","path":"/a/0/y","value":"\u003c"},{"op":"test","path":"/b/z","value":1.0},{"op":"remove","path":"/b"}]"#,
                r#"{"a":[{"y":"\u003c","z":1}],"kind":"K"}"#,
            ),
        ] {
            assert_eq!(apply_to_text(target, patch).as_deref(), Ok(want), "{patch}");
        }
        let copied = apply_to_text(r#"{"m":{"z":1,"l":{}}}"#, r#"[{"op":"copy","from":"/m","path":"/m/l/m"}]"#);
        assert_eq!(copied.as_deref(), Ok(r#"{"m":{"l":{"m":{"l":{},"z":1}},"z":1}}"#));
        for patch in [r#"[{"op":"test","path":"/a/0/y","value":"<"}]"#, r#"[{"op":"test","path":"/b/z","value":1}]"#] {
            assert!(matches!(apply_to_text(target, patch), Err(PatchError::TestFailed(_))), "{patch}");
        }
    }

    #[test]
    fn what_is_too_deep_is_not_reached() {
        let deep = |levels: usize| "/a".repeat(levels);
        let copies = (0..40).map(|_| format!(r#"{{"op":"copy","from":"/a","path":"{}"}}"#, deep(lazy::MAX_DEPTH)));
        let nested = format!("{}1{}", r#"{"a":"#.repeat(lazy::MAX_DEPTH), "}".repeat(lazy::MAX_DEPTH));
        let mut operations: Vec<String> = copies.collect();
        operations.push(r#"{"op":"copy","from":"/a","path":"/b"}"#.into());
        assert!(apply_to_text(&nested, &format!("[{}]", operations.join(","))).is_ok());
        operations.push(r#"{"op":"test","path":"/a","value":{"a":1}}"#.into());
        let refused = apply_to_text(&nested, &format!("[{}]", operations.join(",")));
        assert!(matches!(refused, Err(PatchError::TestFailed(_))));
        let too_deep = format!(r#"[{{"op":"remove","path":"{}"}}]"#, deep(lazy::MAX_DEPTH + 1));
        assert!(matches!(apply_to_text(&nested, &too_deep), Err(PatchError::NotApplicable(_))));
    }

    #[test]
    fn without_validation_the_library_reads_the_patch() {
        for (patch, want) in [
            ("{}", "object into Go value of type jsonpatch.Patch"),
            ("[[]]", "array into Go value of type jsonpatch.Operation"),
        ] {
            let want = format!("json: cannot unmarshal {want}");
            assert_eq!(apply_to_text("{}", patch), Err(PatchError::Malformed(want)));
        }
        for (patch, want) in [
            (r#"[{"op":5}]"#, "Unexpected kind: unknown"),
            (
                r#"[{"op":"add","path":5}]"#,
                "add operation failed to decode path: json: cannot unmarshal number into Go value of type string",
            ),
        ] {
            assert_eq!(apply_to_text("{}", patch), Err(PatchError::NotApplicable(want.into())));
        }
        assert_eq!(apply_to_text("{}", "null").as_deref(), Ok("{}"));
    }

    #[test]
    fn members_of_no_operation_are_found() {
        let patch = json!([{"op": "add", "extra": 1}, 5, {"Op": "add", "value": {"x": 1}}]);
        let found: Vec<String> = unknown_members(&patch).collect();
        assert_eq!(found, [r#"unknown field "[0].extra""#, r#"unknown field "[2].Op""#]);
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
