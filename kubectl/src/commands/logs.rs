//! `logs`.

use super::{Session, with_query};
use crate::cli::Logs;
use crate::targets;
use anyhow::bail;
use apimachinery::time;
use http_body_util::BodyExt;
use std::io::Write;

pub(super) async fn run(session: &Session, logs: &Logs) -> anyhow::Result<()> {
    let pod = pod_name(session, &logs.target).await?;
    let container = logs.container.as_ref().or(logs.container_word.as_ref()).cloned().unwrap_or_default();
    let since = match &logs.since {
        Some(text) => match time::parse_go_duration(text) {
            Some(duration) => duration.as_secs().max(1).to_string(),
            None => bail!("invalid argument {text:?} for \"--since\" flag: time: invalid duration {text:?}"),
        },
        None => String::new(),
    };
    let flag = |set: bool| if set { "true" } else { "" };
    let tail = if logs.tail >= 0 { logs.tail.to_string() } else { String::new() };
    let limit = if logs.limit_bytes > 0 { logs.limit_bytes.to_string() } else { String::new() };
    let path = with_query(
        &format!("/api/v1/namespaces/{}/pods/{pod}/log", session.namespace),
        &[
            ("container", &container),
            ("follow", flag(logs.follow)),
            ("previous", flag(logs.previous)),
            ("timestamps", flag(logs.timestamps)),
            ("tailLines", &tail),
            ("limitBytes", &limit),
            ("sinceSeconds", &since),
            ("sinceTime", logs.since_time.as_deref().unwrap_or_default()),
        ],
    );
    let mut body = session.client.stream(&path, "*/*").await?;
    let mut out = std::io::stdout().lock();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            out.write_all(&data)?;
            out.flush()?;
        }
    }
    Ok(())
}

/// The pod that a word names: itself, or the first pod of a workload.
pub(super) async fn pod_name(session: &Session, target: &str) -> anyhow::Result<String> {
    let Some((kind, name)) = target.split_once('/') else { return Ok(target.to_owned()) };
    let discovery = session.discovery().await?;
    let words = [format!("{kind}/{name}")];
    let Some(found) = targets::parse(&discovery, "logs", &words)?.pop() else { bail!("no resource named {target}") };
    if found.resource.plural == "pods" {
        return Ok(name.to_owned());
    }
    let path = format!("{}/{name}", found.resource.path(Some(&session.namespace)));
    let object = session.client.get(&path, "application/json").await?;
    let labels = object.pointer("/spec/selector/matchLabels").or_else(|| object.pointer("/spec/selector"));
    let labels = labels.and_then(|l| l.as_object()).into_iter().flatten();
    let selector: Vec<String> = labels.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    if selector.is_empty() {
        bail!("cannot find pods of {target}");
    }
    let path = with_query(
        &format!("/api/v1/namespaces/{}/pods", session.namespace),
        &[("labelSelector", &selector.join(","))],
    );
    let pods = session.client.get(&path, "application/json").await?;
    let name = pods.pointer("/items/0/metadata/name").and_then(|n| n.as_str());
    match name {
        Some(name) => Ok(name.to_owned()),
        None => bail!("timed out waiting for the condition"),
    }
}
