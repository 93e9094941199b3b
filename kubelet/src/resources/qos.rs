//! Quality of service: which pods the kernel and eviction spare longest.

use super::{Amount, requests};
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::Pod;
use requests::Side;

/// The class of a pod, fixed by its requests and limits of cpu and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QosClass {
    /// Every container has limits for cpu and memory, equal to its requests.
    Guaranteed,
    /// Something is requested or limited.
    Burstable,
    /// Nothing is.
    BestEffort,
}

impl QosClass {
    /// The class of a pod: what its status says, else computed.
    pub fn of(pod: &Pod) -> Self {
        match pod.status.as_ref().and_then(|s| s.qos_class.as_deref()) {
            Some("Guaranteed") => Self::Guaranteed,
            Some("Burstable") => Self::Burstable,
            Some("BestEffort") => Self::BestEffort,
            _ => Self::compute(pod),
        }
    }

    /// The class from requests and limits alone.
    pub fn compute(pod: &Pod) -> Self {
        let containers = || PodExt::spec(pod).containers.iter().chain(pod.init_containers());
        let mut requested = false;
        let mut guaranteed = true;
        for resource in ["cpu", "memory"] {
            let mut sums = (Amount::default(), Amount::default());
            for container in containers() {
                let request = requests::amount(container, Side::Requests, resource).unwrap_or_default();
                let limit = requests::amount(container, Side::Limits, resource).unwrap_or_default();
                requested |= !request.is_zero() || !limit.is_zero();
                guaranteed &= !limit.is_zero();
                sums = (sums.0 + request, sums.1 + limit);
            }
            guaranteed &= sums.0 == sums.1;
        }
        match (requested, guaranteed) {
            (false, _) => Self::BestEffort,
            (true, true) => Self::Guaranteed,
            (true, false) => Self::Burstable,
        }
    }

    /// As `status.qosClass` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::requests::tests::{container, pod};

    #[test]
    fn classes() {
        let both = [("cpu", "1"), ("memory", "1Gi")];
        for (requests, limits, want) in [
            (&[][..], &[][..], QosClass::BestEffort),
            (&[("cpu", "0")], &[], QosClass::BestEffort),
            (&[("cpu", "1")], &[], QosClass::Burstable),
            (&[], &both, QosClass::Guaranteed),
            (&both, &both, QosClass::Guaranteed),
            (&[("cpu", "500m")], &both, QosClass::Burstable),
            (&[], &[("cpu", "1")], QosClass::Burstable),
        ] {
            let p = pod(vec![], vec![container("a", requests, limits)]);
            assert_eq!(QosClass::compute(&p), want, "{requests:?} {limits:?}");
        }
        let mixed = pod(vec![], vec![container("a", &both, &both), container("b", &[], &[])]);
        assert_eq!(QosClass::compute(&mixed), QosClass::Burstable);
    }
}
