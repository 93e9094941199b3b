//! `Accept` and `Content-Type` headers, and queries.
#![no_main]

use apiserver_server::negotiate::{self, Offers};
use apiserver_server::query::Query;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.split(|byte| *byte == 0);
    let (Some(accept), Some(kind), query) = (parts.next(), parts.next(), parts.next()) else { return };
    let mut headers = HeaderMap::new();
    for (name, value) in [(ACCEPT, accept), (CONTENT_TYPE, kind)] {
        let Ok(value) = HeaderValue::from_bytes(value) else { return };
        headers.insert(name, value);
    }
    let Ok(query) = std::str::from_utf8(query.unwrap_or_default()) else { return };
    let query = Query::parse(query);
    for offers in [Offers::Object, Offers::Plain, Offers::List] {
        let _ = negotiate::output(&headers, &query, offers);
    }
    if let Some(pods) = apimachinery::resources::find("", "v1", "pods") {
        let _ = negotiate::stream_output(&headers, &query, pods);
    }
    let _ = negotiate::error_output(&headers, &query);
    let _ = negotiate::body_format(&headers);
    let resources =
        ["pods", "services"].into_iter().filter_map(|plural| apimachinery::resources::find("", "v1", plural));
    for resource in resources {
        let _ = negotiate::patch_type(&headers, resource);
    }
});
