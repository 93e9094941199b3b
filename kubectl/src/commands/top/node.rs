//! `top node`.

use super::{Session, available, checked, measured, metrics, quantity, shown, sort_key};
use crate::cli::top::Node;
use crate::commands::with_query;
use crate::print::table::Grid;
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::collections::BTreeMap;

pub(super) async fn run(session: &Session, flags: &Node) -> anyhow::Result<()> {
    let selector = flags.usage.selector.as_str();
    let name = checked(&flags.usage, "node", !selector.is_empty(), "--selector")?;
    available(session).await?;
    let query = [("labelSelector", selector)];
    let found = metrics(session, "/apis/metrics.k8s.io/v1beta1/nodes", name, &query).await?;
    if found.is_empty() {
        bail!("metrics not available yet");
    }
    let nodes = match name {
        Some(name) => vec![session.client.get(&format!("/api/v1/nodes/{name}"), "application/json").await?],
        None => {
            let mut list = session.client.get(&with_query("/api/v1/nodes", &query), "application/json").await?;
            list["items"].as_array_mut().map(std::mem::take).unwrap_or_default()
        }
    };
    crate::out!("{}", table(flags, found, &nodes).render(flags.usage.no_headers));
    Ok(())
}

fn table(flags: &Node, mut found: Vec<Value>, nodes: &[Value]) -> Grid {
    let measured = measured(&flags.usage);
    let mut nodes: BTreeMap<&str, Value> =
        nodes.iter().map(|node| (node.name(), available_of(node, flags.show_capacity))).collect();
    match flags.usage.sort_by.as_str() {
        "" => found.sort_by(|a, b| a.name().cmp(b.name())),
        by => found.sort_by_key(|m| sort_key(by, &quantity(&m["usage"], by))),
    }
    let mut rows = Vec::new();
    for metric in &found {
        let available = nodes.remove(metric.name());
        let mut row = vec![metric.name().to_owned()];
        for resource in &measured {
            row.extend(cells(resource, metric, available.as_ref()));
        }
        rows.push(row);
    }
    // Nodes that nobody could measure.
    for (name, _) in nodes {
        let mut row = vec![name.to_owned()];
        row.resize(1 + 2 * measured.len(), "<unknown>".to_owned());
        rows.push(row);
    }
    // Every cell ends in a tab upstream, the last one too.
    rows.iter_mut().for_each(|row| row.push(String::new()));
    let titles = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)", "SWAP(bytes)", "SWAP(%)"];
    let mut header: Vec<String> = titles[..=2 * measured.len()].iter().map(|t| (*t).to_owned()).collect();
    header.push(String::new());
    Grid { header, rows }
}

/// What a node has to give; its swap, if it tells of any.
fn available_of(node: &Value, capacity: bool) -> Value {
    let mut available = node["status"][if capacity { "capacity" } else { "allocatable" }].clone();
    let swap = node.pointer("/status/nodeInfo/swap/capacity").and_then(Value::as_i64);
    if let (Some(map), Some(swap)) = (available.as_object_mut(), swap) {
        map.insert("swap".into(), swap.to_string().into());
    }
    available
}

fn cells(resource: &str, metric: &Value, available: Option<&Value>) -> Vec<String> {
    let used = quantity(&metric["usage"], resource);
    match available.filter(|a| !a[resource].is_null()) {
        Some(available) => {
            let available = quantity(available, resource);
            let percent = match available.is_zero() {
                true => 0,
                false => (used.milli_value() as f64 / available.milli_value() as f64 * 100.0) as i64,
            };
            vec![shown(resource, &used), format!("{percent}%")]
        }
        None if resource == "swap" && available.is_some() => vec!["<unknown>".into(), "<unknown>".into()],
        None => vec![shown(resource, &used)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_by_name_with_those_that_are_not_measured() {
        let args = crate::cli::parse(&["k", "top", "node"].map(str::to_owned)).expect("parses");
        let crate::cli::Command::Top(crate::cli::top::Top::Node(flags)) = args.command else { panic!("top node") };
        let node = |name: &str| json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": "2", "memory": "2048Mi"}}});
        let metric = json!({"metadata": {"name": "a"}, "usage": {"cpu": "250m", "memory": "512Mi"}});
        let text = table(&flags, vec![metric], &[node("a"), node("b")]).render(false);
        assert_eq!(
            text,
            "NAME   CPU(cores)   CPU(%)      MEMORY(bytes)   MEMORY(%)   \na      250m         12%         512Mi           25%         \nb      <unknown>    <unknown>   <unknown>       <unknown>   \n"
        );
    }
}
