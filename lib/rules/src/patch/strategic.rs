//! Strategic merge patches: like merge patches, but lists of objects merge by a key that the
//! schema names, and directives in the patch say how.
//!
//! Upstream: `apimachinery/pkg/util/strategicpatch/patch.go`.

mod directives;
mod lists;
mod order;

use super::PatchError;
use apimachinery::go::quoted;
use apimachinery::schema::{PatchStrategy, Schema, Shape, TypeRef};
use apimachinery::{Map, Value};
use directives::{DELETE_FROM, DIRECTIVE, Directive, ORDER, RETAIN, cleaned};
use order::Lists;

/// Applies a strategic merge patch to an object of type `ty`.
pub fn apply(ty: &TypeRef, target: Value, patch: &Value) -> Result<Value, PatchError> {
    apply_using(ty, target, &mut patch.clone())
}

/// As [`apply`]; what is left of the patch is what upstream quotes of it: directives that it obeyed and `null`s that it
/// dropped are gone.
pub fn apply_using(ty: &TypeRef, target: Value, patch: &mut Value) -> Result<Value, PatchError> {
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        return Err(PatchError::Malformed("a strategic merge patch is an object".into()));
    };
    let merger = Merger { schema: &ty.schema };
    merger.objects(target, patch, &Shape::Message(ty.id)).map(Value::Object)
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
    fn objects(&self, mut target: Map, patch: &mut Map, shape: &'a Shape) -> Result<Map, PatchError> {
        match Directive::of(patch)? {
            Some(Directive::Replace) => {
                patch.remove(DIRECTIVE);
                return Ok(patch.clone());
            }
            Some(Directive::Delete) => return Ok(Map::new()),
            Some(Directive::Merge) => return Err(directives::unknown(patch)),
            None => {}
        }
        if let Some(retained) = patch.remove(RETAIN) {
            directives::retain(&mut target, patch, &retained)?;
        }
        self.ordered_lists(&mut target, patch, shape)?;
        for (key, value) in patch {
            match key.starts_with(DELETE_FROM) {
                true => self.delete(&mut target, directives::list_named(key, DELETE_FROM)?, value, shape)?,
                false => self.member(&mut target, key, value, shape)?,
            }
        }
        Ok(target)
    }

    fn member(&self, target: &mut Map, key: &str, value: &mut Value, shape: &'a Shape) -> Result<(), PatchError> {
        let present = target.remove(key);
        let is_alike = present.as_ref().is_some_and(|present| lists::go_type(present) == lists::go_type(value));
        let merged = match (present, &mut *value) {
            (_, Value::Null) => None,
            (Some(Value::Object(old)), Value::Object(new)) => {
                let member = self.lookup(shape, key)?;
                match member.replaces() {
                    true => Some(Value::Object(new.clone())),
                    false => Some(Value::Object(self.objects(old, new, member.shape)?)),
                }
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                let member = self.lookup_list(shape, key)?;
                match member.merges() {
                    true => Some(Value::Array(self.lists(old, new, &member)?)),
                    false => Some(Value::Array(new.clone())),
                }
            }
            _ if is_alike => cleaned(value),
            _ => {
                directives::discard_nulls(value);
                cleaned(value)
            }
        };
        target.extend(merged.map(|value| (key.to_owned(), value)));
        Ok(())
    }

    /// Takes what a list of deletions names out of the target's list.
    fn delete(&self, target: &mut Map, key: &str, gone: &mut Value, shape: &'a Shape) -> Result<(), PatchError> {
        if gone.is_null() {
            target.remove(key);
            return Ok(());
        }
        let Some(present) = target.remove(key) else { return Ok(()) };
        let left = match (present, gone) {
            (Value::Object(old), Value::Object(new)) => {
                Value::Object(self.objects(old, new, self.lookup(shape, key)?.shape)?)
            }
            (Value::Array(old), Value::Array(gone)) => {
                let member = self.lookup_list(shape, key)?;
                match lists::are_objects(&[&old, gone]) {
                    _ if old.is_empty() && gone.is_empty() => Value::Array(old),
                    Ok(false) => Value::Array(lists::without(old, gone)),
                    Ok(true) => Value::Array(self.lists(old, gone, &member)?),
                    Err(error) => return Err(error),
                }
            }
            (old, gone) if lists::go_type(&old) == lists::go_type(gone) => gone.clone(),
            (old, _) => old,
        };
        target.insert(key.to_owned(), left);
        Ok(())
    }

    /// Merges the lists whose order the patch gives, and takes them out of the patch.
    fn ordered_lists(&self, target: &mut Map, patch: &mut Map, shape: &'a Shape) -> Result<(), PatchError> {
        let keys: Vec<String> = patch.keys().filter(|key| key.starts_with(ORDER)).cloned().collect();
        for key in keys {
            let order = patch.remove(&key).unwrap_or_default();
            let Value::Array(order) = order else { return Err(lists::not_a_list(&order)) };
            let list = directives::list_named(&key, ORDER)?;
            self.ordered_list(target, patch, (list, &order), shape)?;
        }
        Ok(())
    }

    fn ordered_list(
        &self,
        target: &mut Map,
        patch: &mut Map,
        (list, order): (&str, &[Value]),
        shape: &'a Shape,
    ) -> Result<(), PatchError> {
        let as_list = |value: &Value| value.as_array().cloned().ok_or_else(|| lists::not_a_list(value));
        let old = target.get(list).map(as_list).transpose()?;
        patch.get(list).map(as_list).transpose()?;
        let member = self.lookup_list(shape, list)?;
        let key = member.key();
        let new = patch.get_mut(list).and_then(Value::as_array_mut);
        order::check(new.as_deref().map_or(&[], Vec::as_slice), order, key)?;
        let (before, given) = (old.clone().unwrap_or_default(), new.as_deref().cloned().unwrap_or_default());
        let merged = match (old, new) {
            (None, None) => return Ok(()),
            (Some(old), None) => old,
            (None, Some(new)) => directives::cleaned_list(new),
            (Some(old), Some(new)) if member.merges() => self.lists(old, new, &member)?,
            (Some(_), Some(new)) => new.clone(),
        };
        let (named, others) = order::parted(merged, order, key)?;
        let are_objects = lists::are_objects(&[&before, &given])?;
        let lists = Lists { order, before: &before, key, are_objects };
        target.insert(list.to_owned(), Value::Array(lists.ordered(named, others)?));
        patch.remove(list);
        Ok(())
    }

    fn lists(&self, old: Vec<Value>, new: &mut Vec<Value>, member: &Member<'a>) -> Result<Vec<Value>, PatchError> {
        if old.is_empty() && new.is_empty() {
            return Ok(old);
        }
        let key = member.key();
        if !lists::are_objects(&[&old, new])? {
            let merged = lists::scalars(&old, new);
            return order::woven(merged, new, &old, ("", false));
        }
        if key.is_empty() {
            return Err(PatchError::Failed("cannot merge lists without merge key for struct".into()));
        }
        let (mut merged, places) = lists::without_directives(old, new, key)?;
        let before = merged.clone();
        for at in places.iter().copied() {
            let Some(Value::Object(item)) = new.get_mut(at) else { continue };
            let identity = lists::identity(item, key)?.clone();
            match lists::position(&merged, key, &identity)? {
                Some(place) => {
                    let Value::Object(old) = std::mem::take(&mut merged[place]) else { continue };
                    merged[place] = Value::Object(self.objects(old, item, member.element())?);
                }
                None => merged.push(Value::Object(item.clone())),
            }
        }
        let plain: Vec<Value> = places.into_iter().filter_map(|at| new.get(at).cloned()).collect();
        order::woven(merged, &plain, &before, (key, true))
    }

    /// What the schema says about a member of a value of this shape.
    fn lookup(&self, shape: &'a Shape, key: &str) -> Result<Member<'a>, PatchError> {
        let kind = match shape {
            Shape::Message(id) => {
                let field = self.schema.field(*id, key);
                let ty = self.schema.get(*id);
                let missing = || {
                    format!("unable to find api field in struct {} for the json field {}", ty.short_name(), quoted(key))
                };
                let found = field.map(|field| Member { shape: &field.shape, strategy: field.patch.as_ref() });
                return match (found, ty.is_object) {
                    (Some(member), _) => Ok(member),
                    (None, true) if matches!(key, "kind" | "apiVersion") => {
                        Ok(Member { shape: &Shape::String, strategy: None })
                    }
                    _ => Err(PatchError::Failed(missing())),
                };
            }
            Shape::Map(_) => "map",
            Shape::List(_) | Shape::Bytes | Shape::Strings => "slice",
            Shape::String => "string",
            Shape::Int32 => "int32",
            Shape::Int64 => "int64",
            Shape::Bool => "bool",
            Shape::Double => "float64",
            other => {
                let name = struct_name(other);
                let why = format!("unable to find api field in struct {name} for the json field {}", quoted(key));
                return Err(PatchError::Failed(why));
            }
        };
        let why = format!("merging an object in json but data type is not struct, instead is: {kind}");
        Err(PatchError::Failed(why))
    }

    fn lookup_list(&self, shape: &'a Shape, key: &str) -> Result<Member<'a>, PatchError> {
        let member = self.lookup(shape, key)?;
        let is_list = matches!(member.shape, Shape::List(_) | Shape::Bytes | Shape::Strings);
        let owner = if matches!(shape, Shape::Map(_)) { "map" } else { "struct" };
        let failed = || PatchError::Failed(format!("expected slice or array type, but got: {owner}"));
        is_list.then_some(member).ok_or_else(failed)
    }
}

/// Go's struct of a value that has a decoder of its own.
fn struct_name(shape: &Shape) -> &'static str {
    match shape {
        Shape::Quantity => "Quantity",
        Shape::Time => "Time",
        Shape::MicroTime => "MicroTime",
        Shape::Duration => "Duration",
        Shape::IntOrString => "IntOrString",
        Shape::RawExtension => "RawExtension",
        Shape::FieldsV1 => "FieldsV1",
        Shape::SchemaOrArray => "JSONSchemaPropsOrArray",
        Shape::SchemaOrBool => "JSONSchemaPropsOrBool",
        Shape::SchemaOrStrings => "JSONSchemaPropsOrStringArray",
        _ => "JSON",
    }
}

#[cfg(test)]
mod tests;
