//! Scales one target.

use super::evaluate::{Evaluation, Failure};
use super::metrics::Metrics;
use super::plan::{self, History, Limits, Measured, Tolerance};
use super::scale::{Scale, Scales};
use crate::manager::flags::AutoscalerFlags;
use crate::scaffold::context::namespaced;
use crate::scaffold::{At, Controller, Next, ReconcileError, is_not_found};
use apimachinery::quantity::Quantity;
use apimachinery::selector::LabelSelector;
use client::{Informer, ObjectKey, Recorder, events};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, HorizontalPodAutoscalerStatus, MetricStatus,
};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) struct Autoscalers {
    pub(super) client: kube::Client,
    pub(super) autoscalers: Informer<HorizontalPodAutoscaler>,
    pub(super) pods: Informer<Pod>,
    pub(super) scales: Scales,
    pub(super) metrics: Metrics,
    pub(super) recorder: Recorder,
    pub(super) flags: AutoscalerFlags,
    pub(super) histories: Mutex<HashMap<ObjectKey, History>>,
    /// Which pods each autoscaler's target selects.
    pub(super) selectors: Mutex<HashMap<ObjectKey, Arc<LabelSelector>>>,
}

/// One autoscaler while it is worked on.
struct Work<'a> {
    key: &'a ObjectKey,
    spec: &'a HorizontalPodAutoscalerSpec,
    about: ObjectReference,
    status: HorizontalPodAutoscalerStatus,
    now: Timestamp,
}

/// What the metrics ask for together.
struct Advice {
    replicas: i32,
    /// The metric that asks for the most.
    metric: String,
    statuses: Vec<MetricStatus>,
}

impl Controller for Autoscalers {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(autoscaler) = self.autoscalers.get(&key.namespace, &key.name) else {
            self.histories.lock().remove(key);
            self.selectors.lock().remove(key);
            return Ok(Next::OnChange);
        };
        let mut work = Work {
            key,
            spec: &autoscaler.spec,
            about: events::reference(&*autoscaler),
            status: autoscaler.status.clone().unwrap_or_default(),
            now: Timestamp::now(),
        };
        let scaled = self.scale(&mut work).await;
        if autoscaler.status.as_ref() != Some(&work.status) {
            let after = HorizontalPodAutoscaler { status: Some(work.status), ..(*autoscaler).clone() };
            let api = namespaced::<HorizontalPodAutoscaler>(&self.client, &key.namespace);
            match api.replace_status(&key.name, &PostParams::default(), &after).await {
                Err(error) if is_not_found(&error) => return Ok(Next::OnChange),
                written => drop(written.at(|| format!("write the status of autoscaler {key}"))?),
            }
        }
        if let Err(why) = scaled {
            tracing::debug!(%key, why, "not scaled");
        }
        Ok(Next::After(self.flags.horizontal_pod_autoscaler_sync_period.0))
    }
}

impl Autoscalers {
    /// Scales if that is called for; what is to be known of it stands in the status afterwards.
    async fn scale(&self, work: &mut Work<'_>) -> Result<(), String> {
        let target = &work.spec.scale_target_ref;
        let scale = self.scales.get(&work.key.namespace, target).await.map_err(|why| {
            self.recorder.warning(&work.about, "FailedGetScale", why.clone());
            let message = format!("the HPA controller was unable to get the target's current scale: {why}");
            plan::set(&mut work.status, "AbleToScale", false, "FailedGetScale", message);
            why
        })?;
        let message = "the HPA controller was able to get the target's current scale";
        plan::set(&mut work.status, "AbleToScale", true, "SucceededGetScale", message);
        let current = scale.wanted();
        self.histories.lock().entry(work.key.clone()).or_default().begin(current, work.now);
        let (min, max) = (work.spec.min_replicas.unwrap_or(1), work.spec.max_replicas);
        let (desired, reason, statuses) = if current == 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            plan::set(&mut work.status, "ScalingActive", false, "ScalingDisabled", message);
            record(&mut work.status, current, 0, Vec::new());
            return Ok(());
        } else if current > max {
            (max, "Current number of replicas above Spec.MaxReplicas".to_owned(), Vec::new())
        } else if current < min {
            (min, "Current number of replicas below Spec.MinReplicas".to_owned(), Vec::new())
        } else {
            self.advised(work, &scale, Limits { current, min, max, downscale_window: self.window() }).await?
        };
        if desired == current {
            record(&mut work.status, current, current, statuses);
            return Ok(());
        }
        self.rescale(work, scale, desired, &reason, statuses).await
    }

    /// The size by the metrics, why, and what they say.
    async fn advised(
        &self,
        work: &mut Work<'_>,
        scale: &Scale,
        limits: Limits,
    ) -> Result<(i32, String, Vec<MetricStatus>), String> {
        let current = limits.current;
        let advice = self.advice(work, scale).await.map_err(|(why, statuses)| {
            let desired = work.status.desired_replicas;
            record(&mut work.status, current, desired, statuses);
            self.recorder.warning(&work.about, "FailedComputeMetricsReplicas", why.clone());
            why
        })?;
        let reason = match advice.replicas.cmp(&current) {
            std::cmp::Ordering::Greater => format!("{} above target", advice.metric),
            std::cmp::Ordering::Less => "All metrics below target".to_owned(),
            std::cmp::Ordering::Equal => String::new(),
        };
        let mut histories = self.histories.lock();
        let history = histories.entry(work.key.clone()).or_default();
        let normalized = plan::normalize(history, work.spec.behavior.as_ref(), limits, advice.replicas, work.now);
        drop(histories);
        let (stable, message) = normalized.stabilized;
        plan::set(&mut work.status, "AbleToScale", true, stable, message);
        let (limited, (why, message)) = normalized.limited;
        plan::set(&mut work.status, "ScalingLimited", limited, why, message);
        Ok((normalized.replicas, reason, advice.statuses))
    }

    async fn rescale(
        &self,
        work: &mut Work<'_>,
        scale: Scale,
        desired: i32,
        reason: &str,
        statuses: Vec<MetricStatus>,
    ) -> Result<(), String> {
        let current = scale.wanted();
        if let Err(why) = self.scales.set(scale, desired).await {
            let event = format!("New size: {desired}; reason: {reason}; error: {why}");
            self.recorder.warning(&work.about, "FailedRescale", event);
            let message = format!("the HPA controller was unable to update the target scale: {why}");
            plan::set(&mut work.status, "AbleToScale", false, "FailedUpdateScale", message);
            let before = work.status.desired_replicas;
            record(&mut work.status, current, before, statuses);
            return Err(why);
        }
        let message = format!("the HPA controller was able to update the target scale to {desired}");
        plan::set(&mut work.status, "AbleToScale", true, "SucceededRescale", message);
        self.recorder.normal(&work.about, "SuccessfulRescale", format!("New size: {desired}; reason: {reason}"));
        let mut histories = self.histories.lock();
        let history = histories.entry(work.key.clone()).or_default();
        history.scaled(work.spec.behavior.as_ref(), current, desired, work.now);
        drop(histories);
        record(&mut work.status, current, desired, statuses);
        work.status.last_scale_time = Some(Time(work.now));
        Ok(())
    }

    /// What all metrics ask for; the largest number counts. A metric that fails does not keep the
    /// others from scaling up, but nothing scales down without all of them.
    async fn advice(&self, work: &mut Work<'_>, scale: &Scale) -> Result<Advice, (String, Vec<MetricStatus>)> {
        let pods = self.pods_of(work, scale).map_err(|why| (why, Vec::new()))?;
        let duration =
            |duration: std::time::Duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        let measured = Measured {
            pods: &pods,
            current: scale.wanted(),
            tolerance: self.tolerance(work.spec),
            is_cpu: false,
            initialization: duration(self.flags.horizontal_pod_autoscaler_cpu_initialization_period.0),
            readiness_delay: duration(self.flags.horizontal_pod_autoscaler_initial_readiness_delay.0),
            now: work.now,
        };
        let evaluation = Evaluation {
            metrics: &self.metrics,
            scales: &self.scales,
            namespace: &work.key.namespace,
            selector: scale.selector(),
            measured,
            present: scale.present(),
        };
        let specs = work.spec.metrics.as_deref().unwrap_or_default();
        let mut advice = Advice { replicas: 0, metric: String::new(), statuses: Vec::new() };
        let mut failures: Vec<Failure> = Vec::new();
        for spec in specs {
            match evaluation.evaluate(spec).await {
                Ok(wanted) => {
                    if advice.replicas == 0 || wanted.replicas > advice.replicas {
                        (advice.replicas, advice.metric) = (wanted.replicas, wanted.name);
                    }
                    advice.statuses.push(wanted.status);
                }
                Err(failure) => {
                    self.recorder.warning(&work.about, failure.reason, failure.cause.clone());
                    advice.statuses.push(MetricStatus::default());
                    failures.push(failure);
                }
            }
        }
        let is_blind = failures.len() >= specs.len() || (!failures.is_empty() && advice.replicas < scale.wanted());
        if let Some(first) = failures.first().filter(|_| is_blind) {
            let message = format!("the HPA was unable to compute the replica count: {}", first.cause);
            plan::set(&mut work.status, "ScalingActive", false, first.reason, message);
            let (invalid, all) = (failures.len(), specs.len());
            let why = format!("invalid metrics ({invalid} invalid out of {all}), first error is: {}", first.why);
            return Err((why, advice.statuses));
        }
        let metric = &advice.metric;
        let message = format!("the HPA was able to successfully calculate a replica count from {metric}");
        plan::set(&mut work.status, "ScalingActive", true, "ValidMetricFound", message);
        Ok(advice)
    }

    /// The pods of the target, if no other autoscaler scales them as well.
    fn pods_of(&self, work: &mut Work<'_>, scale: &Scale) -> Result<Vec<Arc<Pod>>, String> {
        let text = scale.selector();
        let mut refuse = |event: &str, reason: &str, why: String, message: String| {
            self.recorder.warning(&work.about, event, why.clone());
            plan::set(&mut work.status, "ScalingActive", false, reason, message);
            why
        };
        if text.is_empty() {
            let message = "the HPA target's scale is missing a selector".to_owned();
            return Err(refuse("SelectorRequired", "InvalidSelector", "selector is required".to_owned(), message));
        }
        let selector = LabelSelector::parse(text).map_err(|error| {
            let why = format!("couldn't convert selector into a corresponding internal selector object: {error}");
            refuse("InvalidSelector", "InvalidSelector", why.clone(), why)
        })?;
        let mut pods = self.pods.list_namespace(&work.key.namespace);
        pods.retain(|pod| matches(&selector, pod));
        let mut selectors = self.selectors.lock();
        selectors.insert(work.key.clone(), Arc::new(selector));
        let rivals = selectors.iter().filter(|(key, selector)| {
            key.namespace == work.key.namespace && pods.iter().any(|pod| matches(selector, pod))
        });
        let mut rivals: Vec<String> = rivals.map(|(key, _)| key.to_string()).collect();
        drop(selectors);
        if rivals.len() > 1 {
            rivals.sort_unstable();
            let rivals = rivals.join(" ");
            let why = format!("pods by selector {text} are controlled by multiple HPAs: [{rivals}]");
            return Err(refuse("AmbiguousSelector", "AmbiguousSelector", why.clone(), why));
        }
        Ok(pods)
    }

    fn tolerance(&self, spec: &HorizontalPodAutoscalerSpec) -> Tolerance {
        let of = |rules: Option<&HPAScalingRules>| {
            let tolerance = rules.and_then(|rules| rules.tolerance.as_ref())?;
            let tolerance = tolerance.0.parse::<Quantity>().ok()?;
            Some(tolerance.milli_value() as f64 / 1000.0)
        };
        let behavior = spec.behavior.as_ref();
        let default = self.flags.horizontal_pod_autoscaler_tolerance;
        Tolerance {
            down: of(behavior.and_then(|behavior| behavior.scale_down.as_ref())).unwrap_or(default),
            up: of(behavior.and_then(|behavior| behavior.scale_up.as_ref())).unwrap_or(default),
        }
    }

    fn window(&self) -> SignedDuration {
        let window = self.flags.horizontal_pod_autoscaler_downscale_stabilization.0;
        SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX)
    }
}

fn matches(selector: &LabelSelector, pod: &Pod) -> bool {
    selector.matches(|key| pod.metadata.labels.as_ref()?.get(key).map(String::as_str))
}

fn record(status: &mut HorizontalPodAutoscalerStatus, current: i32, desired: i32, metrics: Vec<MetricStatus>) {
    status.current_replicas = Some(current);
    status.desired_replicas = desired;
    status.current_metrics = Some(metrics).filter(|metrics| !metrics.is_empty());
}
