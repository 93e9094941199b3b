//! Which tokens go.

use crate::objects::secrets::is_token_of;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use std::collections::HashSet;

/// When the token was last used: the apiserver writes the day.
const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
/// Since when the token is refused.
pub(super) const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

/// What to do about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is used, or new, or was asked for.
    Keep,
    /// From this day on it is refused.
    Invalidate(String),
    /// It was refused for long enough.
    Delete,
}

/// Whether uses have been tracked for long enough to judge by; `since` is the day it began.
pub(super) fn is_tracked(since: &str, period: SignedDuration, now: Timestamp) -> Option<bool> {
    let began = since.parse::<Date>().ok()?.tomorrow().ok()?;
    let began = began.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(now >= began.saturating_add(period).ok()?)
}

/// Whether the token could go, were it not mounted. Only one that its account lists was made
/// without being asked for.
pub(super) fn is_candidate(
    secret: &Secret,
    account: Option<&ServiceAccount>,
    period: SignedDuration,
    now: Timestamp,
) -> bool {
    let kept_from = now.saturating_sub(period).unwrap_or(now);
    let created = secret.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let is_new = created.is_none_or(|created| created >= kept_from);
    if is_new || secret.metadata.deletion_timestamp.is_some() || is_used(secret, kept_from) {
        return false;
    }
    account
        .filter(|account| is_token_of(secret, account))
        .is_some_and(|account| account.secrets.iter().flatten().any(|reference| reference.name == secret.metadata.name))
}

/// Whether it was used since, or nobody can say.
fn is_used(secret: &Secret, since: Timestamp) -> bool {
    match label(secret, LAST_USED) {
        None => false,
        Some(day) => day.parse::<Date>().is_err() || day >= date(since).as_str(),
    }
}

/// What to do about a candidate that is not mounted.
pub(super) fn step(secret: &Secret, period: SignedDuration, now: Timestamp) -> Step {
    let kept_from = date(now.saturating_sub(period).unwrap_or(now));
    match label(secret, INVALID_SINCE).filter(|day| day.parse::<Date>().is_ok()) {
        None => Step::Invalidate(date(now)),
        Some(day) if day >= kept_from.as_str() => Step::Keep,
        Some(_) => Step::Delete,
    }
}

fn label<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    secret.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// The Secrets that a pod mounts or reads otherwise.
pub(super) fn mounted(pod: &Pod) -> HashSet<String> {
    let mut names = HashSet::new();
    let Some(spec) = &pod.spec else { return names };
    names.extend(spec.image_pull_secrets.iter().flatten().map(|reference| reference.name.clone()));
    for volume in spec.volumes.iter().flatten() {
        names.extend(volume.secret.iter().filter_map(|secret| secret.secret_name.clone()));
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        names.extend(sources.filter_map(|source| source.secret.as_ref()).map(|secret| secret.name.clone()));
    }
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    for container in containers {
        let all = container.env_from.iter().flatten().filter_map(|from| from.secret_ref.as_ref());
        names.extend(all.map(|reference| reference.name.clone()));
        let single = container.env.iter().flatten().filter_map(|env| env.value_from.as_ref()?.secret_key_ref.as_ref());
        names.extend(single.map(|reference| reference.name.clone()));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const PERIOD: SignedDuration = SignedDuration::from_hours(24 * 365);

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn secret(created: &str, labels: Value) -> Secret {
        serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "n", "creationTimestamp": created,
            "labels": labels, "annotations": {"kubernetes.io/service-account.name": "a"}}}))
        .unwrap()
    }

    fn account(secrets: Value) -> ServiceAccount {
        serde_json::from_value(json!({"metadata": {"name": "a", "namespace": "n"}, "secrets": secrets})).unwrap()
    }

    #[test]
    fn unused_tokens_go_in_two_steps() {
        let old = "2020-01-01T00:00:00Z";
        let listed = account(json!([{"name": "s"}]));
        let table = [
            (secret(old, json!({})), true),
            (secret("2026-01-01T00:00:00Z", json!({})), false),
            (secret(old, json!({LAST_USED: "2025-05-31"})), true),
            (secret(old, json!({LAST_USED: "2025-06-01"})), false),
            (secret(old, json!({LAST_USED: "nonsense"})), false),
        ];
        for (secret, expected) in table {
            assert_eq!(is_candidate(&secret, Some(&listed), PERIOD, now()), expected, "{secret:?}");
        }
        assert!(!is_candidate(&secret(old, json!({})), Some(&account(json!([]))), PERIOD, now()));
        assert!(!is_candidate(&secret(old, json!({})), None, PERIOD, now()));
        let since = |day: &str| secret(old, json!({INVALID_SINCE: day}));
        assert_eq!(step(&secret(old, json!({})), PERIOD, now()), Step::Invalidate("2026-06-01".into()));
        assert_eq!(step(&since("2025-06-01"), PERIOD, now()), Step::Keep);
        assert_eq!(step(&since("2025-05-31"), PERIOD, now()), Step::Delete);
    }

    #[test]
    fn uses_are_judged_only_when_they_were_tracked() {
        assert_eq!(is_tracked("2025-05-31", PERIOD, now()), Some(true));
        assert_eq!(is_tracked("2025-06-01", PERIOD, now()), Some(false));
        assert_eq!(is_tracked("nonsense", PERIOD, now()), None);
    }

    #[test]
    fn pods_name_their_secrets() {
        let pod: Pod = serde_json::from_value(json!({"spec": {"imagePullSecrets": [{"name": "a"}],
            "volumes": [{"name": "v", "secret": {"secretName": "b"}}, {"name": "w", "projected": {"sources": [{"secret": {"name": "c"}}]}}],
            "containers": [{"name": "c", "envFrom": [{"secretRef": {"name": "d"}}],
                "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "e", "key": "k"}}}]}]}}))
        .unwrap();
        let mut names: Vec<_> = mounted(&pod).into_iter().collect();
        names.sort();
        assert_eq!(names.concat(), "abcde");
    }
}
