//! Which form of a page an `Accept` header asks for.
//!
//! Upstream: `apiserver/pkg/server/{statusz,flagz}/negotiate`,
//! `apiserver/pkg/endpoints/handlers/negotiation`.

use serde::Serialize;

/// Clauses of a header that are read; what comes behind is ignored.
const CLAUSES_AT_MOST: usize = 64;

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Negotiated {
    /// Text for people.
    Text,
    /// An object.
    Object(Form, Version),
}

/// How an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Yaml,
}

/// Of the group `config.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1alpha1,
    V1beta1,
}

impl Form {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Form::Json => "application/json",
            Form::Yaml => "application/yaml",
        }
    }

    pub(super) fn encode(self, object: &impl Serialize) -> Vec<u8> {
        match self {
            Form::Json => {
                let mut bytes = serde_json::to_vec(object).unwrap_or_default();
                bytes.push(b'\n');
                bytes
            }
            Form::Yaml => {
                let value = serde_json::to_value(object).unwrap_or_default();
                serde_saphyr::to_string(&value).unwrap_or_default().into_bytes()
            }
        }
    }
}

impl Version {
    pub(super) fn name(self) -> &'static str {
        match self {
            Version::V1alpha1 => "config.k8s.io/v1alpha1",
            Version::V1beta1 => "config.k8s.io/v1beta1",
        }
    }
}

/// One media type of an `Accept` header.
struct Clause<'a> {
    media: &'a str,
    quality: f32,
    /// `g`, `v` and `as`, if any of them is there.
    target: Option<(&'a str, &'a str, &'a str)>,
}

/// `None` if nothing that the header names is served.
pub(super) fn negotiate(accept: Option<&str>, kind: &str) -> Option<Negotiated> {
    let header = accept.map(str::trim).filter(|header| !header.is_empty());
    let Some(header) = header else { return Some(Negotiated::Text) };
    let mut clauses: Vec<Clause<'_>> = header.split(',').take(CLAUSES_AT_MOST).map(Clause::parse).collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses.iter().find_map(|clause| clause.served(kind))
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let mut clause = Clause { media: parts.next().unwrap_or_default(), quality: 1.0, target: None };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            let (key, value) = (key.trim(), value.trim().trim_matches('"'));
            let target = &mut clause.target;
            match key {
                "q" => clause.quality = value.parse().unwrap_or(1.0),
                "g" => target.get_or_insert_default().0 = value,
                "v" => target.get_or_insert_default().1 = value,
                "as" => target.get_or_insert_default().2 = value,
                _ => {}
            }
        }
        clause
    }

    fn served(&self, kind: &str) -> Option<Negotiated> {
        let Some((group, version, wanted)) = self.target else {
            return matches!(self.media, "text/plain" | "text/*" | "*/*").then_some(Negotiated::Text);
        };
        let form = match self.media {
            "application/json" | "application/*" | "*/*" => Form::Json,
            "application/yaml" => Form::Yaml,
            _ => return None,
        };
        let version = match version {
            "v1alpha1" => Version::V1alpha1,
            "v1beta1" => Version::V1beta1,
            _ => return None,
        };
        (group == "config.k8s.io" && wanted == kind).then_some(Negotiated::Object(form, version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_clause_that_is_served_wins() {
        let json = Some(Negotiated::Object(Form::Json, Version::V1beta1));
        for (accept, want) in [
            ("text/html, */*;q=0.1", Some(Negotiated::Text)),
            ("application/json, text/plain", Some(Negotiated::Text)),
            ("text/plain;q=0.5, application/json;g=config.k8s.io;v=v1beta1;as=Flagz", json),
            ("application/json;g=config.k8s.io;v=v1beta1;as=Flagz;q=0.1, text/plain;q=0.5", Some(Negotiated::Text)),
            ("application/*;g=config.k8s.io;v=v1beta1;as=Flagz", json),
            ("text/plain;as=Flagz", None),
            ("nonsense", None),
            (";;;=,", None),
        ] {
            assert_eq!(negotiate(Some(accept), "Flagz"), want, "{accept}");
        }
    }
}
