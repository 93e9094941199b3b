//! Webhook configurations.
//!
//! Upstream: `pkg/apis/admissionregistration/validation/validation.go`,
//! `apiserver/pkg/util/webhook/validation.go`.

use super::admission;
use super::check::{At, Report, same};
use super::names::{label_1035, port_number, subdomain};
use super::urls::{Url, UrlError};
use super::values::selector;
use crate::tree::Tree;
use apimachinery::Value;

const VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];
const ANY_SIDE_EFFECTS: [&str; 4] = ["None", "NoneOnDryRun", "Some", "Unknown"];

/// How much is asked of the webhooks of a configuration. What all of those before did not fulfil is
/// not asked of the new ones.
#[derive(Clone, Copy)]
struct Demands {
    conditions: bool,
    no_side_effects: bool,
    known_version: bool,
    unique_names: bool,
}

impl Demands {
    const ALL: Self = Self { conditions: true, no_side_effects: true, known_version: true, unique_names: true };

    fn of(new: &Value, old: &Value) -> Self {
        let (now, before) = (new.items("webhooks"), old.items("webhooks"));
        let same_conditions =
            |(now, before): (&Value, &Value)| same(now.at("matchConditions"), before.at("matchConditions"));
        let known = |hook: &Value| {
            hook.items("admissionReviewVersions").is_empty() || hook.texts("admissionReviewVersions").any(is_known)
        };
        Self {
            conditions: now.len() != before.len() || !now.iter().zip(before).all(same_conditions),
            no_side_effects: before.iter().all(|hook| SIDE_EFFECTS.contains(&hook.text("sideEffects"))),
            known_version: before.iter().all(known),
            unique_names: before.iter().enumerate().all(|(index, hook)| !is_named_before(before, index, hook)),
        }
    }
}

fn is_known(version: &str) -> bool {
    VERSIONS.contains(&version)
}

fn is_named_before(hooks: &[Value], index: usize, hook: &Value) -> bool {
    hooks[..index].iter().any(|other| other.text("name") == hook.text("name"))
}

pub(super) fn create(configuration: &Value, out: &mut Report) {
    check(configuration, Demands::ALL, out);
}

pub(super) fn update(new: &Value, old: &Value, out: &mut Report) {
    check(new, Demands::of(new, old), out);
}

fn check(configuration: &Value, demands: Demands, out: &mut Report) {
    let at = At::root("webhooks");
    let hooks = configuration.items("webhooks");
    for (index, hook) in hooks.iter().enumerate() {
        let at = at.index(index);
        webhook(&at, hook, demands, out);
        versions(&at.child("admissionReviewVersions"), hook, demands, out);
        let name = hook.text("name");
        if demands.unique_names && !name.is_empty() && is_named_before(hooks, index, hook) {
            out.duplicate(&at.child("name"), name);
        }
    }
}

fn webhook(at: &At<'_>, hook: &Value, demands: Demands, out: &mut Report) {
    name(&at.child("name"), hook.text("name"), out);
    let rules = at.child("rules");
    for (index, rule) in hook.items("rules").iter().enumerate() {
        admission::rule(&rules.index(index), rule, out);
    }
    choice(at, hook, "failurePolicy", &["Fail", "Ignore"], out);
    choice(at, hook, "matchPolicy", &["Equivalent", "Exact"], out);
    let effects: &[&str] = if demands.no_side_effects { &SIDE_EFFECTS } else { &ANY_SIDE_EFFECTS };
    if !hook.has("sideEffects") {
        out.required(&at.child("sideEffects"), &format!("must specify one of {}", effects.join(", ")));
    }
    choice(at, hook, "sideEffects", effects, out);
    let seconds = hook.at("timeoutSeconds").and_then(Value::as_i64);
    if let Some(seconds) = seconds.filter(|seconds| !(1..=30).contains(seconds)) {
        out.invalid(&at.child("timeoutSeconds"), seconds, "the timeout value must be between 1 and 30 seconds");
    }
    for key in ["namespaceSelector", "objectSelector"] {
        selector(&at.child(key), hook.at(key), out);
    }
    choice(at, hook, "reinvocationPolicy", &["IfNeeded", "Never"], out);
    client(&at.child("clientConfig"), hook.at("clientConfig").unwrap_or(&Value::Null), out);
    if demands.conditions {
        admission::conditions(at, hook, false, out);
    }
}

fn name(at: &At<'_>, name: &str, out: &mut Report) {
    if name.is_empty() {
        return out.required(at, "");
    }
    let errors = subdomain(name);
    if !errors.is_empty() {
        out.invalid(at, name, errors.join(","));
    } else if name.split('.').count() < 3 {
        out.invalid(at, name, "should be a domain with at least three segments separated by dots");
    }
}

/// A member that is one of these, if it is there.
fn choice(at: &At<'_>, hook: &Value, key: &str, supported: &[&str], out: &mut Report) {
    if let Some(value) = hook.at(key).and_then(Value::as_str)
        && !supported.contains(&value)
    {
        out.not_supported(&at.child(key), value, supported);
    }
}

fn versions(at: &At<'_>, hook: &Value, demands: Demands, out: &mut Report) {
    let all: Vec<&str> = hook.texts("admissionReviewVersions").collect();
    let Some(list) = hook.at("admissionReviewVersions").filter(|_| !all.is_empty()) else {
        return out.required(at, &format!("must specify one of {}", VERSIONS.join(", ")));
    };
    for (index, version) in all.iter().enumerate() {
        if all[..index].contains(version) {
            out.invalid(&at.index(index), *version, "duplicate version");
            continue;
        }
        out.invalid_each(&at.index(index), version, label_1035(version));
    }
    if demands.known_version && !all.into_iter().any(is_known) {
        out.invalid(at, list, format!("must include at least one of {}", VERSIONS.join(", ")));
    }
}

/// How a webhook is reached: by a URL or through a service.
fn client(at: &At<'_>, client: &Value, out: &mut Report) {
    match (client.at("url").and_then(Value::as_str), client.at("service")) {
        (Some(text), None) => url(&at.child("url"), text, out),
        (None, Some(reference)) => service(&at.child("service"), reference, out),
        _ => out.required(at, "exactly one of url or service is required"),
    }
}

/// The URL of a webhook.
pub(super) fn url(at: &At<'_>, text: &str, out: &mut Report) {
    const FORM: &str = "; desired format: https://host[/path]";
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(UrlError(why)) => {
            return out.required(at, &format!("url must be a valid URL: parse {text:?}: {why}{FORM}"));
        }
    };
    if url.scheme != "https" {
        out.invalid(at, url.scheme.as_str(), format!("'https' is the only allowed URL scheme{FORM}"));
    }
    if url.host.is_empty() {
        out.invalid(at, "", format!("host must be specified{FORM}"));
    }
    if let Some(user) = url.user {
        out.invalid(at, user, "user information is not permitted in the URL");
    }
    if !url.fragment.is_empty() {
        out.invalid(at, url.fragment, "fragments are not permitted in the URL");
    }
    if !url.query.is_empty() {
        out.invalid(at, url.query, "query parameters are not permitted in the URL");
    }
}

/// The service of a webhook. Upstream has the complaints about name and namespace the wrong way
/// round.
pub(super) fn service(at: &At<'_>, reference: &Value, out: &mut Report) {
    for (value, complaint) in [("namespace", "name"), ("name", "namespace")] {
        if reference.text(value).is_empty() {
            out.required(&at.child(complaint), "");
        }
    }
    let port = reference.int("port");
    if let Some(finding) = port_number(port) {
        out.invalid(&at.child("port"), port, format!("port is not valid: {finding}"));
    }
    path(&at.child("path"), reference.text("path"), out);
}

fn path(at: &At<'_>, path: &str, out: &mut Report) {
    match path {
        "" | "/" => return,
        "//" => return out.invalid(at, path, "segment[0] may not be empty"),
        _ => {}
    }
    let mut rest = path.chars();
    if rest.next() != Some('/') {
        out.invalid(at, path, "must start with a '/'");
    }
    let rest = rest.as_str();
    for (index, segment) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        match segment {
            "" => out.invalid(at, path, format!("segment[{index}] may not be empty")),
            segment => {
                for finding in subdomain(segment) {
                    out.invalid(at, path, format!("segment[{index}]: {finding}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(check: impl FnOnce(&At<'_>, &mut Report)) -> Vec<String> {
        let mut report = Report::default();
        check(&At::root("x"), &mut report);
        report.finish().iter().map(ToString::to_string).collect()
    }

    fn hook() -> Value {
        json!({"name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://a/b"}, "failurePolicy": "Fail"})
    }

    fn with(key: &str, value: Value) -> Value {
        let mut hook = hook();
        hook[key] = value;
        json!({"webhooks": [hook]})
    }

    #[test]
    fn members() {
        for (key, value, want) in [
            ("name", json!(""), "webhooks[0].name: Required value"),
            (
                "name",
                json!("a.b"),
                "webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots",
            ),
            (
                "failurePolicy",
                json!(""),
                "webhooks[0].failurePolicy: Unsupported value: \"\": supported values: \"Fail\", \"Ignore\"",
            ),
            (
                "sideEffects",
                json!("Some"),
                "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
            ),
            (
                "sideEffects",
                Value::Null,
                "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
            ),
            (
                "admissionReviewVersions",
                json!(["v1", "v1"]),
                "webhooks[0].admissionReviewVersions[1]: Invalid value: \"v1\": duplicate version",
            ),
            (
                "admissionReviewVersions",
                json!(["v2"]),
                "webhooks[0].admissionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
            ),
            (
                "clientConfig",
                json!({}),
                "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
            ),
            (
                "clientConfig",
                json!({"service": {"name": "a", "port": 443}}),
                "webhooks[0].clientConfig.service.name: Required value",
            ),
        ] {
            assert_eq!(texts(|_, out| create(&with(key, value), out)), [want]);
        }
        assert!(texts(|_, out| create(&json!({"webhooks": [hook()]}), out)).is_empty());
        assert_eq!(
            texts(|_, out| create(&json!({"webhooks": [hook(), hook()]}), out)),
            ["webhooks[1].name: Duplicate value: \"a.b.c\""]
        );
    }

    #[test]
    fn updates_ask_for_no_more_than_there_was() {
        let old = with("sideEffects", json!("Some"));
        assert!(texts(|_, out| update(&old, &old, out)).is_empty());
        let unknown = with("sideEffects", json!("x"));
        assert_eq!(texts(|_, out| update(&unknown, &old, out)).len(), 1);
        let twice = json!({"webhooks": [hook(), hook()]});
        assert!(texts(|_, out| update(&twice, &twice, out)).is_empty());
    }

    #[test]
    fn urls_and_paths() {
        let says = |text: &str| texts(|at, out| url(at, text, out)).join(" ");
        assert_eq!(says("https://host:1/path"), "");
        assert!(says("").starts_with("x: Invalid value: \"\": 'https' is the only"));
        assert!(
            says("::1")
                .starts_with("x: Required value: url must be a valid URL: parse \"::1\": missing protocol scheme;")
        );
        assert!(says("https://u@h").ends_with("user information is not permitted in the URL"));
        assert!(says("https://h#f").ends_with("fragments are not permitted in the URL"));
        assert!(says("https://h?q").ends_with("query parameters are not permitted in the URL"));
        let says = |text: &str| texts(|at, out| path(at, text, out));
        assert!(says("").is_empty() && says("/").is_empty() && says("/a/b/").is_empty());
        assert_eq!(says("//"), ["x: Invalid value: \"//\": segment[0] may not be empty"]);
        assert_eq!(says("ab"), ["x: Invalid value: \"ab\": must start with a '/'"]);
        assert_eq!(says("/a//b"), ["x: Invalid value: \"/a//b\": segment[1] may not be empty"]);
    }
}
