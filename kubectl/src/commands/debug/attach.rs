//! Waiting for the container and attaching to it.

use crate::cli::debug::Debug;
use crate::commands::{Session, exec, watch_one, with_query};
use crate::files::Manifest;
use crate::http::{Lines, Patience};
use crate::pods;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// Attaches once the container runs; shows its logs if it has ended.
pub(super) async fn attach(session: &Session, flags: &Debug, pod: &Value, container: &str) -> anyhow::Result<()> {
    let manifest = Manifest {
        source: String::new(),
        object: pod.clone(),
        resource: pods::resource(),
        namespace: pod.namespace().to_owned(),
    };
    let mut current = pod.clone();
    if !started(flags, pod, container) {
        watch_one(session, &manifest, |pod| {
            current = pod.clone();
            Ok(started(flags, pod, container))
        })
        .await?;
    }
    if status(&current, container)["state"]["terminated"].is_object() {
        return logs(session, &manifest, container).await;
    }
    let attached = exec::attach_to(session, &current, container, flags.stdin, flags.tty, flags.quiet, "").await;
    if let Err(error) = attached {
        let name = current.name();
        eprintln!("warning: couldn't attach to pod/{name}, falling back to streaming logs: {error:#}");
        return logs(session, &manifest, container).await;
    }
    Ok(())
}

fn status<'a>(pod: &'a Value, container: &str) -> &'a Value {
    let lists = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
    let mut all = lists.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    all.find(|s| s["name"] == container).unwrap_or(&Value::Null)
}

/// Whether the container runs or has run; says what keeps it.
fn started(flags: &Debug, pod: &Value, container: &str) -> bool {
    let state = &status(pod, container)["state"];
    if let Some(message) = state["waiting"]["message"].as_str().filter(|m| !m.is_empty() && !flags.quiet) {
        crate::http::warn(&format!("container {container}: {message}"));
    }
    state["running"].is_object() || state["terminated"].is_object()
}

async fn logs(session: &Session, manifest: &Manifest, container: &str) -> anyhow::Result<()> {
    let path = with_query(&format!("{}/log", manifest.path()), &[("container", container)]);
    let mut lines = Lines::new(session.client.stream(&path, "*/*", Patience::Answers).await?);
    while let Some(line) = lines.next().await? {
        crate::outln!("{}", String::from_utf8_lossy(&line));
    }
    Ok(())
}
