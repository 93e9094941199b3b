//! What claims ask for, in one form for requests and for the alternatives of requests.
//!
//! Upstream: `requestAccessor` and `validateDeviceRequest` of `structured/internal/incubating`.

use super::allocate::AllocateError;
use super::slices::Class;
use super::state::Devices;
use super::{Amounts, amounts};
use k8s_openapi::api::resource::v1 as resource;

/// A request, or one alternative of a request.
#[derive(Debug)]
pub struct Want<'a> {
    /// The request that it is an alternative of.
    pub parent: Option<&'a str>,
    /// Its own name.
    pub name: &'a str,
    /// The class.
    pub class: &'a Class,
    /// How many devices.
    pub count: Count,
    /// Whether it is for who looks after devices, whoever has them.
    pub is_admin: bool,
    /// Expressions that devices must fulfil besides the class's.
    pub selectors: Vec<&'a str>,
    /// Taints that do not matter.
    pub tolerations: Option<&'a Vec<resource::DeviceToleration>>,
    /// How much it needs of a device's capacity.
    pub amounts: Amounts,
}

/// How many devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Exactly(usize),
    /// All that there are.
    All,
}

impl Want<'_> {
    /// The request, whatever alternative.
    pub fn request(&self) -> &str {
        self.parent.unwrap_or(self.name)
    }

    /// `request` or `request/alternative`.
    pub fn full_name(&self) -> String {
        match self.parent {
            Some(parent) => format!("{parent}/{}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// Whether the device is tainted in a way that is not tolerated.
    pub fn is_repelled_by(&self, taints: &[resource::DeviceTaint]) -> bool {
        let tolerations = || self.tolerations.into_iter().flatten();
        // Other effects are for people to read.
        let mut taints = taints.iter().filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
        taints.any(|taint| !tolerations().any(|toleration| tolerates(toleration, taint)))
    }
}

fn tolerates(toleration: &resource::DeviceToleration, taint: &resource::DeviceTaint) -> bool {
    let allows = |wanted: &Option<String>, of: &str| wanted.as_deref().is_none_or(|w| w.is_empty() || w == of);
    if !allows(&toleration.effect, &taint.effect) || !allows(&toleration.key, &taint.key) {
        return false;
    }
    match toleration.operator.as_deref() {
        None | Some("" | "Equal") => {
            toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
        }
        Some("Exists") => true,
        Some(_) => false,
    }
}

/// The alternatives of each request; a request without has one.
pub fn of_claim<'a>(
    devices: &'a Devices,
    claim: &'a resource::ResourceClaim,
) -> Result<Vec<Vec<Want<'a>>>, AllocateError> {
    let requests = claim.spec.devices.iter().flat_map(|devices| devices.requests.iter().flatten());
    requests.map(|request| of_request(devices, claim, request)).collect()
}

fn of_request<'a>(
    devices: &'a Devices,
    claim: &'a resource::ResourceClaim,
    request: &'a resource::DeviceRequest,
) -> Result<Vec<Want<'a>>, AllocateError> {
    if let Some(list) = request.first_available.as_ref().filter(|list| !list.is_empty()) {
        let all = list.iter().map(|sub| {
            let asked = Asked {
                parent: Some(&request.name),
                name: &sub.name,
                class: &sub.device_class_name,
                mode: sub.allocation_mode.as_deref(),
                count: sub.count,
                is_admin: false,
                selectors: sub.selectors.as_deref(),
                tolerations: sub.tolerations.as_ref(),
                capacity: sub.capacity.as_ref(),
            };
            asked.check(devices, claim)
        });
        return all.collect();
    }
    let Some(exactly) = &request.exactly else {
        return Err(fatal(claim, &request.name, "missing device class name (unsupported request type?)"));
    };
    let asked = Asked {
        parent: None,
        name: &request.name,
        class: &exactly.device_class_name,
        mode: exactly.allocation_mode.as_deref(),
        count: exactly.count,
        is_admin: exactly.admin_access == Some(true),
        selectors: exactly.selectors.as_deref(),
        tolerations: exactly.tolerations.as_ref(),
        capacity: exactly.capacity.as_ref(),
    };
    Ok(vec![asked.check(devices, claim)?])
}

struct Asked<'a> {
    parent: Option<&'a str>,
    name: &'a str,
    class: &'a str,
    mode: Option<&'a str>,
    count: Option<i64>,
    is_admin: bool,
    selectors: Option<&'a [resource::DeviceSelector]>,
    tolerations: Option<&'a Vec<resource::DeviceToleration>>,
    capacity: Option<&'a resource::CapacityRequirements>,
}

impl<'a> Asked<'a> {
    fn check(self, devices: &'a Devices, claim: &resource::ResourceClaim) -> Result<Want<'a>, AllocateError> {
        let mut selectors = Vec::new();
        for (index, selector) in self.selectors.unwrap_or_default().iter().enumerate() {
            let Some(cel) = &selector.cel else {
                let who = format!("{}, selector #{index}", self.name);
                return Err(fatal(claim, &who, "CEL expression empty (unsupported selector type?)"));
            };
            selectors.push(cel.expression.as_str());
        }
        if self.class.is_empty() {
            return Err(fatal(claim, self.name, "missing device class name (unsupported request type?)"));
        }
        let Some(class) = devices.class(self.class) else {
            let class = self.class;
            let why =
                format!("could not retrieve device class {class}: deviceclass.resource.k8s.io {class:?} not found");
            return Err(fatal(claim, self.name, &why));
        };
        let count = match self.mode {
            Some("ExactCount") | None => {
                let count = self.count.unwrap_or(1);
                let counted = usize::try_from(count);
                Count::Exactly(
                    counted.map_err(|_| fatal(claim, self.name, &format!("exact count {count} is too large")))?,
                )
            }
            Some("All") => Count::All,
            Some(mode) => return Err(fatal(claim, self.name, &format!("unsupported count mode {mode}"))),
        };
        Ok(Want {
            parent: self.parent,
            name: self.name,
            class,
            count,
            is_admin: self.is_admin,
            selectors,
            tolerations: self.tolerations,
            amounts: amounts(self.capacity.iter().flat_map(|capacity| capacity.requests.iter().flatten())),
        })
    }
}

/// An error about a request of a claim, in upstream's words.
pub fn fatal(claim: &resource::ResourceClaim, request: &str, why: &str) -> AllocateError {
    AllocateError::Fatal(format!("claim {}, request {request}: {why}", name(claim)))
}

/// `namespace/name`.
pub fn name(claim: &resource::ResourceClaim) -> String {
    let metadata = &claim.metadata;
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", part(&metadata.namespace), part(&metadata.name))
}
