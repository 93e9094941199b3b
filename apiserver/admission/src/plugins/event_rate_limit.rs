//! `EventRateLimit`: so many events at once and so many per second, of all, of a namespace, of a user, or of one thing.
//!
//! Upstream: `plugin/pkg/admission/eventratelimit`.

use crate::lookup::text;
use apimachinery::Value;
use apimachinery::status::{Reason, Status};
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How many keys are remembered where the configuration does not say.
const KEYS: usize = 4096;

pub(crate) struct EventRateLimit(Vec<Limit>);

/// What events are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Kind {
    Server,
    Namespace,
    User,
    SourceAndObject,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    limits: Vec<LimitWire>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LimitWire {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    qps: i32,
    #[serde(default)]
    burst: i32,
    #[serde(default)]
    cache_size: i32,
}

struct Limit {
    kind: Kind,
    /// Time for one event.
    each: Duration,
    burst: u32,
    keys: usize,
    /// When the next event's turn is, by key; earlier than now by as many turns as are saved.
    turns: Mutex<HashMap<String, Instant>>,
}

impl EventRateLimit {
    /// With its configuration.
    ///
    /// # Errors
    /// None, or limits that are none; upstream's words.
    pub(crate) fn new(configuration: Option<&Value>) -> Result<Self, String> {
        let wire = Wire::deserialize(configuration.unwrap_or(&Value::Null)).map_err(|error| error.to_string())?;
        if wire.limits.is_empty() {
            return Err("limits: Invalid value: null: must not be empty".to_owned());
        }
        let limits = wire.limits.iter().enumerate().map(|(index, limit)| Limit::of(index, limit));
        Ok(Self(limits.collect::<Result<_, String>>()?))
    }
}

impl Limit {
    fn of(index: usize, wire: &LimitWire) -> Result<Self, String> {
        let kind = Kind::deserialize(Value::from(wire.r#type.as_str())).map_err(|_| {
            format!(
                "limits[{index}].type: Unsupported value: {:?}: supported values: \"Namespace\", \"Server\", \
                 \"SourceAndObject\", \"User\"",
                wire.r#type
            )
        })?;
        let positive = |name: &str, value: i32| match u32::try_from(value) {
            Ok(value) if value > 0 => Ok(value),
            _ => Err(format!("limits[{index}].{name}: Invalid value: {value}: must be positive")),
        };
        let (burst, qps) = (positive("burst", wire.burst)?, positive("qps", wire.qps)?);
        let keys = match usize::try_from(wire.cache_size) {
            Ok(0) => KEYS,
            Ok(size) => size,
            Err(_) if kind == Kind::Server => KEYS,
            Err(_) => {
                return Err(format!(
                    "limits[{index}].cacheSize: Invalid value: {}: must not be negative",
                    wire.cache_size
                ));
            }
        };
        Ok(Self { kind, each: Duration::from_secs(1) / qps, burst, keys, turns: Mutex::default() })
    }

    /// Takes a turn, if there is one.
    fn accepts(&self, key: &str, now: Instant) -> bool {
        let saved = self.each.saturating_mul(self.burst.saturating_sub(1));
        let earliest = now.checked_sub(saved).unwrap_or(now);
        let mut turns = self.turns.lock();
        if !turns.contains_key(key) && turns.len() >= self.keys {
            // The one that rested longest has most to spare anyway.
            let rested = turns.iter().min_by_key(|(_, turn)| **turn).map(|(key, _)| key.clone());
            rested.map(|key| turns.remove(&key));
        }
        let turn = turns.entry(key.to_owned()).or_insert(earliest);
        let mine = (*turn).max(earliest);
        if mine > now {
            return false;
        }
        *turn = mine + self.each;
        true
    }

    fn key(&self, attributes: &Attributes<'_>) -> String {
        match self.kind {
            Kind::Server => String::new(),
            Kind::Namespace => attributes.context.namespace.clone(),
            Kind::User => attributes.context.user.name.clone(),
            Kind::SourceAndObject => source_and_object(attributes.object),
        }
    }
}

/// Who tells something of what. Both groups of events name these differently.
fn source_and_object(event: &Value) -> String {
    let either = |names: [&str; 2]| names.into_iter().map(|name| text(event, name)).find(|t| !t.is_empty());
    let members = ["kind", "namespace", "name", "uid", "apiVersion"].map(|member| {
        either([&format!("/involvedObject/{member}"), &format!("/regarding/{member}")]).unwrap_or_default().to_owned()
    });
    let source = ["component", "host"].map(|member| {
        let (old, new) = (format!("/source/{member}"), format!("/deprecatedSource/{member}"));
        either([&old, &new]).unwrap_or_default().to_owned()
    });
    source.into_iter().chain(members).collect()
}

#[async_trait]
impl Plugin for EventRateLimit {
    fn name(&self) -> &'static str {
        "EventRateLimit"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
            && context.resource.plural == "events"
            && matches!(&*context.resource.group, "" | "events.k8s.io")
            && !context.dry_run
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let now = Instant::now();
        let refused: Vec<String> = self
            .0
            .iter()
            .filter_map(|limit| {
                let key = limit.key(attributes);
                (!limit.accepts(&key, now)).then(|| format!("limit reached on type {:?} for key {key}", limit.kind))
            })
            .collect();
        let why = match refused.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        Err(Status::plain(429, Reason::TooManyRequests, format!("Too many requests: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::create;
    use serde_json::json;

    fn plugin(limits: Value) -> Result<EventRateLimit, String> {
        EventRateLimit::new(Some(&json!({"limits": limits})))
    }

    #[tokio::test]
    async fn events_beyond_the_burst_are_refused() {
        let plugin = plugin(json!([{"type": "SourceAndObject", "qps": 1, "burst": 2}])).expect("limits");
        let event =
            |name: &str| json!({"metadata": {"name": "e"}, "involvedObject": {"name": name}, "source": {"host": "h"}});
        for _ in 0..2 {
            create(&plugin, "/events", event("a")).await.expect("within the burst");
        }
        let refused = create(&plugin, "/events", event("a")).await.expect_err("one too many");
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (429, "Too many requests: limit reached on type SourceAndObject for key ha")
        );
        create(&plugin, "/events", event("b")).await.expect("another object");
    }

    #[test]
    fn turns_come_back_and_keys_are_bounded() {
        let limit =
            Limit::of(0, &LimitWire { r#type: "User".into(), qps: 10, burst: 1, cache_size: 1 }).expect("a limit");
        let now = Instant::now();
        assert!(limit.accepts("a", now) && !limit.accepts("a", now + Duration::from_millis(50)));
        assert!(limit.accepts("a", now + Duration::from_millis(100)));
        assert!(limit.accepts("b", now) && limit.turns.lock().len() == 1);
    }

    #[test]
    fn limits_are_checked() {
        for (limits, want) in [
            (json!([]), "limits: Invalid value: null: must not be empty"),
            (json!([{"type": "Server", "qps": 0, "burst": 1}]), "limits[0].qps: Invalid value: 0: must be positive"),
            (json!([{"type": "Server", "qps": 1}]), "limits[0].burst: Invalid value: 0: must be positive"),
            (
                json!([{"type": "User", "qps": 1, "burst": 1, "cacheSize": -1}]),
                "limits[0].cacheSize: Invalid value: -1: must not be negative",
            ),
        ] {
            assert_eq!(plugin(limits).err().as_deref(), Some(want));
        }
        let unknown = plugin(json!([{"type": "x", "qps": 1, "burst": 1}])).err().expect("a type");
        assert!(unknown.starts_with("limits[0].type: Unsupported value: \"x\""), "{unknown}");
    }
}
