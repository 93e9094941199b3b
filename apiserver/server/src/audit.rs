//! Audit: who did what, in events that a policy chooses, to a log that rotates.
//!
//! Without a policy nothing of this is on a request's path.
//!
//! Upstream: `apiserver/pkg/audit`, `apiserver/pkg/endpoints/filters/audit.go`.

mod event;
mod log;
mod objects;
mod policy;
mod trail;

pub use event::Stage;
pub use log::{Format, Log, LogOptions, Mode};
pub use policy::{Level, Policy};
pub use trail::{Seen, Trail};

use apiserver_auth::Attributes;
use apiserver_registry::UserInfo;
use std::sync::Arc;

/// The configured audit.
#[derive(Debug)]
pub struct Audit {
    /// What is worth an event.
    pub policy: Policy,
    /// Where events go.
    pub log: Log,
}

impl Audit {
    /// The trail of a request, if the policy wants one. `None` for the request's user if it could
    /// not be authenticated.
    pub fn begin(self: &Arc<Self>, user: Option<&UserInfo>, asked: &Attributes<'_>, seen: &Seen<'_>) -> Option<Trail> {
        let rule = self.policy.judge(user, asked);
        (rule.level != Level::None).then(|| Trail::new(self.clone(), rule, user, asked, seen))
    }
}
