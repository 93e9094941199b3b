//! Cluster IPs and node ports of services.
//!
//! A cluster IP is taken by creating the `IPAddress` object of that name, so that any number of
//! apiservers can allocate at the same time. Node ports in use are known from a watch of all
//! services.
//!
//! Upstream: `pkg/registry/core/service/{storage/alloc.go,ipallocator,portallocator}`.

mod addresses;
mod families;
mod operation;
mod ports;
mod ranges;
pub(crate) mod update;

use crate::Context;
use addresses::{AddressError, Addresses};
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::{Reason, Status};
use apimachinery::{Map, Value};
use apiserver_storage::{Event, EventKind, Store, WatchQuery};
use families::Move;
use ipnet::IpNet;
use ports::{Port, PortError, Ports};
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
        update::begin(service, old);
        let cluster = self.0.addresses.families();
        families::complete(service, old, &cluster).map_err(|errors| invalid(&name, &errors))?;
        let step = Move::of(service, old);
        self.claim_addresses(cx, service, step, claim).await?;
        let held = old.map(addresses_of).unwrap_or_default();
        claim.freed = match step {
            Move::FreeAll => held,
            Move::FreeSecond => held.into_iter().skip(1).collect(),
            Move::Keep | Move::TakeAll | Move::TakeSecond => Vec::new(),
        };
        self.claim_ports(cx, service, old, claim).map_err(|error| match error {
            PortError::Field(error) => invalid(&name, &[error]),
            PortError::Allocation(why) => Status::internal(why),
            twice @ PortError::Twice { .. } => Status::plain(500, Reason::Unknown, twice.to_string()),
        })
    }

    async fn claim_addresses(
        &self,
        cx: &Context,
        service: &mut Value,
        step: Move,
        claim: &mut Claim,
    ) -> Result<(), Status> {
        let first = match step {
            Move::TakeAll => 0,
            Move::TakeSecond => 1,
            Move::Keep | Move::FreeAll | Move::FreeSecond => return Ok(()),
        };
        let families = families::of(service);
        let mut chosen = families::given(service);
        chosen.resize(chosen.len().max(families.len()), String::new());
        for (index, family) in families.iter().enumerate().skip(first) {
            match chosen[index].parse() {
                Ok(address) => {
                    let taken = self.0.addresses.take(service, address, cx.dry_run).await;
                    taken.map_err(|why| refused(service, &chosen, &format!("IP {address}: {why}")))?;
                    claim.taken.push(address);
                }
                Err(_) => {
                    let address = self.0.addresses.take_any(service, *family, cx.dry_run).await;
                    let address = address.map_err(|why| match why {
                        AddressError::Full => {
                            let name = service.name();
                            Status::internal(format!("failed to allocate a serviceIP for Service {name:?}: {why}"))
                        }
                        why => refused(service, &chosen, &format!("IP: {why}")),
                    })?;
                    claim.taken.push(address);
                    chosen[index] = address.to_string();
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
    ) -> Result<(), PortError> {
        self.0.ports.refresh(&self.0.store);
        claim.ports = self.0.ports.complete(&claim.owner, service, old, cx.dry_run)?;
        if let Some(old) = old {
            update::drop_type_dependent(service, old);
            let after = ports::of(service);
            claim.freed_ports = ports::of(old).into_iter().filter(|port| !after.contains(port)).collect();
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
        true => families::addresses(service),
        false => Vec::new(),
    }
}

fn spec(service: &Value) -> Option<&Map> {
    service.get("spec")?.as_object()
}

fn invalid(name: &str, errors: &[FieldError]) -> Status {
    Status::invalid(&GroupVersionKind::new("", "v1", "Service"), name, errors)
}

fn refused(service: &Value, given: &[String], why: &str) -> Status {
    let kind = FieldErrorKind::Invalid(Value::from(given).to_string(), format!("failed to allocate {why}"));
    invalid(service.name(), &[FieldError { path: Path::new("spec").child("clusterIPs"), kind }])
}
