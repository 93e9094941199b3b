//! Expressions of policies and of custom resources' rules: compiled, estimated, and run within their
//! budget.
#![no_main]

use cel::{Bindings, Budget, Environment, Sizes, Step, Type, Value, compile, estimate, evaluate};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use std::sync::LazyLock;

static OBJECT: LazyLock<serde_json::Value> = LazyLock::new(|| {
    json!({
        "metadata": {"name": "a", "labels": {"x": "y"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"replicas": 3, "ratio": 0.5, "paused": false, "list": ["a", "b", 3, null, [1]], "cpu": "100m"},
    })
});

/// Something of which all parts are alike.
struct Endless;

impl Sizes for Endless {
    fn most(&self) -> Option<u64> {
        Some(7)
    }

    fn part(&self, _: Step<'_>) -> Option<&dyn Sizes> {
        Some(self)
    }
}

fuzz_target!(|source: &str| {
    let environment = Environment::new().with("object", Type::Dyn).with("self", Type::Dyn);
    let Ok(program) = compile(source, &environment) else { return };
    let _ = estimate(&program, &environment, &Endless);
    let bindings = Bindings::new().with("object", Value::json(&OBJECT)).with("self", Value::json(&OBJECT["spec"]));
    let _ = evaluate(&program, &bindings, &mut Budget::new(100_000));
});
