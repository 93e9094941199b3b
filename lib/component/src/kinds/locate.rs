//! Finding fields by path: serde says what is wrong but not where, and the unbuilt fields are
//! named by patterns.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Takes out the fields that the patterns name, and gives their paths.
pub(super) fn take_out(value: &mut Value, patterns: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for pattern in patterns {
        let steps: Vec<_> = pattern.split('.').collect();
        take_out_one(value, &steps, "", &mut found);
    }
    found
}

fn take_out_one(value: &mut Value, steps: &[&str], above: &str, found: &mut Vec<String>) {
    let [step, rest @ ..] = steps else { return };
    match value {
        Value::Object(fields) => {
            let matching: Vec<_> = fields.keys().filter(|key| *step == "*" || *step == key.as_str()).cloned().collect();
            for key in matching {
                let path = join(above, &key);
                if rest.is_empty() {
                    fields.remove(&key);
                    found.push(path);
                } else if let Some(below) = fields.get_mut(&key) {
                    take_out_one(below, rest, &path, found);
                }
            }
        }
        Value::Array(items) if *step == "*" => {
            for (index, item) in items.iter_mut().enumerate() {
                take_out_one(item, rest, &format!("{above}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// The path of the field because of which `value` is no `T`: the deepest one without which the
/// error is another or none. A file is small, so trying is cheap.
pub(super) fn culprit<T: DeserializeOwned>(value: &Value, error: &str) -> String {
    let mut root = value.clone();
    let mut pointer = Vec::new();
    let mut path = String::new();
    while let Some(step) = guilty_child::<T>(&mut root, &pointer, error) {
        path = match &step {
            Step::Key(key) => join(&path, key),
            Step::Index(index) => format!("{path}[{index}]"),
        };
        pointer.push(step);
    }
    if path.is_empty() { "(root)".to_owned() } else { path }
}

#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

/// The child below `pointer` without which the error is another.
fn guilty_child<T: DeserializeOwned>(root: &mut Value, pointer: &[Step], error: &str) -> Option<Step> {
    let children: Vec<Step> = match at(root, pointer)? {
        Value::Object(fields) => fields.keys().cloned().map(Step::Key).collect(),
        Value::Array(items) => (0..items.len()).map(Step::Index).collect(),
        _ => return None,
    };
    children.into_iter().find(|child| {
        let mut without = root.clone();
        remove(&mut without, pointer, child);
        T::deserialize(&without).err().is_none_or(|other| other.to_string() != error)
    })
}

fn at<'v>(root: &'v mut Value, pointer: &[Step]) -> Option<&'v mut Value> {
    pointer.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

fn remove(root: &mut Value, pointer: &[Step], child: &Step) {
    match (at(root, pointer), child) {
        (Some(Value::Object(fields)), Step::Key(key)) => drop(fields.remove(key)),
        (Some(Value::Array(items)), Step::Index(index)) => drop(items.remove(*index)),
        _ => {}
    }
}

fn join(above: &str, key: &str) -> String {
    if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") }
}
