//! `logs`: of one container, of all of a pod, of all pods of a selector or a workload.
//!
//! Upstream: `kubectl/pkg/cmd/logs`, `kubectl/pkg/polymorphichelpers/logsforobject.go`.

use super::{Session, with_query};
use crate::cli::Logs;
use crate::http::{Lines, Patience};
use crate::pods::{self, NoPods};
use crate::writing::{is_not_found, usage};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::time;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::io::Write;
use std::time::Duration;

/// Lines per pod that a selector shows unless more are asked for.
const SELECTOR_TAIL: i64 = 10;
/// Between two attempts to go on following.
const RECONNECT: Duration = Duration::from_millis(500);

pub(super) async fn run(session: &Session, flags: &Logs) -> anyhow::Result<()> {
    let (target, container) = words(flags)?;
    since_time(&flags.since_time)?;
    let pods = match target {
        Some(target) if !flags.all_pods => {
            let found = pods::first_of_several(session, target, &flags.pod_running_timeout).await;
            let (pod, count) = found.map_err(|e| missing(e, session))?;
            if count > 1 {
                eprintln!("Found {count} pods, using pod/{}", pod.name());
            }
            vec![pod]
        }
        Some(target) => pods::all_of(session, target).await?,
        None => pods::noticed(session, pods::selected(session, &flags.selector).await)
            .await
            .map_err(|e| missing(e, session))?,
    };
    if pods.is_empty() {
        eprintln!("No resources found in {} namespace.", session.namespace);
        return Ok(());
    }
    // What contradicts itself is told of only once there is something to read.
    check_container(flags)?;
    let query = Query::of(flags)?;
    let mut sources = Vec::new();
    for pod in &pods {
        sources.extend(self::sources(pod, &container, flags)?);
    }
    if flags.follow && sources.len() > flags.max_log_requests {
        bail!(
            "you are attempting to follow {} log streams, but maximum allowed concurrency is {}, use --max-log-requests to increase the limit",
            sources.len(),
            flags.max_log_requests
        );
    }
    crate::interrupt::heed();
    show(session, flags, &query, sources).await
}

/// A pod that is not there, or an object that has none, in the words of `logs`.
fn missing(error: anyhow::Error, session: &Session) -> anyhow::Error {
    if let Some(NoPods { kind, why }) = error.downcast_ref() {
        return anyhow::anyhow!("cannot get the logs from {kind}: {why}");
    }
    match is_not_found(&error) {
        true => anyhow::anyhow!("error from server (NotFound): {error:#} in namespace {:?}", session.namespace),
        false => error,
    }
}

/// Target and container of the words.
fn words(flags: &Logs) -> anyhow::Result<(Option<&str>, String)> {
    let (target, word) = match flags.words.as_slice() {
        [] if flags.selector.is_empty() => {
            return Err(usage(
                "logs",
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command",
            ));
        }
        [] => (None, ""),
        [target] => (Some(target.as_str()), ""),
        [target, container] => (Some(target.as_str()), container.as_str()),
        _ => {
            return Err(usage(
                "logs",
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command",
            ));
        }
    };
    if target.is_some() && !flags.selector.is_empty() {
        return Err(usage("logs", "only a selector (-l) or a POD name is allowed"));
    }
    if target == Some("") {
        bail!(crate::selected::NOTHING);
    }
    let container = if word.is_empty() { flags.container.clone() } else { word.to_owned() };
    Ok((target, container))
}

/// Complains of a time as Go does: of the first part that is not as it should be.
fn since_time(text: &str) -> anyhow::Result<()> {
    if text.is_empty() || time::parse(text).is_ok() {
        return Ok(());
    }
    const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
    const PARTS: [&str; 11] = ["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05"];
    let mut rest = text;
    for part in PARTS {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        let found = rest.get(..part.len()).filter(|found| match is_number {
            true => found.bytes().all(|byte| byte.is_ascii_digit()),
            false => *found == part,
        });
        if found.is_none() {
            bail!("parsing time {text:?} as {LAYOUT:?}: cannot parse {rest:?} as {part:?}");
        }
        rest = &rest[part.len()..];
    }
    bail!("parsing time {text:?} as {LAYOUT:?}: cannot parse {rest:?} as \"Z07:00\"");
}

fn check_container(flags: &Logs) -> anyhow::Result<()> {
    let word = flags.words.get(1).map(String::as_str).unwrap_or_default();
    if flags.all_containers && !(word.is_empty() && flags.container.is_empty()) {
        bail!(
            "--all-containers=true should not be specified with container name {}",
            if word.is_empty() { &flags.container } else { word }
        );
    }
    if !word.is_empty() && !flags.container.is_empty() {
        bail!("only one of -c or an inline [CONTAINER] arg is allowed");
    }
    Ok(())
}

/// The parameters that all requests share.
struct Query {
    since_seconds: String,
    since_time: String,
    tail: String,
    limit: String,
}

impl Query {
    fn of(flags: &Logs) -> anyhow::Result<Self> {
        let since = time::parse_go_duration(&flags.since).with_context(|| {
            format!("invalid argument {:?} for \"--since\" flag: time: invalid duration {:?}", flags.since, flags.since)
        })?;
        if !since.is_zero() && !flags.since_time.is_empty() {
            bail!("at most one of `sinceTime` or `sinceSeconds` may be specified");
        }
        if flags.limit_bytes < 0 {
            bail!("--limit-bytes must be greater than 0");
        }
        if flags.tail < -1 {
            bail!("--tail must be greater than or equal to -1");
        }
        let tail = match flags.tail {
            -1 if !flags.selector.is_empty() && !flags.follow => SELECTOR_TAIL.to_string(),
            -1 => String::new(),
            tail => tail.to_string(),
        };
        Ok(Self {
            // Part of a second is rounded up.
            since_seconds: if since.is_zero() {
                String::new()
            } else {
                (since + Duration::from_millis(999)).as_secs().to_string()
            },
            since_time: flags.since_time.clone(),
            tail,
            limit: if flags.limit_bytes > 0 { flags.limit_bytes.to_string() } else { String::new() },
        })
    }

    fn path(&self, flags: &Logs, source: &Source) -> String {
        let flag = |set: bool| if set { "true" } else { "" };
        with_query(
            &format!("/api/v1/namespaces/{}/pods/{}/log", source.namespace, source.pod),
            &[
                ("container", &source.container),
                ("follow", flag(flags.follow)),
                ("previous", flag(flags.previous)),
                ("timestamps", flag(flags.timestamps)),
                ("insecureSkipTLSVerifyBackend", flag(flags.insecure_skip_tls_verify_backend)),
                ("tailLines", &self.tail),
                ("limitBytes", &self.limit),
                ("sinceSeconds", &self.since_seconds),
                ("sinceTime", &self.since_time),
            ],
        )
    }
}

/// One container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    namespace: String,
    pod: String,
    container: String,
}

impl Source {
    fn prefix(&self) -> String {
        format!("[pod/{}/{}] ", self.pod, self.container)
    }
}

fn sources(pod: &Value, container: &str, flags: &Logs) -> anyhow::Result<Vec<Source>> {
    let source = |container: &str| Source {
        namespace: pod.namespace().to_owned(),
        pod: pod.name().to_owned(),
        container: container.to_owned(),
    };
    if flags.all_containers {
        return Ok(pods::container_names(pod).iter().map(|name| source(name)).collect());
    }
    Ok(vec![source(&pods::container(pod, container, false)?)])
}

async fn show(session: &Session, flags: &Logs, query: &Query, sources: Vec<Source>) -> anyhow::Result<()> {
    let prefixed = flags.prefix || flags.all_pods;
    if !flags.follow {
        for source in &sources {
            if let Err(error) = copy(session, flags, query, source, prefixed).await {
                match flags.ignore_errors {
                    true => eprintln!("error: {error:#}"),
                    false => return Err(error),
                }
            }
        }
        return Ok(());
    }
    let mut streams: FuturesUnordered<_> =
        sources.iter().map(|source| copy(session, flags, query, source, prefixed)).collect();
    while let Some(outcome) = streams.next().await {
        match outcome {
            Err(error) if flags.ignore_errors => eprintln!("error: {error:#}"),
            outcome => outcome?,
        }
    }
    Ok(())
}

/// Prints a log to its end. A followed log that breaks off goes on where it was as long as its
/// container runs.
async fn copy(session: &Session, flags: &Logs, query: &Query, source: &Source, prefixed: bool) -> anyhow::Result<()> {
    let prefix = if prefixed { source.prefix() } else { String::new() };
    let path = query.path(flags, source);
    let client = crate::http::Client::new(session.client.connection().clone())?;
    let mut lines = Lines::new(client.stream(&path, "*/*", Patience::Answers).await?);
    let mut broken = 0;
    loop {
        match lines.next().await {
            Ok(Some(line)) => {
                let mut out = std::io::stdout().lock();
                out.write_all(prefix.as_bytes())?;
                out.write_all(&line)?;
                if !lines.at_end() {
                    out.write_all(b"\n")?;
                }
                out.flush()?;
            }
            Ok(None) => return Ok(()),
            Err(error) if !flags.follow || broken == 10 => return Err(error),
            Err(_) => {
                broken += 1;
                tokio::time::sleep(RECONNECT).await;
                let resumed = Query {
                    since_seconds: "1".into(),
                    since_time: String::new(),
                    tail: String::new(),
                    limit: String::new(),
                };
                lines = Lines::new(client.stream(&resumed.path(flags, source), "*/*", Patience::Answers).await?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Args, Command};
    use clap::Parser;

    #[test]
    fn times_are_complained_of_as_go_does() {
        for (text, want) in [
            ("x", "cannot parse \"x\" as \"2006\""),
            ("2020", "cannot parse \"\" as \"-\""),
            ("2020-01-02 03:04:05Z", "cannot parse \" 03:04:05Z\" as \"T\""),
            ("2020-01-02T03:04:05", "cannot parse \"\" as \"Z07:00\""),
        ] {
            let told = since_time(text).expect_err("no time").to_string();
            assert_eq!(told, format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": {want}"));
        }
        assert!(since_time("").is_ok() && since_time("2020-01-02T03:04:05Z").is_ok());
    }

    fn flags(line: &str) -> Logs {
        match Args::parse_from(["k", "logs"].into_iter().chain(line.split_whitespace())).command {
            Command::Logs(flags) => flags,
            _ => panic!("logs"),
        }
    }

    #[test]
    fn words_are_a_target_and_a_container() {
        for (line, want) in [
            ("web", Ok((Some("web"), ""))),
            ("web c", Ok((Some("web"), "c"))),
            ("-l a=b", Ok((None, ""))),
            ("web -c x", Ok((Some("web"), "x"))),
            ("web c -c x", Err(())),
            ("web -l a=b", Err(())),
            ("web c --all-containers", Err(())),
            ("", Err(())),
        ] {
            let flags = flags(line);
            let got = words(&flags).and_then(|got| check_container(&flags).map(|()| got)).map_err(drop);
            let got = got.as_ref().map(|(target, container)| (*target, container.as_str()));
            assert_eq!(got.ok(), want.ok(), "{line}");
        }
    }

    #[test]
    fn parameters_are_checked() {
        let source = Source { namespace: "n".into(), pod: "p".into(), container: "c".into() };
        let path =
            |line: &str| Query::of(&flags(line)).map(|q| q.path(&flags(line), &source)).map_err(|e| e.to_string());
        assert_eq!(
            path("p --since=1500ms -f").expect("fine"),
            "/api/v1/namespaces/n/pods/p/log?container=c&follow=true&sinceSeconds=2"
        );
        assert!(path("-l a=b").expect("fine").contains("tailLines=10"));
        assert!(path("p --since=1s --since-time=2026-01-01T00:00:00Z").is_err());
        assert!(path("p --limit-bytes=-1").is_err() && path("p --tail=-2").is_err());
    }
}
