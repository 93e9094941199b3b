//! `/healthz`, `/livez`, `/readyz`: named checks, each also a path of its own.
//!
//! Upstream: `apiserver/pkg/server/healthz`.

mod indicators;

use crate::body::Body;
use crate::query::Query;
use crate::response;
use apimachinery::go::quoted;
use apiserver_storage::{StorageError, Store};
use component::Supervisor;
use http::{Response, StatusCode};
use indicators::Indicators;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long etcd may take to answer a check, if not told otherwise.
const ETCD_TIMEOUT: Duration = Duration::from_secs(2);

/// The three families of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `/healthz`.
    Healthz,
    /// `/livez`.
    Livez,
    /// `/readyz`: also whether traffic should come here.
    Readyz,
}

impl Family {
    /// The family that a path belongs to, and the check it names.
    pub fn of(path: &str) -> Option<(Self, &str)> {
        let families = [("/healthz", Family::Healthz), ("/livez", Family::Livez), ("/readyz", Family::Readyz)];
        families.into_iter().find_map(|(prefix, family)| match path.strip_prefix(prefix)? {
            "" => Some((family, "")),
            rest => Some((family, rest.strip_prefix('/').filter(|check| !check.is_empty())?)),
        })
    }

    fn name(self) -> &'static str {
        match self {
            Family::Healthz => "healthz",
            Family::Livez => "livez",
            Family::Readyz => "readyz",
        }
    }
}

#[derive(Clone, Debug)]
enum Probe {
    /// Answering is the check.
    Ping,
    /// An etcd cluster answers in time: the main one, or one of `--etcd-servers-overrides`.
    Etcd(usize),
    /// The same, in the time for checks whether the server is ready.
    EtcdReady(usize),
    /// The watch cache has its first state.
    Warm,
    /// The server is not stopping.
    Shutdown,
    /// Something that is done once after the start.
    Hook(Arc<AtomicBool>),
    /// What others know how to check.
    Other(Other),
}

/// A check that another part of the server makes: its state is read, nothing is asked.
#[derive(Clone)]
struct Other(Arc<dyn Fn() -> Result<(), String> + Send + Sync>);

impl std::fmt::Debug for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Other")
    }
}

#[derive(Clone, Debug)]
struct Check {
    name: String,
    /// Who excludes this, excludes the check.
    group: Option<&'static str>,
    probe: Probe,
    families: Families,
}

/// Where a check is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Families {
    All,
    OnlyReadyz,
    AllButReadyz,
}

impl Families {
    fn have(self, family: Family) -> bool {
        match self {
            Self::All => true,
            Self::OnlyReadyz => family == Family::Readyz,
            Self::AllButReadyz => family != Family::Readyz,
        }
    }
}

impl Check {
    fn new(name: &str, probe: Probe, families: Families) -> Self {
        Self { name: name.into(), group: None, probe, families }
    }

    /// The word by which it is left out, if it is.
    fn excluded_by<'w>(&self, words: &[&'w str]) -> Option<&'w str> {
        words.iter().copied().find(|word| *word == self.name || self.group == Some(word))
    }
}

/// All checks of a server.
#[derive(Debug)]
pub struct Health {
    checks: Vec<Check>,
    store: Store,
    supervisor: Supervisor,
    indicators: Indicators,
    /// `--etcd-healthcheck-timeout`.
    etcd_timeout: Duration,
    /// `--etcd-readycheck-timeout`.
    ready_timeout: Duration,
    /// When the steps after the start begin to count for `/livez`.
    lenient_until: Instant,
}

/// Tells the checks that a step after the start is done.
#[derive(Clone, Debug)]
pub struct Hook(Arc<AtomicBool>);

impl Hook {
    /// The step is done.
    pub fn done(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is.
    pub fn is_done(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Health {
    /// The checks that every server has. It is not ready once `supervisor` stops.
    pub fn new(store: Store, supervisor: Supervisor) -> Self {
        let mut checks = vec![
            Check::new("ping", Probe::Ping, Families::All),
            Check::new("log", Probe::Ping, Families::All),
            // There is no such certificate here that could end.
            Check::new("loopback-serving-certificate", Probe::Ping, Families::AllButReadyz),
            Check::new("etcd", Probe::Etcd(0), Families::All),
            Check::new("etcd-readiness", Probe::EtcdReady(0), Families::OnlyReadyz),
        ];
        for (number, cluster) in store.other_clusters().into_iter().enumerate() {
            let healthy = Check::new(&format!("etcd-override-{number}"), Probe::Etcd(cluster), Families::All);
            checks.push(Check { group: Some("etcd"), ..healthy });
            let name = format!("etcd-override-readiness-{number}");
            let ready = Check::new(&name, Probe::EtcdReady(cluster), Families::OnlyReadyz);
            checks.push(Check { group: Some("etcd-readiness"), ..ready });
        }
        checks.push(Check::new("informer-sync", Probe::Warm, Families::OnlyReadyz));
        checks.push(Check::new("shutdown", Probe::Shutdown, Families::OnlyReadyz));
        Self {
            checks,
            store,
            supervisor,
            indicators: Indicators::new(),
            etcd_timeout: ETCD_TIMEOUT,
            ready_timeout: ETCD_TIMEOUT,
            lenient_until: Instant::now(),
        }
    }

    /// `--livez-grace-period`: so long from now, `/livez` does not ask for the steps after the start.
    pub fn set_livez_grace(&mut self, grace: Duration) {
        self.lenient_until = Instant::now() + grace;
    }

    /// `--etcd-healthcheck-timeout` and `--etcd-readycheck-timeout`.
    pub fn set_etcd_timeouts(&mut self, health: Duration, ready: Duration) {
        (self.etcd_timeout, self.ready_timeout) = (health, ready);
    }

    /// Adds a check of all families.
    pub fn add(&mut self, name: &str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        let last = self.checks.len() - 1;
        let probe = Probe::Other(Other(Arc::new(check)));
        self.checks.insert(last, Check::new(name, probe, Families::All));
    }

    /// Adds `poststarthook/NAME`, which is done when the watch cache has its first state.
    pub fn warm_hook(&mut self, name: &str) {
        let last = self.checks.len() - 1;
        let check = Check::new(&format!("poststarthook/{name}"), Probe::Warm, Families::All);
        self.checks.insert(last, check);
    }

    /// Adds `poststarthook/NAME`, which fails until it is done.
    pub fn hook(&mut self, name: &str) -> Hook {
        let done = Arc::new(AtomicBool::new(false));
        let last = self.checks.len() - 1;
        let check = Check::new(&format!("poststarthook/{name}"), Probe::Hook(done.clone()), Families::All);
        self.checks.insert(last, check);
        Hook(done)
    }

    /// All paths of the checks.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for family in [Family::Healthz, Family::Livez, Family::Readyz] {
            paths.push(format!("/{}", family.name()));
            paths.extend(self.of(family).map(|c| format!("/{}/{}", family.name(), c.name)));
        }
        paths
    }

    /// The text of `/metrics/slis`: what came of the checks.
    pub fn indicators(&self) -> String {
        self.indicators.text()
    }

    fn of(&self, family: Family) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| check.families.have(family))
    }

    /// Answers a request for a family or for one check of it.
    pub async fn respond(&self, family: Family, name: &str, query: &Query<'_>) -> Response<Body> {
        if name.is_empty() {
            return self.all(family, query).await;
        }
        match self.of(family).find(|c| c.name == name) {
            None => response::not_found(),
            Some(check) => match self.run(family, check).await {
                Ok(()) => response::text(StatusCode::OK, "ok"),
                Err(why) => {
                    response::error_text(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {why}\n"))
                }
            },
        }
    }

    /// Runs a check, and notes what came of it.
    async fn checked(&self, family: Family, check: &Check) -> Result<(), String> {
        let result = self.run(family, check).await;
        self.indicators.note(&check.name, family.name(), result.is_ok());
        result
    }

    async fn all(&self, family: Family, query: &Query<'_>) -> Response<Body> {
        let excluded: Vec<&str> = query.all("exclude").collect();
        let mut unknown: BTreeSet<&str> = excluded.iter().copied().collect();
        let (mut report, mut failed) = (String::new(), false);
        for check in self.of(family) {
            let name = &check.name;
            // Writing to a string cannot fail.
            let _ = match check.excluded_by(&excluded) {
                Some(word) => {
                    unknown.remove(word);
                    match word == name {
                        true => writeln!(report, "[+]{name} excluded: ok"),
                        false => writeln!(report, "[+]{name} excluded with {word}: ok"),
                    }
                }
                None => match self.checked(family, check).await {
                    Ok(()) => writeln!(report, "[+]{name} ok"),
                    Err(why) => {
                        failed = true;
                        tracing::debug!(check = name, why, "health check failed");
                        writeln!(report, "[-]{name} failed: reason withheld")
                    }
                },
            };
        }
        if !unknown.is_empty() {
            let unknown = unknown.into_iter().map(quoted).collect::<Vec<_>>().join(",");
            let _ = writeln!(report, "warn: some health checks cannot be excluded: no matches for {unknown}");
        }
        let family = family.name();
        match (failed, query.get("verbose")) {
            (true, _) => {
                response::error_text(StatusCode::INTERNAL_SERVER_ERROR, format!("{report}{family} check failed\n"))
            }
            (false, None) => response::error_text(StatusCode::OK, "ok"),
            (false, Some(_)) => response::error_text(StatusCode::OK, format!("{report}{family} check passed\n")),
        }
    }

    async fn etcd(&self, cluster: usize, timeout: Duration) -> Result<(), String> {
        match tokio::time::timeout(timeout, self.store.answers(cluster)).await {
            Ok(answer) => answer.map_err(|error: StorageError| error.to_string()),
            Err(_) => Err("etcd did not answer in time".into()),
        }
    }

    async fn run(&self, family: Family, check: &Check) -> Result<(), String> {
        match &check.probe {
            Probe::Hook(_) | Probe::Warm if family == Family::Livez && Instant::now() < self.lenient_until => Ok(()),
            Probe::Ping => Ok(()),
            Probe::Etcd(cluster) => self.etcd(*cluster, self.etcd_timeout).await,
            Probe::EtcdReady(cluster) => self.etcd(*cluster, self.ready_timeout).await,
            Probe::Warm if self.store.is_warm() => Ok(()),
            Probe::Warm => Err("the watch cache is not filled yet".into()),
            Probe::Shutdown if self.supervisor.is_stopping() => Err("process is shutting down".into()),
            Probe::Shutdown => Ok(()),
            Probe::Hook(done) if done.load(Ordering::Acquire) => Ok(()),
            Probe::Hook(_) => Err("not finished".into()),
            Probe::Other(check) => (check.0)(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_excluded_by_their_name_or_their_group() {
        let other = Check::new("etcd-override-0", Probe::Etcd(1), Families::All);
        let other = Check { group: Some("etcd"), ..other };
        for (words, want) in [
            (&["etcd"][..], Some("etcd")),
            (&["ping", "etcd-override-0"], Some("etcd-override-0")),
            (&["etcd,ping", "etcd-override"], None),
        ] {
            assert_eq!(other.excluded_by(words), want, "{words:?}");
        }
    }

    #[test]
    fn paths_name_families_and_checks() {
        for (path, want) in [
            ("/healthz", Some((Family::Healthz, ""))),
            ("/healthz/", None),
            ("/healthz/etcd", Some((Family::Healthz, "etcd"))),
            ("/readyz/poststarthook/x", Some((Family::Readyz, "poststarthook/x"))),
            ("/livezz", None),
            ("/", None),
        ] {
            assert_eq!(Family::of(path), want, "{path}");
        }
    }
}
