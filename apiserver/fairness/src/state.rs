//! Schemas and levels of one moment, replaced as a whole when an object changes.

use crate::allocation::{Seats, share_out};
use crate::config::{FlowSchema, PriorityLevel};
use crate::level::Level;
use crate::matching::Request;
use crate::metrics::Counts;
use apimachinery::Value;
use http::HeaderValue;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// Schemas and levels.
#[derive(Debug)]
pub(crate) struct State {
    /// In the order they are asked in.
    schemas: Vec<Arc<Schema>>,
    pub(crate) levels: Vec<Configured>,
}

/// A level with its object.
#[derive(Debug)]
pub(crate) struct Configured {
    pub(crate) config: PriorityLevel,
    pub(crate) level: Arc<Level>,
    pub(crate) seats: Seats,
}

/// A schema with its level.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) config: FlowSchema,
    pub(crate) level: Arc<Level>,
    pub(crate) schema_uid: HeaderValue,
    pub(crate) level_uid: HeaderValue,
    pub(crate) counts: Arc<Counts>,
}

impl State {
    /// The state of these objects. Levels keep their requests, schemas their counts.
    pub(crate) fn new(schemas: &[Value], levels: &[Value], total: u32, before: Option<&State>) -> Self {
        let levels = configured(levels, total, before);
        let by_name: HashMap<&str, &Configured> = levels.iter().map(|l| (l.config.name.as_str(), l)).collect();
        let mut known: Vec<FlowSchema> = schemas.iter().map(FlowSchema::of).collect();
        for mandatory in mandatory_schemas() {
            if !known.iter().any(|s| s.name == mandatory.name) {
                known.push(mandatory);
            }
        }
        known.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
        // One without a level matches nothing.
        let schemas = known.into_iter().filter_map(|config| {
            let level = by_name.get(config.level.as_str())?;
            let same = |s: &&Arc<Schema>| s.config.name == config.name && s.level.name == config.level;
            let counts = before.and_then(|b| b.schemas.iter().find(same)).map(|s| s.counts.clone());
            Some(Arc::new(Schema {
                schema_uid: header(&config.uid),
                level_uid: header(&level.config.uid),
                level: level.level.clone(),
                counts: counts.unwrap_or_default(),
                config,
            }))
        });
        Self { schemas: schemas.collect(), levels }
    }

    /// The schema of a request. The last one takes everything.
    pub(crate) fn classify(&self, request: &Request<'_>) -> Option<&Arc<Schema>> {
        self.schemas.iter().find(|s| s.config.matches(request)).or(self.schemas.last())
    }

    pub(crate) fn schemas(&self) -> &[Arc<Schema>] {
        &self.schemas
    }
}

fn configured(objects: &[Value], total: u32, before: Option<&State>) -> Vec<Configured> {
    let mut configs: Vec<PriorityLevel> = objects.iter().map(PriorityLevel::of).collect();
    for mandatory in mandatory_levels() {
        if !configs.iter().any(|l| l.name == mandatory.name) {
            configs.push(mandatory);
        }
    }
    let seats = share_out(&configs.iter().collect::<Vec<_>>(), total);
    let old = |name: &str| before?.levels.iter().find(|l| l.config.name == name);
    let one = |(config, seats): (PriorityLevel, Seats)| {
        let level = match old(&config.name) {
            Some(old) => {
                old.level.configure(&config);
                if old.seats != seats {
                    old.level.set_limit(seats.nominal);
                }
                old.level.clone()
            }
            None => {
                let level = Arc::new(Level::new(&config));
                level.set_limit(seats.nominal);
                level
            }
        };
        Configured { config, level, seats }
    };
    configs.into_iter().zip(seats).map(one).collect()
}

fn header(uid: &str) -> HeaderValue {
    HeaderValue::from_str(uid).unwrap_or(HeaderValue::from_static(""))
}

/// What there is before, and without, any object.
fn mandatory_levels() -> [PriorityLevel; 2] {
    [
        json!({"metadata": {"name": "exempt"}, "spec": {"type": "Exempt"}}),
        json!({"metadata": {"name": "catch-all"}, "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}}}}),
    ]
    .map(|level| PriorityLevel::of(&level))
}

fn mandatory_schemas() -> [FlowSchema; 2] {
    let schema = |name: &str, precedence: i64, groups: &[&str]| {
        let subjects: Vec<Value> = groups.iter().map(|g| json!({"kind": "Group", "group": {"name": g}})).collect();
        let resources = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true,
            "namespaces": ["*"]});
        FlowSchema::of(&json!({"metadata": {"name": name}, "spec": {
            "priorityLevelConfiguration": {"name": name}, "matchingPrecedence": precedence,
            "rules": [{"subjects": subjects, "resourceRules": [resources],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]}}))
    };
    [
        schema("exempt", 1, &["system:masters"]),
        schema("catch-all", 10000, &["system:unauthenticated", "system:authenticated"]),
    ]
}
