//! What a custom resource's definition says beyond the facts of the resource table.
//!
//! Upstream: `apiextensions-apiserver/pkg/registry/customresource`.

use crate::Value;
use crate::field::FieldError;
use std::fmt::Debug;

/// A custom resource in one of its versions, as its definition has it. Everything generic asks the
/// table first and this where the table says [`super::ResourceInfo::custom`].
pub trait Custom: Debug + Send + Sync {
    /// Fills in the defaults of the served version.
    fn default(&self, object: &mut Value);

    /// What is wrong with a new object.
    fn create_errors(&self, new: &Value) -> Vec<FieldError>;

    /// What is wrong with a changed object. What was wrong before and has not changed is let be.
    fn update_errors(&self, new: &Value, old: &Value) -> Vec<FieldError>;

    /// What is wrong with a changed status.
    fn status_errors(&self, new: &Value, old: &Value) -> Vec<FieldError>;

    /// Brings an object as it lies in etcd, in whichever version, into the form that this version's
    /// schema has for it now: unknown fields dropped, defaults filled in.
    fn read(&self, object: &mut Value);

    /// Drops what this version does not know of an object that was converted to it.
    fn prune(&self, object: &mut Value);

    /// The columns of its tables.
    fn columns(&self) -> &[PrintedColumn];

    /// The values of an object for each of [`Self::columns`]; times as they stand.
    fn cells(&self, object: &Value) -> Vec<Value>;

    /// Where the `scale` subresource finds its parts, if there is one.
    fn scale(&self) -> Option<&ScalePaths>;

    /// The webhook that converts between its versions; without one, only `apiVersion` differs.
    fn conversion(&self) -> Option<&ConversionWebhook>;

    /// What each request is told, if the version is deprecated.
    fn warning(&self) -> Option<&str>;
}

/// What columns of ages tell where nobody says more of them.
pub const AGE_DESCRIPTION: &str = "The time since the object was made.";

/// A column of a custom resource's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrintedColumn {
    /// Heading.
    pub name: String,
    /// OpenAPI type, or `date`.
    pub kind: String,
    /// OpenAPI format.
    pub format: String,
    /// What the column tells.
    pub description: String,
    /// 0 for the narrow view, more for `-o wide`.
    pub priority: i32,
}

/// Where an object keeps the parts of its `scale`, as lists of member names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// `spec.replicas` of the scale, with the path as the definition spells it.
    pub spec_replicas: (String, Vec<String>),
    /// `status.replicas` of the scale.
    pub status_replicas: (String, Vec<String>),
    /// `status.selector` of the scale.
    pub selector: Option<(String, Vec<String>)>,
}

/// Who converts a custom resource between its versions.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversionWebhook {
    /// The definition's name, for messages and metrics.
    pub definition: String,
    /// `clientConfig`.
    pub client: Value,
    /// The versions of `ConversionReview` that it takes, the preferred one first.
    pub review_versions: Vec<String>,
}
