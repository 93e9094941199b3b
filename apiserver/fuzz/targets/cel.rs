//! Expressions of policies and of custom resources' rules: compiled, and run within their budget.
#![no_main]

use cel::{Bindings, Budget, Environment, Type, Value, compile, evaluate};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use std::sync::LazyLock;

static OBJECT: LazyLock<serde_json::Value> = LazyLock::new(|| {
    json!({
        "metadata": {"name": "a", "labels": {"x": "y"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"replicas": 3, "ratio": 0.5, "paused": false, "list": ["a", "b", 3, null, [1]], "cpu": "100m"},
    })
});

fuzz_target!(|source: &str| {
    let environment = Environment::new().with("object", Type::Dyn).with("self", Type::Dyn);
    let Ok(program) = compile(source, &environment) else { return };
    let bindings = Bindings::new().with("object", Value::json(&OBJECT)).with("self", Value::json(&OBJECT["spec"]));
    let _ = evaluate(&program, &bindings, &mut Budget::new(100_000));
});
