//! The configuration of `ImagePolicyWebhook`: where the webhook is, and how long its answers hold.
//!
//! Upstream: `plugin/pkg/admission/imagepolicy/config.go`.

use apimachinery::Value;
use apimachinery::time::format_go_duration;
use serde::Deserialize;
use std::time::Duration;

/// What switches a time off.
const OFF: i64 = -1;

/// What the plugin goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    pub(super) kubeconfig: String,
    /// How long "allowed" is kept.
    pub(super) allow_ttl: Duration,
    /// How long "denied" is.
    pub(super) deny_ttl: Duration,
    /// Wait before the second call.
    pub(super) pause: Duration,
    /// Whether pods are allowed where there is no answer.
    pub(super) default_allow: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wire {
    image_policy: WebhookWire,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WebhookWire {
    kube_config_file: String,
    #[serde(rename = "allowTTL")]
    allow_ttl: i64,
    #[serde(rename = "denyTTL")]
    deny_ttl: i64,
    retry_backoff: i64,
    default_allow: bool,
}

impl Configuration {
    /// Reads a configuration, which is of no kind.
    ///
    /// # Errors
    /// Times out of bounds.
    pub(super) fn parse(configuration: &Value) -> Result<Self, String> {
        let wire = Wire::deserialize(configuration).map_err(|error| error.to_string())?.image_policy;
        let (second, millisecond) = (Duration::from_secs(1), Duration::from_millis(1));
        let half_an_hour = Duration::from_secs(30 * 60);
        Ok(Self {
            pause: within(
                wire.retry_backoff,
                millisecond,
                Duration::from_nanos(1),
                600 * half_a_second(),
                half_a_second(),
            )?,
            allow_ttl: within(wire.allow_ttl, second, second, half_an_hour, Duration::from_secs(5 * 60))?,
            deny_ttl: within(wire.deny_ttl, second, second, half_an_hour, Duration::from_secs(30))?,
            kubeconfig: wire.kube_config_file,
            default_allow: wire.default_allow,
        })
    }
}

const fn half_a_second() -> Duration {
    Duration::from_millis(500)
}

/// So many units, or the default, or no time.
fn within(count: i64, unit: Duration, least: Duration, most: Duration, default: Duration) -> Result<Duration, String> {
    if count == 0 || count == OFF {
        return Ok(if count == 0 { default } else { Duration::ZERO });
    }
    let given = u32::try_from(count).ok().and_then(|count| unit.checked_mul(count));
    given.filter(|given| (least..=most).contains(given)).ok_or_else(|| {
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let [least, most, given] =
            [nanos(least), nanos(most), count.saturating_mul(nanos(unit))].map(format_go_duration);
        format!("valid value is between {least} and {most}, got {given}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(policy: Value) -> Result<Configuration, String> {
        Configuration::parse(&json!({"imagePolicy": policy}))
    }

    #[test]
    fn times_have_defaults_and_bounds() {
        let default = parse(json!({"kubeConfigFile": "f"})).expect("a configuration");
        let times = |c: &Configuration| [c.allow_ttl, c.deny_ttl, c.pause].map(|time| time.as_millis());
        assert_eq!(times(&default), [300_000, 30_000, 500]);
        let given = parse(json!({"allowTTL": 50, "denyTTL": -1, "retryBackoff": 7, "defaultAllow": true}))
            .expect("a configuration");
        assert_eq!((times(&given), given.default_allow), ([50_000, 0, 7], true));
        assert_eq!(parse(json!({"allowTTL": 1801})), Err("valid value is between 1s and 30m0s, got 30m1s".into()));
        assert_eq!(parse(json!({"denyTTL": -2})), Err("valid value is between 1s and 30m0s, got -2s".into()));
    }
}
