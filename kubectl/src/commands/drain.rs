//! `cordon`, `uncordon` and `drain`.
//!
//! Upstream: `kubectl/pkg/cmd/drain`, `kubectl/pkg/drain`.

mod filter;

use super::{Session, with_query};
use crate::cli::node::{Cordon, Drain};
use crate::cli::writing::Printing;
use crate::discovery::Asks;
use crate::files::Manifest;
use crate::http::Refused;
use crate::progress::Progress;
use crate::selected::{Query, resolve};
use crate::targets::Words;
use crate::writing::{DryRun, Failures, PatchKind, Writing, code, is_not_found, usage};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::LabelSelector;
use apimachinery::time;
use filter::Filter;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::Method;
use serde_json::json;
use std::time::Duration;

/// Between two attempts at a pod that a budget protects.
const RETRY: Duration = Duration::from_secs(5);
/// Between two looks at a pod that is to go.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a node takes pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Cordoned,
    Uncordoned,
}

impl Mark {
    fn done(self) -> &'static str {
        if self == Mark::Cordoned { "cordoned" } else { "uncordoned" }
    }

    fn verb(self) -> &'static str {
        if self == Mark::Cordoned { "cordon" } else { "uncordon" }
    }
}

pub(super) async fn cordon(session: &Session, flags: &Cordon, mark: Mark) -> anyhow::Result<()> {
    check(flags, mark.verb())?;
    let printing = Printing::default();
    let writing = Writing::new(&flags.dry_run.dry_run, "", &printing)?;
    let nodes = nodes(session, flags, 0).await?;
    mark_nodes(session, &writing, &nodes, mark).await
}

/// That nodes are named, or selected.
fn check(flags: &Cordon, command: &str) -> anyhow::Result<()> {
    if flags.nodes.is_empty() && flags.selector.is_none() {
        return Err(usage(command, format_args!("USAGE: {command} NODE [flags]")));
    }
    if !flags.nodes.is_empty() && flags.selector.as_ref().is_some_and(|s| !s.is_empty()) {
        return Err(usage(command, "error: cannot specify both a node name and a --selector option"));
    }
    Ok(())
}

async fn nodes(session: &Session, flags: &Cordon, page: i64) -> anyhow::Result<Vec<Manifest>> {
    let words = typed("nodes", &flags.nodes)?;
    let discovery = session.discovery(Asks::PAIR).await?;
    let files = crate::cli::Files::default();
    let selector = flags.selector.as_deref().unwrap_or_default();
    if flags.nodes.is_empty() && selector.is_empty() {
        bail!("must provide one or more resources by argument or filename");
    }
    let query = Query { page, ..Query::new(&words, &files).selector(selector).typed() };
    let mut selected = resolve(session, &discovery, &query).await?;
    // The first that is not there ends it.
    selected.failures.truncate(1);
    let nodes = selected.all_or_nothing()?;
    match nodes.iter().map(|node| &node.resource).find(|resource| resource.group_resource() != "nodes") {
        Some(other) => {
            let what = format!("{}/{}, Resource={}", other.group, other.version, other.plural);
            bail!("error: expected resource of type node, got {what:?}")
        }
        None => Ok(nodes),
    }
}

/// Names of a type as words; those with a type of their own keep it.
pub(super) fn typed(kind: &str, names: &[String]) -> anyhow::Result<Vec<String>> {
    if names.iter().any(|name| name.contains('/')) {
        let word = |name: &String| if name.contains('/') { name.clone() } else { format!("{kind}/{name}") };
        let words: Vec<String> = names.iter().map(word).collect();
        Words::read("edit", &words)?;
        return Ok(words);
    }
    Ok(std::iter::once(kind.to_owned()).chain(names.iter().cloned()).collect())
}

async fn mark_nodes(session: &Session, writing: &Writing<'_>, nodes: &[Manifest], mark: Mark) -> anyhow::Result<()> {
    let wanted = mark == Mark::Cordoned;
    for node in nodes {
        let current = node.object.pointer("/spec/unschedulable").and_then(Value::as_bool).unwrap_or(false);
        if current == wanted {
            writing.done(node, &node.object, &format!("already {}", mark.done()))?;
            continue;
        }
        if writing.sends() {
            let patch = json!({"spec": {"unschedulable": if wanted { Value::Bool(true) } else { Value::Null }}});
            if let Err(error) = writing.patch(session, &node.path(), PatchKind::Strategic, &patch).await {
                eprintln!("error: unable to {} node {:?}: {error:#}", mark.verb(), node.object.name());
                continue;
            }
        }
        writing.done(node, &node.object, mark.done())?;
    }
    Ok(())
}

pub(super) async fn run(session: &Session, flags: &Drain) -> anyhow::Result<()> {
    check(&flags.nodes, "drain")?;
    let printing = Printing::default();
    let writing = Writing::new(&flags.nodes.dry_run.dry_run, "", &printing)?;
    if LabelSelector::parse(&flags.pod_selector).is_err() {
        bail!("--pod-selector=<pod_selector> must be a valid label selector");
    }
    let timeout = time::parse_go_duration(&flags.timeout)
        .with_context(|| format!("invalid argument {:?} for \"--timeout\" flag", flags.timeout))?;
    let nodes = nodes(session, &flags.nodes, flags.chunk_size).await?;
    mark_nodes(session, &writing, &nodes, Mark::Cordoned).await?;
    let drainer = Drainer { session, flags, dry_run: writing.dry_run, timeout };
    let (mut failures, mut pending) = (Vec::new(), Vec::new());
    for node in &nodes {
        match drainer.node(node.object.name()).await {
            Ok(()) => writing.done(node, &node.object, "drained")?,
            Err(error) => {
                let name = node.object.name();
                eprintln!("error: unable to drain node {name:?} due to error: {}, continuing command...", said(&error));
                pending.push(name);
                failures.push(error);
            }
        }
    }
    if !pending.is_empty() {
        eprintln!("There are pending nodes to be drained:");
        pending.iter().for_each(|name| eprintln!(" {name}"));
    }
    Failures::outcome(failures)
}

/// Several failures in one line, as Go prints them.
fn said(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Failures>() {
        Some(Failures(list)) if list.len() > 1 => {
            format!("[{}]", list.iter().map(|e| format!("{e:#}")).collect::<Vec<_>>().join(", "))
        }
        Some(Failures(list)) => list.iter().map(|e| format!("{e:#}")).collect(),
        None => format!("{error:#}"),
    }
}

struct Drainer<'a> {
    session: &'a Session,
    flags: &'a Drain,
    dry_run: DryRun,
    timeout: Duration,
}

impl Drainer<'_> {
    async fn node(&self, node: &str) -> anyhow::Result<()> {
        let pods = self.pods(node).await?;
        if self.dry_run == DryRun::Client {
            for pod in &pods {
                crate::outln!("evicting pod {}/{} (dry run)", pod.namespace(), pod.name());
            }
            return Ok(());
        }
        let outcome = self.remove(&pods).await;
        if let Err(error) = &outcome
            && let Ok(left) = self.pods(node).await
            && !left.is_empty()
        {
            eprintln!("There are pending pods in node {node:?} when an error occurred: {}", said(error));
            left.iter().for_each(|pod| eprintln!("pod/{}", pod.name()));
        }
        outcome
    }

    /// The pods of a node that are to go; those that must not are an error.
    async fn pods(&self, node: &str) -> anyhow::Result<Vec<Value>> {
        let selector = format!("spec.nodeName={node}");
        let limit = if self.flags.chunk_size > 0 { self.flags.chunk_size.to_string() } else { String::new() };
        let (mut pods, mut token) = (Vec::new(), String::new());
        loop {
            let parameters = [
                ("labelSelector", self.flags.pod_selector.as_str()),
                ("fieldSelector", &selector),
                ("limit", &limit),
                ("continue", &token),
            ];
            let page = self.session.client.get(&with_query("/api/v1/pods", &parameters), "application/json").await?;
            pods.extend(page.get("items").and_then(Value::as_array).into_iter().flatten().cloned());
            token = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
            if token.is_empty() {
                break;
            }
        }
        let filter = Filter {
            force: self.flags.force,
            ignore_daemon_sets: self.flags.ignore_daemonsets,
            delete_empty_dirs: self.flags.delete_emptydir_data,
            skip_deleted_after: self.flags.skip_wait_for_delete_timeout,
        };
        let mut judged = Vec::new();
        for pod in pods {
            let missing = self.missing_daemon_set(&pod).await?;
            let verdict = filter.judge(&pod, missing.as_deref(), time::parse(&time::now()).ok());
            judged.push((pod, verdict));
        }
        filter::conclude(judged)
    }

    /// What the server says of a daemon set that a pod names as its controller and that is gone.
    async fn missing_daemon_set(&self, pod: &Value) -> anyhow::Result<Option<String>> {
        let Some(owner) = pod.controller().filter(|o| o.kind == "DaemonSet") else { return Ok(None) };
        let path = format!("/apis/apps/v1/namespaces/{}/daemonsets/{}", pod.namespace(), owner.name);
        match self.session.client.get(&path, "application/json").await {
            Ok(_) => Ok(None),
            Err(error) => match error.downcast::<Refused>() {
                Ok(refused) => Ok(Some(refused.message)),
                Err(error) => Err(error),
            },
        }
    }

    async fn remove(&self, pods: &[Value]) -> anyhow::Result<()> {
        let progress = Progress::counted("pods left", pods.len());
        let mut going: FuturesUnordered<_> = pods.iter().map(|pod| self.pod(pod, &progress)).collect();
        let mut failures = Vec::new();
        while let Some(outcome) = going.next().await {
            progress.step();
            failures.extend(outcome.err());
        }
        Failures::outcome(failures)
    }

    async fn pod(&self, pod: &Value, progress: &Progress) -> anyhow::Result<()> {
        let removal = async {
            match self.flags.disable_eviction {
                true => self.delete(pod).await?,
                false => self.evict(pod, progress).await?,
            }
            if self.dry_run == DryRun::None { self.gone(pod, progress).await } else { Ok(()) }
        };
        if self.timeout.is_zero() {
            return removal.await;
        }
        match tokio::time::timeout(self.timeout, removal).await {
            Ok(outcome) => outcome,
            Err(_) => bail!(
                "error when evicting pods/{:?} -n {:?}: global timeout reached: {}",
                pod.name(),
                pod.namespace(),
                time::format_go_duration(i64::try_from(self.timeout.as_nanos()).unwrap_or(i64::MAX))
            ),
        }
    }

    fn path(pod: &Value) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", pod.namespace(), pod.name())
    }

    fn options(&self) -> Value {
        let mut options = json!({});
        if self.flags.grace_period >= 0 {
            options["gracePeriodSeconds"] = self.flags.grace_period.into();
        }
        if self.dry_run == DryRun::Server {
            options["dryRun"] = json!(["All"]);
        }
        options
    }

    async fn delete(&self, pod: &Value) -> anyhow::Result<()> {
        let mut options = self.options();
        options["apiVersion"] = "v1".into();
        options["kind"] = "DeleteOptions".into();
        match self.session.client.write(Method::DELETE, &Self::path(pod), "application/json", &options).await {
            Err(error) if !is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Evicts, again and again while a budget forbids it.
    async fn evict(&self, pod: &Value, progress: &Progress) -> anyhow::Result<()> {
        let (name, namespace) = (pod.name(), pod.namespace());
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace}, "deleteOptions": self.options()});
        let path = format!("{}/eviction", Self::path(pod));
        loop {
            let suffix = if self.dry_run == DryRun::Server { " (server dry run)" } else { "" };
            progress.print(&format!("evicting pod {namespace}/{name}{suffix}"))?;
            let Err(error) = self.session.client.write(Method::POST, &path, "application/json", &eviction).await else {
                return Ok(());
            };
            match code(&error) {
                Some(404) => return Ok(()),
                Some(429) => {
                    progress.complain(&format!(
                        "error when evicting pods/{name:?} -n {namespace:?} (will retry after 5s): {error:#}"
                    ));
                    tokio::time::sleep(RETRY).await;
                }
                _ => bail!("error when evicting pods/{name:?} -n {namespace:?}: {error:#}"),
            }
        }
    }

    async fn gone(&self, pod: &Value, progress: &Progress) -> anyhow::Result<()> {
        loop {
            match self.session.client.get(&Self::path(pod), "application/json").await {
                Err(error) if is_not_found(&error) => break,
                Err(error) => bail!(
                    "error when waiting for pod {:?} in namespace {:?} to terminate: {error:#}",
                    pod.name(),
                    pod.namespace()
                ),
                Ok(other) if other.uid() != pod.uid() => break,
                Ok(current) => {
                    let after = self.flags.skip_wait_for_delete_timeout;
                    if filter::deleted_for(&current, time::parse(&time::now()).ok())
                        .is_some_and(|s| after > 0 && s > after)
                    {
                        progress.print(&format!(
                            "pod {:?} has DeletionTimestamp older than {after} seconds, skipping",
                            pod.name()
                        ))?;
                        return Ok(());
                    }
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        let done = if self.flags.disable_eviction { "deleted" } else { "evicted" };
        progress.print(&format!("pod/{} {done}", pod.name()))
    }
}
