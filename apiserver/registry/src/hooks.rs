//! What other crates answer for the registry: reviews, service account tokens, whether a write
//! gives away more than its writer has, and whether it may also create.

use crate::Context;
use apimachinery::Value;
use apimachinery::status::Status;
use async_trait::async_trait;

/// Answers the create-only kinds of `authentication.k8s.io` and `authorization.k8s.io`.
///
/// Upstream: `pkg/registry/authentication`, `pkg/registry/authorization`.
#[async_trait]
pub trait Reviewer: Send + Sync {
    /// `review` is the decoded object with `spec`; the answer is the same object with `status`.
    /// `cx.resource` says which review it is; `cx.user` asks.
    async fn review(&self, cx: &Context, review: Value) -> Result<Value, Status>;
}

/// Issues service account tokens: `serviceaccounts/token`.
///
/// Upstream: `pkg/registry/core/serviceaccount/storage/token.go`.
#[async_trait]
pub trait TokenIssuer: Send + Sync {
    /// `request` is the decoded `TokenRequest`, defaults applied; `account` the stored service
    /// account that `cx.namespace` and `cx.name` point to. The answer is the request with `status`.
    /// The issuer checks `spec.boundObjectRef` and bounds `spec.expirationSeconds`.
    async fn issue(&self, cx: &Context, account: &Value, request: Value) -> Result<Value, Status>;
}

/// Judges writes of RBAC roles and bindings by what the writer holds.
///
/// Upstream: `pkg/registry/rbac/*/policybased`.
#[async_trait]
pub trait EscalationCheck: Send + Sync {
    /// `object` is what shall be written; `old` what is there, or null.
    async fn check(&self, cx: &Context, object: &Value, old: &Value) -> Result<(), Status>;
}

/// Says what a request's user may do besides what the request was authorized for.
///
/// Upstream: `withAuthorization` in `apiserver/pkg/endpoints/handlers/create.go`,
/// `pkg/registry/admissionregistration/*/authz.go`.
#[async_trait]
pub trait Permission: Send + Sync {
    /// Whether a request that was authorized to change an object may create it; refuses it in the
    /// words of authorization.
    async fn create(&self, cx: &Context) -> Result<(), Status>;

    /// Whether the user may read something that the request only refers to.
    async fn reads(&self, cx: &Context, reading: &Reading<'_>) -> bool;
}

/// What is read; stars mean all.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Reading<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}
