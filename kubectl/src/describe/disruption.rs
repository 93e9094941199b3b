//! Pod disruption budgets.

use super::sections::{Sections, shown};
use super::selector;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

pub(super) fn write(out: &mut Sections, budget: &Value) {
    let (spec, status) = (&budget["spec"], &budget["status"]);
    out.field(0, "Name", budget.name());
    out.field(0, "Namespace", budget.namespace());
    match (spec.at("minAvailable"), spec.at("maxUnavailable")) {
        (Some(least), _) => out.field(0, "Min available", shown(least)),
        (None, Some(most)) => out.field(0, "Max unavailable", shown(most)),
        (None, None) => {}
    }
    let chosen = spec.at("selector").map(|s| selector::shown(Some(s)));
    out.field(0, "Selector", chosen.unwrap_or_else(|| "<unset>".into()));
    out.line(0, "Status:");
    for (title, member) in [
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ] {
        out.field(2, title, status.int(member));
    }
}
