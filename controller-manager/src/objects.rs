//! Pure questions about API objects that several controllers ask: who owns it, does it match, is
//! it ready, what does this percentage mean.
//!
//! Upstream: `pkg/controller/controller_utils.go`, `controller_ref_manager.go`,
//! `pkg/api/v1/pod`, `apimachinery/pkg/util/intstr`.

pub mod amount;
pub mod claims;
pub mod conditions;
pub mod history;
pub mod owner;
pub mod pods;
pub mod ranking;
pub mod requests;
pub mod resources;
pub mod secrets;
pub mod selector;
pub mod serving;
pub mod template;

/// The labels or annotations of an object that has none.
pub type StringMap = std::collections::BTreeMap<String, String>;
