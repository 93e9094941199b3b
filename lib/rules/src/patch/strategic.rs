//! Strategic merge patches: like merge patches, but lists of objects merge by a key that the
//! schema names, and directives in the patch say how.
//!
//! Upstream: `apimachinery/pkg/util/strategicpatch/patch.go`.

mod directives;
mod lists;

use super::PatchError;
use apimachinery::schema::{PatchStrategy, Schema, Shape, TypeRef};
use apimachinery::{Map, Value};
use directives::{DELETE_FROM, DIRECTIVE, Directive, ORDER, RETAIN, clean};

/// Applies a strategic merge patch to an object of type `ty`.
pub fn apply(ty: &TypeRef, target: Value, patch: &Value) -> Result<Value, PatchError> {
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        return Err(PatchError::Malformed("a strategic merge patch is an object".into()));
    };
    let merger = Merger { schema: &ty.schema };
    merger.objects(target, patch.clone(), &Shape::Message(ty.id)).map(Value::Object)
}

/// What the schema says about a member: its shape, and how it merges.
#[derive(Clone, Copy)]
struct Member<'a> {
    shape: &'a Shape,
    strategy: Option<&'a PatchStrategy>,
}

impl<'a> Member<'a> {
    fn merges(&self) -> bool {
        self.strategy.is_some_and(|s| s.merge)
    }

    fn replaces(&self) -> bool {
        self.strategy.is_some_and(|s| s.text.split(',').any(|word| word == "replace"))
    }

    /// The member of list elements that tells them apart; empty for scalars.
    fn key(&self) -> &'a str {
        self.strategy.map_or("", |s| &s.key)
    }

    fn element(&self) -> &'a Shape {
        match self.shape {
            Shape::List(inner) => inner,
            shape => shape,
        }
    }
}

struct Merger<'a> {
    schema: &'a Schema,
}

impl<'a> Merger<'a> {
    fn objects(&self, mut target: Map, mut patch: Map, shape: &'a Shape) -> Result<Map, PatchError> {
        match Directive::of(&patch)? {
            Some(Directive::Replace) => {
                patch.remove(DIRECTIVE);
                return Ok(patch);
            }
            Some(Directive::Delete) => return Ok(Map::new()),
            Some(Directive::Merge) => return Err(directives::unknown("merge")),
            None => {}
        }
        if let Some(retained) = patch.remove(RETAIN) {
            directives::retain(&mut target, &patch, &retained)?;
        }
        self.ordered_lists(&mut target, &mut patch, shape)?;
        for (key, value) in patch {
            match key.strip_prefix(DELETE_FROM) {
                Some(list) => lists::delete_scalars(&mut target, list, &value)?,
                None => self.member(&mut target, key, value, shape)?,
            }
        }
        Ok(target)
    }

    fn member(&self, target: &mut Map, key: String, value: Value, shape: &'a Shape) -> Result<(), PatchError> {
        let present = target.remove(&key);
        let merged = match (present, value) {
            (_, Value::Null) => None,
            (Some(Value::Object(old)), Value::Object(new)) => {
                let member = self.lookup(shape, &key);
                match member.replaces() {
                    true => Some(Value::Object(new)),
                    false => Some(Value::Object(self.objects(old, new, member.shape)?)),
                }
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                let member = self.lookup(shape, &key);
                match member.merges() {
                    true => Some(Value::Array(self.lists(old, new, &member)?)),
                    false => Some(Value::Array(new)),
                }
            }
            (_, new) => clean(new),
        };
        target.extend(merged.map(|value| (key, value)));
        Ok(())
    }

    /// Merges the lists whose order the patch gives, and takes them out of the patch.
    fn ordered_lists(&self, target: &mut Map, patch: &mut Map, shape: &'a Shape) -> Result<(), PatchError> {
        let keys: Vec<String> = patch.keys().filter(|key| key.starts_with(ORDER)).cloned().collect();
        for key in keys {
            let list = key.trim_start_matches(ORDER);
            let Some(Value::Array(order)) = patch.remove(&key) else {
                return Err(PatchError::Malformed(format!("{key} is not a list")));
            };
            let member = self.lookup(shape, list);
            let old = directives::take_list(target, list)?;
            let new = directives::take_list(patch, list)?;
            if let Some(new) = &new {
                lists::check_order(new, &order, member.key())?;
            }
            let merged = match (old.clone(), new) {
                (None, None) => continue,
                (Some(old), None) => old,
                (None, Some(new)) => directives::cleaned(new),
                (Some(old), Some(new)) if member.merges() => self.lists(old, new, &member)?,
                (Some(_), Some(new)) => new,
            };
            let ordered = lists::ordered(merged, &order, &old.unwrap_or_default(), member.key());
            target.insert(list.to_owned(), Value::Array(ordered));
        }
        Ok(())
    }

    fn lists(&self, old: Vec<Value>, new: Vec<Value>, member: &Member<'a>) -> Result<Vec<Value>, PatchError> {
        let are_objects = old.iter().chain(&new).all(Value::is_object);
        match are_objects {
            true => self.object_lists(old, new, member),
            false => Ok(lists::scalars(old, new)),
        }
    }

    fn object_lists(&self, old: Vec<Value>, new: Vec<Value>, member: &Member<'a>) -> Result<Vec<Value>, PatchError> {
        let key = member.key();
        if key.is_empty() {
            return Err(PatchError::Malformed("cannot merge lists without merge key".into()));
        }
        let (mut merged, new) = lists::without_directives(old.clone(), new, key)?;
        let mut places = lists::places(&merged, key);
        for item in &new {
            let identity = lists::identity(item, key)?;
            match places.get(&identity).copied() {
                Some(at) => {
                    if let (Value::Object(old), Value::Object(new)) = (merged[at].take(), item.clone()) {
                        merged[at] = Value::Object(self.objects(old, new, member.element())?);
                    }
                }
                None => {
                    places.insert(identity, merged.len());
                    merged.extend(clean(item.clone()));
                }
            }
        }
        Ok(lists::ordered(merged, &new, &old, key))
    }

    /// What the schema says about a member of a value of this shape. Without a schema objects
    /// merge and lists are replaced.
    fn lookup(&self, shape: &'a Shape, key: &str) -> Member<'a> {
        match shape {
            Shape::Message(id) => {
                self.schema.field(*id, key).map_or(Member { shape: &Shape::Json, strategy: None }, |f| Member {
                    shape: &f.shape,
                    strategy: f.patch.as_ref(),
                })
            }
            Shape::Map(inner) => Member { shape: inner, strategy: None },
            shape => Member { shape, strategy: None },
        }
    }
}

#[cfg(test)]
mod tests;
