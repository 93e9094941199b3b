//! `api-resources`.

use super::Session;
use crate::cli::ApiResources;
use crate::discovery::Resource;
use crate::print::table::Grid;
use anyhow::bail;

pub(super) async fn run(session: &Session, flags: &ApiResources) -> anyhow::Result<()> {
    let discovery = session.discovery().await?;
    let wanted = |r: &&Resource| {
        !r.verbs.is_empty()
            && flags.api_group.as_ref().is_none_or(|g| *g == r.group)
            && flags.namespaced.is_none_or(|n| n == r.namespaced)
    };
    let mut resources: Vec<&Resource> = discovery.resources.iter().filter(wanted).collect();
    resources.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
    // The preferred version comes first in discovery, and the sort is stable.
    resources.dedup_by(|a, b| a.group == b.group && a.plural == b.plural);
    match flags.output.as_str() {
        "name" => {
            for resource in &resources {
                crate::outln!("{}", resource.group_resource());
            }
        }
        "" | "wide" => crate::out!("{}", grid(&resources, flags.output == "wide").render(flags.no_headers)),
        other => bail!("--output {other} is not available"),
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
