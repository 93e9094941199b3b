//! `/logs/?query=…`: what services of the node have written, from the journal or from their files.
//!
//! The pattern goes to `journalctl` as it is, which says itself when it is none.
//!
//! Upstream: `pkg/kubelet/kubelet_server_journal.go`.

use super::system_logs;
use bytes::Bytes;
use component::serve::{Response, router};
use futures::StreamExt as _;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::tz::TimeZone;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::Instant;

/// Characters that the name of a service may have.
const LONGEST_SERVICE: usize = 256;
const MOST_SERVICES: usize = 4;
const MOST_LINES: i64 = 100_000;
/// How long the journal may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
const JOURNAL: &str = "journalctl";

/// What of which logs is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Query {
    services: Vec<String>,
    files: Vec<String>,
    options: Options,
}

/// What journals can do and files cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    lines: Option<i64>,
    /// 0 is the present one, -1 the one before.
    boot: Option<i64>,
    pattern: String,
}

/// What is wrong with a query, in upstream's words.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// It cannot be read.
    Malformed(Vec<String>),
    /// It can be read and is not served.
    Unacceptable(Vec<String>),
}

/// What to answer with.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// A file below the folder, or what the path says.
    File(Option<String>),
    Services(Query),
}

/// Answers a request whose path after `/logs/` is `path`; one without a query is about files.
pub(super) async fn serve(folder: &Path, path: String, query: &str) -> Response {
    match wanted(folder, query) {
        Ok(Wanted::File(file)) => system_logs::at(folder.to_owned(), file.unwrap_or(path)).await,
        Ok(Wanted::Services(query)) => of_services(folder, query).await,
        Err(Refusal::Malformed(why)) => router::text(StatusCode::BAD_REQUEST, aggregate(&why)),
        Err(Refusal::Unacceptable(why)) => router::text(StatusCode::NOT_ACCEPTABLE, aggregate(&why)),
    }
}

fn aggregate(why: &[String]) -> String {
    match why {
        [one] => format!("{one}\n"),
        all => format!("[{}]\n", all.join(", ")),
    }
}

fn wanted(folder: &Path, text: &str) -> Result<Wanted, Refusal> {
    let query = parse(text).map_err(Refusal::Malformed)?;
    if query == Query::default() {
        return Ok(Wanted::File(None));
    }
    let wrong = validate(folder, &query);
    if !wrong.is_empty() {
        return Err(Refusal::Unacceptable(wrong));
    }
    Ok(match query.files.first() {
        Some(file) => Wanted::File(Some(file.replace('\\', "/"))),
        None => Wanted::Services(query),
    })
}

fn invalid(field: &str, value: impl std::fmt::Display, why: impl std::fmt::Display) -> String {
    format!("{field}: Invalid value: {value}: {why}")
}

fn listed(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

fn parse(text: &str) -> Result<Query, Vec<String>> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    let first = |name: &str| pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let mut wrong = Vec::new();
    let mut query = Query::default();
    let queries: Vec<String> = pairs.iter().filter(|(key, _)| key == "query").map(|(_, value)| value.clone()).collect();
    for value in &queries {
        if value.contains(['/', '\\']) {
            query.files.push(value.clone());
        } else if !value.trim().is_empty() {
            query.services.push(value.clone());
        }
    }
    if !queries.is_empty() && query.files.is_empty() && query.services.is_empty() {
        wrong.push(invalid("query", listed(&queries), "query cannot be empty"));
    }
    let mut time = |field: &str| match first(field) {
        "" => None,
        text => text.parse().map_err(|_| wrong.push(invalid(field, format!("{text:?}"), "invalid time format"))).ok(),
    };
    (query.options.since, query.options.until) = (time("sinceTime"), time("untilTime"));
    let mut number = |field: &str| match first(field) {
        "" => None,
        text => {
            let why = || format!("strconv.Atoi: parsing {text:?}: invalid syntax");
            text.parse().map_err(|_| wrong.push(invalid(field, format!("{text:?}"), why()))).ok()
        }
    };
    (query.options.boot, query.options.lines) = (number("boot"), number("tailLines"));
    query.options.pattern = first("pattern").to_owned();
    if wrong.is_empty() { Ok(query) } else { Err(wrong) }
}

fn validate(folder: &Path, query: &Query) -> Vec<String> {
    let Query { services, files, options } = query;
    let mut wrong = Vec::new();
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
    for service in services {
        if service.len() > LONGEST_SERVICE {
            let why = format!("length must be less than {LONGEST_SERVICE}");
            wrong.push(invalid("query", format!("{service:?}"), why));
        } else if !service.chars().all(is_safe) {
            wrong.push(invalid("query", format!("{service:?}"), "input contains unsupported characters"));
        }
    }
    if services.len() > MOST_SERVICES {
        wrong.push(format!("query: Too many: {}: must have at most {MOST_SERVICES} items", services.len()));
    }
    match files.as_slice() {
        [] if services.is_empty() => wrong.push("query: Required value: cannot be empty with options".to_owned()),
        [] => {}
        _ if !services.is_empty() => {
            let both = format!("\"[{}], [{}]\"", files.join(" "), services.join(" "));
            wrong.push(invalid("query", both, "cannot specify a file and service"));
        }
        [_] if *options != Options::default() => {
            wrong.push(invalid("query", listed(files), "cannot specify file with options"));
        }
        [file] => {
            if let Err(error) = system_logs::exists(folder, &file.replace('\\', "/")) {
                wrong.push(invalid("query", listed(files), error));
            }
        }
        _ => wrong.push(invalid("query", listed(files), "cannot specify more than one file")),
    }
    if let (Some(since), Some(until)) = (options.since, options.until)
        && since > until
    {
        wrong.push(invalid("untilTime", format!("\"{until}\""), "must be after `sinceTime`"));
    }
    if let Some(boot) = options.boot.filter(|boot| *boot > 0) {
        wrong.push(invalid("boot", boot, "must be less than 1"));
    }
    if let Some(lines) = options.lines.filter(|lines| !(0..=MOST_LINES).contains(lines)) {
        wrong.push(invalid("tailLines", lines, format!("must be between 0 and {MOST_LINES}, inclusive")));
    }
    wrong
}

/// Services that the journal knows are read from there, others from files that have their names.
async fn of_services(folder: &Path, query: Query) -> Response {
    let units = units().await;
    let in_files: Vec<String> =
        query.services.iter().filter(|service| !units.contains(&format!("{service}.service"))).cloned().collect();
    if in_files.is_empty() {
        return journal(&query);
    }
    if query.options != Options::default() {
        let names = in_files.join(" ");
        let text = format!(
            "\noptions present and query resolved to log files for [{names}]\ntry without specifying options\n"
        );
        return plain(text);
    }
    let folder = folder.to_owned();
    let pieces = futures::stream::iter(in_files).flat_map(move |service| system_logs::of_service(&folder, &service));
    streamed(pieces)
}

/// The units that the journal knows; none where there is no journal.
async fn units() -> String {
    let asked =
        Command::new(JOURNAL).args(["--field", "_SYSTEMD_UNIT"]).stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(Ok(output)) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => String::new(),
    }
}

fn arguments(query: &Query) -> Vec<String> {
    let Query { services, options, .. } = query;
    let day = |time: Timestamp| time.to_zoned(TimeZone::UTC).strftime("%Y-%-m-%-d %-H:%-M:%-S").to_string();
    let mut all = vec!["--utc".to_owned(), "--no-pager".to_owned(), "--output=short-precise".to_owned()];
    all.extend(options.since.map(|since| format!("--since={}", day(since))));
    all.extend(options.until.map(|until| format!("--until={}", day(until))));
    if let Some(lines) = options.lines {
        all.extend(["--pager-end".to_owned(), format!("--lines={lines}")]);
    }
    all.extend(services.iter().map(|service| format!("--unit={service}")));
    if !options.pattern.is_empty() {
        all.push(format!("--grep={}", options.pattern));
    }
    if let Some(boot) = options.boot {
        all.extend(["--boot".to_owned(), boot.to_string()]);
    }
    all
}

fn journal(query: &Query) -> Response {
    let spawned = Command::new(JOURNAL)
        .args(arguments(query))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    match spawned.map(Output::of) {
        Ok(Some(output)) => streamed(futures::stream::unfold(output, |mut output| async {
            let piece = output.next().await?;
            Some((piece, output))
        })),
        _ => plain("\nerror: journal output not available\n".to_owned()),
    }
}

/// What a program prints, on both of its outputs.
struct Output {
    /// Killed when nobody reads any more.
    _child: Child,
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
    until: Instant,
}

impl Output {
    fn of(mut child: Child) -> Option<Self> {
        let (out, err) = (Some(child.stdout.take()?), Some(child.stderr.take()?));
        Some(Self { _child: child, out, err, until: Instant::now() + LIMIT })
    }

    /// The next piece; `None` after the last, or when it takes too long.
    async fn next(&mut self) -> Option<Bytes> {
        let (mut from_out, mut from_err) = (vec![0; CHUNK], vec![0; CHUNK]);
        loop {
            let (out, err) = (&mut self.out, &mut self.err);
            let (read, is_out) = match (out.as_mut(), err.as_mut()) {
                (None, None) => return None,
                (out, err) => tokio::select! {
                    read = read(out, &mut from_out) => (read, true),
                    read = read(err, &mut from_err) => (read, false),
                    () = tokio::time::sleep_until(self.until) => return None,
                },
            };
            match (read, is_out) {
                (Ok(length @ 1..), true) => return Some(Bytes::copy_from_slice(&from_out[..length])),
                (Ok(length @ 1..), false) => return Some(Bytes::copy_from_slice(&from_err[..length])),
                (_, true) => self.out = None,
                (_, false) => self.err = None,
            }
        }
    }
}

/// Never ends for an output that has ended.
async fn read(from: Option<&mut (impl tokio::io::AsyncRead + Unpin)>, into: &mut [u8]) -> io::Result<usize> {
    match from {
        Some(from) => from.read(into).await,
        None => std::future::pending().await,
    }
}

fn streamed(pieces: impl futures::Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))).boxed_unsync();
    let mut response = http::Response::new(body);
    let kind = http::HeaderValue::from_static("text/plain;charset=UTF-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

fn plain(text: String) -> Response {
    streamed(futures::stream::once(std::future::ready(Bytes::from(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_about_files_or_services() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("foo.log"), "x").unwrap();
        let wanted = |text: &str| wanted(folder.path(), text);
        assert_eq!(wanted(""), Ok(Wanted::File(None)));
        assert_eq!(wanted("query=/foo.log"), Ok(Wanted::File(Some("/foo.log".into()))));
        let services = Query { services: vec!["kubelet".into(), "cri".into()], ..Query::default() };
        assert_eq!(wanted("query=kubelet&query=cri"), Ok(Wanted::Services(services)));
        for (text, want) in [
            ("query=%20%20", "query: Invalid value: [\"  \"]: query cannot be empty"),
            ("query=a&sinceTime=today", "sinceTime: Invalid value: \"today\": invalid time format"),
            ("query=a&boot=x", "boot: Invalid value: \"x\": strconv.Atoi: parsing \"x\": invalid syntax"),
        ] {
            assert_eq!(wanted(text), Err(Refusal::Malformed(vec![want.to_owned()])), "{text}");
        }
        for (text, want) in [
            ("boot=0", "query: Required value: cannot be empty with options"),
            ("query=a;b", "query: Invalid value: \"a;b\": input contains unsupported characters"),
            ("query=a&query=/b", "query: Invalid value: \"[/b], [a]\": cannot specify a file and service"),
            ("query=/a&query=/b", "query: Invalid value: [\"/a\",\"/b\"]: cannot specify more than one file"),
            ("query=/foo.log&tailLines=1", "query: Invalid value: [\"/foo.log\"]: cannot specify file with options"),
            ("query=a&query=b&query=c&query=d&query=e", "query: Too many: 5: must have at most 4 items"),
            ("query=a&boot=1", "boot: Invalid value: 1: must be less than 1"),
            ("query=a&tailLines=100001", "tailLines: Invalid value: 100001: must be between 0 and 100000, inclusive"),
            (
                "query=a&sinceTime=2026-01-02T00:00:00Z&untilTime=2026-01-01T00:00:00Z",
                "untilTime: Invalid value: \"2026-01-01T00:00:00Z\": must be after `sinceTime`",
            ),
        ] {
            assert_eq!(wanted(text), Err(Refusal::Unacceptable(vec![want.to_owned()])), "{text}");
        }
        for outside in ["/../secret", "/gone"] {
            assert!(matches!(wanted(&format!("query={outside}")), Err(Refusal::Unacceptable(_))), "{outside}");
        }
    }

    #[test]
    fn what_the_journal_is_asked() {
        let query = parse(
            "query=kubelet&sinceTime=2026-01-02T03:04:05Z&untilTime=2026-11-12T13:14:15%2B01:00&tailLines=5&boot=-1&pattern=a.b",
        );
        let want = [
            "--utc",
            "--no-pager",
            "--output=short-precise",
            "--since=2026-1-2 3:4:5",
            "--until=2026-11-12 12:14:15",
            "--pager-end",
            "--lines=5",
            "--unit=kubelet",
            "--grep=a.b",
            "--boot",
            "-1",
        ];
        assert_eq!(arguments(&query.unwrap()), want);
    }

    #[tokio::test]
    async fn both_outputs_of_a_program_are_read() {
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 200000 /dev/zero; echo no >&2"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = Output::of(child).unwrap();
        let mut length = 0;
        while let Some(piece) = output.next().await {
            length += piece.len();
        }
        assert_eq!(length, 200_003);
    }

    #[tokio::test]
    async fn services_that_the_journal_does_not_know_have_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("own-b")).unwrap();
        std::fs::write(folder.path().join("own-a.log"), "of a\n").unwrap();
        std::fs::write(folder.path().join("own-b/own-b.log"), "of b\n").unwrap();
        let text = async |query: &str| {
            let response = serve(folder.path(), String::new(), query).await;
            let body = response.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8_lossy(&body).into_owned()
        };
        let all = text("query=own-a&query=own-b&query=own-c").await;
        assert_eq!(all, "of a\nof b\n\nlog not found for own-c\n");
        let refused = text("query=own-a&tailLines=1").await;
        assert!(refused.contains("query resolved to log files for [own-a]"), "{refused}");
    }
}
