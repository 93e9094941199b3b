//! The binary beside a real apiserver on a real etcd, and one that plays the kubelets.
#![allow(unreachable_pub, reason = "each test binary uses its part")]
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use testkit::daemon;
use testkit::etcd::Etcd;
use tokio::process::{Child, Command};

const TOKEN: &str = "admin-token";
/// Where all happens.
pub const NAMESPACE: &str = "default";

/// An apiserver and a controller manager, killed when dropped.
pub struct Cluster {
    _apiserver: Child,
    _manager: Child,
    _etcd: Etcd,
    _folder: tempfile::TempDir,
    pub client: Client,
}

/// The binary of this name beside the one under test.
fn binary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_kube-controller-manager")).with_file_name(name)
}

/// Whether there is all that a cluster needs; tests skip without.
pub fn is_possible() -> bool {
    let possible = Etcd::is_installed() && binary("kube-apiserver").exists();
    if !possible {
        eprintln!("skipped: needs etcd and a built kube-apiserver");
    }
    possible
}

impl Cluster {
    /// Starts both with these controllers, each with its own service account.
    pub async fn start(controllers: &str) -> Self {
        let etcd = Etcd::start().expect("etcd");
        let folder = tempfile::tempdir().expect("a folder");
        let (apiserver, port) = apiserver(&etcd, folder.path()).await;
        let kubeconfig = kubeconfig(folder.path(), port);
        let client = client::connect(Some(&kubeconfig), "workloads").await.expect("a client");
        ready(&client).await;
        let manager = Command::new(binary("kube-controller-manager"))
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args(["--controllers", controllers, "--use-service-account-credentials=true"])
            .args(["--leader-elect=false", "--secure-port=0", "--bind-address=127.0.0.1"])
            .arg("--cert-dir")
            .arg(folder.path().join("manager"))
            .kill_on_drop(true)
            .spawn()
            .expect("the binary");
        let cluster = Self { _apiserver: apiserver, _manager: manager, _etcd: etcd, _folder: folder, client };
        cluster.create::<ServiceAccount>(json!({"metadata": {"name": "default"}})).await;
        tokio::spawn(play_kubelet(cluster.api()));
        cluster
    }

    /// Objects of the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Creates an object.
    pub async fn create<K>(&self, object: Value) -> K
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let object = serde_json::from_value(object).expect("an object");
        self.api::<K>().create(&PostParams::default(), &object).await.expect("a creation")
    }

    /// Waits until the object fulfils the condition, or is gone where `fulfils` takes `None`.
    pub async fn wait<K>(&self, name: &str, fulfils: impl Fn(Option<&K>) -> bool) -> Option<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + Send
            + 'static,
    {
        let waiting = kube::runtime::wait::await_condition(self.api::<K>(), name, |object: Option<&K>| fulfils(object));
        match tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await {
            Ok(object) => object.expect("a watch"),
            Err(_) => panic!("not in time: {name} is {:#?}", self.api::<K>().get_opt(name).await),
        }
    }
}

async fn apiserver(etcd: &Etcd, folder: &Path) -> (Child, u16) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let tokens = write("tokens.csv", &format!("{TOKEN},admin,u0,system:masters\n"));
    let key = pki::Key::generate(pki::Algorithm::EcdsaP256).expect("a key");
    let key = write("sa.key", &key.to_pem());
    let (child, port) = daemon::serving(
        Command::new(binary("kube-apiserver"))
            .args(["--etcd-servers", &etcd.endpoint(), "--secure-port", "0", "--bind-address", "127.0.0.1"])
            .args(["--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.96.0.0/16"])
            .args(["--service-account-issuer", "https://issuer.example"])
            .arg(format!("--service-account-signing-key-file={}", key.display()))
            .arg(format!("--service-account-key-file={}", key.display()))
            .arg(format!("--token-auth-file={}", tokens.display()))
            .arg(format!("--cert-dir={}", folder.join("certs").display())),
    )
    .await;
    (child, port)
}

fn kubeconfig(folder: &Path, port: u16) -> PathBuf {
    let path = folder.join("admin.conf");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("https://localhost:{port}"),
            "certificate-authority": folder.join("certs/apiserver.crt")}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(&path, text.to_string()).expect("a kubeconfig");
    path
}

/// Asks until the bootstrap is over; each question waits for an answer.
async fn ready(client: &Client) {
    let ask = || http::Request::get("/readyz").body(Vec::new()).expect("a request");
    let asking = async {
        while client.request_text(ask()).await.is_err() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), asking).await.expect("an apiserver that is ready");
}

/// Runs every pod as its annotation `outcome` says, and lets every deleted one go.
async fn play_kubelet(pods: Api<Pod>) {
    let mut changes = watcher(pods.clone(), watcher::Config::default()).default_backoff().boxed();
    while let Some(change) = changes.next().await {
        if let Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) = change {
            live(&pods, &pod).await;
        }
    }
}

async fn live(pods: &Api<Pod>, pod: &Pod) {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    if pod.metadata.deletion_timestamp.is_some() {
        // It may be gone already, or be held by a finalizer.
        let _gone = pods.delete(name, &DeleteParams::default().grace_period(0)).await;
        return;
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    if !matches!(phase, "" | "Pending") {
        return;
    }
    let outcome = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get("outcome"));
    let now = jiff::Timestamp::now().to_string();
    let ended = |code: i32| {
        json!([{"name": "c", "ready": false, "restartCount": 0, "image": "i", "imageID": "i",
        "state": {"terminated": {"exitCode": code, "finishedAt": now}}}])
    };
    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": now}]);
    let status = match outcome.map(String::as_str) {
        Some("succeed") => json!({"phase": "Succeeded", "containerStatuses": ended(0)}),
        Some("fail") => json!({"phase": "Failed", "containerStatuses": ended(3)}),
        _ => json!({"phase": "Running", "conditions": ready}),
    };
    // The pod may have been deleted meanwhile.
    let _told = pods.patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await;
}
