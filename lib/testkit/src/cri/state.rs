//! What the fake runtime holds.

use proto::cri;
use std::collections::{BTreeMap, BTreeSet};

/// Everything, open to tests.
#[derive(Debug, Default)]
pub struct State {
    /// By id, in order of creation.
    pub sandboxes: BTreeMap<String, FakeSandbox>,
    /// By id, in order of creation.
    pub containers: BTreeMap<String, FakeContainer>,
    /// Names of the images that are there.
    pub images: BTreeSet<String>,
    /// Names of images that can be pulled; others fail.
    pub registry: BTreeSet<String>,
    /// Calls that fail, by method name, with this message.
    pub failures: BTreeMap<&'static str, String>,
    /// Every call that changed something: method and the container's or sandbox's name.
    pub calls: Vec<(&'static str, String)>,
    /// The exit code of commands run in containers, by the command's words; others give 0.
    pub commands: BTreeMap<String, i32>,
    next: u64,
}

/// A sandbox.
#[derive(Clone, Debug)]
pub struct FakeSandbox {
    /// As it was asked for.
    pub config: cri::PodSandboxConfig,
    /// Whether it runs.
    pub ready: bool,
    /// Its address; empty on the node's network.
    pub ip: String,
    /// Nanoseconds since the epoch.
    pub created_at: i64,
}

/// A container.
#[derive(Clone, Debug)]
pub struct FakeContainer {
    /// Where it lives.
    pub sandbox: String,
    /// As it was asked for.
    pub config: cri::ContainerConfig,
    /// What it does.
    pub state: cri::ContainerState,
    /// Nanoseconds since the epoch.
    pub created_at: i64,
    /// When its process started.
    pub started_at: i64,
    /// When its process ended.
    pub finished_at: i64,
    /// How its process ended.
    pub exit_code: i32,
}

impl State {
    /// An id that sorts after all before it, and so does its creation time.
    pub(crate) fn new_id(&mut self, kind: &str) -> (String, i64) {
        self.next += 1;
        (format!("{kind}{:08}", self.next), now() + i64::try_from(self.next).unwrap_or(0))
    }

    /// Fails a call that a test wants to fail.
    pub(crate) fn check(&self, method: &'static str) -> Result<(), tonic::Status> {
        self.failures.get(method).map_or(Ok(()), |message| Err(tonic::Status::unknown(message.clone())))
    }

    /// The newest container of this name.
    pub fn container(&self, name: &str) -> Option<(&String, &FakeContainer)> {
        self.containers.iter().rev().find(|(_, c)| c.name() == name)
    }

    /// Ends the newest container of this name.
    pub fn exit(&mut self, name: &str, code: i32) {
        let newest = self.containers.values_mut().rev().find(|c| c.name() == name);
        if let Some(container) = newest {
            container.end(code);
        }
    }

    /// How often a method was called for a container or sandbox of this name.
    pub fn count(&self, method: &str, name: &str) -> usize {
        self.calls.iter().filter(|(m, n)| *m == method && n == name).count()
    }
}

impl FakeContainer {
    /// Its name in its pod.
    pub fn name(&self) -> &str {
        self.config.metadata.as_ref().map(|m| m.name.as_str()).unwrap_or_default()
    }

    pub(crate) fn end(&mut self, code: i32) {
        if self.state == cri::ContainerState::ContainerRunning {
            (self.state, self.exit_code, self.finished_at) = (cri::ContainerState::ContainerExited, code, now());
        }
    }
}

pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
