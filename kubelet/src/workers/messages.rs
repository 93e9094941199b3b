//! Termination messages: what a container left behind when it ended.

use crate::runtime::{ContainerRecord, ContainerState, PodRecord};
use crate::server::log_format;
use k8s_openapi::api::core::v1::{ContainerState as ApiState, PodStatus};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const MAX_MESSAGE: usize = 4096;
const MAX_LOG: u64 = 2048;
const MAX_LOG_LINES: usize = 80;

/// The messages that a status already has, by container id: their files may be gone.
pub fn known(status: &PodStatus) -> HashMap<String, String> {
    let all = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let states = all.flat_map(|s| [&s.state, &s.last_state]).flatten();
    states.filter_map(of_state).collect()
}

fn of_state(state: &ApiState) -> Option<(String, String)> {
    let ended = state.terminated.as_ref()?;
    let (_, id) = ended.container_id.as_deref()?.split_once("://")?;
    Some((id.to_owned(), ended.message.clone()?))
}

/// Reads the messages of containers that ended since; forgets those that are gone.
pub async fn collect(messages: &mut HashMap<String, String>, record: &PodRecord, logs: &Path) {
    let ended = record.containers.iter().filter(|c| c.state == ContainerState::Exited);
    let fresh: Vec<_> = ended.filter(|c| !messages.contains_key(&c.id)).cloned().collect();
    if fresh.is_empty() {
        return;
    }
    let logs = logs.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        fresh.iter().filter_map(|c| Some((c.id.clone(), read(c, &logs)?))).collect::<Vec<_>>()
    });
    messages.extend(read.await.unwrap_or_default());
}

fn read(c: &ContainerRecord, logs: &Path) -> Option<String> {
    let file = c.message_host_path.as_ref().and_then(|p| head(Path::new(p)));
    let from_log =
        || (c.message_policy == "FallbackToLogsOnError" && c.exit_code != 0).then(|| log_tail(c, logs)).flatten();
    file.filter(|t| !t.is_empty()).or_else(from_log)
}

fn head(path: &Path) -> Option<String> {
    let mut buffer = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_MESSAGE as u64).read_to_end(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer).into_owned())
}

/// The last lines of the log, without the runtime's frame around each.
fn log_tail(c: &ContainerRecord, logs: &Path) -> Option<String> {
    let path = PathBuf::from(&c.log_path);
    let path = if path.is_absolute() { path } else { logs.join(path) };
    let mut file = std::fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    // Each line's frame takes some 40 bytes.
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_LOG + 60 * MAX_LOG_LINES as u64))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let lines = bytes[log_format::tail_start(&bytes, MAX_LOG_LINES)..].split(|byte| *byte == b'\n');
    let mut joined = Vec::new();
    for entry in lines.filter_map(log_format::parse) {
        joined.extend_from_slice(entry.content);
        joined.extend(entry.complete.then_some(b'\n'));
    }
    let text = String::from_utf8_lossy(&joined);
    let from = text.len().saturating_sub(MAX_LOG as usize);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Some(text[from..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_wins_and_the_log_stands_in_after_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m");
        std::fs::write(&file, "").unwrap();
        std::fs::write(
            dir.path().join("0.log"),
            "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:01Z stderr P tw\n2026-01-01T00:00:01Z stderr P o\n",
        )
        .unwrap();
        let mut c = ContainerRecord {
            message_host_path: Some(file.to_str().unwrap().into()),
            message_policy: "FallbackToLogsOnError".into(),
            log_path: "0.log".into(),
            exit_code: 1,
            ..ContainerRecord::default()
        };
        assert_eq!(read(&c, dir.path()).as_deref(), Some("one\ntwo"));
        c.exit_code = 0;
        assert_eq!(read(&c, dir.path()), None);
        std::fs::write(&file, "done").unwrap();
        assert_eq!(read(&c, dir.path()).as_deref(), Some("done"));
    }
}
