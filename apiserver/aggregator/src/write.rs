//! The aggregator's own writes of `APIService`s.

use apimachinery::Value;
use apimachinery::resources::{self, ResourceInfo};
use apimachinery::status::Status;
use apiserver_registry::{Body, Context, Format, UserInfo, Verb};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time for one write.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) fn api_services() -> Option<&'static Arc<ResourceInfo>> {
    resources::find(crate::priority::OWN, "v1", "apiservices")
}

pub(crate) fn body(object: &Value) -> Body {
    Body { bytes: serde_json::to_vec(object).unwrap_or_default().into(), format: Format::Json }
}

/// A request of the server itself.
pub(crate) fn context(verb: Verb, name: &str) -> Result<Context, Status> {
    let resource = api_services().ok_or_else(|| Status::internal("API services are not served"))?;
    Ok(Context {
        user: Arc::new(UserInfo {
            name: "system:apiserver".into(),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
            ..UserInfo::default()
        }),
        verb,
        resource: resource.clone(),
        subresource: None,
        namespace: String::new(),
        name: if verb == Verb::Create { String::new() } else { name.to_owned() },
        dry_run: false,
        field_manager: "kube-apiserver".into(),
        field_validation: Default::default(),
        deadline: Instant::now() + DEADLINE,
        warnings: Default::default(),
        annotations: None,
    })
}

/// The same for the object's status.
pub(crate) fn status_context(name: &str) -> Result<Context, Status> {
    let cx = context(Verb::Update, name)?;
    Ok(Context { subresource: cx.resource.subresource("status").cloned(), ..cx })
}
