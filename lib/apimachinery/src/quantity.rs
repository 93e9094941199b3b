//! `resource.Quantity`: exact decimal amounts with SI suffixes.
//!
//! Upstream: `apimachinery/pkg/api/resource/quantity.go`.

/// An amount; compares by value, prints in canonical form.
#[derive(Clone, Debug)]
pub struct Quantity {
    // nanos and the format are this module's business.
}
