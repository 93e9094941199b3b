//! `/containerLogs/{namespace}/{pod}/{container}`.

use super::log_format::{self, Entry};
use super::{Api, ApiError, route};
use crate::pod::PodExt;
use crate::runtime::{ContainerRecord, ContainerState, Runtime};
use bytes::Bytes;
use component::serve::{Request, Response};
use futures::StreamExt;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use k8s_openapi::jiff::Timestamp;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const POLL: Duration = Duration::from_millis(200);
/// Bytes read at once; a longer line is passed on in pieces by the runtime already.
const CHUNK: usize = 64 * 1024;
/// Chunks that wait for a slow reader.
const BUFFERED: usize = 8;

/// What of the log is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    pub tail: Option<usize>,
    pub limit: Option<u64>,
    pub since: Option<Timestamp>,
    /// `stdout` or `stderr` only.
    pub stream: Option<Vec<u8>>,
}

impl Wanted {
    /// Reads the query of upstream's `PodLogOptions`.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut out = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let bad = || ApiError::BadQuery(format!("invalid value {value:?} of {key}"));
            let yes = matches!(value.as_ref(), "true" | "1" | "");
            match key.as_ref() {
                "follow" => out.follow = yes,
                "previous" => out.previous = yes,
                "timestamps" => out.timestamps = yes,
                "tailLines" if value == "all" => {}
                "tailLines" => out.tail = Some(value.parse().map_err(|_| bad())?),
                "limitBytes" => out.limit = Some(value.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?),
                "sinceSeconds" => {
                    let seconds: i64 = value.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?;
                    out.since = Some(crate::clock::plus_seconds(Timestamp::now(), -seconds));
                }
                "sinceTime" => out.since = Some(value.parse().map_err(|_| bad())?),
                "stream" => out.stream = Some(value.to_lowercase().into_bytes()).filter(|s| s != b"all"),
                _ => {}
            }
        }
        Ok(out)
    }
}

pub(super) async fn serve(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let target = route::Target::parse(request.path(), "/containerLogs/").ok_or(ApiError::NoRoute)?;
    let wanted = Wanted::parse(request.http.uri().query().unwrap_or_default())?;
    let (path, container) = find(&api, &target, wanted.previous).await?;
    let file = open(&path)?;
    let (sender, receiver) = mpsc::channel::<Bytes>(BUFFERED);
    let reader = Reader { file, path, wanted, container, runtime: api.runtime.clone(), sent: 0, pending: Vec::new() };
    api.supervisor.spawn_until_stop("log", reader.run(sender));
    let frames = tokio_stream::wrappers::ReceiverStream::new(receiver).map(|b| Ok(Frame::data(b)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let plain = http::HeaderValue::from_static("text/plain");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    Ok(response)
}

fn open(path: &Path) -> Result<std::fs::File, ApiError> {
    std::fs::File::open(path).map_err(|source| ApiError::Log { path: path.display().to_string(), source })
}

/// The log file of the newest container, or of the one before it.
async fn find(api: &Api, target: &route::Target, previous: bool) -> Result<(PathBuf, ContainerRecord), ApiError> {
    let pod = api.pod(target)?;
    let name = target.container.clone().unwrap_or_default();
    if pod.container(&name).is_none() {
        return Err(ApiError::NoContainer { container: name, pod: target.pod.clone() });
    }
    let record = api.runtime.pod(pod.uid()).await?;
    let mut of_name = record.containers.iter().filter(|c| c.name == name);
    let newest = of_name.next();
    let chosen = match (newest, previous) {
        // A container that waits to be started again has its last run as the previous one.
        (Some(newest), true) => of_name.next().or(Some(newest).filter(|c| c.state == ContainerState::Exited)),
        (newest, _) => newest,
    };
    match chosen {
        Some(c) => Ok((log_path(api, &pod, c), c.clone())),
        None if previous => Err(ApiError::NoPrevious { container: name, pod: target.pod.clone() }),
        None => {
            let state = format!("waiting to start: {}", waiting_reason(api, pod.uid(), &name));
            Err(ApiError::NotStarted { container: name, pod: target.pod.clone(), state })
        }
    }
}

fn waiting_reason(api: &Api, uid: &str, name: &str) -> String {
    let status = api.statuses.get(uid).unwrap_or_default();
    let all = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let state = all.filter(|s| s.name == name).find_map(|s| s.state.clone()?.waiting?.reason);
    state.unwrap_or_else(|| "ContainerCreating".to_owned())
}

fn log_path(api: &Api, pod: &k8s_openapi::api::core::v1::Pod, c: &ContainerRecord) -> PathBuf {
    let path = PathBuf::from(&c.log_path);
    if path.is_absolute() {
        return path;
    }
    let dir = crate::runtime::config::log_directory(&api.logs.to_string_lossy(), pod);
    PathBuf::from(dir).join(&c.name).join(format!("{}.log", c.restart_count))
}

struct Reader {
    file: std::fs::File,
    path: PathBuf,
    wanted: Wanted,
    container: ContainerRecord,
    runtime: Runtime,
    sent: u64,
    /// The beginning of a line whose end is not there yet.
    pending: Vec<u8>,
}

impl Reader {
    async fn run(mut self, sender: mpsc::Sender<Bytes>) {
        if let Some(lines) = self.wanted.tail {
            self.seek_tail(lines);
        }
        loop {
            let (out, progress) = self.read();
            let full = self.wanted.limit.is_some_and(|l| self.sent >= l);
            if !out.is_empty() && sender.send(out.into()).await.is_err() || full {
                return;
            }
            if progress {
                continue;
            }
            if !self.wanted.follow {
                return;
            }
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            if self.reopen_if_rotated() {
                continue;
            }
            if !self.is_running().await {
                // What was written before it ended is still to be read.
                self.wanted.follow = false;
            }
        }
    }

    fn seek_tail(&mut self, lines: usize) {
        // Backwards in growing steps until enough lines are seen.
        let length = self.file.metadata().map_or(0, |m| m.len());
        let mut window = CHUNK as u64;
        loop {
            let from = length.saturating_sub(window);
            let mut text = Vec::new();
            let read = self
                .file
                .seek(SeekFrom::Start(from))
                .and_then(|_| Read::by_ref(&mut self.file).take(window).read_to_end(&mut text));
            if read.is_err() {
                return;
            }
            // A window that does not begin with the file begins inside a line.
            let whole = if from == 0 { 0 } else { text.iter().position(|b| *b == b'\n').map_or(text.len(), |i| i + 1) };
            let start = log_format::tail_start(&text[whole..], lines) + whole;
            if start > whole || from == 0 {
                let _ = self.file.seek(SeekFrom::Start(from + start as u64));
                return;
            }
            window *= 4;
        }
    }

    /// The next part of the answer, and whether the file had anything new.
    fn read(&mut self) -> (Vec<u8>, bool) {
        let mut chunk = vec![0; CHUNK];
        let n = self.file.read(&mut chunk).unwrap_or(0);
        self.pending.extend_from_slice(&chunk[..n]);
        let mut out = Vec::new();
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            self.append(&rest[..end], &mut out);
            rest = &rest[end + 1..];
        }
        self.pending = rest.to_vec();
        (out, n > 0)
    }

    fn append(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(entry) = log_format::parse(line) else { return };
        if !self.passes(&entry) {
            return;
        }
        let before = out.len();
        if self.wanted.timestamps {
            out.extend_from_slice(entry.time);
            out.push(b' ');
        }
        out.extend_from_slice(entry.content);
        if entry.complete {
            out.push(b'\n');
        }
        if let Some(limit) = self.wanted.limit {
            let left = usize::try_from(limit - self.sent.min(limit)).unwrap_or(usize::MAX);
            out.truncate(before + left.min(out.len() - before));
        }
        self.sent += (out.len() - before) as u64;
    }

    fn passes(&self, entry: &Entry<'_>) -> bool {
        self.wanted.since.is_none_or(|since| entry.is_since(since))
            && self.wanted.stream.as_ref().is_none_or(|stream| stream == entry.stream)
    }

    fn reopen_if_rotated(&mut self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let inode = |m: std::io::Result<std::fs::Metadata>| m.map(|m| m.ino()).ok();
        let now = inode(std::fs::metadata(&self.path));
        if now.is_none() || now == inode(self.file.metadata()) {
            return false;
        }
        match std::fs::File::open(&self.path) {
            Ok(file) => {
                self.file = file;
                true
            }
            Err(_) => false,
        }
    }

    async fn is_running(&self) -> bool {
        self.runtime.is_running(&self.container.id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let w = Wanted::parse("follow=true&tailLines=5&limitBytes=9&timestamps=true&previous=false").unwrap();
        assert_eq!((w.follow, w.tail, w.limit, w.timestamps, w.previous), (true, Some(5), Some(9), true, false));
        for bad in ["tailLines=-1", "limitBytes=0", "sinceSeconds=x", "sinceTime=yesterday"] {
            assert!(Wanted::parse(bad).is_err(), "{bad}");
        }
    }
}
