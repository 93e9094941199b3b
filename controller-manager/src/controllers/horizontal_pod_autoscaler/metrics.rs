//! The metrics APIs: `metrics.k8s.io`, `custom.metrics.k8s.io`, `external.metrics.k8s.io`.
//!
//! Upstream: `podautoscaler/metrics/client.go`.

use super::plan::{Sample, Samples};
use crate::scaffold::error::message;
use apimachinery::quantity::Quantity;
use http::Uri;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// What a metric is taken over, unless it says.
const WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// What a server says of a path that it does not serve.
const UNKNOWN: &str = "the server could not find the requested resource";

#[derive(Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    timestamp: Option<Timestamp>,
    #[serde(default)]
    window: String,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricValue {
    #[serde(default)]
    described_object: k8s_openapi::api::core::v1::ObjectReference,
    timestamp: Option<Timestamp>,
    window_seconds: Option<i64>,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct ExternalValue {
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

pub(super) struct Metrics {
    pub(super) client: kube::Client,
}

impl Metrics {
    /// What the pods use of a resource; of one of their containers, if it is named.
    pub(super) async fn resource(
        &self,
        namespace: &str,
        selector: &str,
        resource: &str,
        container: Option<&str>,
    ) -> Result<Samples, String> {
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
        let list: List<PodMetrics> =
            self.get(&path, &[("labelSelector", selector)], "get pods.metrics.k8s.io")
                .await
                .map_err(|why| format!("unable to fetch metrics from resource metrics API: {why}"))?;
        match list.items.is_empty() {
            true => Err("no metrics returned from resource metrics API".to_owned()),
            false => Ok(of_pods(&list.items, resource, container)),
        }
    }

    /// A metric of each of the pods.
    pub(super) async fn pods(
        &self,
        namespace: &str,
        selector: &str,
        metric: &str,
        metric_selector: &str,
    ) -> Result<Samples, String> {
        let path = format!("namespaces/{namespace}/pods/*/{metric}");
        let query = [("labelSelector", selector), ("metricLabelSelector", metric_selector)];
        let values = self.custom(&path, &query).await?;
        let sample = |value: &MetricValue| {
            let window = value.window_seconds.map_or(WINDOW, SignedDuration::from_secs);
            let name = value.described_object.name.clone().unwrap_or_default();
            Some((name, Sample { value: millis(&value.value)?, at: value.timestamp, window }))
        };
        Ok(values.iter().filter_map(sample).collect())
    }

    /// A metric of an object; `resource` is `deployments.apps`. A namespace has its own place.
    pub(super) async fn object(
        &self,
        namespace: &str,
        resource: &str,
        name: &str,
        metric: &str,
        metric_selector: &str,
    ) -> Result<i64, String> {
        let path = match resource {
            "namespaces" => format!("namespaces/{namespace}/metrics/{metric}"),
            resource => format!("namespaces/{namespace}/{resource}/{name}/{metric}"),
        };
        let values = self.custom(&path, &[("metricLabelSelector", metric_selector)]).await?;
        match &values[..] {
            [value] => millis(&value.value).ok_or_else(|| format!("{:?} is no quantity", value.value)),
            others => Err(format!(
                "unable to fetch metrics from custom metrics API: the custom metrics API server returned {} results when we \
                 asked for exactly one",
                others.len()
            )),
        }
    }

    /// All values of an external metric.
    pub(super) async fn external(&self, namespace: &str, metric: &str, selector: &str) -> Result<Vec<i64>, String> {
        let path = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}");
        let list: List<ExternalValue> = self
            .get(&path, &[("labelSelector", selector)], &format!("get {metric}.external.metrics.k8s.io"))
            .await
            .map_err(|why| format!("unable to fetch metrics from external metrics API: {why}"))?;
        match list.items.is_empty() {
            true => Err("no metrics returned from external metrics API".to_owned()),
            false => Ok(list.items.iter().filter_map(|item| millis(&item.value)).collect()),
        }
    }

    async fn custom(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<MetricValue>, String> {
        const API: &str = "unable to fetch metrics from custom metrics API";
        let group: Group = self
            .get("/apis/custom.metrics.k8s.io", &[], "get custom.metrics.k8s.io")
            .await
            .map_err(|_| format!("{API}: no custom metrics API (custom.metrics.k8s.io) registered"))?;
        let versions: Vec<&str> = group.versions.iter().map(|version| version.version.as_str()).collect();
        let known = ["v1beta2", "v1beta1"].into_iter().find(|version| versions.contains(version));
        let version =
            known.ok_or_else(|| format!("{API}: no custom metrics API (custom.metrics.k8s.io) registered"))?;
        let path = format!("/apis/custom.metrics.k8s.io/{version}/{path}");
        let list: Result<List<MetricValue>, String> = self.get(&path, query, "get custom.metrics.k8s.io").await;
        let list = list.map_err(|why| format!("{API}: {why}"))?;
        match list.items.is_empty() {
            true => Err("no metrics returned from custom metrics API".to_owned()),
            false => Ok(list.items),
        }
    }

    /// `what` names the request where the server does not know it.
    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)], what: &str) -> Result<T, String> {
        let uri = uri(path, query)?;
        let request = http::Request::get(uri).body(Vec::new()).map_err(|error| error.to_string())?;
        self.client.request(request).await.map_err(|error| match &error {
            kube::Error::Api(status)
                if status.code == 404 && (status.reason != "NotFound" || status.message == UNKNOWN) =>
            {
                format!("{UNKNOWN} ({what})")
            }
            _ => message(&error),
        })
    }
}

/// The place of a request; everything in it that is no plain letter is escaped.
fn uri(path: &str, query: &[(&str, &str)]) -> Result<Uri, String> {
    let mut text: String = path.split('/').map(|part| escape(part, b"-_.~*")).collect::<Vec<_>>().join("/");
    let given = query.iter().filter(|(_, value)| !value.is_empty());
    for (number, (key, value)) in given.enumerate() {
        text.push(if number == 0 { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        text.push_str(&escape(value, b"-_.~"));
    }
    text.parse().map_err(|error: http::uri::InvalidUri| error.to_string())
}

fn escape(text: &str, plain: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            true => escaped.push(char::from(byte)),
            false => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// What each pod uses; a pod that lacks a value is left out.
fn of_pods(items: &[PodMetrics], resource: &str, container: Option<&str>) -> Samples {
    let value = |item: &PodMetrics| -> Option<i64> {
        let counted = item.containers.iter().filter(|c| container.is_none_or(|name| name == c.name));
        let values: Option<Vec<i64>> = counted.map(|c| millis(c.usage.get(resource)?)).collect();
        values?.into_iter().reduce(i64::saturating_add)
    };
    items
        .iter()
        .filter_map(|item| {
            let window = item.window.parse::<component::GoDuration>().ok();
            let window = window.and_then(|window| SignedDuration::try_from(window.0).ok()).unwrap_or_default();
            let sample = Sample { value: value(item)?, at: item.timestamp, window };
            Some((item.metadata.name.clone()?, sample))
        })
        .collect()
}

fn millis(text: &str) -> Option<i64> {
    text.parse::<Quantity>().ok().map(|quantity| quantity.milli_value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_uses_what_its_containers_use() {
        let list: List<PodMetrics> = serde_json::from_value(json!({"items": [
            {"metadata": {"name": "a"}, "timestamp": "2026-01-01T00:00:00Z", "window": "30s", "containers": [
                {"name": "x", "usage": {"cpu": "250m", "memory": "1Ki"}}, {"name": "y", "usage": {"cpu": "1"}}]},
            {"metadata": {"name": "b"}, "containers": [{"name": "x", "usage": {"memory": "1"}}]},
            {"metadata": {"name": "c"}}]}))
        .unwrap();
        let all = of_pods(&list.items, "cpu", None);
        assert_eq!(all.iter().map(|(name, sample)| (name.as_str(), sample.value)).collect::<Vec<_>>(), [("a", 1250)]);
        assert_eq!(all["a"].window, SignedDuration::from_secs(30));
        assert_eq!(of_pods(&list.items, "cpu", Some("y"))["a"].value, 1000);
        assert!(!of_pods(&list.items, "memory", None).contains_key("a"));
    }

    #[test]
    fn queries_are_escaped() {
        let uri = uri("/apis/x/namespaces/n/pods/*/a b", &[("labelSelector", "a in (b,c)"), ("empty", "")]).unwrap();
        assert_eq!(uri.to_string(), "/apis/x/namespaces/n/pods/*/a%20b?labelSelector=a%20in%20%28b%2Cc%29");
    }
}
