//! When a bootstrap token goes.

use crate::objects::secrets::{Life, life};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use std::time::Duration;

/// What to do about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It never ends.
    Keep,
    /// Look again then.
    Wait(Duration),
    /// It is over.
    Delete,
}

pub(super) fn plan(secret: &Secret, now: Timestamp) -> Step {
    match life(secret, now) {
        Life::Endless => Step::Keep,
        Life::Left(left) => Step::Wait(left.try_into().unwrap_or_default()),
        Life::Over => Step::Delete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_goes_when_it_is_over() {
        // 2026-01-01T00:00:10Z
        let secret = serde_json::from_value(json!({"data": {"expiration": "MjAyNi0wMS0wMVQwMDowMDoxMFo="}})).unwrap();
        let at = |second: &str| format!("2026-01-01T00:00:{second}Z").parse().unwrap();
        assert_eq!(plan(&secret, at("04")), Step::Wait(Duration::from_secs(6)));
        assert_eq!(plan(&secret, at("10")), Step::Delete);
        assert_eq!(plan(&Secret::default(), at("10")), Step::Keep);
    }
}
