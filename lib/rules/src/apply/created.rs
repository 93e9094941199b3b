//! The fields of a new object, as the text of `fieldsV1`: all of them are its writer's.
//!
//! New objects are most of what is written, so their fields are not collected as a set first. What is found is what
//! [`super::compare`] finds when there is nothing to compare with.

use super::element::Element;
use super::place::{Form, KeyError, Keys, Place};
use super::reset::{Paths, Reset};
use super::{SYSTEM_FIELDS, SYSTEM_METADATA};
use apimachinery::codec::json;
use apimachinery::{Map, Value};

/// The text, empty if there is nothing to manage; `None` of a reset that is not about whole members of an object.
pub(super) fn fields(place: Place<'_>, reset: Reset, new: &Value) -> Option<Result<String, KeyError>> {
    let Reset(paths) = reset;
    if paths.iter().any(|path| path.len() > 1) {
        return None;
    }
    let mut walk = Walk { text: String::with_capacity(2048), reset: paths };
    walk.text.push('{');
    let written = new.as_object().map_or(Ok(()), |map| walk.members(place, map, Within::Root));
    Some(written.map(|()| walk.finish()))
}

struct Walk {
    text: String,
    reset: Paths,
}

/// What members are members of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// The whole object.
    Root,
    /// Its `metadata`.
    Metadata,
    /// An object that upstream's type holds even where it is absent: so are its members.
    Struct,
    /// An object that can be absent.
    Added,
}

impl Within {
    /// Whether nobody manages a member itself, though maybe what is below it.
    fn is_systems(self, name: &str) -> bool {
        match self {
            Self::Root => SYSTEM_FIELDS.contains(&name),
            Self::Metadata => SYSTEM_METADATA.contains(&name),
            Self::Struct | Self::Added => false,
        }
    }
}

impl Walk {
    /// Closes the object of all fields.
    fn finish(mut self) -> String {
        match self.text.pop() {
            Some(',') => self.text.push('}'),
            _ => self.text.clear(),
        }
        self.text
    }

    fn members(&mut self, place: Place<'_>, map: &Map, within: Within) -> Result<(), KeyError> {
        for (name, value) in map {
            let Some((member, _)) = place.member(name) else { continue };
            let absent = match within {
                Within::Added => None,
                _ if member.is_zero(value) => continue,
                _ => member.zero(),
            };
            let within_it = match (within, absent) {
                (Within::Root, Some(Value::Object(_))) if name == "metadata" => Within::Metadata,
                (_, Some(Value::Object(_))) => Within::Struct,
                _ => Within::Added,
            };
            let start = self.text.len();
            push_key(&mut self.text, "f:", name);
            let is_systems = within.is_systems(name);
            self.node(start, is_systems, |walk| walk.value(member, absent, value, within_it))?;
            // What has no part in it can fail it for all that.
            if within == Within::Root && self.reset.contains(&&[name.as_str()][..]) {
                self.text.truncate(start);
            }
        }
        Ok(())
    }

    /// Writes what is below a node whose key starts at `start` and has been written. `below` writes it, and answers
    /// whether the node itself is managed. A node with nothing to manage is taken back.
    fn node(
        &mut self,
        start: usize,
        is_systems: bool,
        below: impl FnOnce(&mut Self) -> Result<Ownership, KeyError>,
    ) -> Result<(), KeyError> {
        const ITSELF: &str = "\".\":{},";
        self.text.push_str(":{");
        let inside = self.text.len();
        self.text.push_str(ITSELF);
        let is_own = below(self)? == Ownership::Own && !is_systems;
        match (self.text.len() > inside + ITSELF.len(), is_own) {
            (true, true) => drop(self.text.pop()),
            (true, false) => {
                self.text.pop();
                self.text.replace_range(inside..inside + ITSELF.len(), "");
            }
            (false, true) => self.text.truncate(inside),
            (false, false) => {
                self.text.truncate(start);
                return Ok(());
            }
        }
        self.text.push_str("},");
        Ok(())
    }

    /// Writes what is below a value; `absent` is what upstream's type holds without it.
    fn value(
        &mut self,
        place: Place<'_>,
        absent: Option<&Value>,
        value: &Value,
        within: Within,
    ) -> Result<Ownership, KeyError> {
        // `null` takes the form of what it is compared with.
        let is_empty = match (place.form(Some(value).filter(|value| !value.is_null()).or(absent)), value) {
            (Form::Object, Value::Object(map)) => {
                self.members(place, map, within)?;
                map.is_empty()
            }
            (Form::List(keys), Value::Array(list)) => {
                self.elements(place, keys, list)?;
                list.is_empty()
            }
            _ => true,
        };
        Ok(match absent {
            None => Ownership::Own,
            Some(absent) if is_empty && absent != value => Ownership::Own,
            Some(_) => Ownership::BelowOnly,
        })
    }

    fn elements<'a>(&mut self, place: Place<'a>, keys: Keys<'a>, list: &[Value]) -> Result<(), KeyError> {
        if let Some(named) = named(keys, list) {
            return named.into_iter().try_for_each(|(key, name, item)| {
                let start = self.text.len();
                for part in ["\"k:{\\\"", key, "\\\":\\\"", name, "\\\"}\""] {
                    self.text.push_str(part);
                }
                self.node(start, false, |walk| walk.value(place.element(), None, item, Within::Added))
            });
        }
        let identified = list.iter().map(|item| place.identify(keys, item).map(|element| (element, item)));
        let mut elements: Vec<(Element, &Value)> = identified.collect::<Result<_, _>>()?;
        elements.sort_by(|a, b| a.0.cmp(&b.0));
        for same in elements.chunk_by(|a, b| a.0 == b.0) {
            let Some((element, item)) = same.first() else { continue };
            let start = self.text.len();
            push_key(&mut self.text, "", &element.text());
            // Lists that repeat a key are not valid and exist; their repeated elements are owned as one.
            let is_repeated = same.len() > 1;
            self.node(start, false, |walk| match is_repeated {
                true => Ok(Ownership::Own),
                false => walk.value(place.element(), None, item, Within::Added),
            })?;
        }
        Ok(())
    }
}

/// Whether a writer manages a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ownership {
    /// And what is below it.
    Own,
    /// Only what is below it, if there is something.
    BelowOnly,
}

/// The elements of most lists: each with one key, which is a text without anything to escape and is nowhere twice.
/// The key, what it is, and the element, in the order of `fieldsV1`.
fn named<'a>(keys: Keys<'a>, list: &'a [Value]) -> Option<Vec<(&'a str, &'a str, &'a Value)>> {
    let key = match keys {
        Keys::Member(key) => key,
        Keys::Members([key]) => key,
        Keys::Members(_) | Keys::Set => return None,
    };
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    let named = list.iter().map(|item| {
        let name = item.as_object()?.get(key)?.as_str()?;
        is_plain(name).then_some((key, name, item))
    });
    let mut named = named.collect::<Option<Vec<_>>>().filter(|_| is_plain(key))?;
    named.sort_unstable_by_key(|(_, name, _)| *name);
    named.windows(2).all(|pair| pair[0].1 != pair[1].1).then_some(named)
}

/// Appends a key as a JSON string.
fn push_key(text: &mut String, kind: &str, name: &str) {
    text.push('"');
    text.push_str(kind);
    let mut rest = name;
    loop {
        let at = json::plain(rest.as_bytes());
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        match rest.as_bytes() {
            [] => break,
            [b'"' | b'\\', ..] => {
                text.push('\\');
                text.push_str(&rest[..1]);
                rest = &rest[1..];
            }
            _ => {
                let quoted = serde_json::to_string(rest).unwrap_or_default();
                text.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
                break;
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::testing::ty;
    use super::super::{Operation, Writer, managers::Managed};
    use super::*;
    use apimachinery::codec::fields::write;
    use apimachinery::schema::{Schema, Shape, TypeRef};
    use serde_json::json;

    const STATUS: Reset = Reset(&[&["status"]]);

    fn with_writer<T>(ty: &TypeRef, reset: Reset, run: impl FnOnce(&Writer<'_>) -> T) -> T {
        let convert = |_: &Value, _: &str| None;
        run(&Writer { manager: "m", api_version: "v1", subresource: "", now: "now", ty, reset, convert: &convert })
    }

    /// The text, made of the set of what has changed since there was nothing.
    fn compared(ty: &TypeRef, reset: Reset, new: &Value) -> String {
        let managed = with_writer(ty, reset, |writer| writer.updated("m", Managed::default(), &Value::Null, new));
        let list = managed.ok().and_then(Managed::write).unwrap_or_default();
        let mut text = Vec::new();
        if let Some(fields) = list.pointer("/0/fieldsV1") {
            assert_eq!(list[0]["operation"], format!("{:?}", Operation::Update));
            write(&mut text, fields);
        }
        String::from_utf8(text).expect("text")
    }

    fn walked(ty: &TypeRef, reset: Reset, new: &Value) -> String {
        with_writer(ty, reset, |writer| writer.created(new)).expect("one walk")
    }

    #[test]
    fn a_walk_finds_what_a_comparison_finds() {
        let (pod, _) = ty("", "v1", "Pod");
        let (deployment, _) = ty("apps", "v1", "Deployment");
        let (service, _) = ty("", "v1", "Service");
        let (map, _) = ty("", "v1", "ConfigMap");
        let (definition, _) = ty("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"securityContext": {}, "containers": [
            {"name": "b<\\\"", "image": "i", "resources": {}, "env": [{"name": "X", "value": "1"}, {"name": "X"}, {"name": "A"}],
             "ports": [{"containerPort": 443}, {"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80}]},
            {"name": "a", "resources": {"requests": {"cpu": "1"}}, "args": [], "volumeMounts": [{"mountPath": "/", "name": "v"}]}],
            "tolerations": [], "volumes": [{"name": "v", "emptyDir": {}}], "nodeSelector": {}, "hostAliases": null}});
        let metadata = json!({"name": "n", "namespace": "s", "uid": "u", "labels": {}, "annotations": {"a\"b/\u{1}": "1"},
            "finalizers": ["z", "a"], "ownerReferences": [{"uid": "2", "name": "o"}, {"uid": "1"}], "creationTimestamp": null});
        let with = |mut object: Value| {
            object["metadata"] = metadata.clone();
            object["kind"] = "K".into();
            object
        };
        for (ty, object) in [
            (&pod, with(json!({"spec": template["spec"], "status": {"phase": "x"}}))),
            (&pod, with(json!({"spec": {"containers": null}, "status": {}}))),
            (&pod, with(json!({"spec": {"containers": [{"image": "no key"}]}}))),
            (
                &deployment,
                with(json!({"spec": {"template": template, "replicas": 0, "minReadySeconds": 0, "selector": {},
                "strategy": {"rollingUpdate": {"maxSurge": 1}}}, "status": {"replicas": 1}})),
            ),
            (&deployment, with(json!({"spec": {"template": {}, "strategy": {}, "unknown": 1}}))),
            (
                &service,
                with(json!({"spec": {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 80, "targetPort": 0}],
                "selector": {"a": "b"}, "clusterIPs": ["b", "a"]}, "status": {"loadBalancer": {}}})),
            ),
            (&map, with(json!({"data": {"k": "v", "": "x"}, "immutable": false}))),
            (&map, json!({"metadata": {"name": "n"}, "data": {}})),
            (&map, json!({"metadata": {"name": "n"}})),
            (&map, json!({"metadata": {}})),
            (&map, json!({})),
            (&map, json!(3)),
            (
                &definition,
                with(json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema":
                {"type": "object", "default": {"a": [1]}, "properties": {"p": {"enum": [1, null]}}}}}], "names": {"plural": "x"}}})),
            ),
        ] {
            for reset in [STATUS, Reset::NOTHING, Reset(&[&["spec"], &["status"]])] {
                assert_eq!(walked(ty, reset, &object), compared(ty, reset, &object), "{object} {reset:?}");
            }
        }
        let reset = Reset(&[&["spec", "replicas"]]);
        assert_eq!(with_writer(&deployment, reset, |writer| writer.created(&json!({}))), None);
    }

    /// An object of a type with every member it can have, each once.
    fn full(schema: &Schema, shape: &Shape, depth: usize) -> Value {
        match shape {
            Shape::Message(id) if depth < 9 => {
                let member = |(name, owner, at): &(Box<str>, u32, u32)| {
                    let field = &schema.get(*owner).fields[*at as usize];
                    (name.to_string(), full(schema, &field.shape, depth + 1))
                };
                let members = schema.get(*id).members.iter();
                Value::Object(members.filter(|member| &*member.0 != "managedFields").map(member).collect())
            }
            Shape::List(inner) => json!([full(schema, inner, depth + 1)]),
            Shape::Map(inner) => json!({"key": full(schema, inner, depth + 1)}),
            Shape::Message(_) | Shape::RawExtension => json!({}),
            Shape::Strings => json!(["s"]),
            Shape::Int32 | Shape::Int64 | Shape::Double => json!(7),
            Shape::Bool => json!(true),
            Shape::Json => json!({"a": [1], "b": {}}),
            _ => json!("text"),
        }
    }

    #[test]
    fn a_walk_finds_every_field_of_every_kind() {
        let schema = Schema::builtin();
        for kind in schema.kinds() {
            let ty = schema.kind(kind).expect("a kind");
            let object = full(schema, &Shape::Message(ty.id), 0);
            assert_eq!(walked(&ty, STATUS, &object), compared(&ty, STATUS, &object), "{kind}");
        }
    }
}
