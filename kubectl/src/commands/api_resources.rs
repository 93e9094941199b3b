//! `api-resources`.
//!
//! Upstream: `kubectl/pkg/cmd/apiresources`.

use super::Session;
use crate::cli::{ApiResources, PrintFlags};
use crate::discovery::{Asks, Discovery, Resource};
use crate::print::table::Grid;
use crate::print::{Printer, Set, json};
use crate::writing::usage;
use anyhow::bail;
use apimachinery::Value;
use serde_json::json;
use std::io::Write;

/// The order of members in JSON.
const ORDER: [&str; 11] = [
    "kind",
    "apiVersion",
    "groupVersion",
    "resources",
    "name",
    "singularName",
    "namespaced",
    "group",
    "version",
    "verbs",
    "shortNames",
];

pub(super) async fn run(session: &Session, flags: &ApiResources) -> anyhow::Result<()> {
    if !flags.words.is_empty() {
        return Err(usage("api-resources", format!("unexpected arguments: [{}]", flags.words.join(" "))));
    }
    let output = flags.output.as_str();
    let known = matches!(output.to_ascii_lowercase().as_str(), "json" | "yaml" | "kyaml" | "name");
    if !known && !matches!(output, "" | "wide") {
        bail!(
            "unable to match a printer suitable for the output format {output:?}, allowed formats are: json,kyaml,name,wide,yaml"
        );
    }
    if !matches!(flags.sort_by.as_str(), "" | "name" | "kind") {
        bail!("--sort-by accepts only name or kind");
    }
    let discovery = if flags.cached {
        Discovery::load(&session.client, Asks::ONCE).await?
    } else {
        session.discovery(Asks::ONCE).await?
    };
    let resources = chosen(&discovery, flags);
    match output {
        _ if output.eq_ignore_ascii_case("name") => {
            for resource in &resources {
                crate::outln!("{}", resource.group_resource());
            }
        }
        "" | "wide" => crate::out!("{}", grid(&resources, output == "wide").render(flags.no_headers)),
        _ => print(flags, &resources)?,
    }
    discovery.require_complete()
}

fn chosen<'a>(discovery: &'a Discovery, flags: &ApiResources) -> Vec<&'a Resource> {
    let all = |wanted: &[String], has: &[String]| wanted.iter().all(|w| has.contains(w));
    let wanted = |r: &&Resource| {
        !r.verbs.is_empty()
            && flags.api_group.as_ref().is_none_or(|g| *g == r.group)
            && flags.namespaced.is_none_or(|n| n == r.namespaced)
            && all(&flags.verbs, &r.verbs)
            && all(&flags.categories, &r.categories)
    };
    let mut resources: Vec<&Resource> = discovery.resources.iter().filter(wanted).collect();
    resources.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
    // The preferred version comes first in discovery, and the sort is stable.
    resources.dedup_by(|a, b| a.group == b.group && a.plural == b.plural);
    match flags.sort_by.as_str() {
        "name" => resources.sort_by(|a, b| a.plural.cmp(&b.plural)),
        "kind" => resources.sort_by(|a, b| a.kind.cmp(&b.kind)),
        _ => {}
    }
    resources
}

fn print(flags: &ApiResources, resources: &[&Resource]) -> anyhow::Result<()> {
    let print = PrintFlags { output: flags.output.clone(), ..PrintFlags::default() };
    let Some(mut printer) = Printer::of(&print, Set::Objects, false)? else { return Ok(()) };
    let one = |r: &&Resource| {
        let mut value = json!({"name": r.plural, "singularName": r.singular, "namespaced": r.namespaced,
            "version": r.version, "kind": r.kind, "verbs": r.verbs});
        let lists = [("shortNames", &r.short_names), ("categories", &r.categories)];
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            value[key] = json!(list);
        }
        if !r.group.is_empty() {
            value["group"] = r.group.as_str().into();
        }
        value
    };
    let resources: Vec<Value> = resources.iter().map(one).collect();
    let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "", "resources": resources});
    let mut out = std::io::stdout().lock();
    match printer {
        Printer::Json => out.write_all(json::ordered(&list, &ORDER, 4).as_bytes())?,
        _ => printer.print(&mut out, &list)?,
    }
    Ok(())
}

fn grid(resources: &[&Resource], wide: bool) -> Grid {
    let mut header = vec!["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"];
    if wide {
        header.extend(["VERBS", "CATEGORIES"]);
    }
    let row = |r: &&Resource| {
        let mut row =
            vec![r.plural.clone(), r.short_names.join(","), r.api_version(), r.namespaced.to_string(), r.kind.clone()];
        if wide {
            row.extend([r.verbs.join(","), r.categories.join(",")]);
        }
        row
    };
    Grid { header: header.into_iter().map(str::to_owned).collect(), rows: resources.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::sample;

    #[test]
    fn chooses_as_asked() {
        for (line, want) in [
            ("k api-resources --verbs=get,list --namespaced=false", "nodes"),
            ("k api-resources --verbs=watch", ""),
            ("k api-resources --sort-by=kind --api-group=", "events nodes pods"),
            ("k api-resources --categories=all --api-group=apps", "deployments"),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let args = crate::cli::parse(&words).expect("parses");
            let crate::cli::Command::ApiResources(flags) = args.command else { panic!("api-resources") };
            let discovery = sample();
            let names: Vec<&str> = chosen(&discovery, &flags).iter().map(|r| r.plural.as_str()).collect();
            assert_eq!(names.join(" "), want, "{line}");
        }
    }
}
