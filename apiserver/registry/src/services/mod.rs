//! Cluster IPs and node ports of services.
//!
//! A cluster IP is taken by creating the `IPAddress` object of that name, so that any number of
//! apiservers can allocate at the same time. Node ports in use are known from a watch of all
//! services.
//!
//! Upstream: `pkg/registry/core/service/{storage/alloc.go,ipallocator,portallocator}`.

mod addresses;
mod families;
mod ports;
mod ranges;
pub(crate) mod update;

use crate::Context;
use addresses::Addresses;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apimachinery::{Map, Value};
use apiserver_storage::{Event, EventKind, Store, WatchQuery};
use ipnet::IpNet;
use ports::{Port, Ports};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Hands out addresses. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Allocator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    addresses: Addresses,
    ports: Ports,
    store: Store,
}

/// What one write has taken, and what it gives up when it succeeds.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    of: Option<Allocator>,
    taken: Vec<IpAddr>,
    ports: Vec<Port>,
    freed: Vec<IpAddr>,
    freed_ports: Vec<Port>,
    owner: String,
}

impl Claim {
    /// The write succeeded.
    pub(crate) async fn keep(self) {
        let Some(allocator) = self.of else { return };
        allocator.0.ports.free(&self.owner, &self.freed_ports);
        for address in self.freed {
            allocator.0.addresses.free(address).await;
        }
    }

    /// The write failed, or was only tried.
    pub(crate) async fn release(self) {
        let Some(allocator) = self.of else { return };
        allocator.0.ports.free(&self.owner, &self.ports);
        for address in self.taken {
            allocator.0.addresses.free(address).await;
        }
    }
}

impl Allocator {
    pub(crate) fn new(store: Store, ranges: Vec<IpNet>, node_ports: RangeInclusive<u16>) -> Self {
        let addresses = Addresses::new(store.clone(), ranges);
        Self(Arc::new(Inner { addresses, ports: Ports::new(node_ports), store }))
    }

    /// Completes a new service with addresses of its own.
    pub(crate) async fn claim_new(&self, cx: &Context, service: &mut Value) -> Result<Claim, Status> {
        self.claim(cx, service, None).await
    }

    /// Completes a changed service; what it no longer needs is freed when the claim is kept.
    pub(crate) async fn claim_changed(&self, cx: &Context, new: &mut Value, old: &Value) -> Result<Claim, Status> {
        self.claim(cx, new, Some(old)).await
    }

    async fn claim(&self, cx: &Context, service: &mut Value, old: Option<&Value>) -> Result<Claim, Status> {
        let owner = format!("{}/{}", service.namespace(), service.name());
        let mut claim = Claim { of: Some(self.clone()), owner, ..Claim::default() };
        let result = self.fill(cx, service, old, &mut claim).await;
        match result {
            Ok(()) => Ok(claim),
            Err(errors) => {
                claim.release().await;
                Err(errors)
            }
        }
    }

    async fn fill(
        &self,
        cx: &Context,
        service: &mut Value,
        old: Option<&Value>,
        claim: &mut Claim,
    ) -> Result<(), Status> {
        let name = service.name().to_owned();
        families::complete(service, &self.0.addresses.families()).map_err(|e| invalid(&name, e))?;
        let held = old.map(addresses_of).unwrap_or_default();
        self.claim_addresses(cx, service, &held, claim).await?;
        let wanted = addresses_of(service);
        claim.freed = held.into_iter().filter(|address| !wanted.contains(address)).collect();
        self.claim_ports(cx, service, old, claim).map_err(|e| invalid(&name, e))
    }

    async fn claim_addresses(
        &self,
        cx: &Context,
        service: &mut Value,
        held: &[IpAddr],
        claim: &mut Claim,
    ) -> Result<(), Status> {
        if !families::needs_addresses(service) {
            return Ok(());
        }
        let families = families::of(service);
        let mut chosen = families::given_addresses(service);
        for (index, family) in families.iter().enumerate() {
            match chosen.get(index).copied() {
                Some(address) if held.contains(&address) => {}
                Some(address) => {
                    let taken = self.0.addresses.take(service, address, cx.dry_run).await;
                    taken.map_err(|why| refused(service, &chosen, address, &why.to_string()))?;
                    claim.taken.push(address);
                }
                None => {
                    let address = self.0.addresses.take_any(service, *family, cx.dry_run).await;
                    let address =
                        address.map_err(|why| Status::internal(format!("failed to allocate a serviceIP: {why}")))?;
                    claim.taken.push(address);
                    chosen.push(address);
                }
            }
        }
        if cx.dry_run {
            claim.taken.clear();
        }
        families::set_addresses(service, &chosen);
        Ok(())
    }

    fn claim_ports(
        &self,
        cx: &Context,
        service: &mut Value,
        old: Option<&Value>,
        claim: &mut Claim,
    ) -> Result<(), FieldError> {
        self.0.ports.refresh(&self.0.store);
        let before = old.map(ports::of).unwrap_or_default();
        let taken = self.0.ports.complete(&claim.owner, service, &before)?;
        let after = ports::of(service);
        claim.freed_ports = before.into_iter().filter(|port| !after.contains(port)).collect();
        match cx.dry_run {
            true => self.0.ports.free(&claim.owner, &taken),
            false => claim.ports = taken,
        }
        Ok(())
    }

    /// Frees everything that a deleted service had.
    pub(crate) async fn release(&self, service: &Value) {
        let owner = format!("{}/{}", service.namespace(), service.name());
        self.0.ports.free(&owner, &ports::of(service));
        for address in addresses_of(service) {
            self.0.addresses.free(address).await;
        }
    }

    /// Follows the services that other apiservers write, until the watch ends.
    pub(crate) async fn follow(&self) -> Result<(), apiserver_storage::StorageError> {
        let Some(services) = apimachinery::resources::find("", "v1", "services") else { return Ok(()) };
        let mut watch = self.0.store.watch(services, &WatchQuery { from: Some(0), ..WatchQuery::default() }).await?;
        self.0.ports.refresh(&self.0.store);
        loop {
            let Event::Change { kind, object } = watch.next().await? else { continue };
            let owner = format!("{}/{}", object.namespace(), object.name());
            match kind {
                EventKind::Deleted => self.0.ports.observe(&owner, None),
                EventKind::Added | EventKind::Modified => self.0.ports.observe(&owner, Some(&object.value())),
            }
        }
    }

    /// Makes the `IPAddress` of every service that lacks one: after taking over a cluster that
    /// has none, or after a crash between two writes.
    pub(crate) async fn repair(&self) {
        let Some(services) = apimachinery::resources::find("", "v1", "services") else { return };
        for service in self.0.store.cached_list(services, None) {
            let service = service.value();
            for address in addresses_of(&service) {
                if let Err(why) = self.0.addresses.adopt(&service, address).await {
                    let name = format!("{}/{}", service.namespace(), service.name());
                    tracing::warn!(service = name, %address, %why, "cluster IP could not be reserved");
                }
            }
        }
    }
}

/// The cluster IPs of a service; none if it is headless.
fn addresses_of(service: &Value) -> Vec<IpAddr> {
    match families::needs_addresses(service) {
        true => families::given_addresses(service),
        false => Vec::new(),
    }
}

fn spec(service: &Value) -> Option<&Map> {
    service.get("spec")?.as_object()
}

fn invalid(name: &str, error: FieldError) -> Status {
    Status::invalid(&GroupVersionKind::new("", "v1", "Service"), name, &[error])
}

fn refused(service: &Value, given: &[IpAddr], address: IpAddr, why: &str) -> Status {
    let list: Vec<String> = given.iter().map(|a| format!("{:?}", a.to_string())).collect();
    let kind =
        FieldErrorKind::Invalid(format!("[{}]", list.join(",")), format!("failed to allocate IP {address}: {why}"));
    invalid(service.name(), FieldError { path: Path::new("spec").child("clusterIPs"), kind })
}
