//! Conversion between the versions of a custom resource: `apiVersion` alone, or by a webhook.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/conversion`.

use apimachinery::meta::ObjectMeta;
use apimachinery::resources::ConversionWebhook;
use apimachinery::{Map, Value};
use async_trait::async_trait;
use rules::tree::Tree;
use serde_json::json;
use std::time::Duration;

/// How long a webhook may take, as upstream.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends requests to webhooks.
#[async_trait]
pub trait WebhookCaller: Send + Sync {
    /// Posts JSON to the webhook of this `clientConfig` and answers its JSON, or what went wrong.
    async fn call(&self, client: &Value, body: &Value, timeout: Duration) -> Result<Value, String>;
}

/// Why objects could not be converted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversionError {
    /// The webhook could not be asked, or said no.
    #[error("conversion webhook for {kind} failed: {why}")]
    Failed {
        /// What was to be converted.
        kind: String,
        /// Why not.
        why: String,
    },
    /// The webhook lost objects, or made some up.
    #[error("conversion webhook for {kind} returned {got} objects, expected {expected}")]
    Count {
        /// What was to be converted.
        kind: String,
        /// Objects that came back.
        got: usize,
        /// Objects that were sent.
        expected: usize,
    },
    /// The webhook answered something else than asked for.
    #[error("conversion webhook for {kind} returned invalid converted object at index {index}: {why}")]
    Invalid {
        /// What was to be converted.
        kind: String,
        /// Which object.
        index: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// The objects in the wanted version, in their order.
pub async fn convert(
    caller: Option<&dyn WebhookCaller>,
    webhook: Option<&ConversionWebhook>,
    mut objects: Vec<Value>,
    api_version: &str,
) -> Result<Vec<Value>, ConversionError> {
    let Some(webhook) = webhook else {
        objects.iter_mut().for_each(|object| object["apiVersion"] = api_version.into());
        return Ok(objects);
    };
    let kind = kind_of(&objects);
    let failed = |why: String| ConversionError::Failed { kind: kind.clone(), why };
    let caller = caller.ok_or_else(|| failed("this server cannot call webhooks".into()))?;
    let uid = uuid::Uuid::new_v4().to_string();
    let review = review(webhook, &uid, &objects, api_version)
        .ok_or_else(|| failed("no supported conversion review versions".into()))?;
    let answer = caller.call(&webhook.client, &review, TIMEOUT).await.map_err(failed)?;
    let converted = converted(&review, answer, &uid).map_err(failed)?;
    if converted.len() != objects.len() {
        return Err(ConversionError::Count { kind, got: converted.len(), expected: objects.len() });
    }
    let checked = objects.iter().zip(converted).enumerate().map(|(index, (original, new))| {
        restored(original, new, api_version).map_err(|why| ConversionError::Invalid { kind: kind.clone(), index, why })
    });
    checked.collect()
}

/// `group/version, Kind=K` of the first object.
fn kind_of(objects: &[Value]) -> String {
    let first = objects.first().unwrap_or(&Value::Null);
    format!("{}, Kind={}", first.text("apiVersion"), first.text("kind"))
}

/// The request, in the first version of it that both sides speak.
fn review(webhook: &ConversionWebhook, uid: &str, objects: &[Value], api_version: &str) -> Option<Value> {
    let version = webhook.review_versions.iter().find(|version| matches!(version.as_str(), "v1" | "v1beta1"))?;
    Some(json!({
        "kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{version}"),
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": objects},
    }))
}

/// The objects of an answer, if it is one.
fn converted(review: &Value, answer: Value, uid: &str) -> Result<Vec<Value>, String> {
    let is_v1 = review.text("apiVersion").ends_with("/v1");
    let kind = |value: &Value| format!("{}, Kind={}", value.text("apiVersion"), value.text("kind"));
    if is_v1 && kind(&answer) != kind(review) {
        return Err(format!("expected webhook response of {}, got {}", kind(review), kind(&answer)));
    }
    let response = answer.at("response").ok_or("no response provided")?;
    if is_v1 && response.text("uid") != uid {
        return Err(format!("expected response.uid={uid:?}, got {:?}", response.text("uid")));
    }
    let result = response.at("result").unwrap_or(&Value::Null);
    match (result.text("status"), result.text("message")) {
        ("Success", _) => Ok(response.items("convertedObjects").to_vec()),
        (status, "") => Err(format!("response.result.status was '{status}', not 'Success'")),
        (_, message) => Err(message.to_owned()),
    }
}

/// A converted object with the metadata of the original, of which only labels and annotations may
/// be changed.
fn restored(original: &Value, mut new: Value, api_version: &str) -> Result<Value, String> {
    if new.text("apiVersion") != api_version {
        return Err(format!("invalid groupVersion (expected {api_version}, received {})", new.text("apiVersion")));
    }
    for (what, wanted, found) in [
        ("kind", original.text("kind"), new.text("kind")),
        ("name", original.name(), new.name()),
        ("namespace", original.namespace(), new.namespace()),
        ("UID", original.uid(), new.uid()),
    ] {
        if wanted != found {
            return Err(format!("must have the same {what}: {wanted} != {found}"));
        }
    }
    let answered = new.get("metadata").ok_or("missing metadata in converted object")?;
    let answered = answered.as_object().cloned().ok_or("invalid metadata in converted object")?;
    let mut metadata = original.metadata().cloned().unwrap_or_default();
    for key in ["labels", "annotations"] {
        match answered.get(key).filter(|value| !value.is_null()) {
            None => drop(metadata.remove(key)),
            Some(value) => drop(metadata.insert(key.to_owned(), texts(key, value)?)),
        }
    }
    new["metadata"] = Value::Object(metadata);
    Ok(new)
}

fn texts(key: &str, value: &Value) -> Result<Value, String> {
    let map: &Map = value.as_object().ok_or_else(|| format!("invalid metadata.{key} in converted object"))?;
    match map.iter().find(|(_, value)| !value.is_string()) {
        Some((name, _)) => Err(format!("metadata.{key}[{name}] must be a string in converted object")),
        None => Ok(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers what a function makes of the request.
    struct Fake(fn(&Value) -> Value);

    #[async_trait]
    impl WebhookCaller for Fake {
        async fn call(&self, _: &Value, body: &Value, _: Duration) -> Result<Value, String> {
            Ok((self.0)(body))
        }
    }

    fn webhook() -> ConversionWebhook {
        ConversionWebhook {
            definition: "foos.g.io".into(),
            client: Value::Null,
            review_versions: vec!["v9".into(), "v1".into()],
        }
    }

    fn foo() -> Value {
        json!({"kind": "Foo", "apiVersion": "g.io/v1", "metadata": {"name": "a", "uid": "u", "resourceVersion": "5"}, "spec": {}})
    }

    fn answer(review: &Value, objects: Value) -> Value {
        json!({"kind": "ConversionReview", "apiVersion": review["apiVersion"], "response": {"uid": review["request"]["uid"],
            "result": {"status": "Success"}, "convertedObjects": objects}})
    }

    #[tokio::test]
    async fn without_a_webhook_only_the_version_changes() {
        let converted = convert(None, None, vec![foo()], "g.io/v2").await.expect("converted");
        assert_eq!(
            converted[0],
            json!({"kind": "Foo", "apiVersion": "g.io/v2", "metadata": foo()["metadata"], "spec": {}})
        );
    }

    #[tokio::test]
    async fn webhooks_change_all_but_metadata() {
        let caller = Fake(|review| {
            assert_eq!(review["apiVersion"], "apiextensions.k8s.io/v1");
            let mut object = review["request"]["objects"][0].clone();
            object["apiVersion"] = review["request"]["desiredAPIVersion"].clone();
            object["spec"] = json!({"new": true});
            object["metadata"]["labels"] = json!({"l": "1"});
            object["metadata"]["generation"] = 7.into();
            answer(review, json!([object]))
        });
        let converted = convert(Some(&caller), Some(&webhook()), vec![foo()], "g.io/v2").await.expect("converted");
        assert_eq!(
            converted[0],
            json!({"kind": "Foo", "apiVersion": "g.io/v2", "spec": {"new": true},
                "metadata": {"name": "a", "uid": "u", "resourceVersion": "5", "labels": {"l": "1"}}})
        );
    }

    #[tokio::test]
    async fn wrong_answers_are_refused() {
        let cases: [(Fake, &str); 5] = [
            (Fake(|_| json!({})), "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview"),
            (Fake(|review| answer(review, json!([]))), "returned 0 objects, expected 1"),
            (
                Fake(|review| {
                    let mut answer = answer(review, json!([]));
                    answer["response"]["result"] = json!({"status": "Failure", "message": "no way"});
                    answer
                }),
                "failed: no way",
            ),
            (
                Fake(|review| answer(review, json!([foo()]))),
                "index 0: invalid groupVersion (expected g.io/v2, received g.io/v1)",
            ),
            (
                Fake(|review| {
                    answer(review, json!([{"kind": "Foo", "apiVersion": "g.io/v2", "metadata": {"name": "b"}}]))
                }),
                "must have the same name: a != b",
            ),
        ];
        for (caller, want) in cases {
            let error = convert(Some(&caller), Some(&webhook()), vec![foo()], "g.io/v2").await.expect_err("refused");
            assert!(error.to_string().contains(want), "{error}");
        }
    }
}
