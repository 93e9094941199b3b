//! What is waited for: `--for`.

use crate::print::jsonpath::{self, JsonPath};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// One `--for`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// The object is gone.
    Delete,
    /// The object is there.
    Create,
    /// A condition of the status has a status.
    Status {
        /// Its type.
        name: String,
        /// Its status.
        value: String,
    },
    /// An expression has a value, or any.
    Path {
        /// The expression.
        path: JsonPath,
        /// The value; any if none.
        value: Option<String>,
    },
}

/// Reads all `--for`.
pub(super) fn parse(words: &[String]) -> anyhow::Result<Vec<Condition>> {
    if words.is_empty() {
        bail!("unrecognized condition: []");
    }
    words.iter().map(|word| parse_one(word)).collect()
}

fn parse_one(word: &str) -> anyhow::Result<Condition> {
    match word.to_lowercase().as_str() {
        "delete" => return Ok(Condition::Delete),
        "create" => return Ok(Condition::Create),
        _ => {}
    }
    if let Some(condition) = word.strip_prefix("condition=") {
        let (name, value) = condition.split_once('=').unwrap_or((condition, "true"));
        return Ok(Condition::Status { name: name.to_owned(), value: value.to_owned() });
    }
    match word.strip_prefix("jsonpath=") {
        Some(input) => parse_path(input),
        None => bail!("unrecognized condition: {word:?}"),
    }
}

fn parse_path(input: &str) -> anyhow::Result<Condition> {
    let parts = split(input);
    let (expression, value) = match parts.as_slice() {
        [expression] => (expression, None),
        [expression, value] => (expression, Some(value.trim_matches(['\'', '"']))),
        _ => bail!(
            "jsonpath wait format must be --for=jsonpath='{{.status.readyReplicas}}'=3 or --for=jsonpath='{{.status.readyReplicas}}'"
        ),
    };
    let expression = jsonpath::relaxed(expression)?;
    if value == Some("") {
        bail!("jsonpath wait has to have a value after equal sign, like --for=jsonpath='{{.status.readyReplicas}}'=3");
    }
    if expression.is_empty() {
        bail!("jsonpath expression cannot be empty");
    }
    Ok(Condition::Path { path: JsonPath::parse(&expression, true)?, value: value.map(str::to_owned) })
}

/// The parts between single equals signs; a double one belongs to an expression.
fn split(input: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = input.chars().peekable();
    while let Some(c) = rest.next() {
        let double = c == '=' && rest.next_if_eq(&'=').is_some();
        match (c, parts.last_mut()) {
            ('=', _) if !double => parts.push(String::new()),
            (c, Some(last)) => {
                last.push(c);
                last.extend(double.then_some('='));
            }
            (_, None) => {}
        }
    }
    parts
}

impl Condition {
    /// Whether an object that is there has it.
    pub(super) fn met(&self, object: &Value) -> anyhow::Result<bool> {
        match self {
            Condition::Delete => Ok(false),
            Condition::Create => Ok(true),
            Condition::Status { name, value } => Ok(has_status(object, name, value)),
            Condition::Path { path, value } => has_value(object, path, value.as_deref()),
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

fn has_status(object: &Value, name: &str, value: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let text = |c: &Value, key: &str| c[key].as_str().map(str::to_owned);
    let mut named = conditions.filter(|c| text(c, "type").is_some_and(|t| same(&t, name)));
    let Some(condition) = named.find(|c| c["status"].is_string()) else { return false };
    // A condition that speaks of an older generation says nothing yet.
    let observed = condition["observedGeneration"].as_i64().or(object["status"]["observedGeneration"].as_i64());
    if observed.is_some_and(|observed| observed < object.generation()) {
        return false;
    }
    text(condition, "status").is_some_and(|status| same(&status, value))
}

fn has_value(object: &Value, path: &JsonPath, wanted: Option<&str>) -> anyhow::Result<bool> {
    let found = path.find(object)?;
    let Some(first) = found.first().filter(|list| !list.is_empty()) else { return Ok(false) };
    if found.len() > 1 {
        bail!("given jsonpath expression matches more than one list");
    }
    if first.len() > 1 {
        bail!("given jsonpath expression matches more than one value");
    }
    let Some(wanted) = wanted else { return Ok(true) };
    if first[0].is_object() || first[0].is_array() {
        bail!("jsonpath leads to a nested object or list which is not supported");
    }
    Ok(jsonpath::text(&first[0]).trim() == wanted.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn met(condition: &str, object: &Value) -> Result<bool, String> {
        parse_one(condition).and_then(|c| c.met(object)).map_err(|e| e.to_string())
    }

    #[test]
    fn conditions_are_met() {
        let pod = json!({"metadata": {"generation": 2}, "status": {"phase": "Running", "n": 3, "list": [1, 2], "observedGeneration": 2,
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "True", "observedGeneration": 1}]}});
        for (condition, want) in [
            ("condition=Ready", Ok(true)),
            ("condition=ready=TRUE", Ok(true)),
            ("condition=Ready=False", Ok(false)),
            ("condition=Old", Ok(false)),
            ("condition=None", Ok(false)),
            ("jsonpath={.status.phase}=Running", Ok(true)),
            ("jsonpath=.status.n='3'", Ok(true)),
            ("jsonpath={.status.nothing}", Ok(false)),
            ("jsonpath={.status.list}", Ok(true)),
            ("jsonpath={.status.conditions[?(@.type==\"Ready\")].status}=True", Ok(true)),
            (
                "jsonpath={.status.list}=1",
                Err("jsonpath leads to a nested object or list which is not supported".to_owned()),
            ),
            ("jsonpath={.status.list[*]}=1", Err("given jsonpath expression matches more than one value".to_owned())),
            ("DELETE", Ok(false)),
            ("nonsense", Err("unrecognized condition: \"nonsense\"".to_owned())),
        ] {
            assert_eq!(met(condition, &pod), want, "{condition}");
        }
    }

    #[test]
    fn equals_signs_split() {
        assert_eq!(split("a.b==c=d"), ["a.b==c", "d"]);
        assert_eq!(split("a"), ["a"]);
    }
}
