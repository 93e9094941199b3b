//! Checks the expressions of validating admission policies against the schemas of the resources that
//! they are about, and says in their status what would fail.
//!
//! Upstream: `pkg/controller/validatingadmissionpolicystatus`,
//! `apiserver/pkg/admission/plugin/policy/validating/typechecking.go`.

mod plan;
mod reconcile;
mod schemas;

use crate::scaffold::{Context, Lane};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;

/// The controller's name.
pub const NAME: &str = "validatingadmissionpolicy-status-controller";

/// Starts it.
pub fn start(context: &Context) {
    let mut lane = Lane::new(context, NAME);
    let policies = lane.watches::<ValidatingAdmissionPolicy>();
    lane.run(5, reconcile::Status { client: context.client.clone(), policies });
}
