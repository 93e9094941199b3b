//! The binary beside a real apiserver on a real etcd, and one that plays the kubelets.
#![allow(unreachable_pub, reason = "each test binary uses its part")]
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::apiserver::{self, Apiserver};
use tokio::process::{Child, Command};

/// Where all happens.
pub const NAMESPACE: &str = "default";

/// An apiserver and a controller manager, killed when dropped.
pub struct Cluster {
    _apiserver: Apiserver,
    _manager: Child,
    pub client: Client,
}

const BINARY: &str = env!("CARGO_BIN_EXE_kube-controller-manager");

/// Whether there is all that a cluster needs; tests skip without.
pub fn is_possible() -> bool {
    apiserver::is_possible(BINARY)
}

impl Cluster {
    /// Starts both with these controllers, each with its own service account.
    pub async fn start(controllers: &str) -> Self {
        let apiserver = Apiserver::start(BINARY, &[], |_| Vec::new()).await;
        let kubeconfig = apiserver.admin();
        let client = client::connect(Some(&kubeconfig), "workloads").await.expect("a client");
        ready(&client).await;
        let manager = Command::new(BINARY)
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .args(["--controllers", controllers, "--use-service-account-credentials=true"])
            .args(["--leader-elect=false", "--secure-port=0", "--bind-address=127.0.0.1"])
            .arg("--cert-dir")
            .arg(apiserver.folder().join("manager"))
            .kill_on_drop(true)
            .spawn()
            .expect("the binary");
        let cluster = Self { _apiserver: apiserver, _manager: manager, client };
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
