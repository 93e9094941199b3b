//! Resource quotas.

use super::containers::quantity;
use super::sections::Sections;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::quantity::Quantity;
use rules::tree::Tree;

pub(super) fn write(out: &mut Sections, quota: &Value) {
    out.field(0, "Name", quota.name());
    out.field(0, "Namespace", quota.namespace());
    scopes(out, 0, " * ", quota);
    out.head(0, &["Resource", "Used", "Hard"]);
    let status = &quota["status"];
    for (name, hard) in status.entries("hard") {
        let (used, hard) = (quantity(status.at("used").and_then(|u| u.at(name))), quantity(Some(hard)));
        // What is used is shown in the units of the limit.
        let used =
            if used.format() == hard.format() { used } else { Quantity::from_units(used.value(), hard.format()) };
        out.line(0, format_args!("{name}\t{used}\t{hard}"));
    }
}

/// All quotas of a namespace.
pub(super) fn all(out: &mut Sections, mut quotas: Vec<Value>) {
    if quotas.is_empty() {
        out.line(0, "No resource quota.");
        return;
    }
    quotas.sort_by(|a, b| a.name().cmp(b.name()));
    out.line(0, "Resource Quotas");
    for quota in &quotas {
        out.field(1, "Name", quota.name());
        scopes(out, 1, "* ", quota);
        out.line(1, "Resource\tUsed\tHard");
        out.line(1, "--------\t---\t---");
        let status = &quota["status"];
        for (name, hard) in status.entries("hard") {
            let used = quantity(status.at("used").and_then(|u| u.at(name)));
            out.line(1, format_args!("{name}\t{used}\t{}", quantity(Some(hard))));
        }
    }
}

fn scopes(out: &mut Sections, level: usize, bullet: &str, quota: &Value) {
    let mut scopes: Vec<&str> = quota["spec"].texts("scopes").collect();
    if scopes.is_empty() {
        return;
    }
    scopes.sort_unstable();
    out.field(level, "Scopes", scopes.join(", "));
    for help in scopes.into_iter().filter_map(help) {
        out.line(level, format_args!("{bullet}{help}"));
    }
}

fn help(scope: &str) -> Option<&'static str> {
    Some(match scope {
        "Terminating" => {
            "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system."
        }
        "NotTerminating" => {
            "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate."
        }
        "BestEffort" => {
            "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service."
        }
        "NotBestEffort" => {
            "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service."
        }
        _ => return None,
    })
}
