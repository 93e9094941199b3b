//! Probes as one line.

use super::sections::shown;
use apimachinery::Value;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rules::tree::Tree;

/// What a path of a URL does not escape.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

pub(super) fn text(probe: &Value) -> String {
    let seconds = |key: &str| probe.int(key);
    let times = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        seconds("initialDelaySeconds"),
        seconds("timeoutSeconds"),
        seconds("periodSeconds"),
        seconds("successThreshold"),
        seconds("failureThreshold")
    );
    format!("{} {times}", what(probe))
}

fn what(probe: &Value) -> String {
    if let Some(exec) = probe.at("exec") {
        let command: Vec<&str> = exec.texts("command").collect();
        return format!("exec [{}]", command.join(" "));
    }
    if let Some(get) = probe.at("httpGet") {
        return format!("http-get {}", url(get));
    }
    if let Some(socket) = probe.at("tcpSocket") {
        return format!("tcp-socket {}:{}", socket.text("host"), port(socket));
    }
    match probe.at("grpc") {
        Some(grpc) => format!("grpc <pod>:{} {}", grpc.int("port"), grpc.text("service")),
        None => "unknown".into(),
    }
}

fn url(get: &Value) -> String {
    let host = match get.text("host") {
        host if host.contains([':', '%']) => format!("[{host}]"),
        host => host.to_owned(),
    };
    let path = utf8_percent_encode(get.text("path"), PATH).to_string();
    let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
    format!("{}://{host}:{}{slash}{path}", get.text("scheme").to_lowercase(), port(get))
}

/// A number or a name.
fn port(handler: &Value) -> String {
    handler.at("port").map(shown).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn handlers() {
        for (handler, want) in [
            (json!({"exec": {"command": ["cat", "/x"]}}), "exec [cat /x]"),
            (
                json!({"httpGet": {"path": "/a b?c", "port": 80, "scheme": "HTTP", "host": "::1"}}),
                "http-get http://[::1]:80/a%20b%3Fc",
            ),
            (json!({"httpGet": {"port": "web", "scheme": "HTTPS"}}), "http-get https://:web"),
            (json!({"tcpSocket": {"port": 5}}), "tcp-socket :5"),
            (json!({"grpc": {"port": 5, "service": "s"}}), "grpc <pod>:5 s"),
            (json!({}), "unknown"),
        ] {
            let text = text(&handler);
            assert_eq!(text, format!("{want} delay=0s timeout=0s period=0s #success=0 #failure=0"));
        }
    }
}
