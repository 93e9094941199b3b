//! The life of pods on a runtime in memory: start, restart, take-over, end.

#[path = "shutdown/mod.rs"]
mod shutdown;

use async_trait::async_trait;
use component::Supervisor;
use k8s_openapi::api::core::v1::{
    Container, ContainerResizePolicy, ImageVolumeSource, Pod, PodSpec, PodStatus, ResourceRequirements, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kubelet::cgroups::{Cgroups, Naming, Policy, v2::Unified};
use kubelet::cluster::storage::NoStorage;
use kubelet::cluster::{Cluster, ClusterError};
use kubelet::csi::Csi;
use kubelet::devices::Devices;
use kubelet::dra::{Dra, api::Standalone};
use kubelet::events::{Events, LogOnly};
use kubelet::images::Images;
use kubelet::metrics::census::Census;
use kubelet::node::{Facts, NodeFacts};
use kubelet::pleg::Pleg;
use kubelet::probes::Probes;
use kubelet::rate::Rate;
use kubelet::resize::Allocations;
use kubelet::resources::Amount;
use kubelet::runtime::{Endpoint, Runtime};
use kubelet::sources::{statics::Statics, web::Web};
use kubelet::status::{StatusWriter, Verdict};
use kubelet::volumes::Volumes;
use kubelet::workers::{Deps, Nudges, Settings, Workers};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use testkit::cri::FakeCri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Remembers what was deleted; knows no other objects.
#[derive(Default)]
struct Deletions(Mutex<Vec<String>>);

#[async_trait]
impl Cluster for Deletions {
    async fn delete_pod(&self, _: &str, name: &str, _: &str) -> Result<(), ClusterError> {
        self.0.lock().push(name.to_owned());
        Ok(())
    }
}

struct Node {
    cri: Arc<FakeCri>,
    workers: Workers,
    statuses: StatusWriter,
    deletions: Arc<Deletions>,
    facts: NodeFacts,
    runtime: Runtime,
    supervisor: Supervisor,
}

impl Node {
    async fn start() -> Self {
        let cri = FakeCri::start().await.expect("a runtime");
        cri.state().images.insert("x:1".into());
        Self::on(Arc::new(cri))
    }

    /// A kubelet on a runtime that may hold pods already.
    fn on(cri: Arc<FakeCri>) -> Self {
        let supervisor = Supervisor::new();
        let deletions = Arc::new(Deletions::default());
        let cluster: Arc<dyn Cluster> = deletions.clone();
        let endpoint = Endpoint::parse(&cri.endpoint()).expect("its socket");
        let runtime = Runtime::new(&endpoint, &endpoint, Duration::from_secs(10));
        let events = Events::new(Arc::new(LogOnly));
        let (statuses, writer) = StatusWriter::new(cluster.clone(), supervisor.clone());
        supervisor.spawn_until_stop("status", writer);
        let nudges = Nudges::default();
        let bell = nudges.clone();
        let probes = Probes::new(runtime.clone(), events.clone(), supervisor.clone(), move |uid| bell.nudge(uid));
        let root = cri.folder();
        let bell = nudges.clone();
        let devices = Devices::load(&root, supervisor.clone(), move |uid| bell.nudge(uid));
        let facts = NodeFacts::new(Facts { name: "n".into(), host_ips: vec!["192.0.2.1".into()], ..Facts::default() });
        let storage = Arc::new(NoStorage);
        let csi = Csi::new(root.join("kubelet"), "n".into(), cluster.clone(), storage, events.clone());
        let deps = Arc::new(Deps {
            volumes: Volumes::new(root.join("kubelet"), cluster.clone(), csi),
            cgroups: Cgroups::new(
                Arc::new(Unified::new(root.join("cgroup"))),
                Naming::Folders,
                "/",
                Policy { per_qos: false, enforce_quota: true, pids: None },
            ),
            images: Images::new(runtime.clone(), events.clone(), 1, Rate::new(0, 0)),
            allocations: Allocations::load(&root),
            devices: devices.clone(),
            dra: Dra::load(&root, Arc::new(Standalone), supervisor.clone()),
            placement: kubelet::placement::Placement::none(),
            node: facts.clone(),
            settings: Settings {
                logs: root.join("pods"),
                log_links: root.join("containers"),
                cluster_dns: Default::default(),
                resolv_conf: root.join("resolv.conf"),
                longest_backoff: Duration::from_secs(300),
                sync_frequency: Duration::from_secs(60),
                sysctls: Default::default(),
                seccomp_default: false,
                memory: Default::default(),
                started: Timestamp::now(),
            },
            statuses: statuses.clone(),
            runtime: runtime.clone(),
            cluster,
            events,
            probes,
        });
        let workers = Workers::new(deps, nudges, supervisor.clone());
        let told = workers.clone();
        let watch = Pleg::default().run(runtime.clone(), move |uid, outline| {
            if told.knows(uid) {
                told.nudge(uid);
            } else if !outline.sandboxes.is_empty() {
                told.remove_orphan(uid, outline);
            }
        });
        supervisor.spawn_until_stop("pleg", watch);
        Self { cri, workers, statuses, deletions, facts, runtime, supervisor }
    }

    fn phase(&self) -> String {
        self.statuses.get("u").and_then(|s| s.phase).unwrap_or_default()
    }

    fn condition(&self, kind: &str) -> String {
        let all = self.statuses.get("u").and_then(|s| s.conditions).unwrap_or_default();
        all.into_iter().find(|c| c.type_ == kind).map(|c| c.status).unwrap_or_default()
    }

    /// What is served of the metrics.
    fn metrics(&self) -> String {
        let mut registry = component::metrics::Registry::default();
        self.runtime.metrics().register(&mut registry, "n");
        self.statuses.register(&mut registry);
        registry.register_collector(Box::new(Census(self.workers.clone())));
        component::metrics::encode(&registry)
    }

    /// Why a container waits.
    fn waiting(&self, name: &str) -> String {
        let status = self.statuses.get("u").unwrap_or_default();
        let all = status.container_statuses.into_iter().flatten().find(|c| c.name == name);
        all.and_then(|c| c.state?.waiting?.reason).unwrap_or_default()
    }
}

/// Looks again and again until it is so.
async fn until(what: &str, is: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let waiting = async {
        while !is() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn container(name: &str) -> Container {
    Container { name: name.into(), image: Some("x:1".into()), ..Container::default() }
}

fn pod(policy: &str, init: Vec<Container>, main: Vec<Container>) -> Pod {
    Pod {
        metadata: ObjectMeta {
            name: Some("p".into()),
            namespace: Some("ns".into()),
            uid: Some("u".into()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            restart_policy: Some(policy.into()),
            init_containers: Some(init),
            containers: main,
            ..PodSpec::default()
        }),
        status: None,
    }
}

fn deleted(pod: &Pod, status: Option<PodStatus>) -> Pod {
    let mut pod = Pod { status, ..pod.clone() };
    pod.metadata.deletion_timestamp = Some(Time(Timestamp::now()));
    pod.metadata.deletion_grace_period_seconds = Some(1);
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn from_start_to_last_trace() {
    let node = Node::start().await;
    let pod = pod("Always", vec![container("i")], vec![container("a")]);
    node.workers.update(Arc::new(pod.clone()));
    until("the init container runs", || node.cri.state().count("StartContainer", "i") == 1).await;
    assert_eq!(node.cri.state().count("StartContainer", "a"), 0, "the main one waits");
    node.cri.state().exit("i", 0);
    until("the pod is ready", || node.condition("Ready") == "True").await;
    assert_eq!(node.phase(), "Running");

    node.workers.update(Arc::new(deleted(&pod, node.statuses.get("u"))));
    until("its object is deleted", || !node.deletions.0.lock().is_empty()).await;
    assert_eq!(node.cri.state().count("StopContainer", "a"), 1);
    node.workers.remove("u");
    until("nothing is left", || !node.workers.knows("u") && node.cri.state().sandboxes.is_empty()).await;
    assert!(node.cri.state().containers.is_empty());
    assert!(node.supervisor.shutdown(Duration::from_secs(5)).await);
}

/// Asserts that metrics have these lines.
fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|have| have == *line), "{line} is not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pods_life_is_counted() {
    let node = Node::start().await;
    let mut pod = pod("Never", vec![container("i")], vec![container("a")]);
    pod.metadata.creation_timestamp = Some(Time(Timestamp::now()));
    node.workers.update(Arc::new(pod.clone()));
    until("the init container runs", || node.cri.state().count("StartContainer", "i") == 1).await;
    node.cri.state().exit("i", 0);
    until("the pod runs", || node.phase() == "Running").await;
    node.workers.update(Arc::new(Pod { status: node.statuses.get("u"), ..pod.clone() }));
    assert_lines(
        &node.metrics(),
        &[
            "kubelet_pod_worker_start_duration_seconds_count 1",
            "kubelet_containers_per_pod_count_sum 1.0",
            "kubelet_pod_worker_duration_seconds_count{operation_type=\"create\"} 1",
            "kubelet_pod_start_duration_seconds_count 1",
            "kubelet_pod_start_total_duration_seconds_count 1",
            "kubelet_pod_start_sli_duration_seconds_count 1",
            "kubelet_run_podsandbox_duration_seconds_count{runtime_handler=\"\"} 1",
            "kubelet_terminated_containers_total{container_type=\"init_container\",exit_code=\"0\",reason=\"Completed\"} 1",
            "kubelet_desired_pods{static=\"\"} 1",
            "kubelet_active_pods{static=\"\"} 1",
            "kubelet_active_pods{static=\"true\"} 0",
            "kubelet_working_pods{lifecycle=\"sync\",config=\"desired\",static=\"\"} 1",
        ],
    );
    node.cri.state().exit("a", 3);
    until("it failed", || node.phase() == "Failed").await;
    let done = "kubelet_pod_worker_duration_seconds_count{operation_type=\"terminated\"} 1";
    until("it is over", || node.metrics().lines().any(|line| line == done)).await;
    assert_lines(
        &node.metrics(),
        &[
            "kubelet_working_pods{lifecycle=\"terminated\",config=\"desired\",static=\"\"} 1",
            "kubelet_terminated_containers_total{container_type=\"container\",exit_code=\"3\",reason=\"Error\"} 1",
            "kubelet_pod_worker_duration_seconds_count{operation_type=\"kill\"} 1",
            "kubelet_active_pods{static=\"\"} 0",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_kubelet_takes_over_what_runs() {
    let first = Node::start().await;
    let pod = pod("Always", vec![], vec![container("a")]);
    first.workers.update(Arc::new(pod.clone()));
    until("the pod is ready", || first.condition("Ready") == "True").await;
    let calls = first.cri.state().calls.clone();
    let status = first.statuses.get("u");
    first.supervisor.shutdown(Duration::from_secs(5)).await;

    let second = Node::on(first.cri.clone());
    second.workers.update(Arc::new(Pod { status, ..pod }));
    until("the pod is seen", || second.condition("Ready") == "True").await;
    assert_eq!(second.cri.state().calls, calls, "and nothing was touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashing_container_is_started_again_and_then_held_back() {
    let node = Node::start().await;
    node.workers.update(Arc::new(pod("Always", vec![], vec![container("a")])));
    until("it runs", || node.condition("Ready") == "True").await;
    node.cri.state().exit("a", 1);
    until("it runs again", || node.cri.state().count("StartContainer", "a") == 2).await;
    node.cri.state().exit("a", 1);
    until("it is held back", || node.waiting("a") == "CrashLoopBackOff").await;
    assert_eq!(node.phase(), "Running");
    let status = node.statuses.get("u").unwrap();
    assert_eq!(status.container_statuses.unwrap()[0].restart_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_done_stays_done() {
    let node = Node::start().await;
    node.workers.update(Arc::new(pod("Never", vec![], vec![container("a")])));
    until("it runs", || node.phase() == "Running").await;
    node.cri.state().exit("a", 0);
    until("it succeeded", || node.phase() == "Succeeded").await;
    until("its sandbox is stopped", || node.cri.state().sandboxes.values().all(|s| !s.ready)).await;
    assert_eq!(node.cri.state().count("StartContainer", "a"), 1);
    assert!(!node.cri.state().containers.is_empty(), "its logs can still be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_pulled_or_backed_off() {
    let node = Node::start().await;
    node.cri.state().registry.insert("there:1".into());
    let with = |name: &str, image: &str| Container { image: Some(image.into()), ..container(name) };
    node.workers.update(Arc::new(pod("Always", vec![], vec![with("a", "there:1"), with("b", "gone:1")])));
    until("one runs", || node.cri.state().count("StartContainer", "a") == 1).await;
    until("the other waits", || node.waiting("b").contains("ImagePull")).await;
    assert_eq!(node.phase(), "Pending");
    until("and backs off", || node.waiting("b") == "ImagePullBackOff").await;
}

/// A container that mounts a volume, and that volume with an image.
fn with_image_volume(name: &str, image: &str) -> (Container, Volume) {
    let mount = VolumeMount { name: format!("of-{name}"), mount_path: "/data".into(), ..VolumeMount::default() };
    let source = ImageVolumeSource { reference: Some(image.into()), pull_policy: None };
    let volume = Volume { name: mount.name.clone(), image: Some(source), ..Volume::default() };
    (Container { volume_mounts: Some(vec![mount]), ..container(name) }, volume)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_volume_is_pulled_mounted_and_kept() {
    let node = Node::start().await;
    node.cri.state().registry.insert("data:1".into());
    let (a, of_a) = with_image_volume("a", "data:1");
    let (b, of_b) = with_image_volume("b", "gone:1");
    let mut pod = pod("Always", vec![], vec![a, b]);
    pod.spec.as_mut().unwrap().volumes = Some(vec![of_a, of_b]);
    node.workers.update(Arc::new(pod));
    until("one runs", || node.cri.state().count("StartContainer", "a") == 1).await;
    until("the other waits for its volume", || node.waiting("b") == "ImagePullBackOff").await;
    assert_eq!(node.cri.state().count("CreateContainer", "b"), 0);
    let mount = node.cri.state().container("a").unwrap().1.config.mounts[0].clone();
    let image = mount.image.unwrap();
    assert_eq!((image.image.as_str(), image.user_specified_image.as_str()), ("sha256:data:1", "data:1"));
    assert!(mount.readonly && mount.host_path.is_empty());

    let endpoint = Endpoint::parse(&node.cri.endpoint()).unwrap();
    let runtime = Runtime::new(&endpoint, &endpoint, Duration::from_secs(10));
    node.cri.state().images.insert("unused:1".into());
    kubelet::images::gc::remove_unused(&runtime).await.unwrap();
    let left: Vec<_> = node.cri.state().images.iter().cloned().collect();
    assert_eq!(left, ["data:1", "x:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_nobody_asks_for_is_ended() {
    let first = Node::start().await;
    first.workers.update(Arc::new(pod("Always", vec![], vec![container("a")])));
    until("the pod is ready", || first.condition("Ready") == "True").await;
    first.supervisor.shutdown(Duration::from_secs(5)).await;
    let second = Node::on(first.cri.clone());
    until("it is gone", || second.cri.state().sandboxes.is_empty()).await;
    assert_eq!(second.cri.state().count("StopContainer", "a"), 1);
    assert!(second.deletions.0.lock().is_empty(), "no object is deleted for it");
    assert_lines(&second.metrics(), &["kubelet_orphaned_runtime_pods_total 1"]);
}

/// Answers every request with what is in `body`, and notes the request.
async fn serve(listener: tokio::net::TcpListener, body: Arc<Mutex<String>>, seen: Arc<Mutex<String>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.unwrap_or(0);
        *seen.lock() = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let body = body.lock().clone();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        // A client that has gone needs none.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_has_static_pods() {
    let node = Node::start().await;
    let manifest = |name: &str| {
        format!(
            "{{kind: Pod, apiVersion: v1, metadata: {{name: {name}}}, spec: {{containers: [{{name: {name}, image: 'x:1'}}]}}}}"
        )
    };
    let (body, seen) = (Arc::new(Mutex::new(manifest("a"))), Arc::<Mutex<String>>::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/pods?of=this", listener.local_addr().unwrap());
    node.supervisor.spawn_until_stop("server", serve(listener, body.clone(), seen.clone()));
    let headers = [("X-Own".to_owned(), vec!["1".to_owned(), "2".to_owned()])].into();
    let statics = Statics::new(node.workers.clone());
    let wanted = statics.wanted();
    let web = Web::new(&url, &headers, "n".into(), statics).unwrap();
    node.supervisor.spawn_until_stop("web", web.run(Duration::from_millis(20)));
    until("it runs", || node.cri.state().count("StartContainer", "a") == 1).await;
    let request = seen.lock().clone();
    assert!(request.starts_with("GET /pods?of=this HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("X-Own: 1\r\nX-Own: 2\r\n") || request.contains("x-own: 1\r\nx-own: 2\r\n"), "{request}");
    let pods = wanted.borrow().values().flatten().map(|pod| pod.metadata.name.clone()).collect::<Vec<_>>();
    assert_eq!(pods, [Some("a-n".to_owned())]);
    *body.lock() = "no manifest".to_owned();
    seen.lock().clear();
    until("it was asked again", || !seen.lock().is_empty()).await;
    *body.lock() = manifest("b");
    until("the other one runs", || node.cri.state().count("StartContainer", "b") == 1).await;
    until("the first one is gone", || node.cri.state().container("a").is_none()).await;
    *body.lock() = String::new();
    until("none is left", || node.cri.state().containers.is_empty()).await;
    assert!(Web::new("ftp://r.test/", &headers, "n".into(), Statics::new(node.workers.clone())).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_pod_fails_and_runs_nothing() {
    let node = Node::start().await;
    let mut with_port = container("a");
    let port =
        k8s_openapi::api::core::v1::ContainerPort { host_port: Some(80), container_port: 80, ..Default::default() };
    with_port.ports = Some(vec![port]);
    let mut other = pod("Always", vec![], vec![with_port.clone()]);
    other.metadata.uid = Some("other".into());
    node.workers.update(Arc::new(other));
    node.workers.update(Arc::new(pod("Always", vec![], vec![with_port])));
    until("it failed", || node.phase() == "Failed").await;
    assert_eq!(node.statuses.get("u").unwrap().reason.as_deref(), Some("NodePorts"));
    until("the first one runs", || node.cri.state().count("StartContainer", "a") == 1).await;
    assert_lines(&node.metrics(), &["kubelet_admission_rejections_total{reason=\"Other\"} 1"]);
}

fn with_cpu(mut container: Container, cpu: &str) -> Container {
    let amounts = |text: &str| Some([("cpu".to_owned(), Quantity(text.into()))].into());
    container.resources = Some(ResourceRequirements { requests: amounts(cpu), limits: amounts(cpu), claims: None });
    container
}

/// What a container has by its status, in cores.
fn has_cpu(node: &Node) -> String {
    let status = node.statuses.get("u").unwrap_or_default();
    let resources = status.container_statuses.unwrap_or_default().into_iter().next().and_then(|c| c.resources);
    resources.and_then(|r| r.limits?.get("cpu").map(|q| q.0.clone())).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_container_is_given_more_without_a_restart() {
    let node = Node::start().await;
    node.workers.update(Arc::new(pod("Always", vec![], vec![with_cpu(container("a"), "1")])));
    until("it runs", || node.condition("Ready") == "True").await;
    node.workers.update(Arc::new(pod("Always", vec![], vec![with_cpu(container("a"), "2")])));
    until("it has more", || has_cpu(&node) == "2").await;
    until("nothing is under way", || node.condition("PodResizeInProgress").is_empty()).await;
    let state = node.cri.state();
    assert_eq!((state.count("UpdateContainerResources", "a"), state.count("StartContainer", "a")), (1, 1));
    let (_, container) = state.container("a").unwrap();
    assert_eq!(container.config.linux.as_ref().unwrap().resources.as_ref().unwrap().cpu_quota, 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_has_to_begin_anew_for_it_does() {
    let node = Node::start().await;
    let mut container = with_cpu(container("a"), "1");
    let policy = ContainerResizePolicy { resource_name: "cpu".into(), restart_policy: "RestartContainer".into() };
    container.resize_policy = Some(vec![policy]);
    node.workers.update(Arc::new(pod("Always", vec![], vec![container.clone()])));
    until("it runs", || node.condition("Ready") == "True").await;
    node.workers.update(Arc::new(pod("Always", vec![], vec![with_cpu(container, "2")])));
    until("it runs again", || node.cri.state().count("StartContainer", "a") == 2).await;
    until("it has more", || has_cpu(&node) == "2" && node.condition("PodResizeInProgress").is_empty()).await;
    assert_eq!(node.cri.state().count("UpdateContainerResources", "a"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_without_room_waits() {
    let node = Node::start().await;
    let allocatable = [("cpu".to_owned(), Amount::whole(3))].into();
    node.facts.update(|f| f.allocatable = allocatable);
    node.workers.update(Arc::new(pod("Always", vec![], vec![with_cpu(container("a"), "1")])));
    until("it runs", || node.condition("Ready") == "True").await;
    node.workers.update(Arc::new(pod("Always", vec![], vec![with_cpu(container("a"), "4")])));
    until("it waits", || node.condition("PodResizePending") == "True").await;
    assert_eq!((has_cpu(&node).as_str(), node.cri.state().count("UpdateContainerResources", "a")), ("1", 0));
    node.workers.update(Arc::new(pod("Always", vec![], vec![with_cpu(container("a"), "1")])));
    until("it is taken back", || node.condition("PodResizePending").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_pod_ends_at_once_and_says_why() {
    let node = Node::start().await;
    node.workers.update(Arc::new(pod("Always", vec![], vec![container("a")])));
    until("it runs", || node.condition("Ready") == "True").await;
    let verdict = Verdict { reason: "Evicted".into(), message: "why".into(), grace: Some(1), disruption: true };
    node.workers.end("u", verdict);
    node.workers.ended("u").await;
    until("it failed", || node.phase() == "Failed").await;
    assert_eq!(node.condition("DisruptionTarget"), "True");
    let status = node.statuses.get("u").unwrap();
    assert_eq!((status.reason.as_deref(), status.message.as_deref()), (Some("Evicted"), Some("why")));
}
