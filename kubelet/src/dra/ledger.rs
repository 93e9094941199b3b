//! Which claims are prepared, and for which pods. Pure.
//!
//! Upstream: `pkg/kubelet/cm/dra/claiminfo.go`.

use super::checkpoint::{Claim, Device, Driver};
use proto::podresources as listed;
use std::collections::{BTreeMap, BTreeSet};

/// Namespace and name of a claim.
pub type Key = (String, String);

/// What is known of a claim.
#[derive(Clone, Debug)]
struct Entry {
    claim: Claim,
    /// Whether its drivers have done all of their part since this kubelet started.
    is_prepared: bool,
}

/// The claims.
#[derive(Debug, Default)]
pub struct Ledger {
    claims: BTreeMap<Key, Entry>,
}

/// What is to be done when a pod lets go of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// Nothing: nobody knows the claim, or others use it.
    Nothing,
    /// Its drivers have to take it back.
    Unprepare(Claim),
}

impl Ledger {
    /// As the checkpoint says. What was prepared is prepared again: drivers may have forgotten it.
    pub fn restore(claims: Vec<Claim>) -> Self {
        let claims = claims.into_iter();
        let entries =
            claims.map(|claim| ((claim.namespace.clone(), claim.name.clone()), Entry { claim, is_prepared: false }));
        Self { claims: entries.collect() }
    }

    /// For the checkpoint.
    pub fn data(&self) -> Vec<Claim> {
        self.claims.values().map(|entry| entry.claim.clone()).collect()
    }

    /// Notes that a pod uses the claim; the claim, if it is still to be prepared.
    ///
    /// # Errors
    /// An older claim of that name is still there.
    pub fn take(&mut self, key: &Key, uid: &str, drivers: &[String], pod: &str) -> Result<Option<Claim>, String> {
        let entry = self.claims.entry(key.clone()).or_insert_with(|| {
            let drivers = drivers.iter().map(|driver| (driver.clone(), Driver::default())).collect();
            let (namespace, name) = key.clone();
            let claim = Claim { uid: uid.to_owned(), name, namespace, pods: BTreeSet::new(), drivers };
            Entry { claim, is_prepared: false }
        });
        if entry.claim.uid != uid {
            let (name, old) = (&key.1, &entry.claim.uid);
            return Err(format!(
                "old ResourceClaim with same name {name} and different UID {old} still exists (previous pod force-deleted?!)"
            ));
        }
        entry.claim.pods.insert(pod.to_owned());
        Ok((!entry.is_prepared).then(|| entry.claim.clone()))
    }

    /// What a driver has prepared of a claim, in place of what it had before.
    pub fn set_devices(&mut self, key: &Key, driver: &str, devices: Vec<Device>) {
        if let Some(entry) = self.claims.get_mut(key) {
            let devices = Some(devices).filter(|devices| !devices.is_empty());
            entry.claim.drivers.insert(driver.to_owned(), Driver { devices });
        }
    }

    /// All drivers have done their part.
    pub fn set_prepared(&mut self, key: &Key) {
        if let Some(entry) = self.claims.get_mut(key) {
            entry.is_prepared = true;
        }
    }

    /// How many claims are prepared, in all and by driver.
    pub fn prepared(&self) -> (usize, BTreeMap<String, usize>) {
        let mut by_driver = BTreeMap::new();
        let prepared = || self.claims.values().filter(|entry| entry.is_prepared);
        for driver in prepared().flat_map(|entry| entry.claim.drivers.keys()) {
            *by_driver.entry(driver.clone()).or_default() += 1;
        }
        (prepared().count(), by_driver)
    }

    /// A pod does not use the claim any more. It is noted as its user until the drivers have taken
    /// back what the last user had.
    pub fn release(&mut self, key: &Key, pod: &str) -> Release {
        let Some(entry) = self.claims.get_mut(key) else { return Release::Nothing };
        if entry.claim.pods.len() > 1 || !entry.claim.pods.contains(pod) {
            entry.claim.pods.remove(pod);
            return Release::Nothing;
        }
        Release::Unprepare(entry.claim.clone())
    }

    /// The drivers have taken the claim back.
    pub fn remove(&mut self, key: &Key) {
        self.claims.remove(key);
    }

    /// The claims that pods use which are none of these.
    pub fn left_by(&self, is_here: impl Fn(&str) -> bool) -> Vec<(String, Vec<Key>)> {
        let mut left: BTreeMap<&String, Vec<Key>> = BTreeMap::new();
        for (key, entry) in &self.claims {
            for pod in entry.claim.pods.iter().filter(|pod| !is_here(pod)) {
                left.entry(pod).or_default().push(key.clone());
            }
        }
        left.into_iter().map(|(pod, keys)| (pod.clone(), keys)).collect()
    }

    /// The claims that a pod uses.
    pub fn of_pod(&self, pod: &str) -> Vec<Key> {
        self.claims.iter().filter(|(_, entry)| entry.claim.pods.contains(pod)).map(|(key, _)| key.clone()).collect()
    }

    /// What the runtime is told of a claim's request; all of the claim, if it is empty. `None`, if
    /// the claim is not known.
    pub fn cdi_ids(&self, key: &Key, request: &str) -> Option<Vec<String>> {
        let entry = self.claims.get(key)?;
        let devices = entry.claim.drivers.values().flat_map(|driver| driver.devices.iter().flatten());
        let devices = devices.filter(|device| {
            let names = device.request_names.as_deref().unwrap_or_default();
            request.is_empty() || names.is_empty() || names.iter().any(|name| name == request)
        });
        Some(devices.flat_map(|device| device.cdi_ids.iter().flatten().cloned()).collect())
    }

    /// A claim, for the pod resources API.
    pub fn listed(&self, key: &Key) -> Option<listed::DynamicResource> {
        let claim = &self.claims.get(key)?.claim;
        let mut claim_resources = Vec::new();
        for (driver, state) in &claim.drivers {
            claim_resources.extend(state.devices.iter().flatten().map(|device| listed::ClaimResource {
                cdi_devices:
                    device.cdi_ids.iter().flatten().map(|name| listed::CdiDevice { name: name.clone() }).collect(),
                driver_name: driver.clone(),
                pool_name: device.pool_name.clone(),
                device_name: device.device_name.clone(),
                share_id: device.share.clone(),
            }));
        }
        Some(listed::DynamicResource {
            claim_name: claim.name.clone(),
            claim_namespace: claim.namespace.clone(),
            claim_resources,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        ("ns".to_owned(), "c".to_owned())
    }

    fn device(requests: &[&str], cdi: &str) -> Device {
        Device {
            device_name: cdi.to_owned(),
            request_names: Some(requests.iter().map(|name| (*name).to_owned()).collect()),
            cdi_ids: Some(vec![cdi.to_owned()]),
            ..Device::default()
        }
    }

    #[test]
    fn a_claim_is_prepared_once_and_taken_back_with_its_last_pod() {
        let mut ledger = Ledger::default();
        let drivers = ["d".to_owned()];
        assert!(ledger.take(&key(), "u1", &drivers, "p1").unwrap().is_some());
        ledger.set_devices(&key(), "d", vec![device(&["r"], "x=1"), device(&[], "x=2"), device(&["s"], "x=3")]);
        assert_eq!(ledger.prepared().0, 0);
        ledger.set_prepared(&key());
        assert_eq!(ledger.prepared(), (1, [("d".to_owned(), 1)].into()));
        assert_eq!(ledger.take(&key(), "u1", &drivers, "p2").unwrap(), None);
        assert!(ledger.take(&key(), "u2", &drivers, "p3").unwrap_err().contains("different UID u1 still exists"));
        for (request, want) in [("", vec!["x=1", "x=2", "x=3"]), ("r", vec!["x=1", "x=2"]), ("t", vec!["x=2"])] {
            assert_eq!(ledger.cdi_ids(&key(), request).unwrap(), want, "{request:?}");
        }
        assert_eq!(ledger.release(&key(), "p1"), Release::Nothing);
        assert_eq!(ledger.left_by(|pod| pod != "p2"), [("p2".to_owned(), vec![key()])]);
        let Release::Unprepare(claim) = ledger.release(&key(), "p2") else { panic!("still used") };
        assert_eq!((claim.uid.as_str(), ledger.of_pod("p2")), ("u1", vec![key()]));
        ledger.remove(&key());
        assert_eq!((ledger.release(&key(), "p2"), ledger.cdi_ids(&key(), "")), (Release::Nothing, None));
    }

    #[test]
    fn after_a_restart_claims_are_prepared_again_in_place_of_what_was() {
        let mut ledger = Ledger::default();
        ledger.take(&key(), "u1", &["d".to_owned()], "p1").unwrap();
        ledger.set_devices(&key(), "d", vec![device(&[], "x=1")]);
        ledger.set_prepared(&key());
        let mut ledger = Ledger::restore(ledger.data());
        assert!(ledger.take(&key(), "u1", &["d".to_owned()], "p1").unwrap().is_some());
        ledger.set_devices(&key(), "d", vec![device(&[], "x=1")]);
        assert_eq!(ledger.cdi_ids(&key(), "").unwrap(), ["x=1"]);
        assert_eq!(ledger.listed(&key()).unwrap().claim_resources.len(), 1);
    }
}
