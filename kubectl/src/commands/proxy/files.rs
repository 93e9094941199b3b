//! `--www`: files of a folder, and nothing outside of it.

use super::{Body, moved, plain};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use percent_encoding::{AsciiSet, CONTROLS};
use std::path::{Component, Path, PathBuf};

/// Largest file that is served.
const MAX_FILE: u64 = 64 << 20;

/// The file that stands for its folder.
const INDEX: &str = "index.html";
/// What a path cannot hold as it is.
const IN_LINKS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`');

/// A folder under a prefix.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    prefix: String,
}

impl Files {
    pub(super) fn new(root: &str, prefix: &str) -> Self {
        Self { root: root.into(), prefix: format!("/{}/", prefix.trim_matches('/')) }
    }

    /// What the paths of all files begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn serves(&self, path: &str) -> bool {
        path.starts_with(&self.prefix)
    }

    pub(super) fn answer(&self, path: &str) -> Response<Body> {
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let answer = self.place(path).and_then(|place| match (place.is_dir(), path.ends_with('/')) {
            // Links in a listing lead on only from behind a slash.
            (true, false) => Some(moved(&format!("{name}/"))),
            (true, true) => listing(&place).ok().map(|text| content(text, "text/html; charset=utf-8")),
            (false, true) if !place.ends_with(INDEX) => Some(moved(&format!("../{name}"))),
            (false, _) => std::fs::read(&place).ok().map(|bytes| content(bytes, media_type(&place))),
        });
        answer.unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "404 page not found\n"))
    }

    /// The file or the folder of a path, if it lies in the folder that is served, links followed. An
    /// index stands for its folder.
    fn place(&self, path: &str) -> Option<PathBuf> {
        let decoded = percent_encoding::percent_decode_str(path.strip_prefix(&self.prefix)?).decode_utf8().ok()?;
        let relative = Path::new(&*decoded);
        if !relative.components().all(|c| matches!(c, Component::Normal(_))) {
            return None;
        }
        let root = self.root.canonicalize().ok()?;
        let mut place = root.join(relative.components().as_path()).canonicalize().ok()?;
        if place.is_dir() && path.ends_with('/') {
            place = place.join(INDEX).canonicalize().unwrap_or(place);
        }
        let fits = std::fs::metadata(&place).is_ok_and(|m| m.is_dir() || m.is_file() && m.len() <= MAX_FILE);
        (place.starts_with(&root) && fits).then_some(place)
    }
}

fn content(bytes: impl Into<Bytes>, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes.into()).map_err(|never| match never {}).boxed());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// What is in a folder, as Go's file server shows it.
fn listing(folder: &Path) -> std::io::Result<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    let links: String =
        names.iter().map(|name| format!("<a href=\"{}\">{}</a>\n", link(name), escaped(name))).collect();
    Ok(format!("<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n{links}</pre>\n"))
}

/// A name as the path of a link; a colon in it must not look like a scheme.
fn link(name: &str) -> String {
    let path = percent_encoding::utf8_percent_encode(name, IN_LINKS).to_string();
    if name.contains(':') { format!("./{path}") } else { path }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}

fn media_type(file: &Path) -> &'static str {
    match file.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_never_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("www");
        std::fs::create_dir(&root).expect("creates");
        std::fs::write(root.join("a.txt"), "a").expect("writes");
        std::fs::write(root.join("index.html"), "i").expect("writes");
        std::fs::write(folder.path().join("secret"), "s").expect("writes");
        std::os::unix::fs::symlink(folder.path().join("secret"), root.join("link")).expect("links");
        let files = Files::new(root.to_str().expect("text"), "/static/");
        assert!(files.serves("/static/a.txt") && !files.serves("/api"));
        assert!(files.place("/static/a.txt").is_some());
        assert_eq!(files.place("/static/"), root.join("index.html").canonicalize().ok());
        for out in ["/static/../secret", "/static/%2e%2e/secret", "/static/link", "/static//etc/passwd", "/static/none"]
        {
            assert_eq!(files.place(out), None, "{out}");
        }
    }

    #[test]
    fn a_folder_without_an_index_is_listed() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("inner")).expect("creates");
        std::fs::write(folder.path().join("a:<b>.txt"), "a").expect("writes");
        let files = Files::new(folder.path().to_str().expect("text"), "/static/");
        let links = "<pre>\n<a href=\"./a:%3Cb%3E.txt\">a:&lt;b&gt;.txt</a>\n<a href=\"inner/\">inner/</a>\n</pre>\n";
        assert!(listing(folder.path()).expect("lists").ends_with(links));
        assert_eq!(files.answer("/static/").status(), StatusCode::OK);
        for (path, target) in [("/static/inner", "inner/"), ("/static/a:%3Cb%3E.txt/", "../a:%3Cb%3E.txt")] {
            let moved = files.answer(path);
            assert_eq!(
                (moved.status(), &moved.headers()["location"]),
                (StatusCode::MOVED_PERMANENTLY, &HeaderValue::from_static(target))
            );
        }
        assert_eq!(files.answer("/static/none").status(), StatusCode::NOT_FOUND);
    }
}
