//! `run`: a pod, attached to if it is interactive.
//!
//! Upstream: `kubectl/pkg/cmd/run`.

use super::delete::{Deadline, Deletion, Victim};
use super::{Session, create, exec, expose, watch_one, with_query};
use crate::cli::run::Run;
use crate::discovery::{Asks, Discovery};
use crate::exec::ended;
use crate::files::Manifest;
use crate::generate::{pod, typed};
use crate::http::{Lines, Patience};
use crate::pods;
use crate::progress::Progress;
use crate::writing::{Writing, record, usage, warn_of_record};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::time;
use serde_json::json;
use std::process::ExitCode;

pub(super) async fn run(session: &Session, flags: &Run) -> anyhow::Result<ExitCode> {
    warn_of_record(flags.record.record);
    let name = check(flags)?;
    if flags.files.any() {
        eprintln!("Warning: 'run' reads no manifests: -f, -k and -R have no effect");
    }
    let attach = flags.attach.unwrap_or(flags.stdin || flags.tty);
    let writing = Writing::new(&flags.dry_run.dry_run, &flags.field_manager, &flags.printing)?.typed();
    let generated = typed(&pod::pod(name, flags)?);
    // What pods are is asked of the server, even if nothing is sent to it.
    Discovery::load(&session.client, Asks::ONCE).await?;
    let mut object = expose::overridden(generated, &flags.overrides, &flags.override_type)?;
    record(&mut object, flags.record.record);
    if session.namespace_given {
        object.set_meta("namespace", session.namespace.as_str());
    }
    let mut manifest =
        Manifest { source: String::new(), object, resource: pods::resource(), namespace: session.namespace.clone() };
    let made = create::one(session, &writing, &manifest, flags.save_config).await?;
    let service = match flags.expose {
        true => Some(expose_pod(session, &writing, flags, &made).await),
        false => None,
    };
    manifest.object = made;
    if !attach {
        if let Some(Ok((manifest, object))) = &service {
            writing.done(manifest, object, "created")?;
        }
        // The pod is there, whatever came of its service.
        writing.done(&manifest, &manifest.object, "created")?;
        return service.transpose().map(|_| ExitCode::SUCCESS);
    }
    let service = service.transpose()?;
    let outcome = interact(session, flags, &mut manifest).await;
    if flags.rm {
        remove(session, flags, &manifest).await?;
        if let Some((service, _)) = &service {
            remove(session, flags, service).await?;
        }
    }
    outcome
}

fn check(flags: &Run) -> anyhow::Result<&str> {
    if flags.image.is_empty() {
        bail!("required flag(s) \"image\" not set");
    }
    let [name, ..] = flags.names.as_slice() else { return Err(usage("run", "NAME is required for run")) };
    let attached = flags.attach.unwrap_or(flags.stdin || flags.tty);
    if flags.image.contains(char::is_whitespace)
        || flags.image.chars().any(|c| c.is_ascii_uppercase() && !flags.image.contains(':'))
    {
        bail!("Invalid image name {:?}: invalid reference format", flags.image);
    }
    if flags.tty && !flags.stdin {
        return Err(usage("run", "-i/--stdin is required for containers with -t/--tty=true"));
    }
    if flags.expose && flags.port.is_empty() {
        return Err(usage("run", "--port must be set when exposing a service"));
    }
    if flags.rm && !attached {
        return Err(usage("run", "--rm should only be used for attached containers"));
    }
    if attached && flags.dry_run.dry_run != "none" {
        return Err(usage(
            "run",
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)",
        ));
    }
    Ok(name)
}

async fn expose_pod(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Run,
    pod: &Value,
) -> anyhow::Result<(Manifest, Value)> {
    let port = pod::port(&flags.port)?;
    let mut object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": pod.name(), "labels": pod.labels()},
        "spec": {"ports": [{"port": port, "protocol": "TCP", "targetPort": port}], "selector": pod.labels()}});
    if session.namespace_given {
        object.set_meta("namespace", session.namespace.as_str());
    }
    let resource = crate::discovery::Resource {
        plural: "services".into(),
        singular: "service".into(),
        kind: "Service".into(),
        ..pods::resource()
    };
    let service =
        Manifest { source: String::new(), object: typed(&object), resource, namespace: session.namespace.clone() };
    let made = create::one(session, writing, &service, flags.save_config).await?;
    Ok((service, made))
}

/// Waits for the pod, attaches, and ends as its container ends.
async fn interact(session: &Session, flags: &Run, manifest: &mut Manifest) -> anyhow::Result<ExitCode> {
    let timeout = time::parse_go_duration(&flags.pod_running_timeout).with_context(|| {
        format!("invalid argument {:?} for \"--pod-running-timeout\" flag", flags.pod_running_timeout)
    })?;
    let progress = Progress::waiting(format!("waiting for pod/{}", manifest.object.name()));
    let started = wait_for(session, manifest, &progress, |phase| matches!(phase, "Running" | "Succeeded" | "Failed"));
    let pod = match tokio::time::timeout(timeout, started).await {
        Ok(pod) => pod?,
        Err(_) => bail!("timed out waiting for the condition"),
    };
    drop(progress);
    manifest.object = pod;
    let container = pods::container(&manifest.object, "", true)?;
    match phase(&manifest.object) {
        "Running" => {
            exec::attach_to(
                session,
                &manifest.object,
                &container,
                flags.stdin,
                flags.tty,
                flags.quiet,
                &flags.detach_keys,
            )
            .await?;
        }
        _ => logs(session, manifest, &container).await?,
    }
    if flags.restart == "Always" || flags.leave_stdin_open {
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Progress::waiting("waiting for the pod to end");
    let pod = wait_for(session, manifest, &progress, |phase| matches!(phase, "Succeeded" | "Failed")).await?;
    drop(progress);
    let code = pod.pointer("/status/containerStatuses/0/state/terminated/exitCode").and_then(Value::as_i64);
    match (phase(&pod), code) {
        ("Succeeded", _) => Ok(ExitCode::SUCCESS),
        (_, Some(code)) => ended(
            &json!({"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}}),
        )
        .map(|_| ExitCode::from(u8::try_from(code).unwrap_or(1))),
        _ => bail!("pod {}/{} failed with unknown exit code", pod.namespace(), pod.name()),
    }
}

fn phase(pod: &Value) -> &str {
    pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default()
}

async fn wait_for(
    session: &Session,
    manifest: &Manifest,
    progress: &Progress,
    fits: impl Fn(&str) -> bool,
) -> anyhow::Result<Value> {
    let mut current = session.client.get(&manifest.path(), "application/json").await?;
    let name = manifest.object.name().to_owned();
    if !fits(phase(&current)) {
        let from = Manifest { object: current.clone(), ..manifest.clone() };
        watch_one(session, &from, |pod| {
            current = pod.clone();
            progress.say(format!("pod/{name} is {}", phase(pod)));
            Ok(fits(phase(pod)))
        })
        .await?;
    }
    Ok(current)
}

async fn logs(session: &Session, manifest: &Manifest, container: &str) -> anyhow::Result<()> {
    let path = with_query(&format!("{}/log", manifest.path()), &[("container", container)]);
    let mut lines = Lines::new(session.client.stream(&path, "*/*", Patience::Answers).await?);
    while let Some(line) = lines.next().await? {
        crate::outln!("{}", String::from_utf8_lossy(&line));
    }
    Ok(())
}

async fn remove(session: &Session, flags: &Run, manifest: &Manifest) -> anyhow::Result<()> {
    let deletion = Deletion::new(&flags.removal, flags.removal.grace_period)?;
    let victim = Victim::of(manifest);
    let uid = deletion.ask(session, &victim).await?;
    if !flags.quiet {
        crate::outln!("{}", deletion.told(&victim));
    }
    match flags.wait {
        true => Deadline::new(&flags.removal.timeout)?.gone(session, &victim, uid.as_deref()).await,
        false => Ok(()),
    }
}
