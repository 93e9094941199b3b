//! `Impersonate-*` headers: acting as somebody else, if the real user may.
//!
//! There are several ways to be allowed to: those of KEP 5284, which hold for some requests only, and the one that
//! there was before. The one that worked last for a user is tried first, then the others in their order; who may in
//! none of them hears of the first.
//!
//! Upstream: `apiserver/pkg/endpoints/filters/impersonation`.

mod asked;
mod memory;
mod metrics;
mod mode;

use self::memory::{Key, Memory};
use self::metrics::Metrics;
use self::mode::{Check, Mode, Step};
use crate::authorization::{self, Selected};
use apimachinery::status::Status;
use apiserver_auth::{Attributes, Authorizer, Decision};
use apiserver_registry::UserInfo;
use http::HeaderMap;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Instant;

/// Decides who may act as whom.
#[derive(Debug)]
pub struct Impersonation {
    authorizer: Arc<Authorizer>,
    /// The ways that there are, in the order in which they are tried.
    modes: &'static [Mode],
    memory: Memory,
    metrics: Metrics,
}

/// Who is acted as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    /// The user.
    pub user: Arc<UserInfo>,
    /// The verb that allowed it, if it is not the one that there always was.
    pub constraint: Option<&'static str>,
}

/// Removes the headers of impersonation, as they end here.
pub fn strip(headers: &mut HeaderMap) {
    let names: Vec<_> = headers.keys().filter(|k| k.as_str().starts_with("impersonate-")).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

impl Impersonation {
    /// Asks `authorizer`; what is counted is served with `registry`.
    pub fn new(authorizer: Arc<Authorizer>, registry: &mut Registry) -> Self {
        Self { authorizer, modes: &Mode::ALL, memory: Memory::default(), metrics: Metrics::new(registry) }
    }

    /// The same without the ways of KEP 5284: the gate `ConstrainedImpersonation` is off.
    pub fn unconstrained(authorizer: Arc<Authorizer>, registry: &mut Registry) -> Self {
        Self { modes: &[Mode::Legacy], ..Self::new(authorizer, registry) }
    }

    /// Whom a request is made as, if not as who makes it.
    pub async fn effective<'a>(
        &self,
        requestor: &UserInfo,
        headers: &HeaderMap,
        request: impl FnOnce() -> Selected<'a>,
    ) -> Result<Option<Acting>, Status> {
        if !asked::any(headers) {
            return Ok(None);
        }
        let Some(wanted) = asked::read(headers)? else { return Ok(None) };
        let started = Instant::now();
        let allowed = self.first(&wanted, requestor, &request()).await;
        let mode = allowed.as_ref().map_or("", |mode| mode.name());
        self.metrics.attempt(mode, allowed.is_ok(), started.elapsed());
        let mode = allowed?;
        let constraint = mode.is_constrained().then(|| mode.verb());
        Ok(Some(Acting { user: Arc::new(mode.user(wanted)), constraint }))
    }

    /// The first way that is allowed.
    async fn first(&self, wanted: &UserInfo, requestor: &UserInfo, request: &Selected<'_>) -> Result<Mode, Status> {
        let last = self.memory.last(&requestor.name);
        let others = self.modes.iter().copied().filter(|mode| Some(*mode) != last);
        let mut refusal = None;
        for mode in last.into_iter().chain(others).filter(|mode| mode.fits(wanted, requestor)) {
            match self.may(mode, wanted, requestor, request).await {
                Ok(()) => {
                    self.memory.worked(&requestor.name, mode);
                    return Ok(mode);
                }
                Err(why) => _ = refusal.get_or_insert(why),
            }
        }
        Err(refusal.unwrap_or_else(|| Status::internal("all impersonation modes failed")))
    }

    async fn may(
        &self,
        mode: Mode,
        wanted: &UserInfo,
        requestor: &UserInfo,
        request: &Selected<'_>,
    ) -> Result<(), Status> {
        let replaced = mode.requestor(requestor);
        let requestor = replaced.as_ref().unwrap_or(requestor);
        let asking = Asking { this: self, mode, requestor };
        let attributes = request.attributes();
        let Some(verb) = mode.verb_on(attributes.verb) else { return asking.all(wanted).await };
        // What is not understood is not remembered.
        let key = request.is_understood.then(|| Key::new(mode, wanted, requestor, Some(&attributes)));
        if key.is_some_and(|key| self.memory.is_allowed(&key)) {
            return Ok(());
        }
        asking.allowed(&Attributes { verb: &verb, ..attributes.clone() }).await?;
        let user = Key::new(mode, wanted, requestor, None);
        if !self.memory.is_allowed(&user) {
            asking.all(wanted).await?;
            self.memory.allow(user);
        }
        key.into_iter().for_each(|key| self.memory.allow(key));
        Ok(())
    }
}

/// One way of one user.
struct Asking<'a> {
    this: &'a Impersonation,
    mode: Mode,
    requestor: &'a UserInfo,
}

impl Asking<'_> {
    /// All that must be allowed of the user who is asked for.
    async fn all(&self, wanted: &UserInfo) -> Result<(), Status> {
        for step in self.mode.steps(wanted) {
            match step {
                Step::One(check) => self.check(&check).await?,
                Step::AllOrEach(all, each) => {
                    if self.check(&all).await.is_err() {
                        for check in each {
                            self.check(&check).await?;
                        }
                    }
                }
                Step::Refuse(check, why) => {
                    return Err(authorization::forbidden(self.requestor, &self.attributes(&check), &why));
                }
            }
        }
        Ok(())
    }

    async fn check(&self, check: &Check) -> Result<(), Status> {
        self.allowed(&self.attributes(check)).await
    }

    fn attributes<'b>(&self, check: &'b Check) -> Attributes<'b> {
        Attributes {
            verb: self.mode.verb(),
            is_resource: true,
            group: check.group,
            version: "v1",
            resource: check.resource,
            subresource: &check.subresource,
            namespace: &check.namespace,
            name: &check.name,
            ..Attributes::default()
        }
    }

    async fn allowed(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let started = Instant::now();
        let decision = self.this.authorizer.authorize(self.requestor, attributes).await;
        self.this.metrics.check(self.mode.name(), decision.is_allowed(), started.elapsed());
        match decision {
            Decision::Allow(_) => Ok(()),
            Decision::Deny(why) | Decision::NoOpinion(why) => {
                Err(authorization::forbidden(self.requestor, attributes, &why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apiserver_auth::authorization::Mode as Authorizing;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (http::HeaderName::from_static(k), http::HeaderValue::from_static(v))).collect()
    }

    async fn act(
        mode: Authorizing,
        pairs: &[(&'static str, &'static str)],
    ) -> (Result<Option<Acting>, Status>, String) {
        let authorizer = Arc::new(Authorizer { modes: vec![mode], ..Authorizer::default() });
        let mut registry = Registry::default();
        let impersonation = Impersonation::new(authorizer, &mut registry);
        let user = UserInfo { name: "me".into(), ..UserInfo::default() };
        let acting = impersonation.effective(&user, &headers(pairs), Selected::default).await;
        (acting, component::metrics::encode(&registry))
    }

    #[tokio::test]
    async fn takes_on_users() {
        let (acting, counted) = act(Authorizing::AlwaysAllow, &[]).await;
        assert_eq!(acting, Ok(None));
        assert!(!counted.contains("attempts_total{"), "{counted}");
        let (acting, counted) = act(Authorizing::AlwaysAllow, &[(asked::USER, "you")]).await;
        let acting = acting.expect("allowed").expect("somebody else");
        assert_eq!((acting.user.name.as_str(), acting.constraint), ("you", Some("impersonate:user-info")));
        for line in [
            "apiserver_impersonation_attempts_total{mode=\"user-info\",decision=\"allowed\"} 1",
            "apiserver_impersonation_authorization_attempts_total{mode=\"user-info\",decision=\"allowed\"} 2",
        ] {
            assert!(counted.lines().any(|counted| counted == line), "no {line} in {counted}");
        }
    }

    #[tokio::test]
    async fn without_the_gate_there_is_one_way() {
        for (mode, want) in [
            (Authorizing::AlwaysAllow, Ok(None)),
            (
                Authorizing::AlwaysDeny,
                Err(
                    "users \"you\" is forbidden: User \"me\" cannot impersonate resource \"users\" in API group \"\" at the \
                     cluster scope: Everything is forbidden.",
                ),
            ),
        ] {
            let authorizer = Arc::new(Authorizer { modes: vec![mode], ..Authorizer::default() });
            let impersonation = Impersonation::unconstrained(authorizer, &mut Registry::default());
            let user = UserInfo { name: "me".into(), ..UserInfo::default() };
            let acting = impersonation.effective(&user, &headers(&[(asked::USER, "you")]), Selected::default).await;
            let constraint = acting.map(|acting| acting.expect("somebody else").constraint);
            assert_eq!(constraint.map_err(|status| status.message), want.map_err(str::to_owned));
        }
    }

    #[tokio::test]
    async fn refuses_in_upstreams_words() {
        let (refusal, counted) = act(Authorizing::AlwaysDeny, &[(asked::USER, "you")]).await;
        assert_eq!(
            refusal.expect_err("denied").message,
            "forbidden: User \"me\" cannot impersonate-on:user-info: path \"\": Everything is forbidden."
        );
        for line in [
            "apiserver_impersonation_attempts_total{mode=\"\",decision=\"denied\"} 1",
            "apiserver_impersonation_authorization_attempts_total{mode=\"user-info\",decision=\"denied\"} 1",
            "apiserver_impersonation_authorization_attempts_total{mode=\"legacy\",decision=\"denied\"} 1",
        ] {
            assert!(counted.lines().any(|counted| counted == line), "no {line} in {counted}");
        }
    }
}
