//! `/debug/api_priority_and_fairness/*`: the state as text, in columns.
//!
//! Upstream: `apiserver/pkg/util/flowcontrol/apf_controller_debug.go`.

use crate::config::LevelKind;
use crate::fairness::Fairness;
use std::fmt::Write;

impl Fairness {
    /// The dump of this name; `None` if there is none.
    pub fn dump(&self, name: &str) -> Option<String> {
        match name {
            "dump_priority_levels" => Some(self.dump_levels()),
            "dump_queues" => Some(self.dump_queues()),
            "dump_requests" => Some(self.dump_requests()),
            _ => None,
        }
    }

    /// Names of all dumps.
    pub const DUMPS: [&str; 3] = ["dump_priority_levels", "dump_queues", "dump_requests"];

    fn dump_levels(&self) -> String {
        let mut rows = vec![row(&[
            "PriorityLevelName",
            "ActiveQueues",
            "IsIdle",
            "IsQuiescing",
            "WaitingRequests",
            "ExecutingRequests",
            "DispatchedRequests",
            "RejectedRequests",
            "TimedoutRequests",
            "CancelledRequests",
        ])];
        let state = self.state();
        for level in &state.levels {
            let load = level.level.load();
            let of_level = |number: &dyn Fn(&crate::metrics::Counts) -> u64| -> u64 {
                state.schemas().iter().filter(|s| s.level.name == level.config.name).map(|s| number(&s.counts)).sum()
            };
            let idle = load.running == 0 && load.waiting == 0;
            rows.push(row(&[
                &level.config.name,
                &load.active_queues.to_string(),
                &idle.to_string(),
                "false",
                &load.waiting.to_string(),
                &load.running.to_string(),
                &of_level(&|c| c.all_served()).to_string(),
                &of_level(&|c| c.all_refused() - c.timed_out()).to_string(),
                &of_level(&|c| c.timed_out()).to_string(),
                "0",
            ]));
        }
        rows.concat()
    }

    fn dump_queues(&self) -> String {
        let mut rows =
            vec![row(&["PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "NextDispatchR"])];
        for level in &self.state().levels {
            if level.config.kind == LevelKind::Exempt {
                continue;
            }
            for (index, (waiting, running, served)) in level.level.queues().into_iter().enumerate() {
                let numbers = [index, waiting, running].map(|n| n.to_string());
                let time = format!("{served:.8}ss");
                rows.push(row(&[&level.config.name, &numbers[0], &numbers[1], &numbers[2], &time]));
            }
        }
        rows.concat()
    }

    fn dump_requests(&self) -> String {
        let mut rows = vec![row(&["PriorityLevelName", "FlowSchemaName", "WaitingRequests"])];
        for schema in self.state().schemas() {
            let waiting = schema.counts.now_waiting();
            if waiting > 0 {
                rows.push(row(&[&schema.level.name, &schema.config.name, &waiting.to_string()]));
            }
        }
        rows.concat()
    }
}

fn row(cells: &[&str]) -> String {
    let mut line = String::new();
    for cell in cells {
        // Writing to a string cannot fail.
        let _ = write!(line, "{cell:<25}, ");
    }
    line.truncate(line.trim_end_matches([' ', ',']).len());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dumps_by_name() {
        let fairness = Fairness::new(10, Duration::from_secs(60));
        for name in Fairness::DUMPS {
            let text = fairness.dump(name).expect("a dump");
            assert!(text.starts_with("PriorityLevelName"), "{text}");
        }
        let levels = fairness.dump("dump_priority_levels").expect("a dump");
        assert!(levels.contains("\nexempt ") && levels.contains("\ncatch-all "), "{levels}");
        assert_eq!(fairness.dump("dump_nothing"), None);
    }
}
