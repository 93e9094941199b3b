//! Priority levels: how many requests are served at once, and what becomes of the rest.

use super::super::check::{At, Report, same};
use super::super::printed::{Form, Member, Printed};
use super::{SPEC, status};
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use serde_json::json;
use std::sync::LazyLock;

const MAX_QUEUES: i64 = 10_000_000;
/// How many bits of a request's hash choose its hand of queues.
const HASH_BITS: i64 = 60;

const NOT_NEGATIVE: &str = "must be a non-negative integer";

/// The spec of the level that takes what no other does.
static CATCH_ALL: LazyLock<Value> = LazyLock::new(|| {
    json!({"type": "Limited", "limited":
        {"nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}}})
});

/// A level's spec in upstream's print.
const LEVEL: Form = Form::Struct(&[
    ("Type", "type", Form::Text),
    ("Limited", "limited", Form::Optional(LIMITED)),
    (
        "Exempt",
        "exempt",
        Form::Optional(&[
            ("NominalConcurrencyShares", "nominalConcurrencyShares", Form::Plain),
            ("LendablePercent", "lendablePercent", Form::Plain),
        ]),
    ),
]);

const LIMITED: &[Member] = &[
    ("NominalConcurrencyShares", "nominalConcurrencyShares", Form::Number),
    ("LimitResponse", "limitResponse", Form::Struct(RESPONSE)),
    ("LendablePercent", "lendablePercent", Form::Plain),
    ("BorrowingLimitPercent", "borrowingLimitPercent", Form::Plain),
];

const RESPONSE: &[Member] = &[
    ("Type", "type", Form::Text),
    (
        "Queuing",
        "queuing",
        Form::Optional(&[
            ("Queues", "queues", Form::Number),
            ("HandSize", "handSize", Form::Number),
            ("QueueLengthLimit", "queueLengthLimit", Form::Number),
        ]),
    ),
];

/// A priority level.
pub(in super::super) fn priority_level(level: &Value, out: &mut Report) {
    const ROUND_TRIP: &str = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";
    if level.annotations().is_some_and(|a| a.contains_key(ROUND_TRIP)) {
        let metadata = At::root("metadata");
        out.forbidden(&metadata.child("annotations"), format!("annotation '{ROUND_TRIP}' is forbidden"));
    }
    let spec = level.at("spec").unwrap_or(&Value::Null);
    level_spec(level.name(), spec, out);
    fixed(level.name(), spec, out);
    status(level, out);
}

fn level_spec(name: &str, spec: &Value, out: &mut Report) {
    let kind = spec.text("type");
    let (limited_at, exempt_at) = (SPEC.child("limited"), SPEC.child("exempt"));
    if (name == "exempt") != (kind == "Exempt") {
        out.invalid(&SPEC.child("type"), kind, "must be 'Exempt' if and only if `name` is 'exempt'");
    }
    match (kind, spec.at("limited"), spec.at("exempt")) {
        ("Exempt", other, own) => {
            if other.is_some() {
                out.forbidden(&limited_at, "must be nil if the type is not Limited");
            }
            own.into_iter().for_each(|own| exempt(&exempt_at, own, out));
        }
        ("Limited", own, other) => {
            if other.is_some() {
                out.forbidden(&exempt_at, "must be nil if the type is Limited");
            }
            match own {
                None => out.required(&limited_at, "must not be empty when type is Limited"),
                Some(own) => limited(&limited_at, own, out),
            }
        }
        (kind, ..) => out.not_supported(&SPEC.child("type"), kind, &["Exempt", "Limited"]),
    }
}

/// Two levels always are, and are what they are.
fn fixed(name: &str, spec: &Value, out: &mut Report) {
    match name {
        "exempt" if spec.text("type") != "Exempt" || spec.has("limited") => {
            let detail = "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value";
            out.invalid(&SPEC, Printed(Some(spec), LEVEL), detail);
        }
        "catch-all" if !same(Some(spec), Some(&CATCH_ALL)) => {
            out.invalid(&SPEC, Printed(Some(spec), LEVEL), "spec of 'catch-all' must equal the fixed value");
        }
        _ => {}
    }
}

fn shares(at: &At<'_>, level: &Value, out: &mut Report) {
    let shares = level.int("nominalConcurrencyShares");
    if shares < 0 {
        out.invalid(&at.child("nominalConcurrencyShares"), shares, NOT_NEGATIVE);
    }
}

fn lendable(at: &At<'_>, level: &Value, out: &mut Report) {
    let percent = level.int("lendablePercent");
    if !(0..=100).contains(&percent) {
        out.invalid(&at.child("lendablePercent"), percent, "must be between 0 and 100, inclusive");
    }
}

fn exempt(at: &At<'_>, level: &Value, out: &mut Report) {
    shares(at, level, out);
    lendable(at, level, out);
}

fn limited(at: &At<'_>, level: &Value, out: &mut Report) {
    shares(at, level, out);
    response(&at.child("limitResponse"), level.at("limitResponse").unwrap_or(&Value::Null), out);
    lendable(at, level, out);
    let borrowed = level.int("borrowingLimitPercent");
    if borrowed < 0 {
        out.invalid(&at.child("borrowingLimitPercent"), borrowed, format!("if specified, {NOT_NEGATIVE}"));
    }
}

fn response(at: &At<'_>, response: &Value, out: &mut Report) {
    let queuing_at = at.child("queuing");
    match (response.text("type"), response.at("queuing")) {
        ("Reject", None) => {}
        ("Reject", Some(_)) => {
            out.forbidden(&queuing_at, "must be nil if limited.limitResponse.type is not Limited");
        }
        ("Queue", None) => {
            out.required(&queuing_at, "must not be empty if limited.limitResponse.type is Limited");
        }
        ("Queue", Some(own)) => queuing(&queuing_at, own, out),
        (kind, _) => out.not_supported(&at.child("type"), kind, &["Queue", "Reject"]),
    }
}

fn queuing(at: &At<'_>, queuing: &Value, out: &mut Report) {
    const NOT_POSITIVE: &str = "must be positive";
    let [limit, queues, hand] = ["queueLengthLimit", "queues", "handSize"].map(|key| queuing.int(key));
    if limit <= 0 {
        out.invalid(&at.child("queueLengthLimit"), limit, NOT_POSITIVE);
    }
    let queues_at = at.child("queues");
    if queues <= 0 {
        out.invalid(&queues_at, queues, NOT_POSITIVE);
    } else if queues > MAX_QUEUES {
        out.invalid(&queues_at, queues, format!("must not be greater than {MAX_QUEUES}"));
    }
    let hand_at = at.child("handSize");
    if hand <= 0 {
        out.invalid(&hand_at, hand, NOT_POSITIVE);
    } else if hand > queues {
        out.invalid(&hand_at, hand, format!("should not be greater than queues ({queues})"));
    } else if entropy(queues, hand) > HASH_BITS as f64 {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS}"
        );
        out.invalid(&hand_at, hand, detail);
    }
}

/// How many bits it takes to deal a hand.
fn entropy(queues: i64, hand: i64) -> f64 {
    ((queues as f64).log2() * hand as f64).ceil()
}
