//! Says what is wrong with an object.
//!
//! Upstream: `pkg/apis/*/validation/validation.go`.

use apimachinery::Value;
use apimachinery::field::FieldError;
use apimachinery::resources::ResourceInfo;

/// What is wrong with a new object, metadata first. Defaults have been applied.
pub fn create(_resource: &ResourceInfo, _object: &Value) -> Vec<FieldError> {
    Vec::new()
}

/// What is wrong with a change of an object.
pub fn update(_resource: &ResourceInfo, _new: &Value, _old: &Value) -> Vec<FieldError> {
    Vec::new()
}

/// What is wrong with a change of an object's status.
pub fn update_status(_resource: &ResourceInfo, _new: &Value, _old: &Value) -> Vec<FieldError> {
    Vec::new()
}
