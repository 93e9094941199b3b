//! Whether a request may pass, and upstream's words if not.
//!
//! Upstream: `apiserver/pkg/endpoints/filters/authorization.go`,
//! `.../handlers/responsewriters/errors.go`.

use crate::query::Query;
use crate::request_info::RequestInfo;
use apimachinery::go::quoted;
use apimachinery::gvk::GroupResource;
use apimachinery::selector::{FieldSelector, LabelSelector};
use apimachinery::status::Status;
use apiserver_auth::{Attributes, Authorizer, Decision};
use apiserver_registry::{Context, Permission, Reading, UserInfo};
use async_trait::async_trait;
use std::fmt::Write;
use std::sync::Arc;

/// Authorizes a request.
pub async fn check(
    authorizer: &Authorizer,
    user: &UserInfo,
    info: &RequestInfo<'_>,
    query: &Query<'_>,
) -> Result<Decision, Status> {
    decide(authorizer, user, &Selected::of(info, query).attributes()).await
}

/// What a request is about, with its selectors.
#[derive(Debug, Default)]
pub struct Selected<'a> {
    attributes: Attributes<'a>,
    fields: Option<FieldSelector>,
    labels: Option<LabelSelector>,
    /// Whether there is no selector that cannot be parsed. The request then fails later, with the message that it
    /// deserves.
    pub is_understood: bool,
}

impl<'a> Selected<'a> {
    /// Reads the selectors of requests that have any.
    pub fn of(info: &'a RequestInfo<'_>, query: &Query<'_>) -> Self {
        let selects = info.is_resource && matches!(info.verb, "list" | "watch" | "deletecollection");
        let selector = |key: &str| query.get(key).filter(|_| selects);
        let fields = selector("fieldSelector").map(FieldSelector::parse).transpose();
        let labels = selector("labelSelector").map(LabelSelector::parse).transpose();
        let is_understood = fields.is_ok() && labels.is_ok();
        Self {
            attributes: attributes(info),
            fields: fields.unwrap_or_default(),
            labels: labels.unwrap_or_default(),
            is_understood,
        }
    }

    /// All of it.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes { fields: self.fields.as_ref(), labels: self.labels.as_ref(), ..self.attributes.clone() }
    }
}

async fn decide(authorizer: &Authorizer, user: &UserInfo, attributes: &Attributes<'_>) -> Result<Decision, Status> {
    match authorizer.authorize(user, attributes).await {
        allowed @ Decision::Allow(_) => Ok(allowed),
        Decision::Deny(reason) | Decision::NoOpinion(reason) => Err(forbidden(user, attributes, &reason)),
    }
}

/// 403 for what a user may not.
pub fn forbidden(user: &UserInfo, attributes: &Attributes<'_>, reason: &str) -> Status {
    let why = refusal(user, attributes, reason);
    let resource = GroupResource::new(attributes.group.to_owned(), attributes.resource.to_owned());
    Status::forbidden(&resource, attributes.name, &why)
}

/// What a request is about, without its selectors.
pub fn attributes<'a>(info: &'a RequestInfo<'_>) -> Attributes<'a> {
    Attributes {
        verb: info.verb,
        is_resource: info.is_resource,
        group: info.group,
        version: info.version,
        resource: info.resource,
        subresource: info.subresource,
        namespace: info.namespace,
        name: &info.name,
        path: info.path,
        ..Attributes::default()
    }
}

/// Authorizes PUT and apply to create what is not there, and policies to read their parameters.
pub struct MayCreate(pub Arc<Authorizer>);

#[async_trait]
impl Permission for MayCreate {
    async fn create(&self, cx: &Context) -> Result<(), Status> {
        let attributes = Attributes {
            verb: "create",
            is_resource: true,
            group: &cx.resource.group,
            version: &cx.resource.version,
            resource: &cx.resource.plural,
            subresource: cx.subresource_name(),
            namespace: &cx.namespace,
            name: &cx.name,
            ..Attributes::default()
        };
        decide(&self.0, &cx.user, &attributes).await.map(drop)
    }

    async fn reads(&self, cx: &Context, reading: &Reading<'_>) -> bool {
        let attributes = Attributes {
            verb: reading.verb,
            is_resource: true,
            group: reading.group,
            version: reading.version,
            resource: reading.resource,
            namespace: reading.namespace,
            name: reading.name,
            ..Attributes::default()
        };
        self.0.authorize(&cx.user, &attributes).await.is_allowed()
    }
}

/// `User "x" cannot list resource "pods" in API group "" in the namespace "default"`.
pub fn refusal(user: &UserInfo, attributes: &Attributes<'_>, reason: &str) -> String {
    let mut text = format!("User {} cannot {} ", quoted(&user.name), attributes.verb);
    // Writing to a string cannot fail.
    let _ = match attributes.is_resource {
        false => write!(text, "path {}", quoted(attributes.path)),
        true => {
            let (slash, subresource) = match attributes.subresource {
                "" => ("", ""),
                name => ("/", name),
            };
            let resource = quoted(&format!("{}{slash}{subresource}", attributes.resource));
            let group = quoted(attributes.group);
            write!(text, "resource {resource} in API group {group} ").and_then(|()| match attributes.namespace {
                "" => write!(text, "at the cluster scope"),
                namespace => write!(text, "in the namespace {}", quoted(namespace)),
            })
        }
    };
    text = without_html(text);
    if !reason.is_empty() {
        text.push_str(": ");
        text.push_str(reason);
    }
    text
}

/// A text that no browser takes for HTML.
fn without_html(text: String) -> String {
    match text.contains(['&', '<', '>']) {
        true => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals() {
        let user = UserInfo { name: "x".into(), ..UserInfo::default() };
        let pods = Attributes { verb: "list", is_resource: true, resource: "pods", ..Attributes::default() };
        for (attributes, reason, want) in [
            (pods.clone(), "", "User \"x\" cannot list resource \"pods\" in API group \"\" at the cluster scope"),
            (
                Attributes { namespace: "default", group: "g", subresource: "log", ..pods.clone() },
                "no",
                "User \"x\" cannot list resource \"pods/log\" in API group \"g\" in the namespace \"default\": no",
            ),
            (Attributes { verb: "get", path: "/y", ..Attributes::default() }, "", "User \"x\" cannot get path \"/y\""),
            (
                Attributes { verb: "get", path: "/<&\0", ..Attributes::default() },
                "<b>",
                "User \"x\" cannot get path \"/&lt;&amp;\\x00\": <b>",
            ),
        ] {
            assert_eq!(refusal(&user, &attributes, reason), want);
        }
    }
}
