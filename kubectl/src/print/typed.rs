//! JSON of objects that kubectl itself holds in Go's types: members stand as these declare them,
//! not sorted.
//!
//! Upstream: `cli-runtime/pkg/printers/json.go` on `runtime.Object`s that are no `unstructured` ones.

use super::json;
use apimachinery::Value;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::{Schema, Shape, TypeRef};

/// Indented, with a line break at the end; of types that are not built in, members are sorted.
pub fn pretty(object: &Value) -> String {
    json::in_order(object, shape_of(object), 4)
}

/// What an object's members are.
#[derive(Clone)]
enum Place {
    /// An object of a type.
    Of(TypeRef),
    /// A value of a shape in a type's table.
    Shaped(TypeRef, Shape),
    /// A list of objects that are in no type of Go's.
    List,
    /// Anything.
    Unknown,
}

/// The members of a list, which is a type of Go's even where its objects are not.
const LIST: [&str; 4] = ["kind", "apiVersion", "metadata", "items"];

fn shape_of(object: &Value) -> Place {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    if (text("apiVersion"), text("kind")) == ("v1", "List") {
        return Place::List;
    }
    let kind = GroupVersionKind::parse(text("apiVersion"), text("kind"));
    kind.and_then(|kind| Schema::builtin().kind(&kind)).map_or(Place::Unknown, Place::Of)
}

impl json::Order for Place {
    fn sort(&self, members: &mut [(&String, &Value)]) {
        json::sort_by(&self.order(), members);
    }

    fn member(&self, name: &str) -> Place {
        match self {
            Place::Shaped(ty, Shape::Map(shape)) => Place::Shaped(ty.clone(), (**shape).clone()),
            _ => match self.resolved() {
                Some(ty) => match ty.field(name) {
                    Some(field) => Place::Shaped(ty.clone(), field.shape.clone()),
                    None => Place::Unknown,
                },
                None => Place::Unknown,
            },
        }
    }

    fn item(&self, item: &Value) -> Place {
        match self {
            Place::Shaped(ty, Shape::List(shape)) => match &**shape {
                Shape::RawExtension => shape_of(item),
                shape => Place::Shaped(ty.clone(), shape.clone()),
            },
            _ => Place::Unknown,
        }
    }
}

impl Place {
    /// Names of members in their order; none where they are sorted.
    fn order(&self) -> Vec<Box<str>> {
        if matches!(self, Place::List) {
            return LIST.map(Into::into).to_vec();
        }
        match self.resolved() {
            Some(ty) => {
                let mut names = Vec::new();
                if ty.def().is_object {
                    names.extend(["kind".into(), "apiVersion".into()]);
                }
                declared(&ty, &mut names);
                names
            }
            None => Vec::new(),
        }
    }

    fn resolved(&self) -> Option<TypeRef> {
        match self {
            Place::Of(ty) => Some(ty.clone()),
            Place::Shaped(ty, Shape::Message(id)) => Some(ty.sibling(*id)),
            _ => None,
        }
    }
}

/// The names of a type's members, those of inlined messages where these stand.
fn declared(ty: &TypeRef, names: &mut Vec<Box<str>>) {
    for field in ty.def().declared_fields() {
        match (&*field.json, &field.shape) {
            ("", Shape::Message(inlined)) => declared(&ty.sibling(*inlined), names),
            (name, _) => names.push(name.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_stand_as_go_declares_them() {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"b": "1", "a": "2"}, "name": "p", "creationTimestamp": null},
            "spec": {"restartPolicy": "Never", "containers": [{"image": "i", "name": "c", "resources": {}}]}, "status": {}, "odd": 1});
        let text = pretty(&object);
        let names: Vec<&str> =
            text.split('"').skip(1).step_by(2).filter(|w| text.contains(&format!("\"{w}\": "))).collect();
        assert_eq!(
            names,
            [
                "kind",
                "apiVersion",
                "metadata",
                "name",
                "creationTimestamp",
                "labels",
                "a",
                "b",
                "spec",
                "containers",
                "name",
                "image",
                "resources",
                "restartPolicy",
                "status",
                "odd"
            ]
        );
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), object);
    }

    #[test]
    fn lists_have_an_order_of_their_own() {
        let list =
            json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": [{"kind": "Pod", "apiVersion": "v1"}]});
        let want = "{\n    \"kind\": \"List\",\n    \"apiVersion\": \"v1\",\n    \"metadata\": {},\n    \"items\": [\n        {\n            \"apiVersion\": \"v1\",\n            \"kind\": \"Pod\"\n        }\n    ]\n}\n";
        assert_eq!(pretty(&list), want);
    }

    #[test]
    fn types_that_are_not_known_are_sorted() {
        let object = json!({"apiVersion": "things.io/v1", "kind": "Gadget", "a": []});
        assert_eq!(pretty(&object), json::pretty(&object));
    }
}
