//! `spec.conversion`.

use super::SPEC;
use apimachinery::Value;
use rules::tree::Tree;
use rules::validation::check::Report;
use rules::validation::names::label_1035;

/// Versions of `ConversionReview` that the server speaks.
const REVIEWS: [&str; 2] = ["v1", "v1beta1"];

pub(super) fn check(spec: &Value, old: Option<&Value>, out: &mut Report) {
    let Some(conversion) = spec.at("conversion") else { return };
    let at = SPEC.child("conversion");
    let strategy = conversion.text("strategy");
    out.one_of(&at.child("strategy"), strategy, &["None", "Webhook"]);
    if strategy == "Webhook" && spec.flag("preserveUnknownFields") {
        out.invalid(&at.child("strategy"), strategy, "must be None if spec.preserveUnknownFields is true");
    }
    let webhook = conversion.at("webhook");
    let (client_at, versions_at) = (at.child("webhookClientConfig"), at.child("conversionReviewVersions"));
    if strategy != "Webhook" {
        if webhook.is_some_and(|w| w.has("clientConfig")) {
            out.forbidden(&client_at, "should not be set when strategy is not set to Webhook");
        }
        if webhook.is_some_and(|w| !w.items("conversionReviewVersions").is_empty()) {
            out.forbidden(&versions_at, "should not be set when strategy is not set to Webhook");
        }
        return;
    }
    match webhook.and_then(|w| w.at("clientConfig")) {
        None => out.required(&client_at, "required when strategy is set to Webhook"),
        Some(client) if client.has("url") == client.has("service") => {
            out.required(&client_at, "exactly one of url or service is required");
        }
        Some(client) => {
            let url = client.text("url");
            if client.has("url") && !url.starts_with("https://") {
                let why = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
                out.invalid(&client_at.child("url"), url, why);
            }
            if let Some(service) = client.at("service") {
                let at = client_at.child("service");
                for key in ["name", "namespace"] {
                    if service.text(key).is_empty() {
                        let why =
                            if key == "name" { "service name is required" } else { "service namespace is required" };
                        out.required(&at.child(key), why);
                    }
                }
                if let Some(path) = service.at("path").and_then(Value::as_str).filter(|path| !path.starts_with('/')) {
                    out.invalid(&at.child("path"), path, "must start with a '/'");
                }
            }
        }
    }
    let versions: Vec<&str> = webhook.map(|w| w.texts("conversionReviewVersions").collect()).unwrap_or_default();
    if versions.is_empty() {
        return out.required(&versions_at, "");
    }
    for (index, version) in versions.iter().enumerate() {
        match versions[..index].contains(version) {
            true => out.invalid(&versions_at.index(index), *version, "duplicate version"),
            false => out.invalid_each(&versions_at.index(index), version, label_1035(version)),
        }
    }
    let known = |versions: &[&str]| versions.iter().any(|v| REVIEWS.contains(v));
    let before = old.and_then(|old| old.pointer("/spec/conversion/webhook"));
    let before: Vec<&str> = before.map(|w| w.texts("conversionReviewVersions").collect()).unwrap_or_default();
    if !known(&versions) && (before.is_empty() || known(&before)) {
        let shown = Value::from(versions.iter().map(|v| Value::from(*v)).collect::<Vec<_>>());
        out.invalid(&versions_at, &shown, format!("must include at least one of {}", REVIEWS.join(", ")));
    }
}
