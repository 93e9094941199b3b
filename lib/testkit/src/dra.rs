//! A plugin of a driver of devices: registers as upstream's drivers do, by a socket of its own, and
//! prepares claims as a test says.

use crate::socket;
use anyhow::Context;
use parking_lot::{Mutex, MutexGuard};
use proto::dra as api;
use proto::dra::dra_plugin_server::{DraPlugin, DraPluginServer};
use proto::dra::v1beta1 as old;
use proto::dra::v1beta1::dra_plugin_server::{DraPlugin as OldDraPlugin, DraPluginServer as OldDraPluginServer};
use proto::pluginregistration::registration_server::{Registration, RegistrationServer};
use proto::pluginregistration::{InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::codegen::Service as _;
use tonic::{Request, Response, Status};

/// What a plugin has been asked for, and how it answers.
#[derive(Debug, Default)]
pub struct State {
    /// The claims by whose UIDs it was asked to prepare them, in order.
    pub prepared: Vec<String>,
    /// The same for taking them back.
    pub unprepared: Vec<String>,
    /// The devices of a claim by its UID; others get one by their UID.
    pub devices: BTreeMap<String, Vec<api::Device>>,
    /// Why it does nothing; it does, if there is no reason.
    pub broken: Option<String>,
    /// What the kubelet said of its registration.
    pub told: Vec<RegistrationStatus>,
}

/// A plugin that serves until it is dropped, which takes its sockets away.
#[derive(Debug)]
pub struct FakeDriver {
    state: Arc<Mutex<State>>,
    sockets: [PathBuf; 2],
    _stop: DropGuard,
}

#[derive(Clone)]
struct Served {
    state: Arc<Mutex<State>>,
    driver: String,
    endpoint: String,
    versions: Vec<String>,
}

impl FakeDriver {
    /// Serves in `folder` and registers below `registry`, with these versions of the contract.
    ///
    /// # Errors
    /// A socket is taken.
    pub fn start(driver: &str, folder: &Path, registry: &Path, versions: &[&str]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(registry)?;
        let sockets = [folder.join(format!("{driver}.sock")), registry.join(format!("{driver}-reg.sock"))];
        let [endpoint, registrar] = &sockets;
        let listeners = [
            UnixListener::bind(endpoint).context("bind the plugin's socket")?,
            UnixListener::bind(registrar).context("bind the registration's socket")?,
        ];
        let state = Arc::new(Mutex::new(State::default()));
        let served = Served {
            state: Arc::clone(&state),
            driver: driver.to_owned(),
            endpoint: endpoint.to_string_lossy().into_owned(),
            versions: versions.iter().map(|version| (*version).to_owned()).collect(),
        };
        let stop = CancellationToken::new();
        for listener in listeners {
            let server = stop.clone().run_until_cancelled_owned(serve(listener, served.clone()));
            #[expect(clippy::disallowed_methods, reason = "a test helper; ends with the guard")]
            tokio::spawn(server);
        }
        Ok(Self { state, sockets, _stop: stop.drop_guard() })
    }

    /// What it knows; a test may look and change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Drop for FakeDriver {
    fn drop(&mut self) {
        for socket in &self.sockets {
            drop(std::fs::remove_file(socket));
        }
    }
}

/// Accepts for ever; the path says which service is meant.
async fn serve(listener: UnixListener, served: Served) {
    let answer = move |request: hyper::Request<hyper::body::Incoming>| {
        let served = served.clone();
        async move {
            match request.uri().path() {
                path if path.starts_with("/pluginregistration.") => RegistrationServer::new(served).call(request).await,
                path if path.contains(".v1beta1.") => OldDraPluginServer::new(served).call(request).await,
                _ => DraPluginServer::new(served).call(request).await,
            }
        }
    };
    socket::serve(listener, answer).await;
}

impl Served {
    fn devices(&self, uid: &str) -> api::NodePrepareResourceResponse {
        let mut state = self.state.lock();
        state.prepared.push(uid.to_owned());
        let own = || {
            let cdi_device_ids = vec![format!("{}/device={uid}", self.driver)];
            vec![api::Device {
                pool_name: "p".into(),
                device_name: "d".into(),
                cdi_device_ids,
                ..api::Device::default()
            }]
        };
        let error = state.broken.clone().unwrap_or_default();
        api::NodePrepareResourceResponse { devices: state.devices.get(uid).cloned().unwrap_or_else(own), error }
    }

    fn take_back(&self, uid: &str) -> String {
        let mut state = self.state.lock();
        state.unprepared.push(uid.to_owned());
        state.broken.clone().unwrap_or_default()
    }
}

#[tonic::async_trait]
impl Registration for Served {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        Ok(Response::new(PluginInfo {
            r#type: "DRAPlugin".into(),
            name: self.driver.clone(),
            endpoint: self.endpoint.clone(),
            supported_versions: self.versions.clone(),
        }))
    }

    async fn notify_registration_status(
        &self,
        request: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        self.state.lock().told.push(request.into_inner());
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}

#[tonic::async_trait]
impl DraPlugin for Served {
    async fn node_prepare_resources(
        &self,
        request: Request<api::NodePrepareResourcesRequest>,
    ) -> Result<Response<api::NodePrepareResourcesResponse>, Status> {
        let claims = request.into_inner().claims.into_iter().map(|claim| (claim.uid.clone(), self.devices(&claim.uid)));
        Ok(Response::new(api::NodePrepareResourcesResponse { claims: claims.collect() }))
    }

    async fn node_unprepare_resources(
        &self,
        request: Request<api::NodeUnprepareResourcesRequest>,
    ) -> Result<Response<api::NodeUnprepareResourcesResponse>, Status> {
        let claims = request.into_inner().claims.into_iter().map(|claim| {
            let error = self.take_back(&claim.uid);
            (claim.uid, api::NodeUnprepareResourceResponse { error })
        });
        Ok(Response::new(api::NodeUnprepareResourcesResponse { claims: claims.collect() }))
    }
}

#[tonic::async_trait]
impl OldDraPlugin for Served {
    async fn node_prepare_resources(
        &self,
        request: Request<old::NodePrepareResourcesRequest>,
    ) -> Result<Response<old::NodePrepareResourcesResponse>, Status> {
        let claims = request.into_inner().claims.into_iter().map(|claim| {
            let answer = self.devices(&claim.uid);
            let devices = answer.devices.into_iter().map(|device| old::Device {
                request_names: device.request_names,
                pool_name: device.pool_name,
                device_name: device.device_name,
                cdi_device_ids: device.cdi_device_ids,
            });
            (claim.uid, old::NodePrepareResourceResponse { devices: devices.collect(), error: answer.error })
        });
        Ok(Response::new(old::NodePrepareResourcesResponse { claims: claims.collect() }))
    }

    async fn node_unprepare_resources(
        &self,
        request: Request<old::NodeUnprepareResourcesRequest>,
    ) -> Result<Response<old::NodeUnprepareResourcesResponse>, Status> {
        let claims = request.into_inner().claims.into_iter().map(|claim| {
            let error = self.take_back(&claim.uid);
            (claim.uid, old::NodeUnprepareResourceResponse { error })
        });
        Ok(Response::new(old::NodeUnprepareResourcesResponse { claims: claims.collect() }))
    }
}
