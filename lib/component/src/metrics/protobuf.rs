//! Metrics as messages of `io.prometheus.client.MetricFamily`, each after its length.
//!
//! They are made of the text that everybody else gets, so that there is one collection of metrics only.
//!
//! Upstream: `prometheus/client_model/go/metrics.proto`.

use std::collections::HashMap;

/// The message of each family in a text of version 0.0.4.
pub(super) fn of_text(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 2);
    for family in families(text) {
        delimited(&mut out, &family.encode());
    }
    out
}

/// What all metrics of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Untyped,
    Histogram,
}

impl Kind {
    fn number(self) -> u64 {
        match self {
            Self::Counter => 0,
            Self::Gauge => 1,
            Self::Untyped => 3,
            Self::Histogram => 4,
        }
    }
}

#[derive(Debug)]
struct Family<'a> {
    name: &'a str,
    help: Option<String>,
    kind: Kind,
    metrics: Vec<Metric>,
    /// Where the metric of a set of labels is.
    places: HashMap<Vec<(String, String)>, usize>,
}

#[derive(Debug, Default)]
struct Metric {
    labels: Vec<(String, String)>,
    /// The value, or of a histogram the sum.
    value: f64,
    count: f64,
    /// Upper bounds and counts, without the one that has no bound.
    buckets: Vec<(f64, f64)>,
}

fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").map(|rest| rest.split_once(' ').unwrap_or((rest, "")))
        {
            family(&mut families, name).help = Some(unescaped(help));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            family(&mut families, name).kind = match kind {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                _ => Kind::Untyped,
            };
        } else if let Some(sample) = Sample::parse(line) {
            let name = sample.name;
            let is_part = |family: &&mut Family<'_>| name.starts_with(family.name);
            match families.last_mut().filter(is_part) {
                Some(family) => family.add(sample),
                None => family(&mut families, name).add(sample),
            }
        }
    }
    families
}

/// The family that is being read; another one if its name is another.
fn family<'a, 'b>(families: &'b mut Vec<Family<'a>>, name: &'a str) -> &'b mut Family<'a> {
    if families.last().is_none_or(|last| last.name != name) {
        families.push(Family { name, help: None, kind: Kind::Untyped, metrics: Vec::new(), places: HashMap::new() });
    }
    let last = families.len() - 1;
    &mut families[last]
}

/// One line with a value.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(String, String)>,
    value: f64,
}

impl<'a> Sample<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(end);
        let mut labels = Vec::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            while !rest.starts_with('}') {
                let (label, after) = rest.split_once("=\"")?;
                let close = closing_quote(after)?;
                labels.push((label.trim_start_matches(',').to_owned(), unescaped(&after[..close])));
                rest = &after[close + 1..];
            }
            rest = &rest[1..];
        }
        let value = rest.trim_start().split(' ').next()?;
        Some(Self { name, labels, value: value.parse().ok()? })
    }
}

/// Where the quote is that ends a text.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some(other)) => out.push(other),
            _ => out.push(c),
        }
    }
    out
}

impl Family<'_> {
    fn add(&mut self, mut sample: Sample<'_>) {
        let part = sample.name.strip_prefix(self.name).unwrap_or_default();
        let bound = sample.labels.iter().position(|(name, _)| part == "_bucket" && name == "le");
        let bound = bound.map(|at| sample.labels.remove(at).1);
        let metric = self.metric(sample.labels);
        match (part, bound.and_then(|bound| bound.parse::<f64>().ok())) {
            ("_bucket", Some(bound)) if bound.is_finite() => metric.buckets.push((bound, sample.value)),
            ("_bucket", _) => {}
            ("_count", _) => metric.count = sample.value,
            _ => metric.value = sample.value,
        }
    }

    fn metric(&mut self, labels: Vec<(String, String)>) -> &mut Metric {
        let at = *self.places.entry(labels).or_insert_with_key(|labels| {
            self.metrics.push(Metric { labels: labels.clone(), ..Metric::default() });
            self.metrics.len() - 1
        });
        &mut self.metrics[at]
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        bytes(&mut out, 1, self.name.as_bytes());
        if let Some(help) = &self.help {
            bytes(&mut out, 2, help.as_bytes());
        }
        integer(&mut out, 3, self.kind.number());
        for metric in &self.metrics {
            bytes(&mut out, 4, &metric.encode(self.kind));
        }
        out
    }
}

impl Metric {
    fn encode(&self, kind: Kind) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in &self.labels {
            let mut pair = Vec::new();
            bytes(&mut pair, 1, name.as_bytes());
            bytes(&mut pair, 2, value.as_bytes());
            bytes(&mut out, 1, &pair);
        }
        let mut inner = Vec::new();
        let number = match kind {
            Kind::Gauge => 2,
            Kind::Counter => 3,
            Kind::Untyped => 5,
            Kind::Histogram => 7,
        };
        match kind {
            Kind::Histogram => {
                integer(&mut inner, 1, self.count as u64);
                double(&mut inner, 2, self.value);
                for (bound, count) in &self.buckets {
                    let mut bucket = Vec::new();
                    integer(&mut bucket, 1, *count as u64);
                    double(&mut bucket, 2, *bound);
                    bytes(&mut inner, 3, &bucket);
                }
            }
            _ => double(&mut inner, 1, self.value),
        }
        bytes(&mut out, number, &inner);
        out
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn delimited(out: &mut Vec<u8>, message: &[u8]) {
    varint(out, message.len() as u64);
    out.extend_from_slice(message);
}

fn integer(out: &mut Vec<u8>, number: u64, value: u64) {
    varint(out, number << 3);
    varint(out, value);
}

fn double(out: &mut Vec<u8>, number: u64, value: f64) {
    varint(out, number << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    varint(out, number << 3 | 2);
    delimited(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_become_messages() {
        let text = "# HELP a All \\\\ of\\nit.\n# TYPE a gauge\na{x=\"1\\\"\\\\\\n,}\",y=\"\"} 2.5\na 3\n";
        let mut want = vec![57];
        want.extend_from_slice(b"\x0a\x01a\x12\x0cAll \\ of\nit.\x18\x01");
        want.extend_from_slice(b"\x22\x1f\x0a\x0b\x0a\x01x\x12\x061\"\\\n,}\x0a\x05\x0a\x01y\x12\x00\x12\x09\x09");
        want.extend_from_slice(&2.5f64.to_le_bytes());
        want.extend_from_slice(b"\x22\x0b\x12\x09\x09");
        want.extend_from_slice(&3f64.to_le_bytes());
        want[0] = (want.len() - 1) as u8;
        assert_eq!(of_text(text), want);
    }

    #[test]
    fn histograms_have_their_buckets_together() {
        let text = "# TYPE h histogram\nh_sum{x=\"1\"} 4.5\nh_count{x=\"1\"} 3\nh_bucket{le=\"1.0\",x=\"1\"} 2\n\
                    h_bucket{le=\"+Inf\",x=\"1\"} 3\n# HELP c_total Counted.\n# TYPE c_total counter\nc_total 300\n";
        let families = families(text);
        assert_eq!(
            families.iter().map(|f| (f.name, f.kind)).collect::<Vec<_>>(),
            [("h", Kind::Histogram), ("c_total", Kind::Counter)]
        );
        let [metric] = families[0].metrics.as_slice() else { panic!("one metric: {families:?}") };
        assert_eq!((metric.value, metric.count, metric.buckets.as_slice()), (4.5, 3.0, &[(1.0, 2.0)][..]));
        assert_eq!(metric.labels, [("x".to_owned(), "1".to_owned())]);
        assert_eq!(families[1].metrics[0].value, 300.0);
    }

    #[test]
    fn what_is_no_metric_is_left_out() {
        for text in ["", "\n", "a", "a{", "a{b", "a{b=\"", "a{b=\"c\" 1", "a{b=\"c\"} x", "# HELP", "# TYPE a"] {
            assert!(families(text).iter().all(|family| family.metrics.is_empty()), "{text:?}");
        }
    }

    #[test]
    fn the_metrics_of_a_process_are_all_there() {
        let text = super::super::encode(&super::super::registry());
        let typed = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        let families = families(&text);
        assert_eq!(families.len(), typed);
        assert!(families.iter().all(|family| family.kind != Kind::Untyped));
    }
}
