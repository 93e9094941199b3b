//! What upstream's router looks at before it hands a request on.
//!
//! Upstream: `emicklei/go-restful`.

use super::bodies::{PATCHES, media_type};
use super::{STREAMED, SUPPORTED};
use apimachinery::status::{Reason, Status};
use apiserver_registry::Verb;
use http::HeaderMap;
use http::header::ACCEPT;

/// Whether upstream's router would hand the request to a handler of a built-in resource: it knows media types by their
/// whole names only, and takes parameters for no part of them.
///
/// # Errors
/// 406 and, for patches, 415.
///
/// Upstream: `emicklei/go-restful` (`Route.matchesAccept`, `Route.matchesContentType`).
pub(crate) fn routed(headers: &HeaderMap, verb: Verb) -> Result<(), Status> {
    if verb == Verb::Patch && !PATCHES.iter().any(|(name, _)| *name == media_type(headers)) {
        return Err(Status::generic(415, Reason::UnsupportedMediaType, "415: Unsupported Media Type"));
    }
    match verb {
        Verb::List | Verb::Watch => routed_to(headers, &format!("{SUPPORTED}, {STREAMED}")),
        _ => routed_to(headers, SUPPORTED),
    }
}

/// Whether upstream's router would hand the request to a handler that answers in these media types.
///
/// # Errors
/// 406.
pub(crate) fn routed_to(headers: &HeaderMap, produced: &str) -> Result<(), Status> {
    let accepted = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let known = |kind: &str| kind == "*/*" || produced.split(", ").any(|known| known == kind);
    let mut kinds = accepted.split(',').map(|clause| clause.split(';').next().unwrap_or_default().trim());
    match accepted.is_empty() || kinds.any(known) {
        true => Ok(()),
        false => {
            let message = format!("406: Not Acceptable\n\nAvailable representations: {produced}");
            Err(Status::generic(406, Reason::NotAcceptable, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SUPPORTED;
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, accept.parse().expect("a value"))])
    }

    #[test]
    fn the_router_knows_whole_names_only() {
        for (accept, verb, want) in [
            ("application/json;q=0", Verb::Get, None),
            ("*/*", Verb::Get, None),
            ("application/*", Verb::Get, Some(SUPPORTED.to_owned())),
            ("text/html", Verb::List, Some(format!("{SUPPORTED}, {STREAMED}"))),
            ("text/html", Verb::Watch, Some(format!("{SUPPORTED}, {STREAMED}"))),
        ] {
            let want = want.map(|known| format!("406: Not Acceptable\n\nAvailable representations: {known}"));
            assert_eq!(routed(&headers(accept), verb).err().map(|status| status.message), want, "{accept}");
        }
        assert!(routed_to(&headers("application/yaml"), "application/json").is_err());
    }
}
