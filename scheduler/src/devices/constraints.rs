//! What the devices of a claim must have in common, or must not.
//!
//! Upstream: `matchAttributeConstraint` and `distinctAttributeConstraint` of `structured/internal/incubating`.

use super::slices::{Attribute, Device};
use k8s_openapi::api::resource::v1 as resource;

/// A constraint, with what has been chosen so far.
#[derive(Debug)]
pub struct Constraint<'a> {
    kind: Kind,
    attribute: &'a str,
    /// The requests that it is about; all, if there are none.
    requests: &'a [String],
    chosen: Vec<&'a Attribute>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// All devices have the same value.
    Same,
    /// All have different ones.
    Different,
}

impl<'a> Constraint<'a> {
    /// From the API's form; `None` if this version knows no such constraint.
    pub fn of(constraint: &'a resource::DeviceConstraint) -> Option<Self> {
        let (kind, attribute) = match (&constraint.match_attribute, &constraint.distinct_attribute) {
            (Some(attribute), _) => (Kind::Same, attribute),
            (None, Some(attribute)) => (Kind::Different, attribute),
            (None, None) => return None,
        };
        let requests = constraint.requests.as_deref().unwrap_or_default();
        Some(Self { kind, attribute, requests, chosen: Vec::new() })
    }

    /// Takes a device in, if it may be added to those chosen.
    pub fn add(&mut self, request: &str, full_name: &str, device: &'a Device) -> bool {
        if !self.is_about(request, full_name) {
            return true;
        }
        let Some(value) = device.attribute(self.attribute) else { return false };
        // The first device may have any value.
        let fits = self.chosen.is_empty()
            || *value != Attribute::Unsupported
                && match self.kind {
                    Kind::Same => self.chosen.first() == Some(&value),
                    Kind::Different => !self.chosen.contains(&value),
                };
        if fits {
            self.chosen.push(value);
        }
        fits
    }

    /// Takes the device out again that was added last.
    pub fn remove(&mut self, request: &str, full_name: &str) {
        if self.is_about(request, full_name) {
            self.chosen.pop();
        }
    }

    fn is_about(&self, request: &str, full_name: &str) -> bool {
        self.requests.is_empty() || self.requests.iter().any(|name| name == request || name == full_name)
    }
}
