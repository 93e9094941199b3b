//! The pages: the files of `page`, compressed when the binary was built.

use crate::guard;
use component::serve::{Response, router};
use flate2::read::GzDecoder;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use std::io::Read as _;

/// A file of the pages.
#[derive(Debug)]
struct File {
    path: &'static str,
    /// Of its content: another one is another file to browsers.
    digest: &'static str,
    packed: &'static [u8],
}

const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The file under a path, or the answer that there is none.
pub fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Response {
    let mut response = match file(path) {
        _ if method != Method::GET && method != Method::HEAD => {
            router::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
        }
        Some(file) => file.answer(headers),
        None => router::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    guard::protect_page(response.headers_mut());
    response
}

fn file(path: &str) -> Option<&'static File> {
    let path = path.strip_prefix('/')?;
    let path = if path.is_empty() { "index.html" } else { path };
    FILES.iter().find(|file| file.path == path)
}

impl File {
    fn answer(&self, headers: &HeaderMap) -> Response {
        let tag = format!("\"{}\"", self.digest);
        let has = |name, text: &str| {
            headers.get(name).is_some_and(|value: &HeaderValue| value.to_str().is_ok_and(|v| v.contains(text)))
        };
        let is_known = has(header::IF_NONE_MATCH, &tag);
        let takes_packed = has(header::ACCEPT_ENCODING, "gzip");
        let mut response = match (is_known, takes_packed) {
            (true, _) => router::full(StatusCode::NOT_MODIFIED, self.content_type(), ""),
            (false, true) => router::full(StatusCode::OK, self.content_type(), self.packed),
            (false, false) => router::full(StatusCode::OK, self.content_type(), self.unpacked()),
        };
        let told = response.headers_mut();
        if takes_packed && !is_known {
            told.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        told.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            told.insert(header::ETAG, tag);
        }
        response
    }

    fn unpacked(&self) -> Vec<u8> {
        let mut content = Vec::new();
        // What this binary has packed can be read again; a test does.
        let _ = GzDecoder::new(self.packed).read_to_end(&mut content);
        content
    }

    fn content_type(&self) -> &'static str {
        match self.path.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most bytes that a browser loads for the first page.
    const FIRST_PAGE: usize = 100_000;

    #[test]
    fn every_file_is_whole_and_of_a_known_kind() {
        for file in FILES {
            let on_disk = std::fs::read(format!("{}/page/{}", env!("CARGO_MANIFEST_DIR"), file.path)).expect("a file");
            assert_eq!(file.unpacked(), on_disk, "{}", file.path);
            assert_ne!(file.content_type(), "application/octet-stream", "{}", file.path);
        }
        assert!(file("/").is_some_and(|file| file.path == "index.html"));
        assert!(file("/../Cargo.toml").is_none());
    }

    #[test]
    fn all_pages_together_are_light() {
        let size: usize = FILES.iter().map(|file| file.packed.len()).sum();
        assert!(size < FIRST_PAGE, "{size}");
    }

    #[test]
    fn pages_load_nothing_from_elsewhere_and_make_no_markup_of_texts() {
        for file in FILES {
            let text = String::from_utf8(file.unpacked()).expect("text");
            for word in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "onclick="]
            {
                assert!(!text.contains(word), "{} has {word}", file.path);
            }
            let links = text.match_indices("https://").map(|(at, _)| text[at..].chars().take(60).collect::<String>());
            assert_eq!(links.collect::<Vec<_>>(), Vec::<String>::new(), "{}", file.path);
        }
    }

    #[test]
    fn known_files_are_not_sent_again() {
        let first = answer(&Method::GET, "/", &HeaderMap::new());
        assert_eq!(first.status(), 200);
        assert!(first.headers()["content-security-policy"].to_str().expect("text").starts_with("default-src 'none'"));
        let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone())]);
        assert_eq!(answer(&Method::GET, "/", &known).status(), 304);
        assert_eq!(answer(&Method::POST, "/", &known).status(), 405);
        assert_eq!(answer(&Method::GET, "/none", &known).status(), 404);
    }
}
