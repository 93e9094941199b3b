//! Namespaces with their quotas and limits.

use super::addresses::dated_conditions;
use super::sections::Sections;
use super::source::{Chosen, Source};
use super::{limits, quota};
use crate::http::Refused;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

/// The objects of a resource in a namespace; nothing at all if the server has no such resource.
pub(super) async fn members(source: &Source<'_>, namespace: &str, plural: &str) -> anyhow::Result<Option<Vec<Value>>> {
    match source.list(&format!("/api/v1/namespaces/{namespace}/{plural}"), Chosen::default()).await {
        Ok(objects) => Ok(Some(objects)),
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|r| r.code == 404) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn write(out: &mut Sections, namespace: &Value, quotas: Option<Vec<Value>>, ranges: Option<&[Value]>) {
    out.field(0, "Name", namespace.name());
    out.labels("Labels", namespace.labels());
    out.annotations("Annotations", namespace.annotations());
    out.field(0, "Status", namespace["status"].text("phase"));
    let conditions = namespace["status"].items("conditions");
    if !conditions.is_empty() {
        dated_conditions(out, conditions);
    }
    if let Some(quotas) = quotas {
        out.line(0, "");
        quota::all(out, quotas);
    }
    if let Some(ranges) = ranges {
        out.line(0, "");
        limits::all(out, ranges);
    }
}
