//! What flags say about metrics: which are not served, and which values their labels may have.
//!
//! A value that a label may not have is served as `unexpected`, and what only such labels told apart is added up.
//!
//! Upstream: `component-base/metrics/options.go`, `component-base/metrics/api/v1/config.go`.

use crate::version;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const NAME: &str = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL: &str = "[a-zA-Z_][a-zA-Z0-9_]*";
const UNEXPECTED: &str = "unexpected";

/// Flags about metrics.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct MetricFlags {
    /// The previous version for which hidden metrics are shown: none are hidden, so that this only has to be right.
    #[arg(long, default_value = "")]
    pub show_hidden_metrics_for_version: String,
    /// Full names of metrics that are not served, comma separated.
    #[arg(long, value_delimiter = ',')]
    pub disabled_metrics: Vec<String>,
    /// Values that labels may have: METRIC,LABEL=VALUE,VALUE; others are served as unexpected.
    #[arg(long)]
    pub allow_metric_labels: Vec<String>,
    /// A file that says the same in YAML: "METRIC,LABEL": "VALUE,VALUE".
    #[arg(long)]
    pub allow_metric_labels_manifest: Option<PathBuf>,
}

/// Flags that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum MetricFlagError {
    /// Not the version before this one.
    #[error(
        "metrics.showHiddenMetricsForVersion: Invalid value: {given:?}: must be omitted or have the value '{previous}'; \
         only the previous minor version is allowed"
    )]
    Version {
        /// What was given.
        given: String,
        /// The one that may be.
        previous: String,
    },
    /// No name of a metric.
    #[error(
        "metrics.disabledMetrics: Invalid value: {all:?}: must be fully qualified metric names matching \"^{NAME}$\", \
         got {name:?}"
    )]
    Disabled {
        /// All names.
        all: Vec<String>,
        /// The wrong one.
        name: String,
    },
    /// Not `key=value`.
    #[error("invalid argument {0:?} for \"--allow-metric-labels\" flag: {0} must be formatted as key=value")]
    Pair(String),
    /// Not `METRIC,LABEL`.
    #[error(
        "metrics.allowListMapping: Invalid value: {0:?}: must have keys with format `metricName,labelName` where \
         metricName matches \"{NAME}\" and labelName matches \"{LABEL}\""
    )]
    Key(String),
    /// Two sources of one thing.
    #[error("metrics: Invalid value: cannot specify both allowListMapping and allowListMappingManifest")]
    Both,
    /// No such file.
    #[error("metrics.allowListMappingManifest: Invalid value: {0:?}: failed to read allow list manifest")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// A file of something else.
    #[error("metrics.allowListMappingManifest: Invalid value: {0:?}: failed to parse allow list manifest: {1}")]
    Unparsable(PathBuf, String),
}

/// What is served of metrics.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    disabled: BTreeSet<String>,
    /// By metric and label.
    allowed: HashMap<String, BTreeMap<String, BTreeSet<String>>>,
}

/// The limits of this process; none are set where no flag asks for any.
static LIMITS: OnceLock<Limits> = OnceLock::new();

impl MetricFlags {
    /// Has all metrics of this process served as the flags say, from now on.
    pub fn apply(&self) -> Result<(), MetricFlagError> {
        let limits = self.limits()?;
        if limits != Limits::default() {
            // Nobody but the daemon's start applies flags, once.
            let _ = LIMITS.set(limits);
        }
        Ok(())
    }

    fn limits(&self) -> Result<Limits, MetricFlagError> {
        check_version(&self.show_hidden_metrics_for_version)?;
        let all = &self.disabled_metrics;
        if let Some(name) = all.iter().find(|name| !is_name(name, true)) {
            return Err(MetricFlagError::Disabled { all: all.clone(), name: name.clone() });
        }
        let mut pairs = BTreeMap::new();
        for text in &self.allow_metric_labels {
            pairs.extend(read_pairs(text)?);
        }
        let pairs = match &self.allow_metric_labels_manifest {
            Some(_) if !pairs.is_empty() => return Err(MetricFlagError::Both),
            Some(file) => read_manifest(file)?,
            None => pairs,
        };
        let mut limits = Limits { disabled: all.iter().cloned().collect(), ..Limits::default() };
        for (key, values) in pairs {
            let parts = key.split_once(',').filter(|(name, label)| is_name(name, true) && is_name(label, false));
            let Some((name, label)) = parts else { return Err(MetricFlagError::Key(key)) };
            let values = values.split(',').map(str::to_owned).collect();
            limits.allowed.entry(name.to_owned()).or_default().insert(label.to_owned(), values);
        }
        Ok(limits)
    }
}

fn check_version(given: &str) -> Result<(), MetricFlagError> {
    let previous = format!("{}.{}", version::MAJOR, version::minor_before());
    match given.is_empty() || given == previous {
        true => Ok(()),
        false => Err(MetricFlagError::Version { given: given.to_owned(), previous }),
    }
}

fn is_name(text: &str, with_colons: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphabetic() || c == '_' || with_colons && c == ':';
    text.starts_with(fits) && text.chars().all(|c| fits(c) || c.is_ascii_digit())
}

/// One pair, or several of them separated by commas, each in double quotes if it has commas.
fn read_pairs(text: &str) -> Result<Vec<(String, String)>, MetricFlagError> {
    let parts = match text.matches('=').count() {
        0 => return Err(MetricFlagError::Pair(text.to_owned())),
        1 => vec![text.trim_matches('"').to_owned()],
        _ => split_quoted(text),
    };
    let pair = |part: String| match part.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(MetricFlagError::Pair(part)),
    };
    parts.into_iter().map(pair).collect()
}

fn split_quoted(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut is_quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    parts
}

fn read_manifest(file: &Path) -> Result<BTreeMap<String, String>, MetricFlagError> {
    let text = std::fs::read_to_string(file).map_err(|error| MetricFlagError::Unreadable(file.to_owned(), error))?;
    serde_saphyr::from_str(&text).map_err(|error| {
        let why = error.to_string();
        MetricFlagError::Unparsable(file.to_owned(), why.lines().next().unwrap_or_default().to_owned())
    })
}

/// How many metrics are not served.
pub(super) fn disabled() -> u64 {
    LIMITS.get().map_or(0, |limits| limits.disabled.len() as u64)
}

/// A text of metrics as it is served.
pub(super) fn limited(text: String) -> String {
    match LIMITS.get() {
        Some(limits) => limits.of(&text),
        None => text,
    }
}

impl Limits {
    fn of(&self, text: &str) -> String {
        let mut served = String::with_capacity(text.len());
        for family in families(text) {
            if self.disabled.contains(family.name) {
                continue;
            }
            match self.allowed.get(family.name) {
                Some(allowed) => constrain(&family, allowed, &mut served),
                None => served.push_str(family.text),
            }
        }
        served
    }
}

/// A metric with all its lines.
struct Family<'t> {
    name: &'t str,
    text: &'t str,
}

/// The metrics of a text, each of which begins with its help or its type.
fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let mut name = "";
    for line in text.split_inclusive('\n') {
        let head = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        if let Some(next) = head.and_then(|head| head.split_whitespace().next()).filter(|next| *next != name) {
            families.push(Family { name, text: &text[start..at] });
            (name, start) = (next, at);
        }
        at += line.len();
    }
    families.push(Family { name, text: &text[start..] });
    families
}

/// Writes a metric with the labels that it may have.
fn constrain(family: &Family<'_>, allowed: &BTreeMap<String, BTreeSet<String>>, served: &mut String) {
    let mut sums: HashMap<String, f64> = HashMap::new();
    let mut order = Vec::new();
    for line in family.text.lines() {
        let sample = line.rsplit_once(' ').and_then(|(series, value)| Some((series, value.parse::<f64>().ok()?)));
        match sample.filter(|_| !line.starts_with('#')) {
            Some((series, value)) => {
                let series = constrained(series, allowed);
                let sum = sums.entry(series.clone()).or_insert_with(|| {
                    order.push(series);
                    0.0
                });
                *sum += value;
            }
            None => served.extend([line, "\n"]),
        }
    }
    for series in order {
        let sum = sums.get(&series).copied().unwrap_or_default();
        served.push_str(&format!("{series} {sum}\n"));
    }
}

/// A series with the labels that it may have.
fn constrained(series: &str, allowed: &BTreeMap<String, BTreeSet<String>>) -> String {
    let Some((name, labels)) = series.split_once('{') else { return series.to_owned() };
    let mut written = format!("{name}{{");
    let mut rest = labels;
    while let Some((label, value, after)) = next_label(rest) {
        let value = match allowed.get(label) {
            Some(values) if !values.contains(value) => UNEXPECTED,
            _ => value,
        };
        if !written.ends_with('{') {
            written.push(',');
        }
        written.push_str(&format!("{label}=\"{value}\""));
        rest = after;
    }
    written.push('}');
    written
}

/// Name and value, as it is written, of the first label, and what comes behind it.
fn next_label(text: &str) -> Option<(&str, &str, &str)> {
    let (label, rest) = text.trim_start_matches(',').split_once("=\"")?;
    let mut is_escaped = false;
    let end = rest.find(|c| match c {
        '\\' if !is_escaped => {
            is_escaped = true;
            false
        }
        '"' if !is_escaped => true,
        _ => {
            is_escaped = false;
            false
        }
    })?;
    Some((label, &rest[..end], &rest[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a_total All.\n# TYPE a_total counter\na_total{x=\"1\",y=\"p\"} 1\na_total{x=\"2\",y=\"p\"} 2\n\
                        a_total{x=\"3\",y=\"q\\\"\"} 4\n# HELP b B.\n# TYPE b gauge\nb 7\n";

    fn flags(disabled: &[&str], labels: &[&str]) -> MetricFlags {
        let own = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        MetricFlags { disabled_metrics: own(disabled), allow_metric_labels: own(labels), ..MetricFlags::default() }
    }

    #[test]
    fn disabled_metrics_are_not_served() {
        let served = flags(&["a_total", "c"], &[]).limits().expect("limits").of(TEXT);
        assert_eq!(served, "# HELP b B.\n# TYPE b gauge\nb 7\n");
        assert_eq!(Limits::default().of(TEXT), TEXT);
    }

    #[test]
    fn values_that_are_not_expected_are_added_up() {
        let limits = flags(&[], &["a_total,x=1", "\"a_total,y=p,r\",\"b,z=1\""]).limits().expect("limits");
        let want = "# HELP a_total All.\n# TYPE a_total counter\na_total{x=\"1\",y=\"p\"} 1\n\
                    a_total{x=\"unexpected\",y=\"p\"} 2\na_total{x=\"unexpected\",y=\"unexpected\"} 4\n\
                    # HELP b B.\n# TYPE b gauge\nb 7\n";
        assert_eq!(limits.of(TEXT), want);
        let limits = flags(&[], &["a_total,x=9"]).limits().expect("limits");
        assert!(limits.of(TEXT).contains("a_total{x=\"unexpected\",y=\"p\"} 3\n"), "{}", limits.of(TEXT));
    }

    #[test]
    fn a_manifest_says_the_same() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "\"a_total,x\": \"1,2\"\n\"b,y\": \"\"\n").expect("written");
        let manifest = Some(file.path().to_owned());
        let from_file = MetricFlags { allow_metric_labels_manifest: manifest.clone(), ..MetricFlags::default() };
        let from_flags = flags(&[], &["\"a_total,x=1,2\",\"b,y=\""]);
        assert_eq!(from_file.limits().expect("limits"), from_flags.limits().expect("limits"));
        let both = MetricFlags { allow_metric_labels_manifest: manifest, ..from_flags };
        assert!(matches!(both.limits(), Err(MetricFlagError::Both)));
        std::fs::write(file.path(), "- a\n").expect("written");
        assert!(matches!(from_file.limits(), Err(MetricFlagError::Unparsable(..))));
    }

    #[test]
    fn wrong_flags_are_refused_in_upstreams_words() {
        let old = MetricFlags { show_hidden_metrics_for_version: "1.1".into(), ..MetricFlags::default() };
        for (flags, want) in [
            (
                old,
                "metrics.showHiddenMetricsForVersion: Invalid value: \"1.1\": must be omitted or have the value '1.35'",
            ),
            (flags(&["a b"], &[]), "metrics.disabledMetrics: Invalid value: [\"a b\"]: must be fully qualified"),
            (flags(&[], &["a"]), "a must be formatted as key=value"),
            (flags(&[], &["a=b"]), "metrics.allowListMapping: Invalid value: \"a\": must have keys with format"),
            (flags(&[], &["a,b:c=1"]), "metrics.allowListMapping: Invalid value: \"a,b:c\""),
        ] {
            let error = flags.limits().expect_err("refused").to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
