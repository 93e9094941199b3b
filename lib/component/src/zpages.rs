//! `/statusz` and `/flagz`: what a process is and how it was started, as text for people or, for
//! those who ask by name, as an object of `config.k8s.io`.
//!
//! Upstream: `apiserver/pkg/server/{statusz,flagz}`, `component-base/zpages`.

mod negotiate;

use negotiate::{Form, Negotiated, Version};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

const WARNING: &str = "Warning: This endpoint is not meant to be machine parseable, has no formatting \
                       compatibility guarantees and is for debugging purposes only.\n";

/// Paths that are no help in debugging.
const ORDINARY: &[&str] = &["/apis", "/api", "/openid", "/openapi", "/.well-known"];

/// An answer, for whatever server sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub code: u16,
    /// The content type.
    pub content_type: &'static str,
    /// The value of a `Warning` header.
    pub warning: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// `config.k8s.io` objects.
#[derive(Serialize)]
struct Object<'a, B> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    metadata: Name<'a>,
    #[serde(flatten)]
    body: B,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    start_time: String,
    uptime_seconds: u64,
    go_version: &'static str,
    binary_version: &'static str,
    emulation_version: String,
    paths: Vec<String>,
}

#[derive(Serialize)]
struct Flags<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    flags: &'a BTreeMap<String, String>,
}

/// The status of this process, which serves `paths`; `accept` is the request's header.
pub fn statusz(component: &str, paths: impl IntoIterator<Item = String>, accept: Option<&str>) -> Page {
    let status = Status::now(paths);
    answer("statusz", component, accept, &status, || status.text())
}

/// The flags of this process.
pub fn flagz(component: &str, flags: &BTreeMap<String, String>, accept: Option<&str>) -> Page {
    let text = || flags.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    answer("flagz", component, accept, Flags { flags }, text)
}

fn answer<B: Serialize>(
    page: &'static str,
    component: &str,
    accept: Option<&str>,
    body: B,
    text: impl FnOnce() -> String,
) -> Page {
    let kind = if page == "statusz" { "Statusz" } else { "Flagz" };
    let (form, version) = match negotiate::negotiate(accept, kind) {
        Some(Negotiated::Text) => {
            let text = format!("\n{component} {page}\n{WARNING}{}", text());
            return Page { code: 200, content_type: "text/plain; charset=utf-8", warning: None, body: text.into() };
        }
        Some(Negotiated::Object(form, version)) => (form, version),
        None => return not_acceptable(),
    };
    let object = Object { kind, api_version: version.name(), metadata: Name { name: component }, body };
    let old = format!("299 - \"This version of the {page} endpoint is deprecated. Please use a newer version.\"");
    Page {
        code: 200,
        content_type: form.content_type(),
        warning: (version == Version::V1alpha1).then_some(old),
        body: form.encode(&object),
    }
}

fn not_acceptable() -> Page {
    let accepted = [Form::Json.content_type(), Form::Yaml.content_type(), "text/plain"].join(", ");
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("only the following media types are accepted: {accepted}"),
        "reason": "NotAcceptable", "code": 406,
    });
    Page { code: 406, content_type: "application/json", warning: None, body: Form::Json.encode(&status) }
}

impl Status {
    fn now(paths: impl IntoIterator<Item = String>) -> Self {
        let started = crate::metrics::process_start();
        let uptime = SystemTime::now().duration_since(started).unwrap_or_default();
        Self {
            start_time: timestamp(started).to_string(),
            uptime_seconds: uptime.as_secs(),
            go_version: "none",
            binary_version: env!("CARGO_PKG_VERSION"),
            emulation_version: format!("{}.{}", crate::version::MAJOR, crate::version::MINOR),
            paths: folders(paths),
        }
    }

    fn text(&self) -> String {
        let (up, started) = (self.uptime_seconds, crate::metrics::process_start());
        format!(
            "\nStarted: {}\nUp: {} hr {:02} min {:02} sec\nGo version: {}\nBinary version: {}\n\
             Emulation version: {}\n{}\n",
            timestamp(started).strftime("%a %b %e %H:%M:%S UTC %Y"),
            up / 3600,
            up / 60 % 60,
            up % 60,
            self.go_version,
            self.binary_version,
            self.emulation_version,
            if self.paths.is_empty() { String::new() } else { format!("Paths: {}", self.paths.join(" ")) },
        )
    }
}

/// Whole seconds, as the API has them.
fn timestamp(time: SystemTime) -> jiff::Timestamp {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or_default()).unwrap_or_default()
}

/// The first parts of paths, without those that every API server has.
fn folders(paths: impl IntoIterator<Item = String>) -> Vec<String> {
    let first = |path: String| Some(format!("/{}", path.strip_prefix('/')?.split('/').next()?));
    let folders: BTreeSet<String> = paths.into_iter().filter_map(first).filter(|folder| folder.len() > 1).collect();
    folders.into_iter().filter(|folder| !ORDINARY.contains(&folder.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> BTreeMap<String, String> {
        BTreeMap::from([("v".to_owned(), "2".to_owned()), ("bind-address".to_owned(), "::".to_owned())])
    }

    fn text(page: &Page) -> &str {
        std::str::from_utf8(&page.body).unwrap()
    }

    #[test]
    fn people_get_text() {
        for accept in [None, Some(""), Some("text/plain"), Some("*/*")] {
            let page = flagz("test", &flags(), accept);
            assert_eq!((page.code, page.content_type), (200, "text/plain; charset=utf-8"));
            assert_eq!(text(&page), format!("\ntest flagz\n{WARNING}bind-address=::\nv=2\n"));
        }
        let page = statusz("test", ["/livez/ping", "/livez", "/api/v1", "/"].map(str::to_owned), None);
        let text = text(&page);
        assert!(text.starts_with(&format!("\ntest statusz\n{WARNING}\nStarted: ")), "{text}");
        assert!(text.contains("\nEmulation version: 1.36\n") && text.ends_with("\nPaths: /livez\n"), "{text}");
    }

    #[test]
    fn programs_get_what_they_name() {
        let page = flagz("test", &flags(), Some("application/json;v=v1beta1;g=config.k8s.io;as=Flagz"));
        assert_eq!((page.code, page.content_type, page.warning.is_none()), (200, "application/json", true));
        let want = r#"{"kind":"Flagz","apiVersion":"config.k8s.io/v1beta1","metadata":{"name":"test"},"flags":{"bind-address":"::","v":"2"}}"#;
        assert_eq!(text(&page), format!("{want}\n"));
        let page = statusz("test", [], Some("application/json;v=v1alpha1;g=config.k8s.io;as=Statusz"));
        let object: serde_json::Value = serde_json::from_slice(&page.body).unwrap();
        assert_eq!(object["apiVersion"], "config.k8s.io/v1alpha1");
        assert_eq!(object["paths"], serde_json::json!([]));
        assert!(object["startTime"].as_str().unwrap().ends_with('Z') && object["uptimeSeconds"].is_u64());
        assert!(page.warning.unwrap().starts_with("299 - \"This version of the statusz endpoint is deprecated."));
        let page = flagz("test", &flags(), Some("application/yaml;v=v1beta1;g=config.k8s.io;as=Flagz"));
        assert!(text(&page).contains("kind: Flagz\n"), "{}", text(&page));
    }

    #[test]
    fn what_is_not_served_is_refused() {
        for accept in [
            "application/json",
            "application/vnd.kubernetes.protobuf",
            "application/json;v=v1;g=config.k8s.io;as=Flagz",
            "application/json;v=v1beta1;g=config.k8s.io;as=Statusz",
        ] {
            let page = flagz("test", &flags(), Some(accept));
            assert_eq!(page.code, 406, "{accept}");
            let want = "only the following media types are accepted: application/json, application/yaml, text/plain";
            assert!(text(&page).contains(want), "{}", text(&page));
        }
    }
}
