//! One typed configuration out of defaults, a file, the environment and flags, each overriding the
//! ones before.
//!
//! Environment and flags come as one layer from [`crate::flags`], which lets flags win.

use config::{Config, ConfigError, Map, Source, ValueKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A flag that sets a field of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct FieldFlag {
    /// The flag's name: `leader-elect`.
    pub flag: &'static str,
    /// The field's path: `leaderElection.leaderElect`.
    pub path: &'static str,
}

/// Layers that do not fit together.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct LayerError(#[from] ConfigError);

/// `defaults`, overridden by `file`, overridden by those of the `given` flags that `fields` maps
/// to a field.
pub fn layered<T: Serialize + DeserializeOwned>(
    defaults: &T,
    file: Option<&Value>,
    fields: &[FieldFlag],
    given: &[(String, String)],
) -> Result<T, LayerError> {
    let defaults = serde_json::to_value(defaults).map_err(|error| ConfigError::Message(error.to_string()))?;
    let mut builder = Config::builder().add_source(Layer("defaults", defaults));
    if let Some(file) = file {
        builder = builder.add_source(Layer("file", file.clone()));
    }
    for (flag, value) in given {
        if let Some(field) = fields.iter().find(|field| field.flag == flag) {
            builder = builder.set_override(field.path, value.as_str())?;
        }
    }
    Ok(builder.build()?.try_deserialize()?)
}

/// Parsed values as a layer; the name is for error messages.
#[derive(Clone, Debug)]
struct Layer(&'static str, Value);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, config::Value>, ConfigError> {
        let Value::Object(fields) = &self.1 else { return Ok(Map::new()) };
        Ok(fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), convert(self.0, value)))
            .collect())
    }
}

fn convert(origin: &'static str, value: &Value) -> config::Value {
    let kind = match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(value) => ValueKind::Boolean(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => ValueKind::I64(integer),
            (None, Some(integer)) => ValueKind::U64(integer),
            (None, None) => ValueKind::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Array(items) => ValueKind::Array(items.iter().map(|item| convert(origin, item)).collect()),
        Value::Object(fields) => {
            ValueKind::Table(fields.iter().map(|(key, value)| (key.clone(), convert(origin, value))).collect())
        }
    };
    config::Value::new(Some(&origin.to_owned()), kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sample {
        max_pods: u32,
        leader_election: Election,
        eviction_hard: BTreeMap<String, String>,
        names: Vec<String>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Election {
        leader_elect: bool,
        lease_duration: crate::GoDuration,
    }

    fn defaults() -> Sample {
        Sample {
            max_pods: 110,
            leader_election: Election { leader_elect: true, lease_duration: crate::GoDuration::from_secs(15) },
            eviction_hard: BTreeMap::from([("memory.available".into(), "100Mi".into())]),
            names: vec!["a".into()],
        }
    }

    const FIELDS: [FieldFlag; 2] = [
        FieldFlag { flag: "leader-elect", path: "leaderElection.leaderElect" },
        FieldFlag { flag: "max-pods", path: "maxPods" },
    ];

    #[test]
    fn a_later_layer_wins_field_by_field() {
        let file = json!({"maxPods": 50, "leaderElection": {"leaseDuration": "30s"}, "names": ["b", "c"]});
        let given = [("leader-elect".to_owned(), "false".to_owned()), ("other".to_owned(), "x".to_owned())];
        let config = layered(&defaults(), Some(&file), &FIELDS, &given).unwrap();
        assert_eq!(config.max_pods, 50);
        assert!(!config.leader_election.leader_elect);
        assert_eq!(config.leader_election.lease_duration, crate::GoDuration::from_secs(30));
        assert_eq!(config.eviction_hard["memory.available"], "100Mi");
        assert_eq!(config.names, ["b", "c"]);
    }

    #[test]
    fn without_file_and_flags_there_are_the_defaults() {
        assert_eq!(layered(&defaults(), None, &FIELDS, &[]).unwrap(), defaults());
    }

    #[test]
    fn an_impossible_value_is_an_error() {
        let given = [("max-pods".to_owned(), "many".to_owned())];
        let error = layered(&defaults(), None, &FIELDS, &given).unwrap_err().to_string();
        assert!(error.contains("many") && error.lines().count() == 1, "{error}");
    }
}
