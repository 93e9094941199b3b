//! `/logs/`: the node's own logs, as files and folders.
//!
//! Upstream: `logServer` of `pkg/kubelet/kubelet.go`, which is Go's `http.FileServer`.

use super::node_logs;
use bytes::Bytes;
use component::serve::{Request, Response, router};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use http::{Method, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use tokio::sync::mpsc;

/// Where they are.
pub const FOLDER: &str = "/var/log";
const PREFIX: &str = "/logs/";
/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Chunks that wait for a slow reader.
const BUFFERED: usize = 8;

/// What a path stands for.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    File(PathBuf),
    Folder(PathBuf),
    /// A folder's path ends with a slash, a file's does not.
    Elsewhere(String),
}

/// Answers a request below `/logs/` from the files of a folder, or what it asks of the journal if that is answered.
pub(super) async fn serve(folder: &Path, request: Request, queries: bool) -> Response {
    if request.http.method() != Method::GET && request.http.method() != Method::HEAD {
        return router::text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");
    }
    let path = request.path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
    match request.http.uri().query().filter(|_| queries) {
        Some(query) => node_logs::serve(folder, path, query).await,
        None => at(folder.to_owned(), path).await,
    }
}

/// The file or the folder at a path.
pub(super) async fn at(folder: PathBuf, path: String) -> Response {
    let answer = tokio::task::spawn_blocking(move || answer(&folder, &path)).await;
    answer.unwrap_or_else(|_| router::text(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error\n"))
}

/// Whether there is something at a path.
pub(super) fn exists(folder: &Path, path: &str) -> io::Result<()> {
    find(folder, path).map(drop)
}

/// What a service has written to its file, or that it has none.
pub(super) fn of_service(folder: &Path, service: &str) -> BoxStream<'static, Bytes> {
    let told = |text: String| futures::stream::once(std::future::ready(Bytes::from(text))).boxed();
    for name in [service.to_owned(), format!("{service}.log"), format!("{service}/{service}.log")] {
        let pieces = match find(folder, &name) {
            Ok(Found::File(file)) => read(&file),
            Ok(Found::Folder(_) | Found::Elsewhere(_)) => continue,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(error) => Err(error),
        };
        return match pieces {
            Ok((first, rest)) => futures::stream::once(std::future::ready(first)).chain(rest).boxed(),
            Err(error) => told(format!("\nerror getting log for {service}: {error}\n")),
        };
    }
    told(format!("\nlog not found for {service}\n"))
}

fn answer(folder: &Path, path: &str) -> Response {
    match find(folder, path) {
        Ok(Found::File(file)) => send(&file).unwrap_or_else(|error| refused(&error)),
        Ok(Found::Folder(folder)) => match list(&folder) {
            Ok(page) => router::full(StatusCode::OK, "text/html; charset=utf-8", page),
            Err(error) => refused(&error),
        },
        Ok(Found::Elsewhere(place)) => {
            let mut response = router::text(StatusCode::MOVED_PERMANENTLY, "");
            if let Ok(place) = place.parse() {
                response.headers_mut().insert(header::LOCATION, place);
            }
            response
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &io::Error) -> Response {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            router::text(StatusCode::NOT_FOUND, "404 page not found\n")
        }
        io::ErrorKind::PermissionDenied => router::text(StatusCode::FORBIDDEN, "403 Forbidden\n"),
        _ => router::text(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error\n"),
    }
}

/// Nothing above the folder is found; links are followed, as logs may lie elsewhere.
fn find(folder: &Path, path: &str) -> io::Result<Found> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    let decoded = decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut file = folder.to_owned();
    for part in Path::new(decoded.as_ref()).components() {
        match part {
            Component::Normal(name) => file.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::NotFound.into()),
        }
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_folder = std::fs::metadata(&file)?.is_dir();
    let ends_with_slash = path.is_empty() || path.ends_with('/');
    Ok(match (is_folder, ends_with_slash) {
        (true, true) => Found::Folder(file),
        (true, false) => Found::Elsewhere(format!("{}/", encoded(&name))),
        (false, false) => Found::File(file),
        (false, true) => Found::Elsewhere(format!("../{}", encoded(&name))),
    })
}

fn list(folder: &Path) -> io::Result<String> {
    let entries: io::Result<Vec<_>> = std::fs::read_dir(folder)?.collect();
    let mut entries = entries?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut page = "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n".to_owned();
    for entry in entries {
        let slash = if entry.file_type().is_ok_and(|kind| kind.is_dir()) { "/" } else { "" };
        let name = entry.file_name().to_string_lossy().into_owned() + slash;
        let _ = writeln!(page, "<a href=\"{}\">{}</a>", encoded(&name), escaped(&name));
    }
    page.push_str("</pre>\n");
    Ok(page)
}

fn encoded(name: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
    percent_encoding::utf8_percent_encode(name, KEPT).to_string()
}

fn escaped(name: &str) -> String {
    [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&#34;"), ("'", "&#39;")]
        .iter()
        .fold(name.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn send(path: &Path) -> io::Result<Response> {
    let (first, rest) = read(path)?;
    let kind = kind(path, &first);
    let pieces = futures::stream::once(std::future::ready(first)).chain(rest);
    let frames = pieces.map(|piece| Ok(Frame::data(piece)));
    let mut response = http::Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    Ok(response)
}

/// The file as it is now, its first piece and the others; what is written to it meanwhile is left out.
fn read(path: &Path) -> io::Result<(Bytes, impl Stream<Item = Bytes> + Send + use<>)> {
    let file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let mut file = file.take(length);
    let mut first = vec![0; CHUNK];
    let length = file.read(&mut first)?;
    first.truncate(length);
    let (sender, receiver) = mpsc::channel::<Bytes>(BUFFERED);
    tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; CHUNK];
        while let Ok(length @ 1..) = file.read(&mut piece) {
            if sender.blocking_send(Bytes::copy_from_slice(&piece[..length])).is_err() {
                break;
            }
        }
    });
    Ok((Bytes::from(first), tokio_stream::wrappers::ReceiverStream::new(receiver)))
}

fn kind(path: &Path, start: &[u8]) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => "application/gzip",
        Some("json") => "application/json",
        Some("html") => "text/html; charset=utf-8",
        _ if start.contains(&0) => "application/octet-stream",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_the_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("log");
        std::fs::create_dir_all(inside.join("pods")).unwrap();
        std::fs::write(inside.join("a b.log"), "x").unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        let find = |path: &str| find(&inside, path).ok();
        assert_eq!(find(""), Some(Found::Folder(inside.clone())));
        assert_eq!(find("a%20b.log"), Some(Found::File(inside.join("a b.log"))));
        assert_eq!(find("a%20b.log/"), Some(Found::Elsewhere("../a%20b.log".into())));
        assert_eq!(find("pods"), Some(Found::Elsewhere("pods/".into())));
        assert_eq!(find("pods/"), Some(Found::Folder(inside.join("pods"))));
        for outside in ["../secret", "pods/../../secret", "%2e%2e/secret", "gone", "%ff"] {
            assert_eq!(find(outside), None, "{outside}");
        }
        assert_eq!(find("/secret"), None, "a slash before it changes nothing");
    }

    #[tokio::test]
    async fn files_and_folders_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let text = "line\n".repeat(100_000);
        std::fs::write(folder.path().join("long.log"), &text).unwrap();
        std::fs::create_dir(folder.path().join("<b>")).unwrap();
        let body = async |path: &str| {
            let response = answer(folder.path(), path);
            let code = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (code, String::from_utf8_lossy(&body).into_owned())
        };
        assert_eq!(body("long.log").await, (StatusCode::OK, text));
        let page = body("").await.1;
        assert!(page.contains("<a href=\"%3Cb%3E/\">&lt;b&gt;/</a>\n<a href=\"long.log\">long.log</a>\n"), "{page}");
        assert_eq!(body("gone").await, (StatusCode::NOT_FOUND, "404 page not found\n".to_owned()));
    }
}
