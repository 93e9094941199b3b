//! One question to a container.

use super::{Target, grpc, http};
use crate::runtime::Runtime;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::time::Duration;
use tokio::net::TcpStream;

/// The longest answer that an event repeats.
const MAX_OUTPUT: usize = 10 * 1024;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Success,
    /// Good enough, but for what the event says.
    Warning(String),
    /// Not so; what the event says.
    Failure(String),
    /// The question could not be asked; counts for nothing.
    Unknown(String),
}

/// Asks once.
pub async fn run(runtime: &Runtime, target: &Target, probe: &Probe) -> Outcome {
    let limit = Duration::from_secs(u64::try_from(probe.timeout_seconds.unwrap_or(1).max(1)).unwrap_or(1));
    if let Some(exec) = &probe.exec {
        return run_exec(runtime, &target.record.id, exec.command.as_deref().unwrap_or_default(), limit).await;
    }
    if let Some(get) = &probe.http_get {
        return run_http(target, get, limit).await;
    }
    if let Some(tcp) = &probe.tcp_socket {
        let host = tcp.host.as_deref().filter(|h| !h.is_empty()).unwrap_or(&target.pod_ip);
        return match port(&tcp.port, &target.container) {
            Some(port) => run_tcp(host, port, limit).await,
            None => Outcome::Unknown(format!("couldn't resolve port {:?}", tcp.port)),
        };
    }
    if let Some(grpc) = &probe.grpc {
        let port = u16::try_from(grpc.port).unwrap_or(0);
        let service = grpc.service.as_deref().unwrap_or_default();
        return grpc::check(&target.pod_ip, port, service, limit).await;
    }
    Outcome::Unknown(format!("missing probe handler for {}", target.container.name))
}

async fn run_exec(runtime: &Runtime, id: &str, command: &[String], limit: Duration) -> Outcome {
    match runtime.exec_sync(id, command, limit).await {
        Ok(done) if done.exit_code == 0 => Outcome::Success,
        Ok(done) => Outcome::Failure(text(&done.output)),
        Err(e) if e.is_timeout() => {
            Outcome::Failure(format!("command timed out: {:?} timed out after {}s", command.join(" "), limit.as_secs()))
        }
        Err(e) => Outcome::Unknown(e.to_string()),
    }
}

async fn run_http(target: &Target, get: &HTTPGetAction, limit: Duration) -> Outcome {
    let Some(request) = http_request(get, &target.container, &target.pod_ip) else {
        return Outcome::Unknown(format!("couldn't resolve port {:?}", get.port));
    };
    match tokio::time::timeout(limit, follow(&request)).await {
        Err(_) => Outcome::Failure(format!(
            "Get {:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            request.url()
        )),
        Ok(Err(why)) => Outcome::Failure(why),
        Ok(Ok(answer)) => match answer.status {
            200..300 => Outcome::Success,
            300..400 => Outcome::Warning(format!("Probe terminated redirects, Response body: {}", answer.body)),
            status => Outcome::Failure(format!("HTTP probe failed with statuscode: {status}")),
        },
    }
}

/// So many redirects are followed, as Go's client does.
const MAX_REDIRECTS: usize = 10;

/// The answer at the end of redirects within the host; that which leads out of it is the last one.
///
/// Upstream: `pkg/probe/http` (`RedirectChecker`).
async fn follow(first: &http::Get) -> Result<http::Answer, String> {
    let mut request = first.clone();
    for _ in 0..MAX_REDIRECTS {
        let failed = |error: http::GetError| format!("Get {:?}: {error}", request.url());
        let answer = http::fetch(&request).await.map_err(failed)?;
        let Some(location) = answer.location.as_deref().filter(|_| matches!(answer.status, 301..=303 | 307 | 308))
        else {
            return Ok(answer);
        };
        let next = request.redirected(location);
        let next =
            next.ok_or_else(|| format!("Get {:?}: failed to parse Location header {location:?}", request.url()))?;
        if next.host != first.host {
            return Ok(answer);
        }
        request = next;
    }
    Err(format!("Get {:?}: stopped after {MAX_REDIRECTS} redirects", request.url()))
}

async fn run_tcp(host: &str, port: u16, limit: Duration) -> Outcome {
    match tokio::time::timeout(limit, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Outcome::Success,
        Ok(Err(e)) => Outcome::Failure(http::dial_error(host, port, &e)),
        Err(_) => Outcome::Failure(format!("dial tcp {host}:{port}: i/o timeout")),
    }
}

/// The request that an HTTP probe or hook asks for; `None` if its port has no number.
pub fn http_request(get: &HTTPGetAction, container: &Container, pod_ip: &str) -> Option<http::Get> {
    let header = |h: &k8s_openapi::api::core::v1::HTTPHeader| (h.name.clone(), h.value.clone());
    let path = get.path.as_deref().unwrap_or_default();
    Some(http::Get {
        tls: get.scheme.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("https")),
        host: get.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| pod_ip.to_owned()),
        port: port(&get.port, container)?,
        path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        headers: get.http_headers.iter().flatten().map(header).collect(),
    })
}

fn port(port: &IntOrString, container: &Container) -> Option<u16> {
    let number = match port {
        IntOrString::Int(n) => *n,
        IntOrString::String(name) => match container.ports.iter().flatten().find(|p| p.name.as_ref() == Some(name)) {
            Some(port) => port.container_port,
            None => name.parse().ok()?,
        },
    };
    u16::try_from(number).ok().filter(|n| *n > 0)
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(&output[..output.len().min(MAX_OUTPUT)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ContainerPort;

    /// Answers each request by its path: `/to/X` redirects to X, any other path is a status.
    async fn serve(listener: tokio::net::TcpListener) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let n = stream.read(&mut buffer).await.unwrap();
            let head = String::from_utf8_lossy(&buffer[..n]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let answer = match path.strip_prefix("/to/") {
                Some(location) => format!("302 Found\r\nLocation: {location}\r\nContent-Length: 4"),
                None => format!("{} X\r\nContent-Length: 4", path.trim_start_matches('/')),
            };
            stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\nbody").as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn redirects_are_followed_within_the_host() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ask = async |path: &str| {
            let get = http::Get { tls: false, host: "127.0.0.1".into(), port, path: path.into(), headers: Vec::new() };
            follow(&get).await.map(|answer| (answer.status, answer.body))
        };
        let asking = async {
            assert_eq!(ask("/200").await, Ok((200, "body".into())));
            assert_eq!(ask("/to//500").await, Ok((500, "body".into())));
            assert_eq!(ask("/to/http://0.0.0.0/").await, Ok((302, "body".into())));
            let circle = ask("/to//to//to//to//to//to//to//to//to//to//to//to//200").await.expect_err("too many");
            assert!(circle.ends_with("stopped after 10 redirects"), "{circle}");
        };
        tokio::select! {
            () = serve(listener) => {}
            () = asking => {}
        }
    }

    #[test]
    fn ports_by_number_and_name() {
        let web = ContainerPort { name: Some("web".into()), container_port: 8080, ..ContainerPort::default() };
        let c = Container { ports: Some(vec![web]), ..Container::default() };
        for (p, want) in [
            (IntOrString::Int(80), Some(80)),
            (IntOrString::Int(0), None),
            (IntOrString::Int(70000), None),
            (IntOrString::String("web".into()), Some(8080)),
            (IntOrString::String("81".into()), Some(81)),
            (IntOrString::String("nope".into()), None),
        ] {
            assert_eq!(port(&p, &c), want, "{p:?}");
        }
    }

    #[test]
    fn requests() {
        let get = HTTPGetAction { path: Some("x".into()), port: IntOrString::Int(1), ..HTTPGetAction::default() };
        let got = http_request(&get, &Container::default(), "10.0.0.1").unwrap();
        assert_eq!(got.url(), "http://10.0.0.1:1/x");
    }

    #[tokio::test]
    async fn tcp_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(run_tcp("127.0.0.1", port, Duration::from_secs(5)).await, Outcome::Success);
        drop(listener);
        let got = run_tcp("127.0.0.1", port, Duration::from_secs(5)).await;
        assert_eq!(got, Outcome::Failure(format!("dial tcp 127.0.0.1:{port}: connect: connection refused")));
    }
}
