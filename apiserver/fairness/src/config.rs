//! `FlowSchema` and `PriorityLevelConfiguration` objects, read once when they change.

use crate::matching::{NonResourceRule, Policy, ResourceRule, Subject};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// Sorts requests into a priority level.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowSchema {
    /// Its name.
    pub name: String,
    /// Its UID, which responses carry.
    pub uid: String,
    /// `matchingPrecedence`: lower ones are asked first.
    pub precedence: i64,
    /// The priority level it sorts into.
    pub level: String,
    /// How requests are told apart.
    pub distinguisher: Distinguisher,
    pub(crate) policies: Vec<Policy>,
}

/// What makes two requests of one schema belong to the same flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distinguisher {
    /// Everything: one flow.
    None,
    /// The user.
    ByUser,
    /// The namespace.
    ByNamespace,
}

/// A share of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct PriorityLevel {
    /// Its name.
    pub name: String,
    /// Its UID, which responses carry.
    pub uid: String,
    /// `nominalConcurrencyShares`.
    pub shares: u32,
    /// Percent of its seats that others may use.
    pub lendable: u32,
    /// What becomes of requests.
    pub kind: LevelKind,
}

/// What becomes of requests of a level.
#[derive(Clone, Debug, PartialEq)]
pub enum LevelKind {
    /// They are served.
    Exempt,
    /// They are served within a limit.
    Limited {
        /// Percent of its nominal seats that it may borrow; `None`: as many as there are.
        borrowing: Option<u32>,
        /// What happens beyond the limit.
        response: LimitResponse,
    },
}

/// What happens to requests beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitResponse {
    /// They are refused.
    Reject,
    /// They wait.
    Queue {
        /// Number of queues.
        queues: usize,
        /// Queues that one flow may use.
        hand_size: usize,
        /// Requests in one queue.
        length: usize,
    },
}

/// More queues than this are cut off: upstream's validation allows no more.
const MAX_QUEUES: usize = 10_000_000 / 60;

impl FlowSchema {
    /// Reads an object.
    pub fn of(object: &Value) -> Self {
        let spec = object.get("spec").unwrap_or(&Value::Null);
        let rules = spec.get("rules").and_then(Value::as_array).into_iter().flatten();
        Self {
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            precedence: spec.get("matchingPrecedence").and_then(Value::as_i64).unwrap_or(1000),
            level: text(spec, "/priorityLevelConfiguration/name").to_owned(),
            distinguisher: match text(spec, "/distinguisherMethod/type") {
                "ByUser" => Distinguisher::ByUser,
                "ByNamespace" => Distinguisher::ByNamespace,
                _ => Distinguisher::None,
            },
            policies: rules.map(policy).collect(),
        }
    }
}

fn policy(rule: &Value) -> Policy {
    let list = |key: &str| rule.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    Policy {
        subjects: list("subjects").iter().filter_map(subject).collect(),
        resources: list("resourceRules").iter().map(resource_rule).collect(),
        paths: list("nonResourceRules")
            .iter()
            .map(|r| NonResourceRule { verbs: texts(r, "verbs"), urls: texts(r, "nonResourceURLs") })
            .collect(),
    }
}

fn subject(subject: &Value) -> Option<Subject> {
    Some(match text(subject, "/kind") {
        "User" => Subject::User(text(subject, "/user/name").to_owned()),
        "Group" => Subject::Group(text(subject, "/group/name").to_owned()),
        "ServiceAccount" => {
            let namespace = text(subject, "/serviceAccount/namespace");
            match text(subject, "/serviceAccount/name") {
                "*" => Subject::AccountsOf(format!("system:serviceaccount:{namespace}:")),
                name => Subject::User(format!("system:serviceaccount:{namespace}:{name}")),
            }
        }
        _ => return None,
    })
}

fn resource_rule(rule: &Value) -> ResourceRule {
    ResourceRule {
        verbs: texts(rule, "verbs"),
        groups: texts(rule, "apiGroups"),
        resources: texts(rule, "resources"),
        cluster_scope: rule.get("clusterScope").and_then(Value::as_bool).unwrap_or_default(),
        namespaces: texts(rule, "namespaces"),
    }
}

impl PriorityLevel {
    /// Reads an object.
    pub fn of(object: &Value) -> Self {
        let spec = object.get("spec").unwrap_or(&Value::Null);
        let exempt = text(spec, "/type") == "Exempt";
        let kind = if exempt { "exempt" } else { "limited" };
        let int = |path: &str| spec.pointer(&format!("/{kind}/{path}")).and_then(Value::as_u64);
        let count = |path: &str, default: u64| int(path).unwrap_or(default) as usize;
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let response = match text(spec, "/limited/limitResponse/type") {
            "Queue" => LimitResponse::Queue {
                queues: count("limitResponse/queuing/queues", 64).clamp(1, MAX_QUEUES),
                hand_size: count("limitResponse/queuing/handSize", 8).max(1),
                length: count("limitResponse/queuing/queueLengthLimit", 50),
            },
            _ => LimitResponse::Reject,
        };
        Self {
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            shares: small(int("nominalConcurrencyShares").unwrap_or(if exempt { 0 } else { 30 })),
            lendable: small(int("lendablePercent").unwrap_or(0)).min(100),
            kind: match exempt {
                true => LevelKind::Exempt,
                false => LevelKind::Limited { borrowing: int("borrowingLimitPercent").map(small), response },
            },
        }
    }
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let list = value.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn levels() {
        let level = |spec: Value| PriorityLevel::of(&json!({"metadata": {"name": "x"}, "spec": spec}));
        let exempt = level(json!({"type": "Exempt", "exempt": {"lendablePercent": 50}}));
        assert_eq!((exempt.kind, exempt.shares, exempt.lendable), (LevelKind::Exempt, 0, 50));
        let queue = level(json!({"type": "Limited", "limited": {"nominalConcurrencyShares": 40, "lendablePercent": 25,
            "borrowingLimitPercent": 10, "limitResponse": {"type": "Queue",
                "queuing": {"queues": 64, "handSize": 6, "queueLengthLimit": 50}}}}));
        assert_eq!(
            queue.kind,
            LevelKind::Limited {
                borrowing: Some(10),
                response: LimitResponse::Queue { queues: 64, hand_size: 6, length: 50 }
            }
        );
        let reject = level(json!({"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}));
        assert_eq!(reject.kind, LevelKind::Limited { borrowing: None, response: LimitResponse::Reject });
        assert_eq!(reject.shares, 30);
    }
}
