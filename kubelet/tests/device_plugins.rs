//! A fake device plugin on a real socket: registration, allocation, what is left over a restart.

use component::Supervisor;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kubelet::devices::{Devices, pod_resources, registration};
use kubelet::dra::{Dra, api::Standalone};
use kubelet::plugins::{socket, watcher};
use parking_lot::Mutex;
use proto::deviceplugin as api;
use proto::deviceplugin::device_plugin_server::{DevicePlugin, DevicePluginServer};
use proto::pluginregistration::registration_server::{Registration, RegistrationServer};
use proto::pluginregistration::{InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse};
use proto::podresources as listed;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

const GPU: &str = "example.com/gpu";

/// Prefers the last device, and remembers which containers were started.
#[derive(Clone)]
struct FakePlugin {
    said: Arc<Mutex<Option<mpsc::Receiver<Result<api::ListAndWatchResponse, Status>>>>>,
    started: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl DevicePlugin for FakePlugin {
    type ListAndWatchStream = ReceiverStream<Result<api::ListAndWatchResponse, Status>>;

    async fn get_device_plugin_options(
        &self,
        _: Request<api::Empty>,
    ) -> Result<Response<api::DevicePluginOptions>, Status> {
        let options = api::DevicePluginOptions { pre_start_required: true, get_preferred_allocation_available: true };
        Ok(Response::new(options))
    }

    async fn list_and_watch(&self, _: Request<api::Empty>) -> Result<Response<Self::ListAndWatchStream>, Status> {
        let said = self.said.lock().take().ok_or_else(|| Status::aborted("one stream only"))?;
        Ok(Response::new(ReceiverStream::new(said)))
    }

    async fn get_preferred_allocation(
        &self,
        request: Request<api::PreferredAllocationRequest>,
    ) -> Result<Response<api::PreferredAllocationResponse>, Status> {
        let request = &request.into_inner().container_requests[0];
        let mut ids = request.available_device_i_ds.clone();
        ids.sort();
        let ids = ids.into_iter().rev().take(usize::try_from(request.allocation_size).unwrap_or(0)).collect();
        let answer = api::ContainerPreferredAllocationResponse { device_i_ds: ids };
        Ok(Response::new(api::PreferredAllocationResponse { container_responses: vec![answer] }))
    }

    async fn allocate(
        &self,
        request: Request<api::AllocateRequest>,
    ) -> Result<Response<api::AllocateResponse>, Status> {
        let ids = request.into_inner().container_requests[0].devices_ids.join(",");
        let answer = api::ContainerAllocateResponse { envs: [("GPUS".to_owned(), ids)].into(), ..Default::default() };
        Ok(Response::new(api::AllocateResponse { container_responses: vec![answer] }))
    }

    async fn pre_start_container(
        &self,
        request: Request<api::PreStartContainerRequest>,
    ) -> Result<Response<api::PreStartContainerResponse>, Status> {
        self.started.lock().extend(request.into_inner().devices_ids);
        Ok(Response::new(api::PreStartContainerResponse {}))
    }
}

/// Says by its own socket that a plugin is there, and passes on what it is told.
#[derive(Clone)]
struct FakeRegistration {
    endpoint: String,
    told: mpsc::Sender<RegistrationStatus>,
}

#[tonic::async_trait]
impl Registration for FakeRegistration {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        Ok(Response::new(PluginInfo {
            r#type: "DevicePlugin".into(),
            name: GPU.into(),
            endpoint: self.endpoint.clone(),
            supported_versions: vec!["v1beta1".into()],
        }))
    }

    async fn notify_registration_status(
        &self,
        request: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        self.told.send(request.into_inner()).await.map_err(|_| Status::aborted("the test is over"))?;
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}

async fn channel(path: &Path) -> tonic::transport::Channel {
    let path = path.to_owned();
    let endpoint = tonic::transport::Endpoint::from_static("http://socket");
    let connect = tower::service_fn(move |_: tonic::transport::Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(hyper_util::rt::TokioIo::new) }
    });
    endpoint.connect_with_connector(connect).await.expect("a connection")
}

fn container(name: &str, count: &str) -> Container {
    let limits = Some([(GPU.to_owned(), Quantity(count.into()))].into());
    let resources = Some(ResourceRequirements { limits, ..ResourceRequirements::default() });
    Container { name: name.into(), resources, ..Container::default() }
}

fn pod(uid: &str, init: Vec<Container>, containers: Vec<Container>) -> Pod {
    Pod {
        metadata: ObjectMeta { uid: Some(uid.into()), name: Some(uid.into()), ..ObjectMeta::default() },
        spec: Some(PodSpec { init_containers: Some(init), containers, ..PodSpec::default() }),
        status: None,
    }
}

fn no_claims(root: &Path, supervisor: &Supervisor) -> Dra {
    Dra::load(root, Arc::new(Standalone), supervisor.clone())
}

fn healthy(names: &[&str]) -> api::ListAndWatchResponse {
    let device = |id: &&str| api::Device { id: (*id).into(), health: "Healthy".into(), topology: None };
    api::ListAndWatchResponse { devices: names.iter().map(device).collect() }
}

async fn until(devices: &Devices, allocatable: i64) {
    let seen = async {
        while devices.amounts().allocatable.get(GPU) != Some(&allocatable) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("the amount");
}

#[tokio::test]
async fn from_registration_to_restart() {
    let (folder, supervisor) = (tempfile::tempdir().unwrap(), Supervisor::new());
    let devices = Devices::load(folder.path(), supervisor.clone(), |_| {});
    assert!(devices.take_new_node() && !devices.take_new_node());
    assert!(!registration::is_taken(folder.path()));
    let listener = registration::listen(folder.path()).unwrap();
    assert!(registration::is_taken(folder.path()));
    supervisor.spawn_until_stop("registration", registration::serve(listener, devices.clone()));
    let (say, said) = mpsc::channel(4);
    let plugin = FakePlugin { said: Arc::new(Mutex::new(Some(said))), started: Arc::default() };
    let listener = UnixListener::bind(folder.path().join("gpu.sock")).unwrap();
    supervisor.spawn_until_stop("fake", socket::serve(listener, DevicePluginServer::new(plugin.clone())));

    let kubelet = channel(&folder.path().join("kubelet.sock")).await;
    let mut kubelet = api::registration_client::RegistrationClient::new(kubelet);
    let mut request = api::RegisterRequest {
        version: "v1alpha".into(),
        endpoint: "gpu.sock".into(),
        resource_name: GPU.into(),
        options: None,
    };
    let refused = kubelet.register(request.clone()).await.unwrap_err();
    assert!(refused.message().contains("\"v1alpha\" is not supported by kubelet"), "{}", refused.message());
    request.version = "v1beta1".into();
    kubelet.register(request).await.unwrap();
    say.send(Ok(healthy(&["a", "b", "c"]))).await.unwrap();
    until(&devices, 3).await;

    // The init container's two are taken again by the two that follow.
    let one = pod("one", vec![container("i", "2")], vec![container("x", "1"), container("y", "1")]);
    devices.allocate(&one, false).await.unwrap();
    let main: Vec<_> = ["x", "y"].iter().map(|c| devices.listed("one", c)[0].device_ids[0].clone()).collect();
    assert_eq!(main, ["b", "c"]);
    let gear = devices.equip(&one, &PodSpec::clone(one.spec.as_ref().unwrap()).containers[1]).await.unwrap();
    assert_eq!((gear.envs["GPUS"].as_str(), plugin.started.lock().as_slice()), ("c", &["c".to_owned()][..]));
    let two = pod("two", vec![], vec![container("x", "2")]);
    let refused = devices.allocate(&two, false).await.unwrap_err().to_string();
    assert_eq!(refused, "requested number of devices unavailable for example.com/gpu. Requested: 2, Available: 1");

    // Another kubelet finds what this one left, and the plugin gone.
    let next = Devices::load(folder.path(), supervisor.clone(), |_| {});
    assert!(!next.take_new_node() && next.concern(&one));
    until(&next, 0).await;
    assert_eq!(next.listed("one", "x"), devices.listed("one", "x"));
    next.allocate(&one, true).await.unwrap();
    assert!(next.allocate(&two, false).await.unwrap_err().to_string().contains("no healthy devices present"));

    let listener = pod_resources::listen(folder.path()).unwrap();
    let active = vec![Arc::new(one)];
    supervisor.spawn_until_stop(
        "lister",
        pod_resources::serve(
            listener,
            devices.clone(),
            no_claims(folder.path(), &supervisor),
            kubelet::placement::Placement::none(),
            move || active.clone(),
        ),
    );
    let lister = channel(&folder.path().join("pod-resources/kubelet.sock")).await;
    let mut lister = listed::pod_resources_lister_client::PodResourcesListerClient::new(lister);
    let all = lister.list(listed::ListPodResourcesRequest {}).await.unwrap().into_inner().pod_resources;
    assert_eq!((all.len(), all[0].containers.len(), all[0].containers[0].devices.len()), (1, 2, 1));
    let missing = listed::GetPodResourcesRequest { pod_name: "z".into(), pod_namespace: "n".into() };
    assert_eq!(lister.get(missing).await.unwrap_err().message(), "pod z in namespace n not found");

    devices.release("one");
    devices.allocate(&two, false).await.unwrap();
    drop(say);
    until(&devices, 0).await;
    assert_eq!(devices.amounts().capacity[GPU], 3);
}

#[tokio::test]
async fn a_socket_that_appears_is_registered_and_one_that_vanishes_is_not() {
    let (folder, supervisor) = (tempfile::tempdir().unwrap(), Supervisor::new());
    let devices = Devices::load(folder.path(), supervisor.clone(), |_| {});
    let (say, said) = mpsc::channel(4);
    let plugin = FakePlugin { said: Arc::new(Mutex::new(Some(said))), started: Arc::default() };
    let endpoint = folder.path().join("gpu.sock");
    let listener = UnixListener::bind(&endpoint).unwrap();
    supervisor.spawn_until_stop("fake", socket::serve(listener, DevicePluginServer::new(plugin)));
    let registry = folder.path().join("plugins_registry");
    supervisor.spawn_until_stop("watcher", watcher::run(registry.clone(), vec![Box::new(devices.clone())]));

    // In a folder that comes later as well.
    let own = registry.join("example.com");
    std::fs::create_dir_all(&own).unwrap();
    let (told, mut telling) = mpsc::channel(4);
    let path = own.join("reg.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let service = FakeRegistration { endpoint: endpoint.to_string_lossy().into_owned(), told };
    supervisor.spawn_until_stop("registrar", socket::serve(listener, RegistrationServer::new(service)));
    let status = tokio::time::timeout(Duration::from_secs(20), telling.recv()).await.unwrap().unwrap();
    assert_eq!(status, RegistrationStatus { plugin_registered: true, error: String::new() });
    say.send(Ok(healthy(&["a", "b"]))).await.unwrap();
    until(&devices, 2).await;

    std::fs::remove_dir_all(own).unwrap();
    until(&devices, 0).await;
    assert!(supervisor.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_plugin_of_a_type_that_nobody_handles_is_told_so() {
    let (folder, supervisor) = (tempfile::tempdir().unwrap(), Supervisor::new());
    let path = folder.path().join("reg.sock");
    let (told, mut telling) = mpsc::channel(4);
    let service = FakeRegistration { endpoint: "/none".into(), told };
    let listener = UnixListener::bind(&path).unwrap();
    supervisor.spawn_until_stop("registrar", socket::serve(listener, RegistrationServer::new(service)));
    let claims = no_claims(folder.path(), &supervisor).plugins().clone();
    supervisor.spawn_until_stop("watcher", watcher::run(folder.path().to_owned(), vec![Box::new(claims)]));
    let status = tokio::time::timeout(Duration::from_secs(20), telling.recv()).await.unwrap().unwrap();
    let socket = path.display();
    let why = format!("RegisterPlugin error -- no handler registered for plugin type: DevicePlugin at socket {socket}");
    assert_eq!(status, RegistrationStatus { plugin_registered: false, error: why });
    assert!(supervisor.shutdown(Duration::from_secs(5)).await);
}
