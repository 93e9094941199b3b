//! Requests without credentials.
//!
//! Upstream: `apiserver/pkg/authentication/request/anonymous`.

use super::UNAUTHENTICATED;
use apiserver_registry::UserInfo;
use std::sync::{Arc, LazyLock};

/// `--anonymous-auth`, or `anonymous` of an `AuthenticationConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// Requests need credentials.
    #[default]
    Refused,
    /// Requests without are `system:anonymous`.
    Allowed,
    /// Only requests for exactly these paths.
    AllowedAt(Vec<String>),
}

impl Anonymous {
    /// The anonymous user, where it may ask.
    pub fn user(&self, path: &str) -> Option<Arc<UserInfo>> {
        static USER: LazyLock<Arc<UserInfo>> = LazyLock::new(|| {
            let groups = vec![UNAUTHENTICATED.into()];
            Arc::new(UserInfo { name: "system:anonymous".into(), groups, ..UserInfo::default() })
        });
        let allowed = match self {
            Anonymous::Refused => false,
            Anonymous::Allowed => true,
            Anonymous::AllowedAt(paths) => paths.iter().any(|p| p == path),
        };
        allowed.then(|| USER.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_may_be_named() {
        assert!(Anonymous::Allowed.user("/api").is_some());
        assert!(Anonymous::Refused.user("/api").is_none());
        let at = Anonymous::AllowedAt(vec!["/healthz".into()]);
        assert!(at.user("/healthz").is_some() && at.user("/healthz/etcd").is_none());
    }
}
