//! What documents say of types and of their members. The texts are not here: who serves documents
//! gives them.

use crate::schema::{Schema, Shape, TypeDef};
use std::collections::HashMap;

/// Texts of types and of their members.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    types: HashMap<Box<str>, Members>,
}

/// By name; the type's own text stands under the empty one.
type Members = HashMap<Box<str>, Box<str>>;

/// Makes the texts anew each time: they are needed only while documents are made.
pub type TextSource = fn() -> Texts;

/// A type whose members `apiVersion`, `kind` and `metadata` are described as every object's.
const AN_OBJECT: &str = "io.k8s.api.core.v1.ConfigMap";

impl Texts {
    /// Of types by name, each with its members' texts; its own stands under the empty name.
    pub fn new(types: HashMap<Box<str>, HashMap<Box<str>, Box<str>>>) -> Self {
        Self { types }
    }

    /// What there is to say of a type.
    pub fn of_type(&self, name: &str) -> Option<&str> {
        self.of_member(name, "").filter(|text| !text.is_empty())
    }

    /// What there is to say of a type's member.
    pub fn of_member(&self, name: &str, member: &str) -> Option<&str> {
        self.types.get(name)?.get(member).map(|text| &**text)
    }

    /// What `apiVersion`, `kind` or `metadata` of any object is.
    pub fn of_every_object(&self, member: &str) -> Option<&str> {
        self.of_member(AN_OBJECT, member)
    }

    /// Of a type in the table, lists included, which have no texts of their own.
    pub(super) fn type_text(&self, def: &TypeDef) -> Option<String> {
        let own = self.of_type(&def.name).map(str::to_owned);
        own.or_else(|| Some(format!("{} is a list of {}.", def.short_name(), listed(def)?)))
    }

    /// Of a member of a type in the table.
    pub(super) fn member_text(&self, def: &TypeDef, member: &str) -> Option<String> {
        let own = self.of_member(&def.name, member).map(str::to_owned);
        own.or_else(|| match member {
            "apiVersion" | "kind" if def.is_object => self.of_every_object(member).map(str::to_owned),
            "metadata" if listed(def).is_some() => {
                Some("What the list as a whole has: its version and the rest.".into())
            }
            "items" => Some(format!("List of {}.", plural(listed(def)?))),
            _ => None,
        })
    }
}

/// The kind that a list is of.
fn listed(def: &TypeDef) -> Option<&str> {
    let items = def.fields.iter().find(|field| &*field.json == "items").filter(|_| def.is_object)?;
    match &items.shape {
        Shape::List(inner) => match **inner {
            Shape::Message(id) => Some(Schema::builtin().get(id).short_name()),
            _ => None,
        },
        _ => None,
    }
}

/// What a client calls several objects of a kind.
fn plural(kind: &str) -> &str {
    let resource = crate::resources::builtin().iter().find(|resource| &*resource.kind == kind);
    resource.map_or(kind, |resource| &resource.plural)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn def(name: &str) -> TypeDef {
        Schema::builtin().type_named(name).expect("a type").def().clone()
    }

    #[test]
    fn lists_and_members_of_every_object_are_described() {
        let text = |name: &str| (Box::from(name), Box::from(format!("about {name}")));
        let texts = Texts::new(HashMap::from([
            (AN_OBJECT.into(), HashMap::from([text("kind"), text("")])),
            ("io.k8s.api.core.v1.PodSpec".into(), HashMap::from([text("nodeName")])),
        ]));
        let list = def("io.k8s.api.core.v1.PodList");
        assert_eq!(texts.type_text(&list).as_deref(), Some("PodList is a list of Pod."));
        assert_eq!(texts.member_text(&list, "items").as_deref(), Some("List of pods."));
        assert_eq!(texts.member_text(&list, "kind").as_deref(), Some("about kind"));
        let spec = def("io.k8s.api.core.v1.PodSpec");
        assert_eq!(texts.type_text(&spec), None);
        assert_eq!(texts.member_text(&spec, "nodeName").as_deref(), Some("about nodeName"));
        assert_eq!(texts.member_text(&spec, "kind"), None);
        assert_eq!(texts.of_type(AN_OBJECT), Some("about "));
    }
}
