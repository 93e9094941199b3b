//! Refusals in upstream's form.
//!
//! Upstream: `apiserver/pkg/admission/errors.go`.

use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::admission::Attributes;

/// 403: `pods "x" is forbidden: why`. An object that has no name yet goes by what its name will
/// begin with.
pub(crate) fn forbidden(attributes: &Attributes<'_>, why: &str) -> Status {
    Status::forbidden(&attributes.context.resource.group_resource(), name(attributes), why)
}

fn name<'a>(attributes: &'a Attributes<'_>) -> &'a str {
    let base = attributes.object.meta_str("generateName");
    match (attributes.name.is_empty(), base.is_empty()) {
        (false, _) => attributes.name,
        (true, false) => base,
        (true, true) => "Unknown",
    }
}
