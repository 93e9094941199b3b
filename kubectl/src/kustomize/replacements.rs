//! `replacements`: a value of one object copied into fields of others.

use super::load::{Folder, parse};
use super::patches::Target;
use super::{Item, KustomizeError};
use apimachinery::Value;

pub(super) fn run(folder: &Folder, items: &mut [Item]) -> Result<(), KustomizeError> {
    for entry in folder.list("replacements") {
        let read;
        let list = match entry["path"].as_str() {
            Some(path) => {
                read = parse(&folder.path, &folder.read(path)?)?;
                read.as_array().cloned().unwrap_or_else(|| vec![read.clone()])
            }
            None => vec![entry.clone()],
        };
        for replacement in list {
            one(items, &replacement)?;
        }
    }
    Ok(())
}

fn one(items: &mut [Item], replacement: &Value) -> Result<(), KustomizeError> {
    let value = source(items, &replacement["source"])?;
    for target in replacement["targets"].as_array().into_iter().flatten() {
        let select = Target::of(&target["select"])?;
        let rejected: Vec<Target> =
            target["reject"].as_array().into_iter().flatten().map(Target::of).collect::<Result<_, _>>()?;
        let create = target["options"]["create"].as_bool().unwrap_or(false);
        for item in items.iter_mut().filter(|i| select.fits(i) && !rejected.iter().any(|r| r.fits(i))) {
            for path in target["fieldPaths"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let fields = steps(path);
                let set = |field: &mut Value| -> Result<(), KustomizeError> {
                    *field = placed(field, &value, &target["options"])?;
                    Ok(())
                };
                if !walk(&mut item.object, &fields, create, &mut { set })? {
                    return Err(KustomizeError::Invalid(format!(
                        "unable to find field \"{path}\" in replacement target"
                    )));
                }
            }
        }
    }
    Ok(())
}

fn source(items: &[Item], source: &Value) -> Result<Value, KustomizeError> {
    let target = Target::of(source)?;
    let mut found = items.iter().filter(|item| target.fits(item));
    let (Some(item), None) = (found.next(), found.next()) else {
        return Err(KustomizeError::Invalid(format!(
            "exactly one match for the source of a replacement is needed: {source}"
        )));
    };
    let path = source["fieldPath"].as_str().unwrap_or("metadata.name");
    let mut object = item.object.clone();
    let mut value = None;
    walk(&mut object, &steps(path), false, &mut |field| {
        value.get_or_insert(field.clone());
        Ok(())
    })?;
    let value = value
        .ok_or_else(|| KustomizeError::Invalid(format!("fieldPath `{path}` is missing for replacement source")))?;
    let options = &source["options"];
    match (options["delimiter"].as_str(), value.as_str()) {
        (Some(delimiter), Some(text)) => {
            let index = options["index"].as_u64().and_then(|i| usize::try_from(i).ok()).unwrap_or(0);
            let part = text.split(delimiter).nth(index);
            part.map(Value::from).ok_or_else(|| {
                KustomizeError::Invalid(format!("options.index {index} is out of bounds for value {text}"))
            })
        }
        _ => Ok(value),
    }
}

/// A value, or a part of the text that is there.
fn placed(field: &Value, value: &Value, options: &Value) -> Result<Value, KustomizeError> {
    let (Some(delimiter), Some(text)) = (options["delimiter"].as_str(), field.as_str()) else {
        return Ok(value.clone());
    };
    let new = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut parts: Vec<&str> = text.split(delimiter).collect();
    match options["index"].as_i64().unwrap_or(0) {
        index if index < 0 => parts.insert(0, &new),
        index => match usize::try_from(index).ok().filter(|i| *i < parts.len()) {
            Some(at) => parts[at] = &new,
            None => parts.push(&new),
        },
    }
    Ok(parts.join(delimiter).into())
}

/// `a.b.[name=c].d`; dots in brackets and escaped dots are no separators.
fn steps(path: &str) -> Vec<String> {
    let (mut steps, mut current, mut depth) = (Vec::new(), String::new(), 0);
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => current.extend(chars.next()),
            '.' if depth == 0 => steps.push(std::mem::take(&mut current)),
            _ => {
                depth += i32::from(c == '[') - i32::from(c == ']');
                current.push(c);
            }
        }
    }
    steps.push(current);
    steps
}

type Setter<'a> = dyn FnMut(&mut Value) -> Result<(), KustomizeError> + 'a;

/// Visits the fields at a path; whether there was any.
fn walk(value: &mut Value, steps: &[String], create: bool, visit: &mut Setter<'_>) -> Result<bool, KustomizeError> {
    let Some((step, rest)) = steps.split_first() else {
        visit(value)?;
        return Ok(true);
    };
    if let Value::Array(list) = value {
        let condition = step.strip_prefix('[').and_then(|s| s.strip_suffix(']')).and_then(|s| s.split_once('='));
        let mut found = false;
        for (at, item) in list.iter_mut().enumerate() {
            let chosen = match condition {
                Some((key, wanted)) => item[key].as_str() == Some(wanted),
                None => step == "*" || step.parse() == Ok(at),
            };
            if chosen {
                found |= walk(item, rest, create, visit)?;
            }
        }
        return Ok(found);
    }
    if create && value.is_null() {
        *value = Value::Object(apimachinery::Map::new());
    }
    let Some(members) = value.as_object_mut() else { return Ok(false) };
    if create {
        members.entry(step.clone()).or_insert(Value::Null);
    }
    match members.get_mut(step) {
        Some(member) => walk(member, rest, create, visit),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_have_steps() {
        assert_eq!(steps("a.b.[name=c.d].e"), ["a", "b", "[name=c.d]", "e"]);
        assert_eq!(steps(r"metadata.annotations.a\.b"), ["metadata", "annotations", "a.b"]);
    }

    #[test]
    fn parts_of_texts_are_replaced() {
        let options = json!({"delimiter": "/", "index": 1});
        assert_eq!(placed(&json!("a/b/c"), &json!("X"), &options).expect("fine"), "a/X/c");
        assert_eq!(placed(&json!("a"), &json!(3), &json!({})).expect("fine"), 3);
    }
}
