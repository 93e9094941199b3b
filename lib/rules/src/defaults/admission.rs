//! Webhooks and admission policies.

use crate::tree::Fill;
use apimachinery::{Map, Value};

pub(super) fn webhook(webhook: &mut Value) {
    webhook.fill("failurePolicy", "Fail");
    webhook.fill("timeoutSeconds", 10);
    match_resources(webhook);
}

pub(super) fn mutating_webhook(hook: &mut Value) {
    webhook(hook);
    hook.fill("reinvocationPolicy", "Never");
}

/// What is matched: all namespaces and objects, also through other versions of a resource.
pub(super) fn match_resources(object: &mut Value) {
    object.fill("matchPolicy", "Equivalent");
    object.fill("namespaceSelector", Value::Object(Map::new()));
    object.fill("objectSelector", Value::Object(Map::new()));
}
