//! `top`: what nodes and pods use, as the metrics API knows it.
//!
//! Upstream: `kubectl/pkg/cmd/top`, `kubectl/pkg/metricsutil`.

mod node;
mod pod;

use super::{Session, with_query};
use crate::cli::top::{Top, Usage};
use crate::discovery::Discovery;
use crate::writing::usage;
use anyhow::bail;
use apimachinery::Value;
use apimachinery::quantity::Quantity;
use apimachinery::selector::LabelSelector;

pub(super) async fn run(session: &Session, command: &Top) -> anyhow::Result<()> {
    match command {
        Top::Node(flags) => node::run(session, flags).await,
        Top::Pod(flags) => pod::run(session, flags).await,
    }
}

/// The name on the command line, if the flags make sense.
fn checked<'a>(flags: &'a Usage, command: &str, selects: bool, selector: &str) -> anyhow::Result<Option<&'a str>> {
    let name = match flags.words.as_slice() {
        [] => None,
        [name] => Some(name.as_str()),
        _ => return Err(usage(&format!("top {command}"), format!("{command} [NAME | -l label]"))),
    };
    if !matches!(flags.sort_by.as_str(), "" | "cpu" | "memory") {
        bail!("--sort-by accepts only cpu or memory");
    }
    if name.is_some() && selects {
        bail!("only one of NAME or {selector} can be provided");
    }
    LabelSelector::parse(&flags.selector)?;
    Ok(name)
}

/// The metrics API must be there.
async fn available(session: &Session) -> anyhow::Result<()> {
    let discovery = Discovery::fetch_quietly(&session.client).await?;
    match discovery.serves("metrics.k8s.io", "v1beta1") {
        true => Ok(()),
        false => bail!("Metrics API not available"),
    }
}

/// One object's metrics, or all that are selected.
async fn metrics(
    session: &Session,
    path: &str,
    name: Option<&str>,
    query: &[(&str, &str)],
) -> anyhow::Result<Vec<Value>> {
    match name {
        Some(name) => Ok(vec![session.client.get(&format!("{path}/{name}"), "application/json").await?]),
        None => {
            let mut list = session.client.get(&with_query(path, query), "application/json").await?;
            Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
        }
    }
}

/// The resources that are shown.
fn measured(flags: &Usage) -> Vec<&'static str> {
    let mut measured = vec!["cpu", "memory"];
    measured.extend(flags.show_swap.then_some("swap"));
    measured
}

/// A quantity of a resource list; zero if it is not there.
fn quantity(list: &Value, resource: &str) -> Quantity {
    list[resource].as_str().and_then(|q| q.parse().ok()).unwrap_or(Quantity::ZERO)
}

/// `250m`, `12Mi`.
fn shown(resource: &str, quantity: &Quantity) -> String {
    match resource {
        "cpu" => format!("{}m", quantity.milli_value()),
        _ => format!("{}Mi", quantity.value() / (1024 * 1024)),
    }
}

/// What `--sort-by` compares: the biggest first.
fn sort_key(sort_by: &str, usage: &Quantity) -> std::cmp::Reverse<i64> {
    std::cmp::Reverse(match sort_by {
        "cpu" => usage.milli_value(),
        _ => usage.value(),
    })
}
