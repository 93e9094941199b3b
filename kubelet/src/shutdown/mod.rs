//! Ends pods before the machine is switched off: logind lets the shutdown wait for as long as the kubelet holds a lock.
//!
//! [`plan`] says who ends when and is pure; [`logind`] hears of a shutdown; [`state`] remembers it.
//!
//! Upstream: `pkg/kubelet/nodeshutdown`.

pub mod logind;
pub mod plan;
pub mod state;

use crate::config::shutdown::PriorityPeriod;
use crate::events::{Events, Severity};
use crate::node::NodeFacts;
use crate::pod::PodExt as _;
use crate::status::Verdict;
use crate::workers::Workers;
use futures::StreamExt as _;
use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use logind::{Logind, LogindError, Place};
use plan::Group;
use state::{Record, State};
use std::time::Duration;

/// The reason of pods that are not taken because the node shuts down, and what they are told.
pub const REFUSED: (&str, &str) = ("NodeShutdown", "Pod was rejected as the node is shutting down.");
/// The reason of pods that were ended, and what they are told.
const ENDED: (&str, &str) = ("Terminated", "Pod was terminated in response to imminent node shutdown.");
/// What the node's condition says.
pub const PROBLEM: &str = "node is shutting down";

const RECONNECT: Duration = Duration::from_secs(1);
/// How often logind is asked whether it has taken the new delay up, and after what time first; twice as long each time.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Waits for the node's shutdown.
pub struct Manager {
    pub periods: Vec<PriorityPeriod>,
    pub place: Place,
    pub workers: Workers,
    pub node: NodeFacts,
    pub events: Events,
    pub record: Record,
}

impl Manager {
    /// Goes on for ever; give it to the supervisor. A machine without logind is told of once, as upstream does.
    pub async fn run(self) {
        let mut watched = self.watch().await;
        if let Err(error) = &watched {
            tracing::warn!(error = chain(error), "Failed to start node shutdown manager");
            return;
        }
        loop {
            match watched {
                Ok(()) => tracing::error!("Ended to watching the node for shutdown events"),
                Err(error) => tracing::error!(error = chain(&error), "Unable to watch the node for shutdown events"),
            }
            tokio::time::sleep(RECONNECT).await;
            watched = self.watch().await;
        }
    }

    /// Watches until the connection ends.
    async fn watch(&self) -> Result<(), LogindError> {
        let logind = Logind::connect(&self.place).await?;
        self.ensure_delay(&logind).await?;
        // Who sees that the lock is held may announce a shutdown at once: it has to be heard.
        let mut shutdowns = logind.shutdowns().await?;
        let mut lock = Some(logind.inhibit().await?);
        tracing::info!(periods = ?self.periods, "a shutdown of the node waits for its pods");
        while let Some(shuts_down) = shutdowns.next().await {
            self.note(shuts_down);
            if shuts_down {
                self.end_pods().await;
                lock = None;
                tracing::info!("all pods have had their time, the node shuts down shortly");
            } else {
                // Where there can be no new one, the old one goes on.
                lock = logind.inhibit().await.map_or(lock, Some);
            }
        }
        Ok(())
    }

    /// Lets logind wait for long enough.
    async fn ensure_delay(&self, logind: &Logind) -> Result<(), LogindError> {
        let wanted = plan::requested(&self.periods);
        if logind.longest_delay().await? >= wanted {
            return Ok(());
        }
        logind.lengthen_delay(wanted).await?;
        let mut wait = FIRST_WAIT;
        for tries in 1.. {
            let delay = logind.longest_delay().await?;
            if delay >= wanted {
                break;
            }
            if tries == TRIES {
                return Err(LogindError::StillShort { tries, wanted, delay });
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Ok(())
    }

    fn note(&self, shuts_down: bool) {
        let what = if shuts_down { "event" } else { "cancellation" };
        let text = format!("Shutdown manager detected shutdown {what}");
        tracing::info!(shuts_down, "{text}");
        self.events.node(&self.node.name(), Severity::Normal, "NodeShutdown", text);
        self.node.update(|facts| facts.shuts_down = shuts_down);
        self.node.report_now();
    }

    /// Ends the pods, group by group.
    async fn end_pods(&self) {
        let start_time = Some(Timestamp::now());
        self.record.set(State { start_time, end_time: None });
        for group in plan::groups(&self.periods, &self.workers.active()) {
            self.end_group(&group).await;
        }
        self.record.set(State { start_time, end_time: Some(Timestamp::now()) });
    }

    /// Ends some pods and waits until they have left nothing behind, volumes included: the drivers of these may be in a
    /// later group.
    async fn end_group(&self, group: &Group) {
        let period = &group.period;
        for pod in &group.pods {
            let grace = plan::grace(period, pod);
            tracing::info!(pod = pod.formatted(), grace, "Shutdown manager killing pod with gracePeriod");
            let (reason, message) = ENDED;
            let verdict =
                Verdict { reason: reason.into(), message: message.into(), grace: Some(grace), disruption: true };
            self.workers.end(pod.uid(), verdict);
        }
        let released = join_all(group.pods.iter().map(|pod| self.workers.released(pod.uid())));
        if tokio::time::timeout(period.length(), released).await.is_err() {
            tracing::info!(priority = period.priority, "Shutdown manager pod killing time out");
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
