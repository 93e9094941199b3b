//! Custom resources: what the server does when definitions come, change and go.

use crate::server::Server;
use apimachinery::resources::ResourceInfo;
use apimachinery::status::Status;
use apiserver_extensions::Definition;
use apiserver_extensions::controller::{self, Host};
use async_trait::async_trait;
use component::Supervisor;
use std::sync::{Arc, Weak};

/// Serves what definitions define from now on; ends with the supervisor.
pub fn follow_definitions(server: &Arc<Server>, supervisor: &Supervisor) {
    let host = Serving(Arc::downgrade(server));
    controller::run(server.registry.store.clone(), Arc::new(host), supervisor);
}

/// The server, which may be gone before the controller is.
struct Serving(Weak<Server>);

#[async_trait]
impl Host for Serving {
    fn serve(&self, old: Option<&Definition>, new: Option<&Definition>) {
        let Some(server) = self.0.upgrade() else { return };
        let Some(name) = new.or(old).map(|definition| definition.name.as_str()) else { return };
        let served = |definition: Option<&Definition>| definition.map(|d| d.served.clone()).unwrap_or_default();
        let (before, after) = (served(old), served(new));
        server.registry.replace_custom(&before, &after);
        server.discovery.set_custom(name, new);
    }

    async fn delete_all(&self, resource: &Arc<ResourceInfo>) -> Result<usize, Status> {
        match self.0.upgrade() {
            Some(server) => server.registry.delete_all(resource).await,
            None => Err(Status::internal("the server is stopping")),
        }
    }
}
