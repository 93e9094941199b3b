//! JSON patches (RFC 6902).

use super::PatchError;
use apimachinery::Value;
use json_patch::{PatchErrorKind, PatchOperation};

/// Operations taken at most, as upstream has it.
pub const MAX_OPERATIONS: usize = 10_000;
/// What `copy` operations may add at most, in bytes of JSON, as upstream has it.
const MAX_COPIED: usize = 3 * 1024 * 1024;

/// Applies the operations in order; all of them or none.
pub fn apply(mut target: Value, patch: &Value) -> Result<Value, PatchError> {
    let mut copied = 0;
    for operation in operations(patch)? {
        if let PatchOperation::Copy(copy) = &operation {
            copied += target.pointer(copy.from.as_str()).map_or(0, size);
            if copied > MAX_COPIED {
                return Err(PatchError::CopiesTooMuch(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, \
                     exceeding the limit {MAX_COPIED}"
                )));
            }
        }
        json_patch::patch_unsafe(&mut target, std::slice::from_ref(&operation))
            .map_err(|error| failure(&operation, &error.kind))?;
    }
    Ok(target)
}

fn operations(patch: &Value) -> Result<Vec<PatchOperation>, PatchError> {
    let count = patch.as_array().map(Vec::len);
    let count = count.ok_or_else(|| PatchError::Malformed("a JSON patch is a list of operations".into()))?;
    if count > MAX_OPERATIONS {
        return Err(PatchError::TooLong(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}"
        )));
    }
    serde::Deserialize::deserialize(patch).map_err(|error: serde_json::Error| PatchError::Malformed(error.to_string()))
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

fn failure(operation: &PatchOperation, kind: &PatchErrorKind) -> PatchError {
    let path = operation.path();
    if let (PatchOperation::Test(_), PatchErrorKind::TestFailed) = (operation, kind) {
        return PatchError::TestFailed(format!("testing value {path} failed: test failed"));
    }
    PatchError::NotApplicable(match (operation, kind) {
        (PatchOperation::Test(_), _) => format!("error in test for path: '{path}': missing value"),
        (PatchOperation::Add(_), _) => {
            format!("add operation does not apply: doc is missing path: \"{path}\": missing value")
        }
        (PatchOperation::Remove(_), _) => {
            format!("remove operation does not apply: doc is missing path: \"{path}\": missing value")
        }
        (PatchOperation::Replace(_), _) => {
            format!("replace operation does not apply: doc is missing path: {path}: missing value")
        }
        (PatchOperation::Move(_), kind) => format!("move operation does not apply: {path}: {kind}"),
        (PatchOperation::Copy(_), kind) => format!("copy operation does not apply: {path}: {kind}"),
    })
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
                "remove operation does not apply: doc is missing path: \"/b\": missing value",
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
        for patch in [json!({}), json!([{"op": "jump", "path": "/a"}]), json!([{"op": "add", "path": "a", "value": 1}])]
        {
            assert!(matches!(apply(json!({"a": 1}), &patch), Err(PatchError::Malformed(_))), "{patch}");
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
            (0..40).map(|i| json!({"op": "copy", "from": "", "path": format!("/x{i}")})).collect();
        assert!(matches!(apply(json!({"a": 1}), &doubling.into()), Err(PatchError::CopiesTooMuch(_))));
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
