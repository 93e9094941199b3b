//! Webhooks that kubeconfigs lead to: asked once, remembered, and not believed when they are silent.

mod support;

use apimachinery::resources;
use apiserver_auth::Attributes;
use apiserver_auth::authentication::{TokenVerdict, WebhookTokens};
use apiserver_auth::authorization::webhook::{OnError, WebhookOptions};
use apiserver_auth::authorization::{Decision, WebhookAuthorizer};
use apiserver_registry::UserInfo;
use apiserver_storage::Store;
use apiserver_webhook::Means;
use component::Supervisor;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

async fn means() -> Means {
    let supervisor = Supervisor::new();
    let store = Store::in_memory(resources::builtin(), supervisor.clone()).await.expect("a store");
    Means { store, supervisor }
}

fn kubeconfig(folder: &Path, server: &str, authority: &str) -> PathBuf {
    std::fs::write(folder.join("ca.crt"), authority).expect("a file");
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server, "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": {"token": "own-token"}}]});
    let path = folder.join("kubeconfig");
    std::fs::write(&path, config.to_string()).expect("a file");
    path
}

/// A server that counts how often it is asked.
async fn counted(answer: impl Fn(Value) -> Value + Send + 'static) -> (String, String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let (url, authority) = support::https(move |_, head: &str, review| {
        assert!(head.contains("authorization: Bearer own-token"), "{head}");
        count.fetch_add(1, Ordering::SeqCst);
        answer(review)
    })
    .await;
    (url, authority, asked)
}

fn options(kubeconfig: PathBuf) -> WebhookOptions {
    WebhookOptions {
        kubeconfig,
        version: "v1".into(),
        authorized_ttl: Duration::from_secs(60),
        unauthorized_ttl: Duration::ZERO,
        timeout: Duration::from_secs(10),
        on_error: OnError::NoOpinion,
        conditions: Default::default(),
    }
}

#[tokio::test]
async fn may_they() {
    let (url, authority, asked) = counted(|review| {
        let verb = review["spec"]["resourceAttributes"]["verb"].as_str().unwrap_or_default();
        json!({"status": {"allowed": verb == "get", "denied": verb == "delete", "reason": "so"}})
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = kubeconfig(folder.path(), &format!("{url}/authorize"), &authority);
    let webhook = WebhookAuthorizer::new(options(kubeconfig), &means().await).expect("a webhook");
    let user = UserInfo { name: "jane".into(), ..UserInfo::default() };
    let ask = async |verb: &'static str| {
        let pods = Attributes { verb, is_resource: true, resource: "pods", ..Attributes::default() };
        webhook.authorize(&user, &pods).await
    };
    assert!(ask("get").await.is_allowed() && ask("get").await.is_allowed());
    assert_eq!(asked.load(Ordering::SeqCst), 1, "allowed is kept");
    assert_eq!(ask("delete").await, Decision::Deny("so".into()));
    assert_eq!(ask("list").await, Decision::NoOpinion("so".into()));
    assert_eq!(ask("list").await, Decision::NoOpinion("so".into()));
    assert_eq!(asked.load(Ordering::SeqCst), 4, "the rest is not");
}

#[tokio::test]
async fn who_are_they() {
    let (url, authority, asked) = counted(|review| match review["spec"]["token"].as_str() {
        Some("good") => json!({"status": {"authenticated": true, "user": {"username": "jane", "groups": ["dev"]}}}),
        _ => json!({"status": {"authenticated": false, "error": "never heard of"}}),
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = kubeconfig(folder.path(), &format!("{url}/authenticate"), &authority);
    let tokens = WebhookTokens::new(&kubeconfig, "v1", Duration::from_secs(60), &means().await).expect("a webhook");
    for _ in 0..2 {
        let verdict = tokens.authenticate("good", &["api".into()]).await;
        assert!(matches!(verdict, TokenVerdict::User(user, _) if user.name == "jane"));
        let verdict = tokens.authenticate("bad", &["api".into()]).await;
        assert!(matches!(verdict, TokenVerdict::Invalid(why) if why == "never heard of"));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}
