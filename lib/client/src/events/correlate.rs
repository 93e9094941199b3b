//! Which reports become events: equal ones count up one event, many similar ones become one, and
//! an object's flood is cut off. Pure but for its memory.

use super::{Report, event};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Upstream's `maxLruCacheEntries`.
const REMEMBERED_AT_MOST: usize = 4096;
/// Similar events (equal but for the message) within [`SIMILAR_SECONDS`] that stay single.
const SIMILAR_AT_MOST: usize = 10;
const SIMILAR_SECONDS: i64 = 600;
/// Events that an object may have at once …
const BURST: f64 = 25.0;
/// … and how many seconds bring one more.
const SECONDS_PER_TOKEN: f64 = 300.0;

/// What becomes of a report.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// Nothing: too many about this object.
    Drop,
    /// This event, to be created (count 1) or counted up; `key` is for [`Correlator::stored`].
    Send { event: Box<Event>, key: EventKey },
}

/// Object, type and reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SimilarKey {
    object: ObjectId,
    kind: &'static str,
    reason: String,
}

/// Equal events have equal keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct EventKey {
    similar: SimilarKey,
    message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ObjectId {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    field_path: Option<String>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Timestamp,
}

#[derive(Debug)]
struct Similar {
    messages: HashSet<String>,
    last: Timestamp,
}

#[derive(Debug)]
struct Sent {
    name: String,
    count: i32,
    first: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Correlator {
    buckets: HashMap<ObjectId, Bucket>,
    similar: HashMap<SimilarKey, Similar>,
    sent: HashMap<EventKey, Sent>,
}

impl Correlator {
    pub(super) fn judge(&mut self, source: &EventSource, mut report: Report) -> Verdict {
        let object = ObjectId::of(&report.object);
        if !self.may_send(&object, report.at) {
            return Verdict::Drop;
        }
        let similar = SimilarKey { object, kind: report.kind, reason: report.reason.clone() };
        let message = if self.is_one_of_many(&similar, &report) {
            report.message = format!("(combined from similar events): {}", report.message);
            String::new()
        } else {
            report.message.clone()
        };
        let key = EventKey { similar, message };
        Verdict::Send { event: Box::new(self.counted(source, &report, &key)), key }
    }

    /// Notes under which name an event was stored.
    pub(super) fn stored(&mut self, key: &EventKey, name: String) {
        if let Some(sent) = self.sent.get_mut(key) {
            sent.name = name;
        }
    }

    fn may_send(&mut self, object: &ObjectId, now: Timestamp) -> bool {
        bound(&mut self.buckets);
        let bucket = self.buckets.entry(object.clone()).or_insert(Bucket { tokens: BURST, filled: now });
        let passed = now.duration_since(bucket.filled).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + passed / SECONDS_PER_TOKEN).min(BURST);
        bucket.filled = now;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        allowed
    }

    fn is_one_of_many(&mut self, key: &SimilarKey, report: &Report) -> bool {
        bound(&mut self.similar);
        let fresh = || Similar { messages: HashSet::new(), last: report.at };
        let similar = self.similar.entry(key.clone()).or_insert_with(fresh);
        if report.at.duration_since(similar.last).as_secs() > SIMILAR_SECONDS {
            similar.messages.clear();
        }
        similar.last = report.at;
        if similar.messages.len() < SIMILAR_AT_MOST {
            similar.messages.insert(report.message.clone());
        }
        similar.messages.len() >= SIMILAR_AT_MOST
    }

    fn counted(&mut self, source: &EventSource, report: &Report, key: &EventKey) -> Event {
        bound(&mut self.sent);
        let mut event = event(source, report);
        let name = event.metadata.name.clone().unwrap_or_default();
        let sent = self.sent.entry(key.clone()).or_insert(Sent { name, count: 0, first: report.at });
        sent.count = sent.count.saturating_add(1);
        event.metadata.name = Some(sent.name.clone());
        event.count = Some(sent.count);
        event.first_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(sent.first));
        event
    }
}

impl ObjectId {
    fn of(object: &ObjectReference) -> Self {
        Self {
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.uid.clone(),
            field_path: object.field_path.clone(),
        }
    }
}

/// Forgets everything once there is too much: cheaper than an order of use, and all that is lost
/// is that a repeated event starts anew.
fn bound<K: Eq + Hash, V>(memory: &mut HashMap<K, V>) {
    if memory.len() >= REMEMBERED_AT_MOST {
        memory.clear();
    }
}
