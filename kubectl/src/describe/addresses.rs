//! Service address ranges and the addresses taken from them.

use super::sections::Sections;
use super::times::stamp;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

pub(super) fn service_cidr(out: &mut Sections, range: &Value) {
    head(out, range);
    let cidrs: Vec<&str> = range["spec"].texts("cidrs").collect();
    out.field(0, "CIDRs", cidrs.join(", "));
    let conditions = range["status"].items("conditions");
    if !conditions.is_empty() {
        out.line(0, "Status:");
        dated_conditions(out, conditions);
    }
}

/// Conditions with the time of their last change.
pub(super) fn dated_conditions(out: &mut Sections, conditions: &[Value]) {
    out.line(0, "Conditions:");
    out.head(1, &["Type", "Status", "LastTransitionTime", "Reason", "Message"]);
    for c in conditions {
        let (kind, status) = (c.text("type"), c.text("status"));
        let when = stamp(c.text("lastTransitionTime"));
        out.line(1, format_args!("{kind}\t{status}\t{when}\t{}\t{}", c.text("reason"), c.text("message")));
    }
}

pub(super) fn ip_address(out: &mut Sections, address: &Value) {
    head(out, address);
    let Some(parent) = address["spec"].at("parentRef") else { return };
    out.line(0, "Parent Reference:");
    for (title, member) in [("Group", "group"), ("Resource", "resource"), ("Namespace", "namespace"), ("Name", "name")]
    {
        out.field(1, title, parent.text(member));
    }
}

fn head(out: &mut Sections, object: &Value) {
    out.field(0, "Name", object.name());
    out.labels("Labels", object.labels());
    out.annotations("Annotations", object.annotations());
}
