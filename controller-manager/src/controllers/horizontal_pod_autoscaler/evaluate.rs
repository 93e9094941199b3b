//! What each metric of an autoscaler asks for.

use super::metrics::Metrics;
use super::plan::{self, Measured, Proposal};
use super::scale::Scales;
use apimachinery::quantity::{Format, Quantity};
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, ExternalMetricStatus, MetricIdentifier, MetricSpec, MetricStatus, MetricTarget,
    MetricValueStatus, ObjectMetricStatus, PodsMetricStatus, ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

/// Where metrics are asked for, and of which pods.
pub(super) struct Evaluation<'a> {
    pub(super) metrics: &'a Metrics,
    pub(super) scales: &'a Scales,
    pub(super) namespace: &'a str,
    /// Selects the pods.
    pub(super) selector: &'a str,
    pub(super) measured: Measured<'a>,
    /// How many pods there are.
    pub(super) present: i32,
}

/// What one metric asks for.
pub(super) struct Wanted {
    pub(super) replicas: i32,
    /// The metric, for people.
    pub(super) name: String,
    pub(super) status: MetricStatus,
}

/// Why a metric says nothing.
pub(super) struct Failure {
    /// Of the event and the condition.
    pub(super) reason: &'static str,
    /// What they say.
    pub(super) cause: String,
    /// What the whole evaluation says of it.
    pub(super) why: String,
}

/// A failure whose event says `cause`.
fn failure(reason: &'static str, what: &str, cause: String) -> Failure {
    let why = format!("failed to get {what} metric value: {cause}");
    Failure { reason, cause, why }
}

impl Evaluation<'_> {
    /// Asks for one metric and judges it.
    pub(super) async fn evaluate(&self, spec: &MetricSpec) -> Result<Wanted, Failure> {
        match spec.type_.as_str() {
            "Resource" => self.resource(spec).await,
            "ContainerResource" => self.container(spec).await,
            "Pods" => self.pods(spec).await,
            "Object" => self.object(spec).await,
            "External" => self.external(spec).await,
            other => {
                let cause = format!("unknown metric source type {other:?}");
                Err(Failure { reason: "InvalidMetricSourceType", why: cause.clone(), cause })
            }
        }
    }

    async fn resource(&self, spec: &MetricSpec) -> Result<Wanted, Failure> {
        let Some(source) = &spec.resource else { return Err(absent(spec)) };
        let found = self.usage(&source.name, None, &source.target).await;
        let (replicas, name, current) =
            found.map_err(|why| failure("FailedGetResourceMetric", &format!("{} resource", source.name), why))?;
        let resource = Some(ResourceMetricStatus { name: source.name.clone(), current });
        Ok(Wanted { replicas, name, status: MetricStatus { resource, ..status(spec) } })
    }

    async fn container(&self, spec: &MetricSpec) -> Result<Wanted, Failure> {
        let Some(source) = &spec.container_resource else { return Err(absent(spec)) };
        let found = self.usage(&source.name, Some(&source.container), &source.target).await;
        let (replicas, name, current) = found.map_err(|why| {
            failure("FailedGetContainerResourceMetric", &format!("{} container", source.container), why)
        })?;
        let container = source.container.clone();
        let of_container = Some(ContainerResourceMetricStatus { container, current, name: source.name.clone() });
        Ok(Wanted { replicas, name, status: MetricStatus { container_resource: of_container, ..status(spec) } })
    }

    /// What pods use of a resource, against an amount or a part of what they ask for.
    async fn usage(
        &self,
        resource: &str,
        container: Option<&str>,
        target: &MetricTarget,
    ) -> Result<(i32, String, MetricValueStatus), String> {
        let measured = Measured { is_cpu: resource == "cpu", ..self.measured };
        let samples = async || {
            let samples = self.metrics.resource(self.namespace, self.selector, resource, container).await;
            samples.map_err(|why| format!("unable to get metrics for resource {resource}: {why}"))
        };
        if let Some(target) = &target.average_value {
            let found = samples().await.and_then(|samples| plan::by_usage(samples, &measured, millis(target)));
            let proposal = found.map_err(|why| format!("failed to get {resource} usage: {why}"))?;
            let current =
                MetricValueStatus { average_value: Some(of_resource(resource, proposal.usage)), ..Default::default() };
            return Ok((proposal.replicas, format!("{resource} resource"), current));
        }
        let Some(percent) = target.average_utilization else {
            let why = "invalid resource metric source: neither an average utilization target nor an average value (usage) \
                       target was set";
            return Err(why.to_owned());
        };
        let requests = || plan::requests(measured.pods, resource, container);
        let found = samples().await.and_then(|samples| plan::by_utilization(samples, &measured, percent, requests));
        let proposal = found.map_err(|why| format!("failed to get {resource} utilization: {why}"))?;
        let what = if container.is_some() { "container resource" } else { "resource" };
        let current = MetricValueStatus {
            average_utilization: Some(proposal.utilization),
            average_value: Some(of_resource(resource, proposal.usage)),
            value: None,
        };
        Ok((proposal.replicas, format!("{resource} {what} utilization (percentage of request)"), current))
    }

    async fn pods(&self, spec: &MetricSpec) -> Result<Wanted, Failure> {
        let Some(source) = &spec.pods else { return Err(absent(spec)) };
        let metric = &source.metric;
        let target = source.target.average_value.as_ref().map_or(0, millis);
        let selector = plan::selector_text(metric.selector.as_ref());
        let samples = self.metrics.pods(self.namespace, self.selector, &metric.name, &selector).await;
        let found = samples
            .map_err(|why| format!("unable to get metric {}: {why}", metric.name))
            .and_then(|samples| plan::by_usage(samples, &self.measured, target));
        let proposal = found.map_err(|why| failure("FailedGetPodsMetric", "pods", why))?;
        let pods = Some(PodsMetricStatus { current: average(proposal), metric: identifier(metric) });
        let name = format!("pods metric {}", metric.name);
        Ok(Wanted { replicas: proposal.replicas, name, status: MetricStatus { pods, ..status(spec) } })
    }

    async fn object(&self, spec: &MetricSpec) -> Result<Wanted, Failure> {
        let Some(source) = &spec.object else { return Err(absent(spec)) };
        let (metric, object) = (&source.metric, &source.described_object);
        let failed = |why: String| failure("FailedGetObjectMetric", "object", why);
        let selector = plan::selector_text(metric.selector.as_ref());
        let resource = self.scales.resource(object.api_version.as_deref().unwrap_or_default(), &object.kind).await;
        let usage = match resource {
            Ok(resource) if resource.group.is_empty() => Ok(resource.plural),
            Ok(resource) => Ok(format!("{}.{}", resource.plural, resource.group)),
            Err(why) => Err(format!("unable to fetch metrics from custom metrics API: {why}")),
        };
        let usage = match usage {
            Ok(resource) => self.metrics.object(self.namespace, &resource, &object.name, &metric.name, &selector).await,
            Err(why) => Err(why),
        };
        let usage = usage.map_err(|why| {
            let of = format!("{} {}/{}", object.kind, self.namespace, object.name);
            failed(format!("unable to get metric {}: {why} on {of}", metric.name))
        })?;
        let (proposal, current) = self.total(usage, &source.target, "object").map_err(failed)?;
        let described_object = object.clone();
        let of_object = Some(ObjectMetricStatus { current, described_object, metric: identifier(metric) });
        let name = match source.target.type_.as_str() {
            "Value" => format!("{} metric {}", object.kind, metric.name),
            _ => format!("external metric {}({selector})", metric.name),
        };
        Ok(Wanted { replicas: proposal.replicas, name, status: MetricStatus { object: of_object, ..status(spec) } })
    }

    async fn external(&self, spec: &MetricSpec) -> Result<Wanted, Failure> {
        let Some(source) = &spec.external else { return Err(absent(spec)) };
        let metric = &source.metric;
        let failed = |why: String| failure("FailedGetExternalMetric", &format!("{} external", metric.name), why);
        let selector = plan::selector_text(metric.selector.as_ref());
        let values = self.metrics.external(self.namespace, &metric.name, &selector).await.map_err(|why| {
            failed(format!("unable to get external metric {}/{}/{selector}: {why}", self.namespace, metric.name))
        })?;
        let usage = values.into_iter().fold(0_i64, i64::saturating_add);
        let (proposal, current) = self.total(usage, &source.target, "external").map_err(failed)?;
        let external = Some(ExternalMetricStatus { current, metric: identifier(metric) });
        let name = format!("external metric {}({selector})", metric.name);
        Ok(Wanted { replicas: proposal.replicas, name, status: MetricStatus { external, ..status(spec) } })
    }

    /// A total against a target for all pods, or for each.
    fn total(&self, usage: i64, target: &MetricTarget, what: &str) -> Result<(Proposal, MetricValueStatus), String> {
        if let Some(target) = &target.average_value {
            let proposal = plan::by_share(self.present, self.measured.tolerance, usage, millis(target));
            return Ok((proposal, average(proposal)));
        }
        let Some(target) = &target.value else {
            return Err(format!(
                "invalid {what} metric source: neither a value target nor an average value target was set"
            ));
        };
        let proposal = plan::by_ratio(&self.measured, usage, millis(target))?;
        let value = Some(Text(Quantity::from_millis(proposal.usage).to_string()));
        Ok((proposal, MetricValueStatus { value, ..Default::default() }))
    }
}

fn status(spec: &MetricSpec) -> MetricStatus {
    MetricStatus { type_: spec.type_.clone(), ..Default::default() }
}

fn identifier(metric: &MetricIdentifier) -> MetricIdentifier {
    metric.clone()
}

fn absent(spec: &MetricSpec) -> Failure {
    let cause = format!("the {} metric source is empty", spec.type_);
    Failure { reason: "InvalidMetricSourceType", why: cause.clone(), cause }
}

fn average(proposal: Proposal) -> MetricValueStatus {
    let average_value = Some(Text(Quantity::from_millis(proposal.usage).to_string()));
    MetricValueStatus { average_value, ..Default::default() }
}

fn millis(text: &Text) -> i64 {
    text.0.parse::<Quantity>().map_or(0, |quantity| quantity.milli_value())
}

/// Memory prints in powers of two, where it is whole.
fn of_resource(resource: &str, millis: i64) -> Text {
    let amount = match (resource, millis % 1000) {
        ("memory", 0) => Quantity::from_units(millis / 1000, Format::BinarySi),
        _ => Quantity::from_millis(millis),
    };
    Text(amount.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_as_upstream_prints_them() {
        assert_eq!(of_resource("memory", 2_097_152_000).0, "2Mi");
        assert_eq!(of_resource("memory", 1).0, "1m");
        assert_eq!(of_resource("cpu", 1500).0, "1500m");
        assert_eq!(millis(&Text("2".into())), 2000);
    }
}
