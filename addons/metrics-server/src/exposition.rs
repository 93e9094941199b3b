//! Reads what a kubelet answers to `/metrics/resource`.
//!
//! Upstream: `pkg/scraper/client/resource/decode.go`.

use crate::store::{Batch, ContainerKey, Point};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Reads an answer of the kubelet of `node`. Lines that say nothing here are passed over, and containers of
/// which something is missing are left out.
pub fn read(node: &str, text: &str, now: Timestamp) -> Batch {
    let (mut own, mut containers) = (Half::default(), BTreeMap::<ContainerKey, Half>::new());
    for sample in text.lines().filter_map(sample) {
        match sample.name {
            "node_cpu_usage_seconds_total" => own.cpu(&sample),
            "node_memory_working_set_bytes" => own.memory(&sample),
            "container_cpu_usage_seconds_total" => half(&mut containers, &sample, Half::cpu),
            "container_memory_working_set_bytes" => half(&mut containers, &sample, Half::memory),
            "container_start_time_seconds" => half(&mut containers, &sample, Half::start),
            _ => {}
        }
    }
    let containers = containers.into_iter().filter_map(|(key, half)| Some((key, half.whole(now)?)));
    Batch { node: own.whole(now).map(|point| (node.to_owned(), point)), containers: containers.collect() }
}

fn half(containers: &mut BTreeMap<ContainerKey, Half>, sample: &Sample<'_>, put: fn(&mut Half, &Sample<'_>)) {
    let label = |name: &str| sample.labels.get(name).filter(|value| !value.is_empty()).cloned();
    let (Some(namespace), Some(pod), Some(container)) = (label("namespace"), label("pod"), label("container")) else {
        return;
    };
    put(containers.entry(ContainerKey { namespace, pod, container }).or_default(), sample);
}

/// A point on its way: each metric is a line.
#[derive(Clone, Copy, Debug, Default)]
struct Half {
    cpu_nanos: Option<u64>,
    memory: Option<u64>,
    start: Option<Timestamp>,
    time: Option<Timestamp>,
}

impl Half {
    fn cpu(&mut self, sample: &Sample<'_>) {
        self.cpu_nanos = whole(sample.value * 1e9);
        self.time = sample.time.or(self.time);
    }

    fn memory(&mut self, sample: &Sample<'_>) {
        self.memory = whole(sample.value);
        // The processor's time counts: rates are made of it.
        self.time = self.time.or(sample.time);
    }

    fn start(&mut self, sample: &Sample<'_>) {
        self.start = whole(sample.value * 1e3).and_then(|ms| Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok());
    }

    fn whole(self, now: Timestamp) -> Option<Point> {
        let (cpu_nanos, memory) = (self.cpu_nanos?, self.memory?);
        Some(Point { time: self.time.unwrap_or(now), start: self.start, cpu_nanos, memory })
    }
}

fn whole(value: f64) -> Option<u64> {
    (value.is_finite() && value >= 0.0 && value < u64::MAX as f64).then_some(value as u64)
}

struct Sample<'a> {
    name: &'a str,
    labels: BTreeMap<&'a str, String>,
    value: f64,
    time: Option<Timestamp>,
}

/// `name{label="value",…} value [milliseconds]`.
fn sample(line: &str) -> Option<Sample<'_>> {
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        (labels, rest) = read_labels(inside)?;
    }
    let mut words = rest.split_whitespace();
    let value = words.next()?.parse().ok()?;
    let time = words.next().and_then(|ms| Timestamp::from_millisecond(ms.parse().ok()?).ok());
    Some(Sample { name, labels, value, time })
}

/// Labels up to the closing brace, and what follows it.
fn read_labels(mut text: &str) -> Option<(BTreeMap<&str, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = unquote(rest)?;
        labels.insert(name, value);
        text = rest;
    }
}

/// A value up to its closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let text = "# HELP node_cpu_usage_seconds_total x\n\
            node_cpu_usage_seconds_total 1.5 5000\n\
            node_memory_working_set_bytes 1.048576e+06 6000\n\
            container_cpu_usage_seconds_total{container=\"c\",namespace=\"n\",pod=\"p\"} 2 7000\n\
            container_memory_working_set_bytes{pod=\"p\",container=\"c\",namespace=\"n\"} 4096 7500\n\
            container_start_time_seconds{container=\"c\",namespace=\"n\",pod=\"p\"} 3.5\n\
            container_cpu_usage_seconds_total{container=\"half\",namespace=\"n\",pod=\"p\"} 2 7000\n\
            container_cpu_usage_seconds_total{container=\"\",namespace=\"n\",pod=\"p\"} 2 7000\n\
            pod_cpu_usage_seconds_total{namespace=\"n\",pod=\"p\"} 9 1\n\
            broken{ 1\nbroken\ncontainer_cpu_usage_seconds_total{container=\"x 1\n\
            container_memory_working_set_bytes{container=\"c2\",namespace=\"n\",pod=\"p\"} NaN\n";
        let at = |ms| Timestamp::from_millisecond(ms).expect("a time");
        let batch = read("node", text, at(1));
        let node = Point { time: at(5000), start: None, cpu_nanos: 1_500_000_000, memory: 1 << 20 };
        assert_eq!(batch.node, Some(("node".to_owned(), node)));
        let key = ContainerKey { namespace: "n".into(), pod: "p".into(), container: "c".into() };
        let point = Point { time: at(7000), start: Some(at(3500)), cpu_nanos: 2_000_000_000, memory: 4096 };
        assert_eq!(batch.containers, [(key, point)]);
    }

    #[test]
    fn quotes_are_taken_off() {
        let found = sample("a{x=\"1\\\"2\\\\\\n\", y=\"\"} 3").expect("a sample");
        assert_eq!((found.labels["x"].as_str(), found.labels["y"].as_str(), found.value), ("1\"2\\\n", "", 3.0));
        assert!(found.time.is_none());
    }
}
