//! `--www`: files of a folder, and nothing outside of it.

use super::{Body, plain};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use std::path::{Component, Path, PathBuf};

/// Largest file that is served.
const MAX_FILE: u64 = 64 << 20;

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

    pub(super) fn serves(&self, path: &str) -> bool {
        path.starts_with(&self.prefix)
    }

    pub(super) fn answer(&self, path: &str) -> Response<Body> {
        let Some(file) = self.file(path) else { return plain(StatusCode::NOT_FOUND, "404 page not found\n") };
        match std::fs::read(&file) {
            Ok(content) => {
                let mut response =
                    Response::new(Full::new(Bytes::from(content)).map_err(|never| match never {}).boxed());
                let kind = HeaderValue::from_static(media_type(&file));
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Err(_) => plain(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    /// The file of a path, if it lies in the folder, links followed.
    fn file(&self, path: &str) -> Option<PathBuf> {
        let decoded = percent_encoding::percent_decode_str(path.strip_prefix(&self.prefix)?).decode_utf8().ok()?;
        let relative = Path::new(&*decoded);
        if !relative.components().all(|c| matches!(c, Component::Normal(_))) {
            return None;
        }
        let root = self.root.canonicalize().ok()?;
        let mut file = root.join(relative).canonicalize().ok()?;
        if file.is_dir() {
            file = file.join("index.html").canonicalize().ok()?;
        }
        let small = std::fs::metadata(&file).is_ok_and(|m| m.is_file() && m.len() <= MAX_FILE);
        (file.starts_with(&root) && small).then_some(file)
    }
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
        assert!(files.file("/static/a.txt").is_some() && files.file("/static/").is_some());
        for out in ["/static/../secret", "/static/%2e%2e/secret", "/static/link", "/static//etc/passwd", "/static/none"]
        {
            assert_eq!(files.file(out), None, "{out}");
        }
    }
}
