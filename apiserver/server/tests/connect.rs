//! Logs and exec through a kubelet that is a small TLS server here.
#![expect(clippy::disallowed_methods, reason = "tests own their tasks")]

mod support;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::convert::Infallible;
use support::{TestServer, serve_tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Answers logs with the request's own path, echoes four bytes of an exec, refuses WebSocket v5.
async fn kubelet(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert!(!request.headers().contains_key("authorization"), "the client's token is none of the kubelet's business");
    let path = request.uri().to_string();
    let answer = Response::builder();
    let answer = match path.as_str() {
        p if p.starts_with("/containerLogs/default/p/bad") => answer.status(400).body(Full::from("no such container")),
        p if p.starts_with("/containerLogs/") => answer.body(Full::from(path)),
        p if p.starts_with("/exec/") && request.headers()["upgrade"] == "websocket" => {
            answer.status(StatusCode::FORBIDDEN).body(Full::from("unsupported protocol"))
        }
        p if p.starts_with("/exec/") => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrade.await.expect("an upgrade"));
                let mut buffer = [0; 4];
                io.read_exact(&mut buffer).await.expect("four bytes");
                io.write_all(&buffer).await.expect("an echo");
                io.shutdown().await.expect("the end");
            });
            answer.status(101).header("connection", "Upgrade").header("upgrade", "SPDY/3.1").body(Full::default())
        }
        "/page" => answer.header("content-type", "text/html").body(Full::from("<a href=\"/rewriteme\">test</a>")),
        "/moved" => answer.status(302).header("location", "/page").body(Full::default()),
        "/echo?a=b" => {
            let text = format!("{} {}", request.method(), request.headers().contains_key("connection"));
            answer.header("access-control-allow-origin", "*").body(Full::from(text))
        }
        _ => answer.status(404).body(Full::default()),
    };
    Ok(answer.expect("an answer"))
}

/// A server with a pod `p` of two containers on a node whose kubelet is the one above.
async fn cluster() -> TestServer {
    let server = TestServer::start().await;
    let (port, _) = serve_tls("127.0.0.1", kubelet).await;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}});
    server.create("/api/v1/nodes", node).await;
    let container = |name: &str| json!({"name": name, "image": "i"});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
        "nodeName": "n", "containers": [container("a"), container("bad")]}});
    server.create("/api/v1/namespaces/default/pods", pod).await;
    server
}

const POD: &str = "/api/v1/namespaces/default/pods/p";

#[tokio::test]
async fn logs() {
    let server = cluster().await;
    let log = server.get(&format!("{POD}/log?container=a&tailLines=5&follow=true")).await;
    assert_eq!((log.status, log.text()), (StatusCode::OK, "/containerLogs/default/p/a?follow=true&tailLines=5"));
    assert_eq!(log.headers["content-type"], "text/plain");
    let refused = server.get(&format!("{POD}/log?container=bad")).await;
    assert_eq!((refused.status.as_u16(), refused.message().as_str()), (400, "no such container"));
    let which = server.get(&format!("{POD}/log")).await;
    assert_eq!(which.message(), "a container name must be specified for pod p, choose one of: [a bad]");
    let negative = server.get(&format!("{POD}/log?container=a&tailLines=-1")).await;
    assert_eq!(negative.status, StatusCode::UNPROCESSABLE_ENTITY);
    for accept in ["text/plain", "text/html"] {
        let other = server.ask(Method::GET, &format!("{POD}/log?container=a"), &[("accept", accept)], "").await;
        assert_eq!(other.status, StatusCode::NOT_ACCEPTABLE, "{accept}");
    }
    let waiting = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "w"}, "spec": {
        "containers": [{"name": "a", "image": "i"}]}});
    server.create("/api/v1/namespaces/default/pods", waiting).await;
    let nothing = server.get("/api/v1/namespaces/default/pods/w/log").await;
    assert_eq!((nothing.status, nothing.headers.contains_key("content-type")), (StatusCode::NO_CONTENT, false));
}

#[tokio::test]
async fn connections_are_made_and_not_looked_at() {
    let server = cluster().await;
    for part in ["log", "exec", "attach", "portforward"] {
        let answer = server.ask(Method::HEAD, &format!("{POD}/{part}"), &[], "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{part}");
    }
    for part in ["exec", "attach", "portforward", "proxy"] {
        let answer = server.ask(Method::POST, &format!("{POD}/{part}?dryRun=All"), &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.message().as_str()), (400, "dryRun is not supported"), "{part}");
    }
}

#[tokio::test]
async fn exec_is_a_tunnel() {
    let server = cluster().await;
    let path = format!("{POD}/exec?container=a&command=ls&stdout=true");
    let spdy = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
    let mut response = server.send(Method::POST, &path, &spdy, "").await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut io = TokioIo::new(hyper::upgrade::on(&mut response).await.expect("an upgrade"));
    io.write_all(b"ping").await.expect("a write");
    let mut echo = Vec::new();
    io.read_to_end(&mut echo).await.expect("the echo");
    assert_eq!(echo, b"ping");
}

#[tokio::test]
async fn refused_upgrades_are_relayed() {
    let server = cluster().await;
    let websocket =
        [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-protocol", "v5.channel.k8s.io")];
    let response = server.send(Method::GET, &format!("{POD}/exec?container=a&command=ls"), &websocket, "").await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "unsupported protocol");
    let plain = server.ask(Method::POST, &format!("{POD}/exec?container=a&command=ls"), &[], "").await;
    assert_eq!((plain.status.as_u16(), plain.message().as_str()), (400, "Upgrade request required"));
}

#[tokio::test]
async fn proxies_redirect_to_their_slash() {
    let server = cluster().await;
    let answer = server.get("/api/v1/nodes/n/proxy?x=1").await;
    assert_eq!(answer.status, StatusCode::MOVED_PERMANENTLY);
    assert_eq!(answer.headers["location"], "/api/v1/nodes/n/proxy/?x=1");
    let logs = server.get("/api/v1/nodes/n/proxy/containerLogs/a%2Fb?x=1").await;
    assert_eq!(logs.text(), "/containerLogs/a%2Fb?x=1");
}

#[tokio::test]
async fn proxied_pages_lead_back_through_the_proxy() {
    let server = cluster().await;
    let page = server.get("/api/v1/nodes/n/proxy/page").await;
    assert_eq!(page.text(), "<a href=\"/api/v1/nodes/n/proxy/rewriteme\">test</a>");
    let moved = server.get("/api/v1/nodes/n/proxy/moved").await;
    assert_eq!(moved.headers["location"], "/api/v1/nodes/n/proxy/page");
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        let headers = [("connection", "x-hop"), ("x-hop", "1")];
        let answer = server.ask(method.clone(), "/api/v1/nodes/n/proxy/echo?a=b", &headers, "").await;
        assert_eq!(answer.text(), format!("{method} false"));
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    let other_port = server.get("/api/v1/nodes/n:1/proxy/page").await;
    assert_eq!(other_port.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn pods_of_this_machine_are_not_proxied_to() {
    let server = cluster().await;
    let refused = server.get(&format!("{POD}/proxy/")).await;
    assert_eq!((refused.status.as_u16(), refused.message().as_str()), (400, "address not allowed"));
}
