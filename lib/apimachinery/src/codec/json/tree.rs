//! From a tree to an object, as upstream's converter does it: it reads the members of a type in their order, takes
//! numbers of any kind for each other, and has words of its own for what does not fit.
//!
//! Upstream: `apimachinery/pkg/runtime/converter.go` (`FromUnstructuredWithValidation`).

use super::names::declared_type;
use super::part::conform_changed;
use super::scalars::{self, Wrong};
use crate::Value;
use crate::codec::{DecodeError, Decoded, base64};
use crate::schema::{Schema, Shape, TypeDef, TypeRef};

/// Makes an object of type `ty` of a tree. Findings are its unknown members, sorted.
///
/// The tree is one that `old` was changed to, an object of that type or nothing; what is as it was there fits the type,
/// and is not looked at again.
pub fn from_tree(ty: &TypeRef, mut tree: Value, old: &Value) -> Result<Decoded, DecodeError> {
    let root = Shape::Message(ty.id);
    let mut converter = Converter { schema: &ty.schema, path: String::new(), unknown: Vec::new() };
    converter.value(&root, None, &mut tree, Some(old))?;
    let mut findings = converter.unknown;
    findings.sort();
    Ok(Decoded { value: conform_changed(ty, tree, old)?, findings })
}

struct Converter<'a> {
    schema: &'a Schema,
    path: String,
    unknown: Vec<String>,
}

impl<'a> Converter<'a> {
    /// Checks a value of this shape, and makes of numbers what their type can hold. `name` is what Go calls the type, if
    /// the table of names knows it; `old` is another value, which was there.
    fn value(
        &mut self,
        shape: &'a Shape,
        name: Option<&str>,
        value: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), DecodeError> {
        if value.is_null() {
            return Ok(());
        }
        match (shape, &mut *value) {
            (Shape::Message(id), Value::Object(_)) => return self.object(*id, value, old),
            (Shape::List(inner), Value::Array(list)) => {
                return self.elements(list, old, inner, name.and_then(|name| name.strip_prefix("[]")));
            }
            (Shape::Strings, Value::Array(list)) => return self.elements(list, old, &Shape::String, None),
            (Shape::Map(inner), Value::Object(map)) => {
                let name = name.and_then(|name| Some(name.strip_prefix("map[")?.split_once(']')?.1));
                return map.iter_mut().try_for_each(|(key, value)| {
                    let old = old.and_then(|old| old.get(key));
                    if old == Some(value) { Ok(()) } else { self.value(inner, name, value, old) }
                });
            }
            _ => {}
        }
        match shape {
            Shape::Message(_) => Err(wrong(format!("cannot restore struct from: {}", kind(value)))),
            Shape::List(_) | Shape::Strings => Err(wrong(format!("cannot restore slice from {}", kind(value)))),
            Shape::Map(_) => Err(wrong(format!("cannot restore map from {}", kind(value)))),
            Shape::Bytes => self.bytes(value),
            Shape::String | Shape::Bool | Shape::Int32 | Shape::Int64 | Shape::Double => scalar(shape, name, value),
            shape => decoded(shape, value),
        }
    }

    fn elements(
        &mut self,
        list: &mut [Value],
        old: Option<&Value>,
        inner: &'a Shape,
        name: Option<&str>,
    ) -> Result<(), DecodeError> {
        let length = self.path.len();
        for (at, value) in list.iter_mut().enumerate() {
            let old = old.and_then(|old| old.get(at));
            if old == Some(value) {
                continue;
            }
            self.path.push_str(&format!("[{at}]"));
            self.value(inner, name, value, old)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    /// Bytes are texts, or lists of them as numbers.
    fn bytes(&mut self, value: &mut Value) -> Result<(), DecodeError> {
        if let Value::String(text) = value {
            let failed = |error| wrong(format!("error decoding from json: {error}"));
            return base64::canonical(text).map(drop).map_err(failed);
        }
        let Value::Array(list) = value else {
            return Err(wrong(format!("cannot restore slice from {}", kind(value))));
        };
        self.elements(list, None, &Shape::Int32, Some("uint8"))?;
        // Go cuts off what does not fit.
        let bytes: Vec<u8> = list.iter().map(|item| item.as_i64().unwrap_or_default() as u8).collect();
        *value = base64::encode(&bytes).into();
        Ok(())
    }

    fn object(&mut self, id: u32, value: &mut Value, old: Option<&Value>) -> Result<(), DecodeError> {
        let def = self.schema.get(id);
        if def.is_object {
            for name in ["kind", "apiVersion"] {
                self.member(name, &Shape::String, || None, value, old)?;
            }
        }
        self.members(def, value, old)?;
        let is_known = |name: &String| {
            def.member(name).is_some() || def.is_object && matches!(name.as_str(), "kind" | "apiVersion")
        };
        for name in value.as_object().into_iter().flat_map(crate::Map::keys).filter(|name| !is_known(name)) {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            self.unknown.push(format!("unknown field \"{path}\""));
        }
        Ok(())
    }

    fn members(&mut self, def: &'a TypeDef, value: &mut Value, old: Option<&Value>) -> Result<(), DecodeError> {
        for field in def.declared_fields() {
            match (&*field.json, &field.shape) {
                ("", Shape::Message(inlined)) => self.members(self.schema.get(*inlined), value, old)?,
                (name, shape) => self.member(name, shape, || declared_type(def, name), value, old)?,
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        name: &str,
        shape: &'a Shape,
        ty: impl FnOnce() -> Option<&'static str>,
        value: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), DecodeError> {
        let Some(member) = value.get_mut(name) else { return Ok(()) };
        let old = old.and_then(|old| old.get(name));
        if old == Some(member) {
            return Ok(());
        }
        let length = self.path.len();
        super::push_member(&mut self.path, name);
        self.value(shape, ty(), member, old)?;
        self.path.truncate(length);
        Ok(())
    }
}

fn wrong(text: String) -> DecodeError {
    DecodeError::Type(text)
}

/// What Go calls the kind of a value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

fn scalar(shape: &Shape, name: Option<&str>, value: &mut Value) -> Result<(), DecodeError> {
    let basic = match shape {
        Shape::String => "string",
        Shape::Bool => "bool",
        Shape::Int32 => "int32",
        Shape::Int64 => "int64",
        _ => "float64",
    };
    let converted = match (shape, &*value) {
        (Shape::String, Value::String(_)) | (Shape::Bool, Value::Bool(_)) | (Shape::Double, Value::Number(_)) => {
            return Ok(());
        }
        (Shape::Int32 | Shape::Int64, Value::Number(number)) => integer(number),
        // Go makes letters of integers, which the converter refuses.
        (Shape::String, Value::Number(number)) if number.is_i64() => None,
        _ => return Err(wrong(format!("unrecognized type: {basic}"))),
    };
    let Some(integer) = converted else {
        return Err(wrong(format!("cannot convert {} to {}", kind(value), name.unwrap_or(basic))));
    };
    *value = match shape {
        // Go cuts off what does not fit.
        Shape::Int32 => (integer as i32).into(),
        _ => integer.into(),
    };
    Ok(())
}

/// A number as Go's conversion makes an integer of it; `None` if it is broken.
fn integer(number: &serde_json::Number) -> Option<i64> {
    if let Some(integer) = number.as_i64() {
        return Some(integer);
    }
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
    // What is out of range is one certain number on the machines that upstream runs on.
    Some(if (-LIMIT..LIMIT).contains(&float) { float as i64 } else { i64::MIN })
}

/// A value whose type has a decoder of its own, which is given the value as JSON.
fn decoded(shape: &Shape, value: &Value) -> Result<(), DecodeError> {
    let found = match (shape, value) {
        (Shape::Quantity | Shape::Time | Shape::MicroTime | Shape::Duration | Shape::IntOrString, Value::Array(_)) => {
            Wrong::Type("array".into())
        }
        (Shape::Quantity | Shape::Time | Shape::MicroTime | Shape::Duration | Shape::IntOrString, Value::Object(_)) => {
            Wrong::Type("object".into())
        }
        (Shape::Quantity | Shape::Time | Shape::MicroTime | Shape::Duration | Shape::IntOrString, value) => {
            match scalars::check(shape, value.clone(), &value.to_string()) {
                Ok(_) => return Ok(()),
                Err(wrong) => wrong,
            }
        }
        _ => return Ok(()),
    };
    Err(wrong(match (found, shape) {
        (Wrong::Text(text), _) => text,
        (Wrong::Type(_), Shape::Quantity) => crate::quantity::QuantityError::Form.to_string(),
        (Wrong::Type(found), Shape::IntOrString) => {
            format!("json: cannot unmarshal {found} into Go value of type int32")
        }
        (Wrong::Type(found), _) => format!("json: cannot unmarshal {found} into Go value of type string"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gvk::GroupVersionKind;
    use serde_json::json;

    fn pod(tree: Value) -> Result<Decoded, String> {
        let ty = Schema::builtin().kind(&GroupVersionKind::new("", "v1", "Pod")).expect("built in");
        from_tree(&ty, tree, &Value::Null).map_err(|error| error.to_string())
    }

    #[test]
    fn what_does_not_fit_is_said_in_the_converters_words() {
        for (tree, want) in [
            (json!({"metadata": {"labels": "x"}}), "cannot restore map from string"),
            (json!({"metadata": {"labels": {"a": 1}}}), "cannot convert int64 to string"),
            (json!({"metadata": {"labels": {"a": 1.5}}}), "unrecognized type: string"),
            (
                json!({"metadata": {"creationTimestamp": 5}}),
                "json: cannot unmarshal number into Go value of type string",
            ),
            (json!({"spec": [1, null]}), "cannot restore struct from: slice"),
            (json!({"spec": {"containers": {}}}), "cannot restore slice from map"),
            (json!({"spec": {"priority": 1.5}}), "cannot convert float64 to int32"),
            (json!({"spec": {"priority": "1"}}), "unrecognized type: int32"),
            (json!({"spec": {"hostPID": "x"}}), "unrecognized type: bool"),
            (json!({"spec": {"restartPolicy": 5}}), "cannot convert int64 to v1.RestartPolicy"),
            (json!({"kind": {}, "metadata": []}), "unrecognized type: string"),
            (json!({"spec": {"volumes": [{"name": "\u{1}", "csi": {"driver": 1.0}}]}}), "unrecognized type: string"),
            // Members are read in the order of the type.
            (
                json!({"spec": {"containers": [{"image": true, "command": 5}]}, "metadata": 5}),
                "cannot restore struct from: int64",
            ),
            (json!({"spec": {"containers": [{"command": 5, "image": true}]}}), "unrecognized type: string"),
            (
                json!({"spec": {"containers": [{"livenessProbe": {"httpGet": {"port": {}}}}]}}),
                "json: cannot unmarshal object into Go value of type int32",
            ),
            (
                json!({"spec": {"overhead": {"cpu": []}}}),
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
        ] {
            assert_eq!(pod(tree.clone()).map(|decoded| decoded.value), Err(want.to_owned()), "{tree}");
        }
    }

    #[test]
    fn numbers_become_what_fits() {
        for (given, want) in [
            (json!(3.0), 3),
            (json!(4_294_967_297_i64), 1),
            (json!(2_147_483_648_i64), -2_147_483_648_i64),
            (json!(1e21), 0),
        ] {
            let pod = pod(json!({"spec": {"priority": given}})).expect("a pod");
            assert_eq!(pod.value["spec"]["priority"], json!(want));
        }
    }

    #[test]
    fn unknown_members_are_found() {
        let tree =
            json!({"zz": 1, "spec": {"volumes": [{"name": "v", "emptyDir": {"$patch": 1}, "x\"": 1}], "$a": null}});
        let want = [
            r#"unknown field "spec.$a""#,
            r#"unknown field "spec.volumes[0].emptyDir.$patch""#,
            r#"unknown field "spec.volumes[0].x"""#,
            r#"unknown field "zz""#,
        ];
        assert_eq!(pod(tree).expect("a pod").findings, want);
    }

    /// Places in a tree, each by the names and indices that lead there.
    fn places(value: &Value, path: &str, all: &mut Vec<String>) {
        all.push(path.to_owned());
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| places(value, &format!("{path}/{name}"), all)),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(at, value)| places(value, &format!("{path}/{at}"), all));
            }
            _ => {}
        }
    }

    #[test]
    fn what_was_there_before_makes_no_difference() {
        let old = pod(json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "p", "labels": {"a": "b"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "containers": [
                    {"name": "c", "image": "i", "ports": [{"containerPort": 80}], "env": [{"name": "E", "value": "v"}],
                     "resources": {"limits": {"cpu": "1500m"}}, "livenessProbe": {"httpGet": {"port": "http"}}},
                    {"name": "d", "args": ["x", "y"]},
                ],
                "volumes": [{"name": "v", "emptyDir": {}}], "nodeSelector": {"k": "v"}, "priority": 5, "hostPID": true,
            },
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        }))
        .expect("a pod")
        .value;
        let others = [
            json!(null),
            json!(7),
            json!(1.5),
            json!(3.0),
            json!(true),
            json!(""),
            json!("x"),
            json!("500m"),
            json!([]),
            json!({}),
            json!([null]),
            json!(["x"]),
            json!({"name": "n"}),
            json!({"x": null}),
            json!([{"name": "n"}, {}]),
        ];
        let mut all = Vec::new();
        places(&old, "", &mut all);
        let (mut right, mut wrong) = (0, 0);
        for (at, other) in all.iter().flat_map(|at| others.iter().map(move |other| (at, other))) {
            let (mut replaced, mut added, mut removed) = (old.clone(), old.clone(), old.clone());
            *replaced.pointer_mut(at).expect("a place") = other.clone();
            match added.pointer_mut(at) {
                Some(Value::Object(map)) => drop(map.insert("other".into(), other.clone())),
                Some(Value::Array(list)) => list.insert(0, other.clone()),
                _ => {}
            }
            if let Some((above, name)) = at.rsplit_once('/') {
                match removed.pointer_mut(above) {
                    Some(Value::Object(map)) => drop(map.remove(name)),
                    Some(Value::Array(list)) => drop(list.remove(name.parse().expect("an index"))),
                    _ => {}
                }
            }
            let ty = Schema::builtin().kind(&GroupVersionKind::new("", "v1", "Pod")).expect("built in");
            for tree in [replaced, added, removed] {
                let read = |old: &Value| {
                    let read = from_tree(&ty, tree.clone(), old);
                    read.map(|read| (read.value, read.findings)).map_err(|error| error.to_string())
                };
                let want = read(&Value::Null);
                *if want.is_ok() { &mut right } else { &mut wrong } += 1;
                assert_eq!(read(&old), want, "{at} {other}");
            }
        }
        assert!(right > 1000 && wrong > 100, "{right} right, {wrong} wrong");
    }
}
