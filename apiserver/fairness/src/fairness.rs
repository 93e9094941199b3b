//! What the server asks for each request.

use crate::allocation::adjust;
use crate::level::Seat;
use crate::matching::Request;
use crate::queues::Refusal;
use crate::state::{Schema, State};
use apimachinery::Value;
use arc_swap::ArcSwap;
use http::HeaderValue;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// Priority and fairness of one server.
#[derive(Debug)]
pub struct Fairness {
    state: ArcSwap<State>,
    /// Seats of all levels together.
    total: u32,
    /// Longest time in a queue.
    patience: Duration,
    hasher: RandomState,
}

/// A request that is served, and the seats it has until this is dropped.
#[derive(Debug)]
pub struct Ticket {
    schema: Arc<Schema>,
    _seat: Seat,
}

/// What became of a request.
#[derive(Debug)]
pub enum Admission {
    /// It is served.
    Served(Ticket),
    /// It is not.
    Refused {
        /// Why.
        why: Refusal,
        /// UID of the schema that it matched.
        schema_uid: HeaderValue,
        /// UID of its priority level.
        level_uid: HeaderValue,
    },
}

impl Fairness {
    /// With `total` seats (`--max-requests-inflight` and `--max-mutating-requests-inflight`
    /// together); a request waits at most a quarter of the `request_timeout`.
    pub fn new(total: usize, request_timeout: Duration) -> Self {
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        Self {
            state: ArcSwap::from_pointee(State::new(&[], &[], total, None)),
            total,
            patience: request_timeout / 4,
            hasher: RandomState::new(),
        }
    }

    /// Waits for the seats of a request; `width` says how many it needs, if its level has limits.
    pub async fn admit(&self, request: &Request<'_>, width: u32) -> Admission {
        let schema = self.classify(request);
        let flow = self.hasher.hash_one((&schema.config.name, schema.config.flow(request)));
        let arriving = schema.counts.arrive();
        let entered = schema.level.enter(flow, width, self.patience).await;
        drop(arriving);
        match entered {
            Ok(seat) => {
                schema.counts.served();
                Admission::Served(Ticket { schema, _seat: seat })
            }
            Err(why) => {
                schema.counts.refused(why);
                let (schema_uid, level_uid) = (schema.schema_uid.clone(), schema.level_uid.clone());
                Admission::Refused { why, schema_uid, level_uid }
            }
        }
    }

    fn classify(&self, request: &Request<'_>) -> Arc<Schema> {
        let state = self.state.load();
        // The mandatory schemas are always there.
        let schema = state.classify(request).or(state.schemas().last());
        schema.cloned().unwrap_or_else(|| State::new(&[], &[], self.total, None).schemas()[0].clone())
    }

    /// Takes over objects.
    pub(crate) fn configure(&self, schemas: &[Value], levels: &[Value]) {
        let state = State::new(schemas, levels, self.total, Some(&self.state.load()));
        self.state.store(Arc::new(state));
    }

    /// Ends a period: lends the seats of levels that do not want them to those that do.
    pub(crate) fn lend(&self) {
        let state = self.state.load();
        let demands: Vec<_> = state.levels.iter().map(|l| (l.seats, l.level.demand())).collect();
        for (level, limit) in state.levels.iter().zip(adjust(&demands, self.total)) {
            level.level.set_limit(limit);
        }
    }

    pub(crate) fn state(&self) -> arc_swap::Guard<Arc<State>> {
        self.state.load()
    }
}

impl Ticket {
    /// UIDs of schema and priority level, for the response's headers.
    pub fn uids(&self) -> (HeaderValue, HeaderValue) {
        (self.schema.schema_uid.clone(), self.schema.level_uid.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apiserver_registry::UserInfo;
    use serde_json::json;

    fn user(name: &str, group: &str) -> UserInfo {
        UserInfo { name: name.into(), groups: vec![group.into(), "system:authenticated".into()], ..UserInfo::default() }
    }

    fn request(user: &UserInfo) -> Request<'_> {
        Request {
            user,
            verb: "get",
            is_resource: true,
            group: "",
            resource: "pods",
            subresource: "",
            namespace: "ns",
            path: "",
        }
    }

    async fn admit(fairness: &Fairness, user: &UserInfo) -> Admission {
        fairness.admit(&request(user), 1).await
    }

    #[tokio::test]
    async fn masters_are_exempt_and_others_are_limited() {
        let fairness = Fairness::new(2, Duration::from_secs(60));
        let (master, other) = (user("a", "system:masters"), user("b", "x"));
        let mut tickets = Vec::new();
        for _ in 0..10 {
            tickets.push(admit(&fairness, &master).await);
        }
        tickets.push(admit(&fairness, &other).await);
        tickets.push(admit(&fairness, &other).await);
        assert!(tickets.iter().all(|t| matches!(t, Admission::Served(_))));
        assert!(matches!(admit(&fairness, &other).await, Admission::Refused { why: Refusal::ConcurrencyLimit, .. }));
        tickets.pop();
        assert!(matches!(admit(&fairness, &other).await, Admission::Served(_)));
    }

    #[tokio::test]
    async fn objects_take_over_and_requests_stay() {
        let fairness = Fairness::new(10, Duration::from_secs(60));
        let other = user("b", "x");
        let _held = admit(&fairness, &other).await;
        let level = json!({"metadata": {"name": "l", "uid": "L"}, "spec": {"type": "Limited",
            "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}}}});
        let schema = |level: &str| {
            json!({"metadata": {"name": "s", "uid": "S"}, "spec": {"matchingPrecedence": 5,
                "priorityLevelConfiguration": {"name": level}, "rules": [{
                    "subjects": [{"kind": "User", "user": {"name": "b"}}],
                    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}]}]}})
        };
        fairness.configure(&[schema("l")], std::slice::from_ref(&level));
        let Admission::Served(ticket) = admit(&fairness, &other).await else { panic!("must be served") };
        assert_eq!(ticket.uids(), (HeaderValue::from_static("S"), HeaderValue::from_static("L")));
        let catch_all =
            |f: &Fairness| f.state().levels.iter().find(|l| l.config.name == "catch-all").expect("it").level.load();
        assert_eq!((catch_all(&fairness).running, catch_all(&fairness).limit), (1, 5));
        // A dangling schema matches nothing.
        fairness.configure(&[schema("missing")], &[level]);
        let Admission::Served(ticket) = admit(&fairness, &other).await else { panic!("must be served") };
        assert_eq!(ticket.uids().0, HeaderValue::from_static(""));
        drop(ticket);
        fairness.lend();
        assert!(catch_all(&fairness).limit >= 5);
    }
}
