//! How metrics are served: as text, or as Prometheus' protobuf to who asks for it.
//!
//! Of protobuf's forms only the one with delimiters is known; who accepts but the textual ones gets text.
//!
//! Upstream: `prometheus/common/expfmt` (`Negotiate`), `prometheus/client_golang/prometheus/promhttp`.

use super::protobuf;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use std::time::UNIX_EPOCH;

/// When the process was started, in seconds.
const PROCESS_START: HeaderName = HeaderName::from_static("process-start-time-unix");
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// What a client gets: in which form, and with which names. Ours are fit for all clients, so that there is nothing to
/// escape; but what was asked for is said to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish<'a> {
    is_protobuf: bool,
    escaping: &'a str,
}

/// Answers with metrics in Prometheus' text format, or with the same in the form that the client accepts.
pub fn expose(text: String, accept: Option<&str>) -> http::Response<Bytes> {
    let wish = Wish::of(accept.unwrap_or_default());
    let (form, body) = match wish.is_protobuf {
        true => (PROTOBUF, protobuf::of_text(&text).into()),
        false => (TEXT, text.into()),
    };
    let mut response = http::Response::new(body);
    let headers = response.headers_mut();
    // Neither part can be anything but a header's text.
    if let Ok(content_type) = HeaderValue::try_from(format!("{form}; escaping={}", wish.escaping)) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    let started = super::process_start().duration_since(UNIX_EPOCH).unwrap_or_default();
    headers.insert(PROCESS_START, started.as_secs().into());
    response
}

impl<'a> Wish<'a> {
    /// The first clause that can be served decides on the form, and it or one before it on the names.
    fn of(accept: &'a str) -> Self {
        let mut wish = Self { is_protobuf: false, escaping: "underscores" };
        let mut clauses: Vec<Clause<'_>> = accept.split(',').filter_map(Clause::parse).collect();
        clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        for clause in clauses {
            let escaping = clause.param("escaping");
            if matches!(escaping, "allow-utf-8" | "underscores" | "dots" | "values") {
                wish.escaping = escaping;
            }
            match (clause.kind, clause.param("version")) {
                ("application/vnd.google.protobuf", _)
                    if clause.param("proto") == "io.prometheus.client.MetricFamily"
                        && clause.param("encoding") == "delimited" =>
                {
                    return Self { is_protobuf: true, ..wish };
                }
                ("text/plain", "" | "0.0.4") => return wish,
                _ => {}
            }
        }
        wish
    }
}

/// One part of an `Accept` header.
struct Clause<'a> {
    kind: &'a str,
    params: Vec<(&'a str, &'a str)>,
    quality: f64,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let kind = parts.next().filter(|kind| !kind.is_empty())?;
        let params: Vec<_> = parts.filter_map(|part| part.split_once('=')).map(|(k, v)| (k.trim(), v.trim())).collect();
        let quality = params.iter().find(|(key, _)| *key == "q").map_or(1.0, |(_, q)| q.parse().unwrap_or(0.0));
        Some(Self { kind, params, quality })
    }

    fn param(&self, name: &str) -> &'a str {
        self.params.iter().rev().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_the_form_that_they_accept() {
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        let prometheus = format!(
            "{protobuf};q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;q=0.4,*/*"
        );
        for (accept, is_protobuf, escaping) in [
            ("", false, "underscores"),
            ("*/*", false, "underscores"),
            (protobuf, true, "underscores"),
            (&prometheus, true, "underscores"),
            (&format!("{protobuf};escaping=dots"), true, "dots"),
            (&format!("{protobuf};q=0.1, text/plain; version=0.0.4; escaping=allow-utf-8"), false, "allow-utf-8"),
            (&format!("application/json;escaping=values,{protobuf};q=0.5"), true, "values"),
            ("text/plain;escaping=nonsense", false, "underscores"),
            ("text/plain;version=1.0.0;escaping=dots", false, "dots"),
            ("application/vnd.google.protobuf;encoding=delimited", false, "underscores"),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
                false,
                "underscores",
            ),
        ] {
            assert_eq!(Wish::of(accept), Wish { is_protobuf, escaping }, "{accept}");
        }
    }

    #[test]
    fn answers_say_what_they_are() {
        let answer = expose("# TYPE a gauge\na 1\n".to_owned(), None);
        assert_eq!(answer.headers()[CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
        assert_eq!(answer.body(), "# TYPE a gauge\na 1\n");
        let started = answer.headers()[PROCESS_START].to_str().expect("a number").parse::<u64>();
        assert!(started.is_ok_and(|seconds| seconds > 1_000_000_000));
        let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        let answer = expose("# TYPE a gauge\na 1\n".to_owned(), Some(accept));
        assert_eq!(
            answer.headers()[CONTENT_TYPE],
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
             escaping=underscores"
        );
        assert_eq!(answer.body().first(), Some(&18));
    }
}
