//! How many pods a measure asks for. All amounts are thousandths.
//!
//! Upstream: `replica_calculator.go`, `metrics/utilization.go`.

use crate::objects::pods;
use apimachinery::quantity::Quantity;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What one pod uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Sample {
    pub(in super::super) value: i64,
    pub(in super::super) at: Option<Timestamp>,
    pub(in super::super) window: SignedDuration,
}

/// What pods use, by name.
pub(in super::super) type Samples = BTreeMap<String, Sample>;

/// How far the ratio of actual to desired may be off before it scales.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Tolerance {
    pub(in super::super) down: f64,
    pub(in super::super) up: f64,
}

impl Tolerance {
    fn covers(self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// The pods that are measured, and when they count.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Measured<'a> {
    pub(in super::super) pods: &'a [Arc<Pod>],
    /// How many the target asks for now.
    pub(in super::super) current: i32,
    pub(in super::super) tolerance: Tolerance,
    /// Whether it is cpu, which pods use otherwise while they start.
    pub(in super::super) is_cpu: bool,
    /// How long they start.
    pub(in super::super) initialization: SignedDuration,
    /// How long a change of readiness is taken for the first one.
    pub(in super::super) readiness_delay: SignedDuration,
    pub(in super::super) now: Timestamp,
}

/// What a measure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Proposal {
    pub(in super::super) replicas: i32,
    /// Of what is asked for, in percent; 0 where nothing is.
    pub(in super::super) utilization: i32,
    /// On average.
    pub(in super::super) usage: i64,
}

const NO_PODS: &str = "no pods returned by selector while calculating replica count";
const NO_METRICS: &str = "did not receive metrics for targeted pods (pods might be unready)";

#[derive(Debug, Default, PartialEq, Eq)]
struct Groups {
    ready: usize,
    unready: BTreeSet<String>,
    missing: BTreeSet<String>,
    ignored: BTreeSet<String>,
}

/// So many pods that each uses this part, in percent, of what it asks for.
pub(in super::super) fn by_utilization(
    mut samples: Samples,
    measured: &Measured<'_>,
    target: i32,
    requests: impl FnOnce() -> Result<BTreeMap<String, i64>, String>,
) -> Result<Proposal, String> {
    let groups = usable(&mut samples, measured)?;
    let requests = requests()?;
    let (ratio, utilization, usage) = utilization(&samples, &requests, target)?;
    // A pod that lacks a sample is taken to use all of its request, if that is to hold back.
    let full = |name: &str| requests.get(name).copied().unwrap_or(0).saturating_mul(i64::from(target.max(100))) / 100;
    let replicas =
        settle(measured, &groups, ratio, samples, full, |samples| utilization_ratio(samples, &requests, target))?;
    Ok(Proposal { replicas, utilization, usage })
}

/// So many pods that each uses this much.
pub(in super::super) fn by_usage(
    mut samples: Samples,
    measured: &Measured<'_>,
    target: i64,
) -> Result<Proposal, String> {
    let groups = usable(&mut samples, measured)?;
    let (ratio, usage) = usage_ratio(&samples, target);
    let replicas = settle(measured, &groups, ratio, samples, |_| target, |samples| Ok(usage_ratio(samples, target).0))?;
    Ok(Proposal { replicas, utilization: 0, usage })
}

/// So many pods that a total is what it should be: the ready ones times the ratio.
pub(in super::super) fn by_ratio(measured: &Measured<'_>, usage: i64, target: i64) -> Result<Proposal, String> {
    let ratio = divide(usage, target);
    let replicas = match measured.current {
        0 => whole(ratio),
        current if measured.tolerance.covers(ratio) => current,
        _ if measured.pods.is_empty() => return Err(format!("unable to calculate ready pods: {NO_PODS}")),
        _ => {
            let is_ready = |pod: &&Arc<Pod>| pods::phase(pod) == "Running" && pods::is_ready(pod);
            whole(ratio * as_float(measured.pods.iter().filter(is_ready).count()))
        }
    };
    Ok(Proposal { replicas, utilization: 0, usage })
}

/// So many pods that each has this share of a total; `current` pods share it now.
pub(in super::super) fn by_share(current: i32, tolerance: Tolerance, usage: i64, target: i64) -> Proposal {
    let ratio = usage as f64 / (target as f64 * f64::from(current));
    let replicas = if tolerance.covers(ratio) { current } else { whole(divide(usage, target)) };
    let average = if current == 0 { usage } else { (usage as f64 / f64::from(current)).ceil() as i64 };
    Proposal { replicas, utilization: 0, usage: average }
}

/// Leaves the samples of pods that count.
fn usable(samples: &mut Samples, measured: &Measured<'_>) -> Result<Groups, String> {
    if measured.pods.is_empty() {
        return Err(NO_PODS.to_owned());
    }
    let groups = group(measured, samples);
    samples.retain(|name, _| !groups.ignored.contains(name) && !groups.unready.contains(name));
    match samples.is_empty() {
        true => Err(NO_METRICS.to_owned()),
        false => Ok(groups),
    }
}

fn group(measured: &Measured<'_>, samples: &Samples) -> Groups {
    let mut groups = Groups::default();
    for pod in measured.pods {
        let name = pod.metadata.name.clone().unwrap_or_default();
        if pods::is_terminating(pod) || pods::phase(pod) == "Failed" {
            groups.ignored.insert(name);
        } else if pods::phase(pod) == "Pending" {
            groups.unready.insert(name);
        } else if let Some(sample) = samples.get(&name) {
            match measured.is_cpu && is_starting(pod, sample, measured) {
                true => drop(groups.unready.insert(name)),
                false => groups.ready += 1,
            }
        } else {
            groups.missing.insert(name);
        }
    }
    groups
}

/// Whether what the pod uses says nothing yet of what it will use.
fn is_starting(pod: &Pod, sample: &Sample, measured: &Measured<'_>) -> bool {
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    let (Some(ready), Some(started)) = (pods::condition(pod, "Ready"), started) else { return true };
    let changed = ready.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let after = |at: Timestamp, delay: SignedDuration| at.saturating_add(delay).unwrap_or(Timestamp::MAX);
    let is_unready = ready.status == "False";
    if after(started, measured.initialization) > measured.now {
        // A sample that reaches back before the pod was ready is no sample of its work.
        return is_unready || sample.at.is_some_and(|at| at < after(changed, sample.window));
    }
    is_unready && after(started, measured.readiness_delay) > changed
}

/// The number of pods, with the pods that lack samples taken into account so that they hold back:
/// they damp the change, and never turn it around.
fn settle(
    measured: &Measured<'_>,
    groups: &Groups,
    ratio: f64,
    mut samples: Samples,
    full: impl Fn(&str) -> i64,
    recompute: impl Fn(&Samples) -> Result<f64, String>,
) -> Result<i32, String> {
    let current = measured.current;
    let with_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !with_unready && groups.missing.is_empty() {
        let is_fine = measured.tolerance.covers(ratio);
        return Ok(if is_fine { current } else { whole(ratio * as_float(groups.ready)) });
    }
    if ratio < 1.0 {
        samples.extend(groups.missing.iter().map(|name| (name.clone(), of_value(full(name)))));
    } else if ratio > 1.0 {
        samples.extend(groups.missing.iter().map(|name| (name.clone(), of_value(0))));
    }
    if with_unready {
        samples.extend(groups.unready.iter().map(|name| (name.clone(), of_value(0))));
    }
    let damped = recompute(&samples)?;
    let turned = (ratio < 1.0 && damped > 1.0) || (ratio > 1.0 && damped < 1.0);
    if measured.tolerance.covers(damped) || turned {
        return Ok(current);
    }
    let replicas = whole(damped * as_float(samples.len()));
    let is_reverse = (damped < 1.0 && replicas > current) || (damped > 1.0 && replicas < current);
    Ok(if is_reverse { current } else { replicas })
}

fn of_value(value: i64) -> Sample {
    Sample { value, ..Sample::default() }
}

fn utilization(samples: &Samples, requests: &BTreeMap<String, i64>, target: i32) -> Result<(f64, i32, i64), String> {
    let (mut used, mut asked, mut count) = (0_i64, 0_i64, 0_i64);
    for (name, sample) in samples {
        let Some(request) = requests.get(name) else { continue };
        used = used.saturating_add(sample.value);
        asked = asked.saturating_add(*request);
        count += 1;
    }
    if asked == 0 {
        return Err("no metrics returned matched known pods".to_owned());
    }
    let percent = i32::try_from(used.saturating_mul(100) / asked).unwrap_or(i32::MAX);
    Ok((f64::from(percent) / f64::from(target), percent, used / count))
}

fn utilization_ratio(samples: &Samples, requests: &BTreeMap<String, i64>, target: i32) -> Result<f64, String> {
    utilization(samples, requests, target).map(|(ratio, _, _)| ratio)
}

fn usage_ratio(samples: &Samples, target: i64) -> (f64, i64) {
    let total = samples.values().fold(0_i64, |sum, sample| sum.saturating_add(sample.value));
    let average = total / i64::try_from(samples.len()).unwrap_or(1).max(1);
    (divide(average, target), average)
}

/// What pods ask for of a resource; of one of their containers, if it is named.
pub(in super::super) fn requests(
    pods: &[Arc<Pod>],
    resource: &str,
    container: Option<&str>,
) -> Result<BTreeMap<String, i64>, String> {
    pods.iter()
        .map(|pod| Ok((pod.metadata.name.clone().unwrap_or_default(), request(pod, resource, container)?)))
        .collect()
}

fn request(pod: &Pod, resource: &str, only: Option<&str>) -> Result<i64, String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    if only.is_none()
        && let Some(whole) = of_whole_pod(pod, resource)
    {
        return whole.ok_or_else(|| format!("missing pod-level request for {resource} in Pod {name}"));
    }
    let mut total = 0_i64;
    for container in pods::serving_containers(pod).filter(|c| only.is_none_or(|only| only == c.name)) {
        let asked = of_container(container, resource);
        let asked = asked
            .ok_or_else(|| format!("missing request for {resource} in container {} of Pod {name}", container.name))?;
        total = total.saturating_add(asked);
        if only.is_some() {
            return Ok(total);
        }
    }
    match only {
        Some(only) => Err(format!("container {only} not found in Pod {name}")),
        None => Ok(total),
    }
}

fn of_container(container: &Container, resource: &str) -> Option<i64> {
    let requests = container.resources.as_ref()?.requests.as_ref()?;
    requests.get(resource)?.0.parse::<Quantity>().ok().map(|amount| amount.milli_value())
}

/// What the pod as a whole asks for; `None` if it asks for nothing as a whole.
fn of_whole_pod(pod: &Pod, resource: &str) -> Option<Option<i64>> {
    let asked = pod.spec.as_ref()?.resources.as_ref()?.requests.as_ref().filter(|requests| !requests.is_empty())?;
    if asked.contains_key(resource) {
        let amount = asked.get(resource)?.0.parse::<Quantity>().ok();
        return Some(amount.map(|amount| amount.milli_value()));
    }
    let containers = pods::serving_containers(pod).filter_map(|container| of_container(container, resource));
    let total = containers.reduce(i64::saturating_add);
    Some(total)
}

fn divide(usage: i64, target: i64) -> f64 {
    usage as f64 / target as f64
}

fn as_float(count: usize) -> f64 {
    count as f64
}

/// Rounded up, within bounds.
fn whole(count: f64) -> i32 {
    // `as` saturates, and makes 0 of what is no number.
    count.ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    fn pod(name: &str, phase: &str, ready: Value, started: &str) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name},
                "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
                "status": {"phase": phase, "startTime": started, "conditions": [ready]}
            }))
            .unwrap(),
        )
    }

    fn ready(status: &str, since: &str) -> Value {
        json!({"type": "Ready", "status": status, "lastTransitionTime": since})
    }

    fn running(name: &str) -> Arc<Pod> {
        pod(name, "Running", ready("True", "2026-01-01T00:00:10Z"), "2026-01-01T00:00:00Z")
    }

    fn measured(pods: &[Arc<Pod>], current: i32) -> Measured<'_> {
        Measured {
            pods,
            current,
            tolerance: Tolerance { down: 0.1, up: 0.1 },
            is_cpu: true,
            initialization: SignedDuration::from_mins(5),
            readiness_delay: SignedDuration::from_secs(30),
            now: now(),
        }
    }

    fn samples(values: &[(&str, i64)]) -> Samples {
        let sample = |value| Sample { value, at: Some(now()), window: SignedDuration::from_secs(60) };
        values.iter().map(|(name, value)| ((*name).to_owned(), sample(*value))).collect()
    }

    fn utilization_of(
        pods: &[Arc<Pod>],
        current: i32,
        values: &[(&str, i64)],
        target: i32,
    ) -> Result<Proposal, String> {
        by_utilization(samples(values), &measured(pods, current), target, || requests(pods, "cpu", None))
    }

    #[test]
    fn pods_follow_their_use() {
        let pods = [running("a"), running("b"), running("c")];
        for (values, target, replicas, percent) in [
            ([("a", 300), ("b", 500), ("c", 700)], 30, 5, 50),
            ([("a", 100), ("b", 300), ("c", 500)], 50, 2, 30),
            ([("a", 1010), ("b", 1030), ("c", 1020)], 100, 3, 102),
        ] {
            let proposal = utilization_of(&pods, 3, &values, target).unwrap();
            assert_eq!((proposal.replicas, proposal.utilization), (replicas, percent), "{values:?}");
        }
    }

    #[test]
    fn pods_without_samples_hold_back() {
        let pods = [running("a"), running("b"), running("c"), running("d")];
        // Up: the missing one uses nothing. Down: it uses all that it asks for.
        assert_eq!(utilization_of(&pods, 4, &[("a", 900), ("b", 900), ("c", 900)], 50).unwrap().replicas, 6);
        assert_eq!(utilization_of(&pods, 4, &[("a", 400), ("b", 400), ("c", 400)], 100).unwrap().replicas, 3);
        // Without it there would be more; with it there would be fewer: nothing changes.
        assert_eq!(utilization_of(&pods, 4, &[("a", 600), ("b", 600)], 50).unwrap().replicas, 4);
    }

    #[test]
    fn starting_pods_count_as_idle() {
        let fresh = "2026-01-01T00:59:30Z";
        let pending = pod("p", "Pending", ready("False", fresh), fresh);
        let starting = pod("s", "Running", ready("False", fresh), fresh);
        let early = pod("e", "Running", ready("True", "2026-01-01T00:59:40Z"), fresh);
        let pods = [running("a"), pending, starting, early];
        let groups = group(&measured(&pods, 4), &samples(&[("a", 1), ("s", 1), ("e", 1)]));
        assert_eq!((groups.ready, groups.unready.into_iter().collect::<Vec<_>>().concat()), (1, "eps".to_owned()));
        assert_eq!(utilization_of(&pods, 4, &[("a", 1000), ("s", 1000)], 20).unwrap().replicas, 5);
    }

    #[test]
    fn what_cannot_be_measured_is_said() {
        let pods = [running("a")];
        assert_eq!(utilization_of(&[], 1, &[("a", 1)], 50).unwrap_err(), NO_PODS);
        assert_eq!(utilization_of(&pods, 1, &[], 50).unwrap_err(), NO_METRICS);
        assert_eq!(utilization_of(&pods, 1, &[("x", 1)], 50).unwrap_err(), "no metrics returned matched known pods");
        let missing = requests(&pods, "memory", None).unwrap_err();
        assert_eq!(missing, "missing request for memory in container c of Pod a");
        assert_eq!(requests(&pods, "cpu", Some("x")).unwrap_err(), "container x not found in Pod a");
        assert_eq!(requests(&pods, "cpu", Some("c")).unwrap()["a"], 1000);
    }

    #[test]
    fn usage_ratio_and_share() {
        let pods = [running("a"), running("b")];
        let proposal = by_usage(samples(&[("a", 20_000), ("b", 10_000)]), &measured(&pods, 2), 10_000).unwrap();
        assert_eq!((proposal.replicas, proposal.usage), (3, 15_000));
        assert_eq!(by_ratio(&measured(&pods, 2), 30_000, 10_000).unwrap().replicas, 6);
        assert_eq!(by_ratio(&measured(&pods, 2), 10_500, 10_000).unwrap().replicas, 2);
        assert_eq!(by_ratio(&measured(&pods, 0), 25_000, 10_000).unwrap().replicas, 3);
        assert!(by_ratio(&measured(&[], 2), 30_000, 10_000).is_err());
        let tolerance = Tolerance { down: 0.1, up: 0.1 };
        let shared = |usage| by_share(3, tolerance, usage, 1000);
        assert_eq!((shared(8600).replicas, shared(8600).usage), (9, 2867));
        assert_eq!(shared(3100).replicas, 3);
    }
}
