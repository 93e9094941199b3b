//! What is counted of a request.
//!
//! Upstream: `apiserver/pkg/endpoints/metrics/metrics.go`.

use crate::connect;
use crate::metrics::RequestLabels;
use crate::query::Query;
use crate::request_info::RequestInfo;

/// What is counted. Names that are not served are not, or anybody could fill the memory.
pub(super) fn labels(info: &RequestInfo<'_>, query: &Query<'_>, found: bool) -> RequestLabels {
    let connect = connect::Kind::of(info).is_some();
    let verb = match info.verb {
        _ if connect => "CONNECT",
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "other",
    };
    if !info.is_resource || !found {
        return RequestLabels { verb, ..RequestLabels::default() };
    }
    RequestLabels {
        verb,
        dry_run: if query.get("dryRun") == Some("All") { "All" } else { "" },
        group: info.group.to_owned().into(),
        version: info.version.to_owned().into(),
        resource: info.resource.to_owned().into(),
        subresource: info.subresource.to_owned().into(),
        scope: match (info.names_object(), info.namespace.is_empty()) {
            (true, _) => "resource",
            (false, false) => "namespace",
            (false, true) => "cluster",
        },
        ..RequestLabels::default()
    }
}
