//! What classes, claims and allocations share: lists, selectors, configurations, binding conditions.

use super::super::check::{At, Report};
use super::super::names::{Findings, label_key_errors};
use super::{MAX_PARTS, names};
use crate::expressions::devices::{SelectorError, device_selector};
use crate::tree::Tree;
use apimachinery::Value;
use std::io;

/// Longest expression of a selector, in bytes.
const MAX_EXPRESSION: usize = 10 * 1024;
/// Longest JSON of a driver's own parameters, in bytes.
const MAX_PARAMETERS: usize = 10 * 1024;
const MAX_CONDITIONS: usize = 4;

/// The elements of a list, unless there are too many; whether there are not.
pub(super) fn list(
    at: &At<'_>,
    items: &[Value],
    max: usize,
    check: impl Fn(&At<'_>, &Value, &mut Report),
    out: &mut Report,
) -> bool {
    if items.len() > max {
        out.too_many(at, items.len(), max);
        return false;
    }
    items.iter().enumerate().for_each(|(index, item)| check(&at.index(index), item, out));
    true
}

/// As [`list`], and no two elements may have the same key.
pub(super) fn set(
    at: &At<'_>,
    items: &[Value],
    max: usize,
    key: impl Fn(&Value) -> &str,
    check: impl Fn(&At<'_>, &Value, &mut Report),
    out: &mut Report,
) {
    if !list(at, items, max, check, out) {
        return;
    }
    for (index, item) in items.iter().enumerate() {
        let own = key(item);
        if items[..index].iter().any(|other| key(other) == own) {
            out.duplicate(&at.index(index), own);
        }
    }
}

/// A text as an element of a list.
pub(super) fn text(item: &Value) -> &str {
    item.as_str().unwrap_or_default()
}

/// A text and what a rule finds wrong with it.
pub(super) fn named(at: &At<'_>, name: &str, rule: fn(&str) -> Findings, out: &mut Report) {
    out.invalid_each(at, name, rule(name));
}

/// The selectors of a class or request.
pub(super) fn selectors(at: &At<'_>, owner: &Value, out: &mut Report) {
    list(&at.child("selectors"), owner.items("selectors"), MAX_PARTS, selector, out);
}

fn selector(at: &At<'_>, selector: &Value, out: &mut Report) {
    let at = at.child("cel");
    let Some(cel) = selector.at("cel") else { return out.required(&at, "") };
    let at = at.child("expression");
    let source = cel.text("expression");
    if source.len() > MAX_EXPRESSION {
        return out.too_long(&at, MAX_EXPRESSION);
    }
    match device_selector(source) {
        Ok(_) => {}
        Err(SelectorError::Invalid(why)) => out.invalid(&at, source, why),
        Err(why @ SelectorError::TooComplex) => out.forbidden(&at, why.to_string()),
    }
}

/// A configuration for a driver.
pub(super) fn config(at: &At<'_>, config: &Value, is_stored: bool, out: &mut Report) {
    let at = at.child("opaque");
    let Some(opaque) = config.at("opaque") else { return out.required(&at, "") };
    names::driver(&at.child("driver"), opaque.text("driver"), out);
    parameters(&at.child("parameters"), opaque.at("parameters"), is_stored, out);
}

/// JSON that only a driver understands: an object, and not a large one.
pub(super) fn parameters(at: &At<'_>, given: Option<&Value>, is_stored: bool, out: &mut Report) {
    match given {
        None => out.required(at, ""),
        Some(value) if !is_stored && length(value) > MAX_PARAMETERS => out.too_long(at, MAX_PARAMETERS),
        Some(Value::Object(_)) => {}
        Some(_) => out.invalid(at, "<value omitted>", "must be a valid JSON object"),
    }
}

/// How many bytes a value takes as JSON.
fn length(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting does not fail.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// The conditions of a device that has to be made ready: for success and for failure.
pub(super) fn binding_conditions(at: &At<'_>, owner: &Value, out: &mut Report) {
    const LISTS: [&str; 2] = ["bindingConditions", "bindingFailureConditions"];
    for key in LISTS {
        let check = |at: &At<'_>, item: &Value, out: &mut Report| named(at, text(item), label_key_errors, out);
        list(&at.child(key), owner.items(key), MAX_CONDITIONS, check, out);
    }
    let [good, bad] = LISTS.map(|key| owner.items(key));
    for (key, items) in [(LISTS[0], good), (LISTS[1], bad)] {
        let at = at.child(key);
        for (index, item) in items.iter().enumerate() {
            if items[..index].contains(item) {
                out.duplicate(&at.index(index), item);
            }
            if key == LISTS[1] && good.contains(item) {
                out.invalid(&at.index(index), item, "bindingFailureConditions must not overlap with bindingConditions");
            }
        }
    }
    for (this, other, is_wrong) in [
        (LISTS[0], LISTS[1], good.is_empty() && !bad.is_empty()),
        (LISTS[1], LISTS[0], bad.is_empty() && !good.is_empty()),
    ] {
        if is_wrong {
            out.invalid(&at.child(this), &Value::Null, format!("{this} are required to use {other}"));
        }
    }
}
