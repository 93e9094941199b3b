//! Hooks: what a container wants done after its start and before its end.
//!
//! Upstream: `pkg/kubelet/lifecycle`.

use crate::probes::{check, http};
use crate::runtime::Runtime;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use std::time::Duration;

/// A hook failed. Events do not repeat what it printed: it may be secret.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    #[error("command {command:?} exited with {code}: {output}")]
    Exit { command: Vec<String>, code: i32, output: String },
    #[error(transparent)]
    Runtime(#[from] crate::runtime::RuntimeError),
    #[error(transparent)]
    Http(#[from] http::GetError),
    #[error("the hook has no port to call")]
    NoPort,
    #[error("the hook did not end within {} s", .0.as_secs())]
    Timeout(Duration),
}

/// Runs a hook to its end, at most for `limit`.
pub async fn run(
    runtime: &Runtime,
    container: &Container,
    id: &str,
    pod_ip: &str,
    hook: &LifecycleHandler,
    limit: Duration,
) -> Result<(), HookError> {
    let work = run_unlimited(runtime, container, id, pod_ip, hook);
    tokio::time::timeout(limit, work).await.unwrap_or(Err(HookError::Timeout(limit)))
}

async fn run_unlimited(
    runtime: &Runtime,
    container: &Container,
    id: &str,
    pod_ip: &str,
    hook: &LifecycleHandler,
) -> Result<(), HookError> {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        let done = runtime.exec_sync(id, &command, Duration::ZERO).await?;
        if done.exit_code != 0 {
            let output = String::from_utf8_lossy(&done.output).into_owned();
            return Err(HookError::Exit { command, code: done.exit_code, output });
        }
    } else if let Some(get) = &hook.http_get {
        let request = check::http_request(get, container, pod_ip).ok_or(HookError::NoPort)?;
        // Any answer will do.
        http::get(&request).await?;
    } else if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
    }
    Ok(())
}
