//! What is counted of claims and of what their drivers are asked.
//!
//! Upstream: `pkg/kubelet/metrics/metrics.go`, `pkg/kubelet/cm/dra/claiminfo.go`.

use super::Dra;
use component::metrics::{Registry, gauges};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets_range};
use std::fmt;
use std::time::Instant;
use tonic::Code;

/// Stands for all drivers.
const ANY: &str = "<any>";

type Timed<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation_name: &'static str,
    is_error: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    driver_name: String,
    method_name: String,
    grpc_status_code: String,
}

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Counts {
    operations: Timed<Operation>,
    calls: Timed<Call>,
}

/// Seconds up to 40.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets_range(0.1, 40.0, 15))
}

impl Default for Counts {
    fn default() -> Self {
        Self { operations: Family::new_with_constructor(seconds), calls: Family::new_with_constructor(seconds) }
    }
}

impl Counts {
    /// The claims of a pod that starts or ends were prepared, or not.
    pub(super) fn done(&self, operation_name: &'static str, began: Instant, is_error: bool) {
        let labels = Operation { operation_name, is_error };
        self.operations.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
    }

    /// A driver has answered.
    pub(super) fn called(&self, driver: &str, method_name: String, began: Instant, code: Code) {
        let labels = Call { driver_name: driver.to_owned(), method_name, grpc_status_code: name(code) };
        self.calls.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
    }
}

/// As Go's library calls it.
fn name(code: Code) -> String {
    match code {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    }
}

impl Dra {
    /// Serves what is counted, and how many claims are prepared by each driver.
    pub fn register(&self, registry: &mut Registry) {
        let counts = &self.0.counts;
        let help = "[ALPHA] Latency histogram in seconds for the duration of handling all ResourceClaims referenced by a \
                    pod when the pod starts or stops. Identified by the name of the operation (PrepareResources or \
                    UnprepareResources) and separated by the success of the operation. The number of failed operations is \
                    provided through the histogram's overall count";
        registry.register("dra_operations_duration_seconds", help, counts.operations.clone());
        let help = "[ALPHA] Duration in seconds of the DRA gRPC operations";
        registry.register("dra_grpc_operations_duration_seconds", help, counts.calls.clone());
        registry.register_collector(Box::new(InUse(self.clone())));
    }
}

/// Counts prepared claims at each scrape.
struct InUse(Dra);

impl fmt::Debug for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InUse").finish_non_exhaustive()
    }
}

impl Collector for InUse {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (all, by_driver) = self.0.0.ledger.lock().prepared();
        let help = "[ALPHA] The number of ResourceClaims that are currently in use on the node, by driver name \
                    (driver_name label value) and across all drivers (special value <any> for driver_name). Note that the \
                    sum of all by-driver counts is not the total number of in-use ResourceClaims because the same \
                    ResourceClaim might use devices from different drivers. Instead, use the count for the <any> driver_name";
        let of = |driver: &str| [("driver_name", driver.to_owned())];
        let rows = by_driver.iter().map(|(driver, count)| (of(driver), *count)).chain([(of(ANY), all)]);
        gauges(&mut encoder, "dra_resource_claims_in_use", help, rows)
    }
}
