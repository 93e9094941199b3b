//! Claims of devices with a fake driver on real sockets: registration, preparation, what the runtime
//! is told, taking back, what is left over a restart, drivers that go.

use async_trait::async_trait;
use component::Supervisor;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::api::resource::v1::ResourceClaim;
use kubelet::dra::api::Offers;
use kubelet::dra::{Dra, DraError, checkpoint};
use kubelet::plugins::{Handlers, watcher};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use testkit::dra::FakeDriver;

const DRIVER: &str = "gpu.example.com";

/// An apiserver that knows these claims, and remembers which drivers' offers were to be deleted.
#[derive(Default)]
struct Cluster {
    claims: Mutex<BTreeMap<String, ResourceClaim>>,
    wiped: Mutex<Vec<Option<String>>>,
}

#[async_trait]
impl Offers for Cluster {
    async fn claim(&self, _: &str, name: &str) -> Result<ResourceClaim, String> {
        let missing = || format!("resourceclaims.resource.k8s.io {name:?} not found");
        self.claims.lock().get(name).cloned().ok_or_else(missing)
    }

    async fn wipe(&self, driver: Option<&str>) -> bool {
        self.wiped.lock().push(driver.map(str::to_owned));
        true
    }
}

struct Node {
    folder: tempfile::TempDir,
    cluster: Arc<Cluster>,
    supervisor: Supervisor,
    dra: Dra,
}

impl Node {
    fn start() -> Self {
        let (folder, cluster, supervisor) =
            (tempfile::tempdir().expect("a folder"), Arc::new(Cluster::default()), Supervisor::new());
        let dra = Dra::load(folder.path(), cluster.clone(), supervisor.clone());
        let node = Self { folder, cluster, supervisor, dra };
        let handlers: Handlers = vec![Box::new(node.dra.plugins().clone())];
        node.supervisor.spawn_until_stop("watcher", watcher::run(node.registry(), handlers));
        node
    }

    fn registry(&self) -> PathBuf {
        self.folder.path().join("plugins_registry")
    }

    async fn driver(&self, versions: &[&str]) -> FakeDriver {
        let driver = FakeDriver::start(DRIVER, self.folder.path(), &self.registry(), versions).expect("a driver");
        until("the driver is told", || !driver.state().told.is_empty()).await;
        driver
    }

    /// A claim with a device, which these pods may use.
    fn claim(&self, name: &str, pods: &[&str]) {
        let consumers: Vec<Value> =
            pods.iter().map(|pod| json!({"resource": "pods", "name": pod, "uid": pod})).collect();
        let result = json!({"request": "r", "driver": DRIVER, "pool": "p", "device": "d"});
        let claim = json!({"metadata": {"namespace": "ns", "name": name, "uid": format!("{name}-uid")}, "spec": {},
            "status": {"allocation": {"devices": {"results": [result]}}, "reservedFor": consumers}});
        self.cluster.claims.lock().insert(name.to_owned(), serde_json::from_value(claim).expect("a claim"));
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let waiting = async {
        while !is() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A pod whose container has all of its claim.
fn pod(uid: &str, claim: &str) -> Pod {
    let pod = json!({"metadata": {"namespace": "ns", "name": uid, "uid": uid}, "spec": {
        "resourceClaims": [{"name": "mine", "resourceClaimName": claim}],
        "containers": [{"name": "c", "resources": {"claims": [{"name": "mine"}]}}, {"name": "other"}],
    }});
    serde_json::from_value(pod).expect("a pod")
}

fn container(pod: &Pod, index: usize) -> &Container {
    &pod.spec.as_ref().expect("a spec").containers[index]
}

#[tokio::test]
async fn a_shared_claim_is_prepared_once_and_taken_back_with_its_last_pod() {
    let node = Node::start();
    let driver = node.driver(&["v1.DRAPlugin", "v1beta1.DRAPlugin"]).await;
    assert!(driver.state().told[0].plugin_registered, "{:?}", driver.state().told);
    node.claim("shared", &["one", "two"]);
    let (one, two) = (pod("one", "shared"), pod("two", "shared"));
    node.dra.prepare(&one).await.unwrap();
    node.dra.prepare(&two).await.unwrap();
    assert_eq!(driver.state().prepared, ["shared-uid"]);
    assert_eq!(node.dra.cdi_devices(&one, container(&one, 0)).unwrap(), ["gpu.example.com/device=shared-uid"]);
    assert_eq!(node.dra.cdi_devices(&one, container(&one, 1)).unwrap(), Vec::<String>::new());
    let listed = node.dra.listed(&one, container(&one, 0));
    assert_eq!((listed[0].claim_name.as_str(), listed[0].claim_resources[0].device_name.as_str()), ("shared", "d"));

    node.dra.unprepare("one").await.unwrap();
    assert!(driver.state().unprepared.is_empty(), "another pod has it");
    node.dra.unprepare("two").await.unwrap();
    node.dra.unprepare("two").await.unwrap();
    assert_eq!(driver.state().unprepared, ["shared-uid"]);
    assert_eq!(checkpoint::read(&node.folder.path().join(checkpoint::FILE)).unwrap(), []);
}

#[tokio::test]
async fn what_is_not_as_it_should_be_is_said_and_leaves_nothing_behind() {
    let node = Node::start();
    let failed = async |pod: &Pod| node.dra.prepare(pod).await.unwrap_err().to_string();
    let one = pod("one", "mine");
    assert_eq!(failed(&one).await, "fetch ResourceClaim mine: resourceclaims.resource.k8s.io \"mine\" not found");
    node.claim("mine", &["two"]);
    assert_eq!(failed(&one).await, "pod one (one) is not allowed to use ResourceClaim mine (mine-uid)");
    node.claim("mine", &["one"]);
    assert_eq!(failed(&one).await, "DRA driver gpu.example.com is not registered");
    node.dra.unprepare("one").await.unwrap();

    let driver = node.driver(&["v1.DRAPlugin"]).await;
    driver.state().broken = Some("no power".into());
    assert_eq!(failed(&one).await, "NodePrepareResources failed for ResourceClaim mine: no power");
    // Part of it may have been done: the driver has to take it back.
    let why = node.dra.unprepare("one").await.unwrap_err().to_string();
    assert_eq!(why, "NodeUnprepareResources failed for ResourceClaim mine: no power");
    driver.state().broken = None;
    node.dra.prepare(&one).await.unwrap();
    let mut unmade = pod("three", "mine");
    let claims = json!([{"name": "mine", "resourceClaimTemplateName": "t"}]);
    unmade.spec.as_mut().unwrap().resource_claims = serde_json::from_value(claims).unwrap();
    assert_eq!(failed(&unmade).await, "pod \"ns/three\": ResourceClaim not created yet");
    // A later claim of the same name waits until the older one is taken back.
    node.cluster.claims.lock().get_mut("mine").unwrap().metadata.uid = Some("later".into());
    assert!(failed(&one).await.starts_with("old ResourceClaim with same name mine and different UID mine-uid"));
}

#[tokio::test]
async fn another_kubelet_goes_on_with_what_this_one_left() {
    let node = Node::start();
    let driver = node.driver(&["v1beta1.DRAPlugin"]).await;
    node.claim("mine", &["one"]);
    let one = pod("one", "mine");
    node.dra.prepare(&one).await.unwrap();
    node.supervisor.shutdown(Duration::from_secs(5)).await;

    let supervisor = Supervisor::new();
    let next = Dra::load(node.folder.path(), node.cluster.clone(), supervisor.clone());
    assert_eq!(next.cdi_devices(&one, container(&one, 0)).unwrap(), ["gpu.example.com/device=mine-uid"]);
    assert_eq!(next.unprepare("one").await, Err(DraError::NoDriver(DRIVER.into())), "its driver is not back yet");
    let handlers: Handlers = vec![Box::new(next.plugins().clone())];
    supervisor.spawn_until_stop("watcher", watcher::run(node.registry(), handlers));
    until("the driver is back", || driver.state().told.len() == 2).await;
    next.unprepare("one").await.unwrap();
    assert_eq!(driver.state().unprepared, ["mine-uid"]);
}

#[tokio::test]
async fn a_plugin_that_speaks_no_known_version_is_refused() {
    let node = Node::start();
    let driver = node.driver(&["v9.DRAPlugin"]).await;
    let told = driver.state().told[0].clone();
    let why = "none of services supported by the plugin ([\"v9.DRAPlugin\"]) are supported by the kubelet ([\"v1.DRAPlugin\" \"v1beta1.DRAPlugin\"])";
    assert!(!told.plugin_registered && told.error.ends_with(why), "{}", told.error);
}

#[tokio::test]
async fn offers_are_deleted_at_the_start_and_when_a_driver_stays_away() {
    let node = Node::start();
    node.dra.plugins().start();
    until("all offers are deleted", || *node.cluster.wiped.lock() == [None]).await;
    let driver = node.driver(&["v1.DRAPlugin"]).await;
    until("the driver is there", || node.dra.plugins().get(DRIVER).is_some()).await;
    drop(driver);
    until("the driver is gone", || node.dra.plugins().get(DRIVER).is_none()).await;
    assert_eq!(*node.cluster.wiped.lock(), [None], "it may be back soon");
    tokio::time::pause();
    let is_wiped = || node.cluster.wiped.lock().last() == Some(&Some(DRIVER.to_owned()));
    for _ in 0..60 {
        if is_wiped() {
            break;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(is_wiped(), "its offers are deleted");
}
