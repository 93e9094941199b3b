//! What was recommended and done before, and what it lets be done now.
//!
//! Upstream: `normalizeDesiredReplicas` and `normalizeDesiredReplicasWithBehaviors`.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscalerBehavior};

/// Without a behavior a target at most doubles, but may always become this large.
const UP_AT_LEAST: i32 = 4;

/// One autoscaler's past.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct History {
    recommendations: Vec<(i32, Timestamp)>,
    ups: Vec<(i32, Timestamp)>,
    downs: Vec<(i32, Timestamp)>,
}

/// Between what the number of pods must be.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Limits {
    pub(in super::super) current: i32,
    pub(in super::super) min: i32,
    pub(in super::super) max: i32,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`.
    pub(in super::super) downscale_window: SignedDuration,
}

/// A reason and its message.
type Why = (&'static str, &'static str);

/// The number of pods that is allowed, and why it is not the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Normalized {
    pub(in super::super) replicas: i32,
    /// What `AbleToScale` says.
    pub(in super::super) stabilized: Why,
    /// Whether `ScalingLimited` holds, and what it says.
    pub(in super::super) limited: (bool, Why),
}

const READY: Why = ("ReadyForNewScale", "recommended size matches current size");
const UP_STABILIZED: Why = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const DOWN_STABILIZED: Why = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const WITHIN: Why = ("DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_FAST_UP: Why = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const TOO_FAST_DOWN: Why =
    ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");
const TOO_MANY: Why = ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FEW: Why = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");

impl History {
    /// The target's size when it is first seen counts as a recommendation: a restart of this
    /// process must not scale down at once.
    pub(in super::super) fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommendations.push((current, now));
        }
    }

    /// Takes note of a change of size.
    pub(in super::super) fn scaled(
        &mut self,
        behavior: Option<&HorizontalPodAutoscalerBehavior>,
        from: i32,
        to: i32,
        now: Timestamp,
    ) {
        let Some(behavior) = behavior else { return };
        let (events, rules) = match to > from {
            true => (&mut self.ups, &behavior.scale_up),
            false => (&mut self.downs, &behavior.scale_down),
        };
        let longest = rules.iter().flat_map(policies).map(|policy| policy.period_seconds).max().unwrap_or(0);
        let cutoff = before(now, seconds(longest));
        events.retain(|(_, at)| *at >= cutoff);
        events.push(((to - from).abs(), now));
    }

    fn recommend(&mut self, replicas: i32, keep_from: Timestamp, now: Timestamp) {
        self.recommendations.retain(|(_, at)| *at >= keep_from);
        self.recommendations.push((replicas, now));
    }

    /// How large the target was at the begin of a period.
    fn size_before(&self, current: i32, period: i32, now: Timestamp) -> i32 {
        let cutoff = before(now, seconds(period));
        let sum = |events: &[(i32, Timestamp)]| -> i32 {
            events.iter().filter(|(_, at)| *at > cutoff).fold(0, |sum, (change, _)| sum.saturating_add(*change))
        };
        current.saturating_sub(sum(&self.ups)).saturating_add(sum(&self.downs))
    }
}

/// The number of pods that may be had now, of those that are desired.
pub(in super::super) fn normalize(
    history: &mut History,
    behavior: Option<&HorizontalPodAutoscalerBehavior>,
    limits: Limits,
    desired: i32,
    now: Timestamp,
) -> Normalized {
    let (stable, stabilized, (replicas, why)) = match behavior {
        None => {
            let stable = highest_recent(history, limits, desired, now);
            (stable, DOWN_STABILIZED, within_default_rate(limits, stable))
        }
        Some(behavior) => {
            let stable = stabilize(history, behavior, limits, desired, now);
            let why = if desired >= limits.current { UP_STABILIZED } else { DOWN_STABILIZED };
            (stable, why, within_rate(history, behavior, limits, stable, now))
        }
    };
    let stabilized = if stable == desired { READY } else { stabilized };
    Normalized { replicas, stabilized, limited: (replicas != stable, why) }
}

fn highest_recent(history: &mut History, limits: Limits, desired: i32, now: Timestamp) -> i32 {
    let cutoff = before(now, limits.downscale_window);
    let recent = history.recommendations.iter().filter(|(_, at)| *at >= cutoff).map(|(replicas, _)| *replicas);
    let highest = recent.max().unwrap_or(desired).max(desired);
    history.recommend(desired, cutoff, now);
    highest
}

fn within_default_rate(limits: Limits, desired: i32) -> (i32, Why) {
    let fastest = limits.current.saturating_mul(2).max(UP_AT_LEAST);
    let (most, why) = if limits.max > fastest { (fastest, TOO_FAST_UP) } else { (limits.max, TOO_MANY) };
    if desired < limits.min {
        (limits.min, TOO_FEW)
    } else if desired > most {
        (most, why)
    } else {
        (desired, WITHIN)
    }
}

fn stabilize(
    history: &mut History,
    behavior: &HorizontalPodAutoscalerBehavior,
    limits: Limits,
    desired: i32,
    now: Timestamp,
) -> i32 {
    let window = |rules: &Option<HPAScalingRules>| rules.as_ref().and_then(|rules| rules.stabilization_window_seconds);
    let up = seconds(window(&behavior.scale_up).unwrap_or(0));
    let down = window(&behavior.scale_down).map_or(limits.downscale_window, seconds);
    let (up_cutoff, down_cutoff) = (before(now, up), before(now, down));
    let since = |cutoff: Timestamp| {
        history.recommendations.iter().filter(move |(_, at)| *at > cutoff).map(|(replicas, _)| *replicas)
    };
    let lowest = since(up_cutoff).min().unwrap_or(desired).min(desired);
    let highest = since(down_cutoff).max().unwrap_or(desired).max(desired);
    history.recommend(desired, up_cutoff.min(down_cutoff), now);
    limits.current.max(lowest).min(highest)
}

fn within_rate(
    history: &History,
    behavior: &HorizontalPodAutoscalerBehavior,
    limits: Limits,
    desired: i32,
    now: Timestamp,
) -> (i32, Why) {
    let current = limits.current;
    if desired > current {
        let fastest = fastest_up(history, behavior.scale_up.as_ref(), current, now).max(current);
        let (most, why) = if limits.max > fastest { (fastest, TOO_FAST_UP) } else { (limits.max, TOO_MANY) };
        if desired > most {
            return (most, why);
        }
    } else if desired < current {
        let fastest = fastest_down(history, behavior.scale_down.as_ref(), current, now).min(current);
        let (least, why) = if limits.min < fastest { (fastest, TOO_FAST_DOWN) } else { (limits.min, TOO_FEW) };
        if desired < least {
            return (least, why);
        }
    }
    (desired, WITHIN)
}

/// The largest size that the policies allow.
fn fastest_up(history: &History, rules: Option<&HPAScalingRules>, current: i32, now: Timestamp) -> i32 {
    let Some(rules) = rules else { return i32::MAX };
    let sizes = policies(rules).map(|policy| {
        let start = history.size_before(current, policy.period_seconds, now);
        match policy.type_.as_str() {
            "Pods" => start.saturating_add(policy.value),
            _ => (f64::from(start) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32,
        }
    });
    match select(rules) {
        "Disabled" => current,
        "Min" => sizes.min().unwrap_or(i32::MAX),
        _ => sizes.max().unwrap_or(i32::MIN),
    }
}

/// The smallest size that the policies allow.
fn fastest_down(history: &History, rules: Option<&HPAScalingRules>, current: i32, now: Timestamp) -> i32 {
    let Some(rules) = rules else { return i32::MIN };
    let sizes = policies(rules).map(|policy| {
        let start = history.size_before(current, policy.period_seconds, now);
        match policy.type_.as_str() {
            "Pods" => start.saturating_sub(policy.value),
            _ => (f64::from(start) * (1.0 - f64::from(policy.value) / 100.0)) as i32,
        }
    });
    match select(rules) {
        "Disabled" => current,
        "Min" => sizes.max().unwrap_or(i32::MIN),
        _ => sizes.min().unwrap_or(i32::MAX),
    }
}

fn policies(rules: &HPAScalingRules) -> impl Iterator<Item = &k8s_openapi::api::autoscaling::v2::HPAScalingPolicy> {
    rules.policies.iter().flatten()
}

fn select(rules: &HPAScalingRules) -> &str {
    rules.select_policy.as_deref().unwrap_or("Max")
}

fn seconds(seconds: i32) -> SignedDuration {
    SignedDuration::from_secs(seconds.into())
}

fn before(now: Timestamp, time: SignedDuration) -> Timestamp {
    now.saturating_sub(time).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn limits(current: i32) -> Limits {
        Limits { current, min: 1, max: 100, downscale_window: SignedDuration::from_secs(300) }
    }

    fn behavior(value: Value) -> HorizontalPodAutoscalerBehavior {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_target_grows_at_once_and_shrinks_late() {
        let mut history = History::default();
        history.begin(10, at(0));
        let go = |history: &mut History, desired, second| {
            let normalized = normalize(history, None, limits(10), desired, at(second));
            (normalized.replicas, normalized.stabilized.0, normalized.limited.0)
        };
        assert_eq!(go(&mut history, 15, 0), (15, "ReadyForNewScale", false));
        assert_eq!(go(&mut history, 50, 1), (20, "ReadyForNewScale", true));
        assert_eq!(go(&mut history, 5, 200), (20, "ScaleDownStabilized", true));
        assert_eq!(go(&mut history, 5, 302), (5, "ReadyForNewScale", false));
        assert_eq!(go(&mut history, 0, 700), (1, "ReadyForNewScale", true));
        let small = normalize(&mut History::default(), None, limits(1), 10, at(0));
        assert_eq!((small.replicas, small.limited.1.0), (4, "ScaleUpLimit"));
    }

    #[test]
    fn policies_limit_the_rate() {
        let both = behavior(json!({
            "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]},
            "scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Min", "policies": [
                {"type": "Pods", "value": 2, "periodSeconds": 60}, {"type": "Percent", "value": 50, "periodSeconds": 60}]}
        }));
        let mut history = History::default();
        let up = normalize(&mut history, Some(&both), limits(10), 50, at(0));
        assert_eq!((up.replicas, up.limited.1.0), (20, "ScaleUpLimit"));
        history.scaled(Some(&both), 10, 20, at(0));
        // Within the period the size at its begin counts.
        let again = normalize(&mut history, Some(&both), limits(20), 50, at(10));
        assert_eq!((again.replicas, again.limited.0), (20, true));
        assert_eq!(normalize(&mut history, Some(&both), limits(20), 50, at(16)).replicas, 40);
        let mut history = History::default();
        let down = normalize(&mut history, Some(&both), limits(20), 1, at(0));
        assert_eq!((down.replicas, down.limited.1.0), (18, "ScaleDownLimit"));
    }

    #[test]
    fn windows_and_locks() {
        let slow = behavior(json!({
            "scaleUp": {"stabilizationWindowSeconds": 60, "policies": [{"type": "Percent", "value": 1000, "periodSeconds": 15}]},
            "scaleDown": {"selectPolicy": "Disabled", "stabilizationWindowSeconds": 0}
        }));
        let mut history = History::default();
        history.begin(10, at(0));
        let first = normalize(&mut history, Some(&slow), limits(10), 20, at(30));
        assert_eq!((first.replicas, first.stabilized.0), (10, "ScaleUpStabilized"));
        assert_eq!(normalize(&mut history, Some(&slow), limits(10), 20, at(61)).replicas, 20);
        let locked = normalize(&mut history, Some(&slow), limits(10), 2, at(200));
        assert_eq!((locked.replicas, locked.limited.1.0), (10, "ScaleDownLimit"));
    }
}
