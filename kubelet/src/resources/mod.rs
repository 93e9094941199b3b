//! Resource math: amounts, requests and limits of pods, quality of service, what the kernel gets.
//!
//! Upstream: `pkg/kubelet/cm/helpers_linux.go`, `pkg/kubelet/qos`, `component-helpers/resource`.

pub mod amount;
pub mod linux;
pub mod memory;
pub mod qos;
pub mod requests;

pub use amount::Amount;
pub use qos::QosClass;
