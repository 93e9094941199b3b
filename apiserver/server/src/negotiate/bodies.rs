//! The form that the body of a request has.
//!
//! Upstream: `apiserver/pkg/endpoints/handlers/negotiation` (`NegotiateInputSerializer`).

use super::{MEDIA, Media, SUPPORTED};
use apimachinery::resources::ResourceInfo;
use apimachinery::status::{Reason, Status};
use apiserver_registry::PatchType;
use apiserver_registry::registry::Format;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

pub(super) const PATCHES: &[(&str, PatchType)] = &[
    ("application/json-patch+json", PatchType::Json),
    ("application/merge-patch+json", PatchType::Merge),
    ("application/strategic-merge-patch+json", PatchType::Strategic),
    ("application/apply-patch+yaml", PatchType::Apply),
];

/// The encoding of a request body.
pub fn body_format(headers: &HeaderMap) -> Result<Format, Status> {
    // As `mime.ParseMediaType` of Go has it, types have no case, and broken parameters are none.
    let given = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let found = MEDIA.iter().find(|(kind, subtype, _)| {
        let known = media_type(headers).split_once('/');
        known.is_some_and(|(k, s)| k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype))
    });
    match found {
        None if given.is_empty() => Ok(Format::Json),
        Some((.., media)) if has_whole_parameters(given) => Ok(match media {
            Media::Json => Format::Json,
            Media::Yaml => Format::Yaml,
            Media::Protobuf => Format::Protobuf,
        }),
        _ => Err(unsupported(SUPPORTED)),
    }
}

/// The kind of a patch of a resource. Custom resources have no types that strategic patches merge along.
pub fn patch_type(headers: &HeaderMap, resource: &ResourceInfo) -> Result<PatchType, Status> {
    let given = media_type(headers);
    let is_custom = resource.custom.is_some();
    let mut known = PATCHES.iter().filter(|(_, kind)| !is_custom || *kind != PatchType::Strategic);
    known.clone().find(|(name, _)| *name == given).map(|(_, kind)| *kind).ok_or_else(|| {
        let names: Vec<&str> = known.by_ref().map(|(name, _)| *name).collect();
        unsupported(&names.join(", "))
    })
}

/// The content type without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let given = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim()
}

/// Whether the parameters of a media type have names and values, no name twice; one last semicolon may have none.
fn has_whole_parameters(media_type: &str) -> bool {
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
    };
    let (mut names, mut rest) = (Vec::new(), media_type.find(';').map_or("", |at| &media_type[at..]));
    while !matches!(rest.trim(), "" | ";") {
        let Some((name, value)) = rest.trim_start().strip_prefix(';').and_then(|rest| rest.split_once('=')) else {
            return false;
        };
        let name = name.trim().to_ascii_lowercase();
        // Quoted values are what stands between two quotes, of which none is escaped.
        let (value, after) = match value.strip_prefix('"').map(|value| value.split_once('"')) {
            Some(None) => return false,
            Some(Some((_, after))) => ("quoted", after),
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        if !is_token(&name) || !is_token(value.trim()) || names.contains(&name) {
            return false;
        }
        names.push(name);
        rest = after;
    }
    true
}

fn unsupported(supported: &str) -> Status {
    let message =
        format!("the body of the request was in an unknown format - accepted media types include: {supported}");
    Status::plain(415, Reason::UnsupportedMediaType, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let of = |t: &str| HeaderMap::from_iter([(CONTENT_TYPE, t.parse().expect("a value"))]);
        assert_eq!(body_format(&HeaderMap::new()).expect("the default"), Format::Json);
        assert_eq!(body_format(&of("application/json; charset=utf-8")).expect("json"), Format::Json);
        for (given, want) in [
            ("application/yaml", Some(Format::Yaml)),
            ("APPLICATION/Json", Some(Format::Json)),
            ("application/json; a=b; c=\"d;e\"", Some(Format::Json)),
            ("application/json;", Some(Format::Json)),
            ("application/json;;", None),
            ("application/json; x", None),
            ("application/json; a=b; A=c", None),
            ("application/json; a=\"b", None),
            ("text/plain", None),
        ] {
            assert_eq!(body_format(&of(given)).map_err(|status| status.code), want.ok_or(415), "{given}");
        }
        let pods = apimachinery::resources::find("", "v1", "pods").expect("served");
        let patch = |media_type: &'static str| patch_type(&of(media_type), pods);
        assert_eq!(patch("application/merge-patch+json").expect("merge"), PatchType::Merge);
        assert_eq!(patch("application/json").expect_err("no patch").code, 415);
    }
}
