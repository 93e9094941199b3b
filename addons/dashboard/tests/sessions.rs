//! Logging in, staying in, and what reaches the apiserver, which says what it is told to.

mod support;

use http::header::{HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use serde_json::json;
use std::time::Duration;
use support::{Dashboard, json as answer, scripted, whole};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

#[tokio::test]
async fn a_session_is_opened_by_a_token_that_the_apiserver_knows() {
    let (kubeconfig, asked) = scripted(|_| answer(200, "{}")).await;
    let dashboard = Dashboard::start(&kubeconfig, &[]).await;
    for (login, status) in [
        (json!({"token": "bad"}), 401),
        (json!({"token": ""}), 400),
        (json!({"token": "a\r\nb"}), 400),
        (json!({"password": "x"}), 400),
        (json!([]), 400),
    ] {
        let refused = dashboard.ask("", Method::POST, "/session", login.to_string()).await;
        assert_eq!((refused.status.as_u16(), refused.headers.get("set-cookie")), (status, None), "{login}");
    }
    let opened = dashboard.ask("", Method::POST, "/session", json!({"token": "good"}).to_string()).await;
    assert_eq!(opened.json()["user"], "jane");
    let set = opened.headers["set-cookie"].to_str().expect("text");
    assert!(set.starts_with("__Host-kube-dashboard=") && set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"));
    assert!(!set.contains("good"), "the credential stays on the server");
    let cookie = opened.cookie();
    assert_eq!(dashboard.get(&cookie, "/session").await.json()["user"], "jane");
    assert_eq!(dashboard.get(&cookie, "/k8s/api/v1/pods").await.status, 200);
    assert_eq!(dashboard.ask(&cookie, Method::DELETE, "/session", "").await.status, 200);
    for path in ["/session", "/k8s/api/v1/pods"] {
        assert_eq!(dashboard.get(&cookie, path).await.status, 401, "{path}");
    }
    let asked = asked.lock();
    assert!(asked.iter().all(|(_, _, headers)| headers["authorization"] != "Bearer the-dashboards-own"));
}

#[tokio::test]
async fn tries_to_log_in_are_limited() {
    let (kubeconfig, asked) = scripted(|_| answer(200, "{}")).await;
    let dashboard = Dashboard::start(&kubeconfig, &[]).await;
    let mut refused = None;
    for _ in 0..20 {
        let tried = dashboard.ask("", Method::POST, "/session", r#"{"token": "bad"}"#).await;
        if tried.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(tried);
            break;
        }
    }
    assert!(refused.expect("a limit").headers.contains_key("retry-after"));
    assert_eq!(asked.lock().len(), 10);
}

#[tokio::test]
async fn few_headers_go_on_and_come_back() {
    let (kubeconfig, asked) = scripted(|_| {
        let mut response = answer(200, "<script>alert(1)</script>");
        let headers = response.headers_mut();
        for (name, value) in [("content-type", "text/html"), ("set-cookie", "a=b"), ("warning", "299 - \"w\"")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    })
    .await;
    let dashboard = Dashboard::start(&kubeconfig, &[]).await;
    let cookie = dashboard.log_in(json!({"token": "good"})).await;
    let change = |headers: &mut HeaderMap| {
        headers.insert("cookie", cookie.parse().expect("a cookie"));
        for (name, value) in [
            ("authorization", "Bearer other"),
            ("impersonate-user", "admin"),
            ("x-remote-user", "admin"),
            ("x-forwarded-for", "1.2.3.4"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    let got = whole(dashboard.send(Method::GET, "/k8s/api/v1/pods?limit=1", "", change).await).await;
    assert_eq!(got.headers["content-type"], "application/octet-stream");
    assert_eq!((got.headers["warning"].to_str().ok(), got.headers.get("set-cookie")), (Some("299 - \"w\""), None));
    for (name, part) in [
        ("content-security-policy", "sandbox"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert!(got.headers[name].to_str().expect("text").contains(part), "{name}");
    }
    let asked = asked.lock();
    let (_, path, headers) = asked.last().expect("a request");
    assert_eq!((path.as_str(), headers["authorization"].to_str().ok()), ("/api/v1/pods?limit=1", Some("Bearer good")));
    for name in ["impersonate-user", "x-remote-user", "x-forwarded-for", "cookie", "x-kube-dashboard"] {
        assert!(!headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn what_is_no_page_s_or_no_resource_s_does_not_reach_the_apiserver() {
    let (kubeconfig, asked) = scripted(|_| answer(200, "{}")).await;
    let dashboard = Dashboard::start(&kubeconfig, &[]).await;
    let cookie = dashboard.log_in(json!({"token": "good"})).await;
    let before = asked.lock().len();
    for path in [
        "/k8s/metrics",
        "/k8s/api/v1/../../metrics",
        "/k8s/api/v1/%2e%2e/%2e%2e/metrics",
        "/k8s/api/v1/namespaces/a/services/b/proxy/",
        "/k8s//evil.example/api/v1",
        "/k8s/api/v1/pods/a%0d%0aimpersonate-user:%20admin",
    ] {
        assert_eq!(dashboard.get(&cookie, path).await.status, 403, "{path}");
    }
    type Change = fn(&mut HeaderMap);
    let foreign: [Change; 4] = [
        |headers| drop(headers.remove("x-kube-dashboard")),
        |headers| drop(headers.insert("origin", HeaderValue::from_static("https://evil.example"))),
        |headers| drop(headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"))),
        |headers| drop(headers.insert("sec-fetch-site", HeaderValue::from_static("same-site"))),
    ];
    for change in foreign {
        for (method, path) in
            [(Method::DELETE, "/k8s/api/v1/namespaces/a"), (Method::POST, "/session"), (Method::POST, "/documents")]
        {
            let with_cookie = |headers: &mut HeaderMap| {
                headers.insert("cookie", cookie.parse().expect("a cookie"));
                change(headers);
            };
            assert_eq!(dashboard.send(method, path, "{}", with_cookie).await.status(), 403, "{path}");
        }
    }
    let huge =
        dashboard.ask(&cookie, Method::POST, "/k8s/api/v1/namespaces/a/configmaps", vec![b'x'; (3 << 20) + 1]).await;
    assert_eq!(huge.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(dashboard.get("", "/k8s/api/v1/pods").await.status, 401);
    assert_eq!(dashboard.get("__Host-kube-dashboard=AAAA", "/k8s/api/v1/pods").await.status, 401);
    assert_eq!(asked.lock().len(), before, "nothing of it was passed on");
}

/// A server that answers one request with a head and then what comes over the channel.
async fn streaming(
    head: &'static str,
) -> (String, tokio::sync::mpsc::Sender<&'static str>, tokio::sync::mpsc::Receiver<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (to_client, mut parts) = tokio::sync::mpsc::channel::<&'static str>(8);
    let (said, heard) = tokio::sync::mpsc::channel(8);
    #[expect(clippy::disallowed_methods, reason = "tests own their tasks")]
    tokio::spawn(async move {
        loop {
            let mut stream = BufReader::new(listener.accept().await.expect("a client").0);
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                stream.read_line(&mut request).await.expect("a line");
            }
            if request.contains("selfsubjectreviews") {
                let body = r#"{"status": {"userInfo": {"username": "jane"}}}"#;
                let head = format!(
                    "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.expect("sent");
                continue;
            }
            said.send(request).await.expect("a test");
            stream.write_all(head.as_bytes()).await.expect("sent");
            let mut buffer = [0; 64];
            loop {
                tokio::select! {
                    part = parts.recv() => match part {
                        Some(part) => stream.write_all(part.as_bytes()).await.expect("sent"),
                        None => return,
                    },
                    read = stream.read(&mut buffer) => match read {
                        Ok(1..) => said.send(String::from_utf8_lossy(&buffer).trim_end_matches('\0').to_owned()).await.expect("a test"),
                        _ => { said.send("(gone)".to_owned()).await.expect("a test"); return; }
                    },
                }
            }
        }
    });
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n\
         users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    (kubeconfig, to_client, heard)
}

#[tokio::test]
async fn watches_come_as_they_happen_and_end_with_the_session() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let (kubeconfig, events, mut heard) = streaming(head).await;
    let dashboard = Dashboard::start(&kubeconfig, &[]).await;
    let cookie = dashboard.log_in(json!({"token": "good"})).await;
    let with_cookie = |headers: &mut HeaderMap| drop(headers.insert("cookie", cookie.parse().expect("a cookie")));
    let watch = dashboard.send(Method::GET, "/k8s/api/v1/pods?watch=1&resourceVersion=7", "", with_cookie).await;
    let mut body = watch.into_body();
    assert!(heard.recv().await.expect("a request").starts_with("GET /api/v1/pods?watch=1&resourceVersion=7 "));
    for event in ["5\r\none \n\r\n", "5\r\ntwo \n\r\n"] {
        events.send(event).await.expect("a server");
        let frame = http_body_util::BodyExt::frame(&mut body).await.expect("a part").expect("no error");
        assert_eq!(frame.into_data().expect("data"), &event[3..8]);
    }
    assert_eq!(dashboard.ask(&cookie, Method::DELETE, "/session", "").await.status, 200);
    assert!(http_body_util::BodyExt::frame(&mut body).await.is_none(), "the stream has ended");
    assert_eq!(heard.recv().await.as_deref(), Some("(gone)"), "and the apiserver's, too");
}

#[tokio::test]
async fn terminals_are_joined_and_end_with_the_session() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-accept: x\r\nsec-websocket-protocol: v5.channel.k8s.io\r\nset-cookie: a=b\r\n\r\n";
    let (kubeconfig, output, mut heard) = streaming(head).await;
    let dashboard = Dashboard::start(&kubeconfig, &[]).await;
    let cookie = dashboard.log_in(json!({"token": "good"})).await;
    let path = "/k8s/api/v1/namespaces/a/pods/b/exec?command=sh";
    let upgrade = |origin: String| {
        let cookie = cookie.clone();
        move |headers: &mut HeaderMap| {
            headers.remove("x-kube-dashboard");
            for (name, value) in [
                ("cookie", cookie.as_str()),
                ("origin", &origin),
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-key", "k"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.b3RoZXI, v5.channel.k8s.io"),
                ("impersonate-user", "admin"),
            ] {
                headers.insert(http::HeaderName::from_static(name), value.parse().expect("a value"));
            }
        }
    };
    let foreign = dashboard.send(Method::GET, path, "", upgrade("https://evil.example".into())).await;
    assert_eq!(foreign.status(), 403);
    let own = upgrade(format!("https://{}", dashboard.host()));
    let opened = dashboard.send(Method::GET, path, "", own).await;
    assert_eq!((opened.status().as_u16(), opened.headers().get("set-cookie")), (101, None));
    let request = heard.recv().await.expect("a request").to_ascii_lowercase();
    assert!(request.starts_with("get /api/v1/namespaces/a/pods/b/exec?command=sh http/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: bearer good\r\n") && !request.contains("impersonate"), "{request}");
    assert!(request.contains("sec-websocket-protocol: v5.channel.k8s.io\r\n"), "{request}");
    let mut terminal = hyper_util::rt::TokioIo::new(hyper::upgrade::on(opened).await.expect("an upgrade"));
    terminal.write_all(b"typed").await.expect("sent");
    assert_eq!(heard.recv().await.as_deref(), Some("typed"));
    output.send("shown").await.expect("a server");
    let mut shown = [0; 5];
    terminal.read_exact(&mut shown).await.expect("output");
    assert_eq!(&shown, b"shown");
    dashboard.ask(&cookie, Method::DELETE, "/session", "").await;
    // What is cut off says no goodbye in TLS.
    assert!(matches!(terminal.read(&mut shown).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn sessions_that_nobody_uses_end() {
    let (kubeconfig, _) = scripted(|_| answer(200, "{}")).await;
    let dashboard = Dashboard::start(&kubeconfig, &["--token-ttl=1"]).await;
    let cookie = dashboard.log_in(json!({"token": "good"})).await;
    let look = async {
        // What the page does by itself does not keep the session.
        let background = |headers: &mut HeaderMap| {
            headers.insert("cookie", cookie.parse().expect("a cookie"));
            headers.insert("x-kube-dashboard-background", HeaderValue::from_static("1"));
        };
        while dashboard.send(Method::GET, "/k8s/api/v1/pods", "", background).await.status() != 401 {}
    };
    tokio::time::timeout(Duration::from_secs(20), look).await.expect("it ends");
}

#[tokio::test]
async fn it_stops_when_it_is_told_to() {
    let (kubeconfig, _) = scripted(|_| answer(200, "{}")).await;
    let mut dashboard = Dashboard::start(&kubeconfig, &[]).await;
    let pid = dashboard.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    assert!(dashboard.child.wait().await.expect("an end").success());
}
