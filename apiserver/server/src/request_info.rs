//! What a request is about, read off its method, path and query.
//!
//! Upstream: `apiserver/pkg/endpoints/request/requestinfo.go`.

use crate::query::Query;
use http::Method;
use std::borrow::Cow;

/// A request as authorization and routing see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo<'a> {
    /// The decoded path.
    pub path: &'a str,
    /// `get`, `list`, …; for paths that are no resources the method in lower case.
    pub verb: &'static str,
    /// Whether the fields below are set.
    pub is_resource: bool,
    /// API group; empty for core.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Namespace; empty for cluster-scoped requests.
    pub namespace: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Subresource or empty.
    pub subresource: &'a str,
    /// Object name, also from the field selector of a list or watch.
    pub name: Cow<'a, str>,
    /// Path segments from the resource on.
    pub parts: Vec<&'a str>,
    /// Whether the path leads through a namespace, be its name empty.
    pub is_in_namespace: bool,
    /// Whether the path itself says the verb: `/api/v1/watch/pods`.
    pub says_verb: bool,
}

/// Path segments after a namespace that belong to the namespace itself.
const NAMESPACE_SUBRESOURCES: &[&str] = &["status", "finalize"];

/// A path that starts like one of a resource and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unable to determine kind and namespace from url, {path}")]
pub struct BadPath<'a> {
    /// The path.
    pub path: &'a str,
}

impl<'a> RequestInfo<'a> {
    /// Parses a request.
    pub fn parse(method: &Method, path: &'a str, query: &Query<'_>) -> Result<Self, BadPath<'a>> {
        let mut info = Self { path, verb: method_name(method), ..Self::default() };
        let trimmed = path.trim_matches('/');
        let mut segments = trimmed.split('/');
        let prefix = segments.next().unwrap_or_default();
        let depth = if trimmed.is_empty() { 0 } else { 1 + segments.clone().count() };
        match prefix {
            "api" if depth >= 3 => {}
            "apis" if depth >= 4 => info.group = segments.next().unwrap_or_default(),
            _ => return Ok(info),
        }
        info.is_resource = true;
        info.version = segments.next().unwrap_or_default();
        info.verb = resource_verb(method);
        let mut parts: Vec<&str> = segments.collect();
        if let Some(special) = special_verb(parts[0]) {
            if parts.len() < 2 {
                return Err(BadPath { path });
            }
            info.verb = special;
            info.says_verb = true;
            parts.remove(0);
        }
        info.take_parts(parts);
        info.refine_verb(query);
        Ok(info)
    }

    fn take_parts(&mut self, mut parts: Vec<&'a str>) {
        if parts[0] == "namespaces" && parts.len() > 1 {
            self.namespace = parts[1];
            if parts.len() > 2 && !NAMESPACE_SUBRESOURCES.contains(&parts[2]) {
                parts.drain(..2);
                self.is_in_namespace = true;
            }
        }
        self.resource = parts[0];
        self.name = Cow::Borrowed(parts.get(1).copied().unwrap_or_default());
        if self.verb != "proxy" {
            self.subresource = parts.get(2).copied().unwrap_or_default();
        }
        self.parts = parts;
    }

    /// Requests without a name are about collections.
    fn refine_verb(&mut self, query: &Query<'_>) {
        if !self.name.is_empty() {
            return;
        }
        match self.verb {
            "get" => self.verb = if query.flag("watch") { "watch" } else { "list" },
            "delete" => self.verb = "deletecollection",
            _ => {}
        }
        if matches!(self.verb, "list" | "watch" | "deletecollection")
            && let Some(name) = query.get("fieldSelector").and_then(exact_name)
        {
            self.name = Cow::Owned(name);
        }
    }

    /// The path after the subresource, with its leading slash; empty if there is none.
    pub fn subpath(&self) -> String {
        let mut path: String = self.parts.iter().skip(3).flat_map(|p| ["/", p]).collect();
        if self.path.ends_with('/') && self.parts.len() >= 3 {
            path.push('/');
        }
        path
    }

    /// Whether the URL itself names an object.
    pub fn names_object(&self) -> bool {
        self.parts.len() > 1
    }
}

fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "HEAD" => "head",
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        "OPTIONS" => "options",
        _ => "",
    }
}

fn resource_verb(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" | "HEAD" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

fn special_verb(segment: &str) -> Option<&'static str> {
    match segment {
        "watch" => Some("watch"),
        "proxy" => Some("proxy"),
        _ => None,
    }
}

/// The name that a field selector pins, if it is one that a path could hold.
fn exact_name(selector: &str) -> Option<String> {
    let term = |t: &str| {
        let value = t.strip_prefix("metadata.name=")?;
        Some(value.strip_prefix('=').unwrap_or(value).to_owned())
    };
    let name = selector.split(',').find_map(|t| term(t.trim()))?;
    let valid = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%']);
    valid.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verb, group, version, namespace, resource, subresource, name.
    type Row = (&'static str, &'static str, [&'static str; 7]);

    const ROWS: &[Row] = &[
        ("GET", "/api/v1/pods", ["list", "", "v1", "", "pods", "", ""]),
        ("GET", "/api/v1/pods?watch=1", ["watch", "", "v1", "", "pods", "", ""]),
        ("GET", "/api/v1/pods?watch=false", ["list", "", "v1", "", "pods", "", ""]),
        ("GET", "/api/v1/namespaces/a/pods/b", ["get", "", "v1", "a", "pods", "", "b"]),
        ("HEAD", "/api/v1/namespaces/a/pods/b", ["get", "", "v1", "a", "pods", "", "b"]),
        ("GET", "/api/v1/namespaces/a/pods/b/log", ["get", "", "v1", "a", "pods", "log", "b"]),
        ("POST", "/api/v1/namespaces/a/pods", ["create", "", "v1", "a", "pods", "", ""]),
        ("DELETE", "/api/v1/namespaces/a/pods", ["deletecollection", "", "v1", "a", "pods", "", ""]),
        ("GET", "/api/v1/namespaces", ["list", "", "v1", "", "namespaces", "", ""]),
        ("GET", "/api/v1/namespaces/a", ["get", "", "v1", "a", "namespaces", "", "a"]),
        ("PUT", "/api/v1/namespaces/a/finalize", ["update", "", "v1", "a", "namespaces", "finalize", "a"]),
        ("PATCH", "/api/v1/namespaces/a/status", ["patch", "", "v1", "a", "namespaces", "status", "a"]),
        ("GET", "/api/v1/watch/pods", ["watch", "", "v1", "", "pods", "", ""]),
        ("GET", "/api/v1/watch/namespaces/a/pods/b", ["watch", "", "v1", "a", "pods", "", "b"]),
        (
            "GET",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            ["get", "apps", "v1", "a", "deployments", "scale", "d"],
        ),
        ("GET", "/api/v1/nodes/n/proxy/a/b", ["get", "", "v1", "", "nodes", "proxy", "n"]),
        ("GET", "/api/v1/proxy/nodes/n/x", ["proxy", "", "v1", "", "nodes", "", "n"]),
        ("GET", "/api/v1/pods?fieldSelector=metadata.name%3Dx", ["list", "", "v1", "", "pods", "", "x"]),
        (
            "GET",
            "/api/v1/secrets?watch=true&fieldSelector=metadata.name%3Dx",
            ["watch", "", "v1", "", "secrets", "", "x"],
        ),
        ("OPTIONS", "/api/v1/pods", ["", "", "v1", "", "pods", "", ""]),
    ];

    #[test]
    fn reads_resource_paths() {
        for (method, uri, want) in ROWS {
            let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
            let method: Method = method.parse().expect("a method");
            let info = RequestInfo::parse(&method, path, &Query::parse(query)).expect("a path");
            assert!(info.is_resource, "{uri}");
            let got =
                [info.verb, info.group, info.version, info.namespace, info.resource, info.subresource, &*info.name];
            assert_eq!(got, *want, "{uri}");
        }
    }

    #[test]
    fn other_paths_keep_their_method() {
        for path in
            ["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/openapi/v3/apis/apps/v1"]
        {
            let info = RequestInfo::parse(&Method::GET, path, &Query::parse("")).expect("a path");
            assert!(!info.is_resource, "{path}");
            assert_eq!(info.verb, "get");
        }
        assert!(RequestInfo::parse(&Method::GET, "/api/v1/watch", &Query::parse("")).is_err());
    }

    #[test]
    fn subpaths_keep_their_slashes() {
        for (path, want) in [
            ("/api/v1/nodes/n/proxy", ""),
            ("/api/v1/nodes/n/proxy/", "/"),
            ("/api/v1/nodes/n/proxy/a/b", "/a/b"),
            ("/api/v1/nodes/n/proxy/a/", "/a/"),
        ] {
            let info = RequestInfo::parse(&Method::GET, path, &Query::parse("")).expect("a path");
            assert_eq!(info.subpath(), want, "{path}");
        }
    }
}
