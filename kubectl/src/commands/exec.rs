//! `exec` and `attach`.
//!
//! Upstream: `kubectl/pkg/cmd/{exec,attach}`.

use super::{Session, encode};
use crate::cli::streams::Attach;
use crate::cli::{Exec, Files};
use crate::detach::Detach;
use crate::discovery::Asks;
use crate::exec::{self, Streams};
use crate::files;
use crate::pods;
use crate::writing::usage;
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::process::ExitCode;

pub(super) async fn run(session: &Session, flags: &Exec) -> anyhow::Result<ExitCode> {
    // Before a command behind `--` the first word is the pod, and others are not looked at.
    let spare = flags.words.len() > usize::from(flags.filenames.is_empty());
    if spare && !flags.ended {
        let text = "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead";
        return Err(usage("exec", text));
    }
    if flags.words.first().is_none_or(String::is_empty) && flags.filenames.is_empty() {
        bail!("pod, type/name or --filename must be specified");
    }
    if flags.command.is_empty() {
        bail!("you must specify at least one command for the container");
    }
    check_timeout("exec", &flags.pod_running_timeout)?;
    let target = match flags.words.first() {
        Some(target) if flags.filenames.is_empty() => target.clone(),
        Some(_) => bail!("resource/name arguments cannot be provided when a path is specified"),
        None => target_of(session, &flags.filenames).await?,
    };
    let pod = pods::first_of(session, &target, &flags.pod_running_timeout).await?;
    check_running(&pod)?;
    let container = pods::container(&pod, flags.container.as_deref().unwrap_or_default(), flags.quiet)?;
    let tty = terminal(flags.tty, flags.stdin, flags.quiet);
    let path = exec_path(&pod, &container, &flags.command, flags.stdin, tty);
    exec::ended(&exec::run(&session.client, &path, Streams::standard(flags.stdin, tty)).await?)
}

/// The pod or workload of a manifest.
async fn target_of(session: &Session, filenames: &[String]) -> anyhow::Result<String> {
    let files = Files { filenames: filenames.to_vec(), ..Files::default() };
    let discovery = session.discovery_for(&files, Asks::ONCE, crate::files::Check::Decoded).await?;
    let mut manifests = files::read(&files, &discovery, session).await?.all()?.into_iter();
    let manifest = manifests.next();
    if manifests.next().is_some() {
        bail!("cannot exec into multiple objects at a time");
    }
    let Some(manifest) = manifest else { bail!("no objects passed") };
    // What has no pods need not be looked for.
    if manifest.resource.kind != "Pod" && pods::selector_of(&manifest.object).is_empty() {
        return Err(pods::no_selector(&manifest.resource));
    }
    Ok(format!("{}/{}", manifest.resource.group_resource(), manifest.object.name()))
}

pub(super) async fn attach(session: &Session, flags: &Attach) -> anyhow::Result<ExitCode> {
    check_timeout("attach", &flags.pod_running_timeout)?;
    let target = match flags.targets.as_slice() {
        [] => bail!("at least 1 argument is required for attach"),
        [target] => target.clone(),
        [kind, _] if kind.is_empty() => bail!("the argument \"\" must be RESOURCE/NAME"),
        // The type of the last word counts, if it has one of its own.
        [_, target] if target.contains('/') => target.clone(),
        [kind, _] if kind.contains(['/', ',']) => bail!("the server doesn't have a resource type {kind:?}"),
        [_, name] if name.is_empty() => bail!("resource name may not be empty"),
        [kind, name] => format!("{kind}/{name}"),
        words => bail!(
            "expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw {}: [{}]",
            words.len(),
            words.join(" ")
        ),
    };
    let pod = pods::first_of(session, &target, &flags.pod_running_timeout).await?;
    check_running(&pod)?;
    let container = pods::container(&pod, &flags.container, flags.quiet);
    let container = container.context("cannot attach to the container")?;
    attach_to(session, &pod, &container, flags.stdin, flags.tty, flags.quiet, &flags.detach_keys).await
}

/// Refuses `--pod-running-timeout` that leaves no time.
pub(super) fn check_timeout(command: &str, timeout: &str) -> anyhow::Result<()> {
    match apimachinery::time::parse_go_duration(timeout) {
        Some(timeout) if !timeout.is_zero() => Ok(()),
        _ => Err(usage(command, "--pod-running-timeout must be higher than zero")),
    }
}

/// Attaches to a container that runs.
pub(super) async fn attach_to(
    session: &Session,
    pod: &Value,
    container: &str,
    stdin: bool,
    tty: bool,
    quiet: bool,
    detach_keys: &str,
) -> anyhow::Result<ExitCode> {
    let has = has_tty(pod, container);
    if tty && !has && !quiet {
        eprintln!("error: Unable to use a TTY - container {container} did not allocate one");
    }
    // A container with a terminal speaks to one, wanted or not.
    let tty = terminal(has, stdin, quiet);
    if !quiet {
        eprintln!(
            "All commands and output from this session will be recorded in container logs, including credentials and sensitive information passed through the command prompt."
        );
        eprintln!("If you don't see a command prompt, try pressing enter.");
    }
    let path = stream_path(pod, "attach", container, stdin, tty, &[]);
    let mut streams = Streams::standard(stdin, tty);
    streams.detach = if tty { Detach::parse(detach_keys)? } else { None };
    exec::ended(&exec::run(&session.client, &path, streams).await?)
}

fn check_running(pod: &Value) -> anyhow::Result<()> {
    match pod.pointer("/status/phase").and_then(Value::as_str) {
        Some(phase @ ("Succeeded" | "Failed")) => {
            bail!("cannot exec into a container in a completed pod; current phase is {phase}")
        }
        _ => Ok(()),
    }
}

/// A terminal is raw only if there is one.
fn terminal(wanted: bool, stdin: bool, quiet: bool) -> bool {
    let there = wanted && stdin && exec::is_terminal();
    if wanted && stdin && !there && !quiet {
        eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    there
}

fn has_tty(pod: &Value, container: &str) -> bool {
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let mut all = lists.iter().flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten());
    all.any(|c| c["name"] == container && c["tty"] == true)
}

/// Path and query of an exec request.
pub(super) fn exec_path(pod: &Value, container: &str, command: &[String], stdin: bool, tty: bool) -> String {
    let words: Vec<String> = command.iter().map(|word| format!("command={}", encode(word))).collect();
    stream_path(pod, "exec", container, stdin, tty, &words)
}

fn stream_path(pod: &Value, verb: &str, container: &str, stdin: bool, tty: bool, first: &[String]) -> String {
    let mut query = first.to_vec();
    query.push(format!("container={}", encode(container)));
    for (name, set) in [("stdin", stdin), ("stdout", true), ("stderr", !tty), ("tty", tty)] {
        if set {
            query.push(format!("{name}=true"));
        }
    }
    format!("/api/v1/namespaces/{}/pods/{}/{verb}?{}", pod.namespace(), pod.name(), query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_carry_the_streams() {
        let pod =
            json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": [{"name": "c", "tty": true}]}});
        assert_eq!(
            exec_path(&pod, "c", &["sh".into(), "-c".into()], true, true),
            "/api/v1/namespaces/n/pods/p/exec?command=sh&command=-c&container=c&stdin=true&stdout=true&tty=true"
        );
        assert!(has_tty(&pod, "c") && !has_tty(&pod, "d"));
        assert!(check_running(&json!({"status": {"phase": "Failed"}})).is_err());
    }
}
