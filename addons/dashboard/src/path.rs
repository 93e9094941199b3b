//! Which requests reach the apiserver: discovery and resources, by their plain names.
//!
//! What `proxy` subresources answer is anybody's content, which must not come from the dashboard's own origin.

use http::Method;
use percent_encoding::percent_decode_str;

/// Most bytes of a path with its query.
const LONGEST: usize = 8 << 10;
/// Subresources that are streams.
const STREAMS: [&str; 2] = ["exec", "attach"];

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// What the server knows, its version, a resource or a subresource.
    Plain,
    /// A pod's `exec` or `attach`, which is upgraded.
    Terminal,
}

/// Why a path is not passed on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is too long.
    #[error("the path is longer than {LONGEST} bytes")]
    Long,
    /// Neither discovery nor a resource.
    #[error("only /api, /apis and /version are passed on")]
    Outside,
    /// Characters or segments that servers disagree about.
    #[error("the path has a segment that is empty, relative or ambiguous")]
    Segment,
    /// Answers of pods, services or nodes.
    #[error("the dashboard does not pass proxy requests on: use kubectl proxy")]
    Proxy,
    /// A stream that is asked for without an upgrade, or something else with one.
    #[error("this path and this way of asking do not go together")]
    Upgrade,
    /// Not a verb of resources.
    #[error("the method is not passed on")]
    Method,
}

/// Judges a path, still encoded, behind the prefix of the dashboard.
pub fn check(method: &Method, path: &str, query: Option<&str>, upgrade: bool) -> Result<Target, PathError> {
    if path.len() + query.map_or(0, str::len) > LONGEST {
        return Err(PathError::Long);
    }
    if ![Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method) {
        return Err(PathError::Method);
    }
    let segments = path.strip_prefix('/').ok_or(PathError::Segment)?.split('/').map(decoded);
    let segments = segments.collect::<Option<Vec<String>>>().ok_or(PathError::Segment)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let resource = match &segments[..] {
        ["version" | "api" | "apis"] | ["api", _] | ["apis", _] | ["apis", _, _] => &[],
        ["api", _, resource @ ..] | ["apis", _, _, resource @ ..] => resource,
        _ => return Err(PathError::Outside),
    };
    let target = subresource(resource)?;
    match (target, upgrade) {
        (Target::Terminal, true) if method == Method::GET => Ok(target),
        (Target::Plain, false) => Ok(target),
        _ => Err(PathError::Upgrade),
    }
}

fn subresource(resource: &[&str]) -> Result<Target, PathError> {
    let local = match resource {
        ["watch", ..] => return Err(PathError::Outside),
        ["namespaces", _, "status" | "finalize"] => return Ok(Target::Plain),
        ["namespaces", _, rest @ ..] => rest,
        all => all,
    };
    match local {
        [_, _, "proxy", ..] => Err(PathError::Proxy),
        ["pods", _, stream] if STREAMS.contains(stream) => Ok(Target::Terminal),
        ["pods", _, "portforward"] => Err(PathError::Upgrade),
        [] | [_] | [_, _] | [_, _, _] => Ok(Target::Plain),
        _ => Err(PathError::Outside),
    }
}

/// A segment as the apiserver will read it. Names with a slash or a percent sign exist nowhere.
fn decoded(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    let is_plain = !text.is_empty() && text != "." && text != "..";
    let unclear = |c: char| c.is_control() || matches!(c, '/' | '\\' | '%' | ';' | '?' | '#');
    (is_plain && !text.contains(unclear)).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Result<Target, PathError> {
        check(&Method::GET, path, None, false)
    }

    #[test]
    fn discovery_and_resources_pass() {
        for path in [
            "/version",
            "/api",
            "/apis",
            "/apis/apps/v1",
            "/api/v1/pods",
            "/api/v1/namespaces/a/status",
            "/api/v1/namespaces/a/pods/b/log",
            "/apis/apps/v1/namespaces/a/deployments/b/scale",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/jane%20doe@x",
        ] {
            assert_eq!(get(path), Ok(Target::Plain), "{path}");
        }
    }

    #[test]
    fn all_else_is_refused() {
        use PathError::{Long, Outside, Proxy, Segment, Upgrade};
        for (path, want) in [
            ("/metrics", Outside),
            ("/", Segment),
            ("/logs/kube-apiserver.log", Outside),
            ("/openid/v1/jwks", Outside),
            ("/debug/pprof/heap", Outside),
            ("/api/v1/watch/pods", Outside),
            ("/api/v1/../../metrics", Segment),
            ("/api/v1/%2e%2e/%2e%2e/metrics", Segment),
            ("/api/v1/..%2f..%2fmetrics", Segment),
            ("/api/v1/%252e%252e/metrics", Segment),
            ("/api//v1/pods", Segment),
            ("/api/v1/pods/", Segment),
            ("/api/v1/pods/a%0d%0ax:%20y", Segment),
            ("/api/v1/pods/a%00", Segment),
            ("/api/v1/pods/%ff", Segment),
            ("/api/v1/pods/a\\..\\b", Segment),
            ("/api/v1/namespaces/a/pods/b/proxy", Proxy),
            ("/api/v1/namespaces/a/services/b/proxy/x/y", Proxy),
            ("/api/v1/namespaces/a/services/b/%70roxy/x", Proxy),
            ("/api/v1/nodes/a/proxy/logs", Proxy),
            ("/api/v1/namespaces/a/pods/b/c/d", Outside),
            ("/api/v1/namespaces/a/pods/b/exec", Upgrade),
            ("/api/v1/namespaces/a/pods/b/portforward", Upgrade),
            ("api/v1", Segment),
            (&format!("/api/v1/{}", "a".repeat(LONGEST)), Long),
        ] {
            assert_eq!(get(path), Err(want), "{path}");
        }
    }

    #[test]
    fn only_terminals_are_upgraded() {
        let upgraded = |method: &Method, path: &str| check(method, path, Some("command=sh"), true);
        assert_eq!(upgraded(&Method::GET, "/api/v1/namespaces/a/pods/b/exec"), Ok(Target::Terminal));
        assert_eq!(upgraded(&Method::POST, "/api/v1/namespaces/a/pods/b/exec"), Err(PathError::Upgrade));
        assert_eq!(upgraded(&Method::GET, "/api/v1/namespaces/a/pods/b/log"), Err(PathError::Upgrade));
        assert_eq!(upgraded(&Method::CONNECT, "/api/v1/namespaces/a/pods/b/exec"), Err(PathError::Method));
    }
}
