//! exec, attach and port-forward: the runtime serves the streams, this only passes bytes.

use super::{Api, ApiError, route};
use crate::pod::PodExt;
use crate::runtime::ContainerState;
use crate::runtime::streams::Streams;
use component::serve::{Request, Response};
use http::Uri;
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::net::TcpStream;

pub(super) async fn exec(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let target = route::Target::parse(request.path(), "/exec/").ok_or(ApiError::NoRoute)?;
    let query = request.http.uri().query().unwrap_or_default();
    let command = values(query, "command");
    if command.is_empty() {
        return Err(ApiError::BadQuery("you must specify at least one command for the container".to_owned()));
    }
    let id = running(&api, &target).await?;
    let url = api.runtime.exec_url(&id, &command, streams(query)?).await?;
    forward(&api, request, &url).await
}

pub(super) async fn attach(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let target = route::Target::parse(request.path(), "/attach/").ok_or(ApiError::NoRoute)?;
    let streams = streams(request.http.uri().query().unwrap_or_default())?;
    let id = running(&api, &target).await?;
    let url = api.runtime.attach_url(&id, streams).await?;
    forward(&api, request, &url).await
}

pub(super) async fn port_forward(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let target = route::Target::parse_pod(request.path(), "/portForward/").ok_or(ApiError::NoRoute)?;
    let pod = api.pod(&target)?;
    let record = api.runtime.pod(pod.uid()).await?;
    let sandbox = record.ready_sandbox().ok_or_else(|| ApiError::NoPod(pod.formatted()))?;
    let query = request.http.uri().query().unwrap_or_default();
    let ports = values(query, "port").iter().flat_map(|v| v.split(',')).filter_map(|p| p.parse().ok()).collect();
    let url = api.runtime.port_forward_url(&sandbox.id, ports).await?;
    forward(&api, request, &url).await
}

async fn running(api: &Api, target: &route::Target) -> Result<String, ApiError> {
    let (_, container) = api.container(target).await?;
    if container.state == ContainerState::Running {
        return Ok(container.id);
    }
    let (container, pod) = (container.name, target.pod.clone());
    Err(ApiError::NotStarted { container, pod, state: "not running".to_owned() })
}

/// Both the apiserver's names of the streams and upstream's older ones.
fn streams(query: &str) -> Result<Streams, ApiError> {
    let is = |names: [&str; 2]| names.iter().any(|n| values(query, n).iter().any(|v| v == "1" || v == "true"));
    let tty = is(["tty", "tty"]);
    let streams = Streams {
        stdin: is(["input", "stdin"]),
        stdout: is(["output", "stdout"]),
        stderr: is(["error", "stderr"]) && !tty,
        tty,
    };
    if !streams.stdin && !streams.stdout && !streams.stderr {
        return Err(ApiError::BadQuery("you must specify at least 1 of stdin, stdout, stderr".to_owned()));
    }
    Ok(streams)
}

fn values(query: &str, name: &str) -> Vec<String> {
    form_urlencoded::parse(query.as_bytes()).filter(|(k, _)| k == name).map(|(_, v)| v.into_owned()).collect()
}

async fn forward(api: &Api, request: Request, url: &str) -> Result<Response, ApiError> {
    let bad = |why: String| ApiError::Stream(why);
    let uri: Uri = url.parse().map_err(|_| bad("its URL is malformed".to_owned()))?;
    let authority = uri.authority().ok_or_else(|| bad("its URL has no host".to_owned()))?.clone();
    let stream = TcpStream::connect(authority.as_str()).await.map_err(|e| bad(e.to_string()))?;
    let _ = stream.set_nodelay(true);
    let mut http = request.http;
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    *http.uri_mut() = path.parse().map_err(|_| bad("its URL is malformed".to_owned()))?;
    let host = authority.as_str().parse().map_err(|_| bad("its URL is malformed".to_owned()))?;
    http.headers_mut().insert(http::header::HOST, host);
    http.headers_mut().remove(http::header::AUTHORIZATION);
    let forwarded = streaming::tunnel::forward(http, stream).await.map_err(|e| bad(e.to_string()))?;
    api.supervisor.spawn_until_stop("stream", forwarded.driver);
    Ok(forwarded.response.map(|body| body.map_err(Into::into).boxed_unsync()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_streams() {
        let s = streams("input=1&output=1&tty=1&error=1").unwrap();
        assert_eq!(s, Streams { stdin: true, stdout: true, stderr: false, tty: true });
        assert!(streams("stdout=true").unwrap().stdout);
        assert!(streams("command=ls").is_err());
    }
}
