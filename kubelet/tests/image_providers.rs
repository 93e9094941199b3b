//! Programs that know credentials for images: what they are told, what is believed, and for how long.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodSpec, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kubelet::cluster::{Cluster, ClusterError, Token, TokenWish};
use kubelet::images::providers::Providers;
use prometheus_client::registry::Registry;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// Has a service account `puller` and nothing else.
struct Accounts;

fn none<T>(kind: &'static str, name: &str) -> Result<T, ClusterError> {
    Err(ClusterError::NotFound { kind, name: name.to_owned() })
}

#[async_trait]
impl Cluster for Accounts {
    async fn service_account(&self, _: &str, name: &str) -> Result<ServiceAccount, ClusterError> {
        if name != "puller" {
            return none("serviceaccount", name);
        }
        let annotations = [("example.test/tenant", "t1"), ("example.test/other", "no")];
        let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let metadata =
            ObjectMeta { uid: Some("a-uid".into()), annotations: Some(annotations.into()), ..ObjectMeta::default() };
        Ok(ServiceAccount { metadata, ..ServiceAccount::default() })
    }

    async fn token(&self, wish: &TokenWish) -> Result<Token, ClusterError> {
        let uid = wish.service_account_uid.clone().unwrap_or_default();
        let token = format!("{}/{}/{}/{uid}", wish.audience.clone().unwrap_or_default(), wish.pod_name, wish.pod_uid);
        Ok(Token { token, expires: Timestamp::MAX })
    }
}

fn pod(account: &str) -> Pod {
    let metadata = ObjectMeta {
        name: Some("p".into()),
        namespace: Some("ns".into()),
        uid: Some("u".into()),
        ..ObjectMeta::default()
    };
    let spec = PodSpec { service_account_name: Some(account.into()), ..PodSpec::default() };
    Pod { metadata, spec: Some(spec), status: None }
}

/// A program that notes what it is asked and answers with `answer`, in a folder with its configuration.
fn program(folder: &Path, script: &str, more: &str) -> Providers {
    let file = folder.join("helper");
    std::fs::write(
        &file,
        format!("#!/bin/sh\nrequest=$(cat)\necho \"$request\" >> {}/asked\n{script}\n", folder.display()),
    )
    .expect("what the test needs");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("what the test needs");
    let config = format!(
        "{{kind: CredentialProviderConfig, apiVersion: kubelet.config.k8s.io/v1, providers: [{{name: helper, \
         matchImages: ['*.test'], defaultCacheDuration: 1h, apiVersion: credentialprovider.kubelet.k8s.io/v1, \
         args: [get], env: [{{name: USER_NAME, value: jane}}]{more}}}]}}"
    );
    let path = folder.join("config.yaml");
    std::fs::write(&path, config).expect("what the test needs");
    Providers::load(&path, folder, Arc::new(Accounts)).expect("what the test needs")
}

fn answer(scope: &str, password: &str, more: &str) -> String {
    format!(
        "cat <<END\n{{\"kind\": \"CredentialProviderResponse\", \"apiVersion\": \"credentialprovider.kubelet.k8s.io/v1\", \
         \"cacheKeyType\": \"{scope}\"{more}, \"auth\": {{\"r.test\": {{\"username\": \"$USER_NAME-$1\", \
         \"password\": \"{password}\"}}}}}}\nEND"
    )
}

fn asked(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("asked")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("what the test needs")).collect()
}

async fn users(providers: &Providers, account: &str, image: &str) -> Vec<String> {
    providers.lookup(&pod(account), image).await.into_iter().map(|auth| auth.username).collect()
}

#[tokio::test]
async fn answers_are_kept_for_as_much_as_they_say() {
    for (scope, asked_then) in [("Image", 2), ("Registry", 1), ("Global", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let providers = program(folder.path(), &answer(scope, "p", ""), "");
        assert_eq!(users(&providers, "", "r.test/a").await, ["jane-get"], "its arguments and its environment");
        assert_eq!(users(&providers, "", "r.test/a").await.len(), 1);
        assert_eq!(asked(folder.path()).len(), 1, "the same image");
        assert_eq!(users(&providers, "", "r.test/b").await.len(), 1);
        assert_eq!(asked(folder.path()).len(), asked_then, "{scope}");
        let want = serde_json::json!({"kind": "CredentialProviderRequest",
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "image": "r.test/a"});
        assert_eq!(asked(folder.path())[0], want);
        assert!(users(&providers, "", "r.example/a").await.is_empty());
        assert_eq!(asked(folder.path()).len(), asked_then, "it is not asked about others' images");
    }
}

#[tokio::test]
async fn an_answer_for_no_time_is_not_kept_but_shared() {
    let folder = tempfile::tempdir().unwrap();
    let providers = program(folder.path(), &answer("Global", "p", ", \"cacheDuration\": \"0s\""), "");
    let (one, two) = (pod(""), pod(""));
    // Both have asked before the one thread of this test looks for the answer.
    let both = tokio::join!(providers.lookup(&one, "r.test/a"), providers.lookup(&two, "r.test/a"));
    assert_eq!((both.0.len(), both.1.len()), (1, 1));
    assert_eq!(asked(folder.path()).len(), 1, "once for both");
    users(&providers, "", "r.test/a").await;
    assert_eq!(asked(folder.path()).len(), 2);
}

#[tokio::test]
async fn a_program_is_told_of_the_pods_account() {
    let attributes = ", tokenAttributes: {serviceAccountTokenAudience: aud, cacheType: ServiceAccount, \
                      requireServiceAccount: true, requiredServiceAccountAnnotationKeys: [example.test/tenant]}";
    let folder = tempfile::tempdir().unwrap();
    let providers = program(folder.path(), &answer("Global", "p", ""), attributes);
    assert!(users(&providers, "", "r.test/a").await.is_empty(), "a pod without an account");
    assert!(users(&providers, "other", "r.test/a").await.is_empty(), "an account that is not there");
    assert!(asked(folder.path()).is_empty());
    assert_eq!(users(&providers, "puller", "r.test/a").await.len(), 1);
    let request = asked(folder.path()).remove(0);
    assert_eq!(request["serviceAccountToken"], "aud/p/u/a-uid");
    assert_eq!(request["serviceAccountAnnotations"], serde_json::json!({"example.test/tenant": "t1"}));

    let folder = tempfile::tempdir().unwrap();
    let missing = attributes.replace("example.test/tenant", "example.test/missing");
    let providers = program(folder.path(), &answer("Global", "p", ""), &missing);
    assert!(users(&providers, "puller", "r.test/a").await.is_empty() && asked(folder.path()).is_empty());

    // Only who says that tokens are credentials may give the token back.
    for (kind, found) in [("ServiceAccount", 0), ("Token", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let attributes = attributes.replace("cacheType: ServiceAccount", &format!("cacheType: {kind}"));
        let providers = program(folder.path(), &answer("Global", "aud/p/u/a-uid", ""), &attributes);
        assert_eq!(users(&providers, "puller", "r.test/a").await.len(), found, "{kind}");
    }
}

#[tokio::test]
async fn failures_are_counted_and_give_no_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let providers = program(folder.path(), "echo broken >&2; exit 3", "");
    assert!(users(&providers, "", "r.test/a").await.is_empty());
    let mut registry = Registry::default();
    providers.register(&mut registry);
    let text = component::metrics::encode(&registry);
    for line in [
        "kubelet_credential_provider_plugin_errors_total{plugin_name=\"helper\"} 1",
        "kubelet_credential_provider_plugin_duration_count{plugin_name=\"helper\"} 1",
        "kubelet_credential_provider_config_info{hash=\"sha256:",
    ] {
        assert!(text.lines().any(|other| other.starts_with(line)), "no {line} in {text}");
    }
}

#[test]
fn programs_have_to_be_there() {
    let folder = tempfile::tempdir().unwrap();
    program(folder.path(), "", "");
    let load = |programs: &Path| {
        let loaded = Providers::load(&folder.path().join("config.yaml"), programs, Arc::new(Accounts));
        loaded.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let (empty, gone) = (tempfile::tempdir().unwrap(), folder.path().join("gone"));
    assert_eq!(load(&gone), format!("plugin binary directory {} did not exist", gone.display()));
    assert!(load(empty.path()).starts_with("plugin binary executable "));
}
