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

/// How a hook was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// As it says.
    Asked,
    /// Its server, of this name, does not speak TLS and was asked without.
    WithoutTls(String),
}

impl Ran {
    /// What the pod's events say of it.
    pub fn warning(&self) -> Option<(&'static str, String)> {
        let Self::WithoutTls(host) = self else { return None };
        let text = format!("request to HTTPS lifecycle hook {host} got HTTP response, retry with HTTP succeeded");
        Some(("LifecycleHTTPFallback", text))
    }
}

/// Runs a hook to its end, at most for `limit`.
pub async fn run(
    runtime: &Runtime,
    container: &Container,
    id: &str,
    pod_ip: &str,
    hook: &LifecycleHandler,
    limit: Duration,
) -> Result<Ran, HookError> {
    let work = run_unlimited(runtime, container, id, pod_ip, hook);
    let Ok(ran) = tokio::time::timeout(limit, work).await else {
        if hook.sleep.is_some() {
            runtime.metrics().pods.sleep_cut();
        }
        return Err(HookError::Timeout(limit));
    };
    if matches!(ran, Ok(Ran::WithoutTls(_))) {
        runtime.metrics().pods.fell_back();
    }
    ran
}

async fn run_unlimited(
    runtime: &Runtime,
    container: &Container,
    id: &str,
    pod_ip: &str,
    hook: &LifecycleHandler,
) -> Result<Ran, HookError> {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        let done = runtime.exec_sync(id, &command, Duration::ZERO).await?;
        if done.exit_code != 0 {
            let output = String::from_utf8_lossy(&done.output).into_owned();
            return Err(HookError::Exit { command, code: done.exit_code, output });
        }
    } else if let Some(get) = &hook.http_get {
        let request = check::http_request(get, container, pod_ip).ok_or(HookError::NoPort)?;
        return call(request).await;
    } else if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
    }
    Ok(Ran::Asked)
}

/// Any answer will do, also of a server that was wrongly said to speak TLS.
async fn call(mut request: http::Get) -> Result<Ran, HookError> {
    match http::get(&request).await {
        Err(http::GetError::NotTls) => {
            request.tls = false;
            // What is secret is for a server that can be trusted.
            request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
            http::get(&request).await?;
            Ok(Ran::WithoutTls(request.authority()))
        }
        answer => Ok(answer.map(|_| Ran::Asked)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Endpoint;
    use k8s_openapi::api::core::v1::SleepAction;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_server_without_tls_is_asked_without() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async {
            let mut last = String::new();
            for answer in ["HTTP/1.0 400 Bad Request\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0; 2048];
                let n = stream.read(&mut buffer).await.unwrap();
                last = String::from_utf8_lossy(&buffer[..n]).into_owned();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            last
        };
        let headers = vec![("Authorization".to_owned(), "secret".to_owned()), ("X-Own".to_owned(), "kept".to_owned())];
        let request = http::Get { tls: true, host: "127.0.0.1".into(), port, path: "/".into(), headers };
        let (ran, seen) = tokio::join!(call(request), server);
        assert_eq!(ran.unwrap(), Ran::WithoutTls(format!("127.0.0.1:{port}")));
        assert!(seen.contains("kept") && !seen.contains("secret"), "{seen}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_that_is_cut_short_is_counted() {
        let endpoint = Endpoint::parse("unix:///nowhere").unwrap();
        let runtime = Runtime::new(&endpoint, &endpoint, Duration::from_secs(1));
        let hook = LifecycleHandler { sleep: Some(SleepAction { seconds: 9 }), ..LifecycleHandler::default() };
        let container = Container::default();
        for (limit, cut) in [(10, 0), (5, 1)] {
            let ran = run(&runtime, &container, "c", "", &hook, Duration::from_secs(limit)).await;
            assert_eq!(ran.is_err(), cut == 1);
            let mut registry = component::metrics::Registry::default();
            runtime.metrics().register(&mut registry, "n");
            let text = component::metrics::encode(&registry);
            assert!(text.contains(&format!("kubelet_sleep_action_terminated_early_total {cut}\n")), "{text}");
        }
    }
}
