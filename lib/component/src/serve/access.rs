//! Who may ask: delegated to the apiserver by TokenReview and SubjectAccessReview, with a short
//! memory.
//!
//! Upstream: `apiserver/pkg/authentication/authenticatorfactory`, `authorizerfactory`.

mod review;

use super::Presented;
use super::router::{self, Response};
use http::request::Parts;
use http::{Method, StatusCode, header};
use review::Reviews;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// Unique over time; may be empty.
    pub uid: String,
    /// The groups, sorted as given.
    pub groups: Vec<String>,
    /// What else the authenticator knows.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self { name: "system:anonymous".into(), groups: vec!["system:unauthenticated".into()], ..Self::default() }
    }

    /// A verified client certificate's user.
    pub fn of_certificate(identity: pki::Identity) -> Self {
        let mut groups = identity.groups;
        groups.push("system:authenticated".into());
        Self { name: identity.user, groups, ..Self::default() }
    }
}

/// What is asked for, as the authorizer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attributes {
    /// A path that is no resource.
    Path {
        /// `get`, `post`, ….
        verb: String,
        /// The path.
        path: String,
    },
    /// A resource, such as the kubelet's `nodes/log`.
    Resource {
        /// `get`, `create`, ….
        verb: String,
        /// API group; empty for core.
        group: String,
        /// The resource.
        resource: String,
        /// Its subresource, empty if none.
        subresource: String,
        /// The namespace; empty if it has none, or for all.
        namespace: String,
        /// The object's name.
        name: String,
    },
}

type ToAttributes = Arc<dyn Fn(&Parts) -> Vec<Attributes> + Send + Sync>;

/// What is decided without asking the apiserver.
#[derive(Clone)]
pub struct Policy {
    /// Paths that need no authorization; one that ends with `*` is a prefix.
    pub always_allow: Vec<String>,
    /// Whether requests without credentials pass as `system:anonymous`.
    pub anonymous: bool,
    /// Whether the apiserver is asked at all; otherwise every authenticated user may do anything.
    pub authorize: bool,
    /// What a request asks for; one of the attributes must be allowed.
    pub attributes: ToAttributes,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            always_allow: ["/healthz", "/livez", "/readyz"].map(str::to_owned).to_vec(),
            anonymous: true,
            authorize: true,
            attributes: Arc::new(|parts| vec![path_attributes(parts)]),
        }
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("always_allow", &self.always_allow)
            .field("anonymous", &self.anonymous)
            .field("authorize", &self.authorize)
            .finish_non_exhaustive()
    }
}

/// The path and the method as a verb.
pub fn path_attributes(parts: &Parts) -> Attributes {
    Attributes::Path { verb: parts.method.as_str().to_lowercase(), path: parts.uri.path().to_owned() }
}

/// A method as a resource verb: GET is `get`, POST `create`, PUT `update`, ….
pub fn resource_verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

/// How a server guards its paths.
#[derive(Clone, Debug)]
pub enum Access {
    /// Not at all: health and metrics on a plain port.
    Open,
    /// By the apiserver.
    Delegated(Arc<Delegated>),
}

/// Authentication and authorization by the apiserver.
#[derive(Debug)]
pub struct Delegated {
    reviews: Reviews,
    policy: Policy,
}

impl Delegated {
    /// Without a client for authentication no token is believed; without one for authorization
    /// only `system:masters` and the always allowed paths pass.
    pub fn new(authentication: Option<kube::Client>, authorization: Option<kube::Client>, policy: Policy) -> Self {
        Self { reviews: Reviews::new(authentication, authorization), policy }
    }
}

impl Access {
    /// The user, or the answer that refuses.
    pub async fn check(&self, parts: &Parts, presented: Presented) -> Result<User, Response> {
        match self {
            Self::Open => Ok(presented.user.unwrap_or_else(User::anonymous)),
            Self::Delegated(delegated) => delegated.check(parts, presented).await,
        }
    }
}

impl Delegated {
    async fn check(&self, parts: &Parts, presented: Presented) -> Result<User, Response> {
        let is_open = self.policy.always_allow.iter().any(|pattern| is_match(pattern, parts.uri.path()));
        let user = match self.authenticate(parts, presented).await {
            Some(user) => user,
            None if is_open => User::anonymous(),
            None => return Err(router::text(StatusCode::UNAUTHORIZED, "Unauthorized\n")),
        };
        if is_open || !self.policy.authorize || user.groups.iter().any(|group| group == "system:masters") {
            return Ok(user);
        }
        let wanted = (self.policy.attributes)(parts);
        for attributes in &wanted {
            if self.reviews.allows(&user, attributes).await {
                return Ok(user);
            }
        }
        Err(forbidden(&user, wanted.first()))
    }

    /// Whom a trusted proxy names, else a certificate, else a token, else nobody in particular.
    async fn authenticate(&self, parts: &Parts, presented: Presented) -> Option<User> {
        let named = presented.front.and_then(|front| front.user(&parts.headers));
        if let Some(user) = named.or(presented.user) {
            return Some(user);
        }
        match bearer_token(parts) {
            Some(token) => self.reviews.user_of(token).await,
            None => self.policy.anonymous.then(User::anonymous),
        }
    }
}

fn bearer_token(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

fn is_match(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern || path.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('/')),
    }
}

fn forbidden(user: &User, attributes: Option<&Attributes>) -> Response {
    let message = match attributes {
        Some(Attributes::Path { verb, path }) => {
            format!("forbidden: User {:?} cannot {verb} path {path:?}", user.name)
        }
        Some(Attributes::Resource { verb, resource, subresource, name, .. }) => {
            let resource = if subresource.is_empty() { resource.clone() } else { format!("{resource}/{subresource}") };
            format!("forbidden: User {:?} cannot {verb} resource {resource:?} of {name:?}", user.name)
        }
        None => format!("forbidden: User {:?}", user.name),
    };
    router::status(StatusCode::FORBIDDEN, "Forbidden", &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str, token: Option<&str>) -> Parts {
        let mut request = http::Request::get(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(()).unwrap().into_parts().0
    }

    async fn status(access: &Delegated, path: &str, certificate: Option<User>) -> u16 {
        match access.check(&parts(path, None), Presented { user: certificate, front: None }).await {
            Ok(_) => 200,
            Err(response) => response.status().as_u16(),
        }
    }

    fn user(group: &str) -> User {
        User::of_certificate(pki::Identity { user: "jane".into(), groups: vec![group.into()] })
    }

    #[tokio::test]
    async fn health_is_open_and_all_else_needs_a_decision() {
        let access = Delegated::new(None, None, Policy::default());
        for (path, code) in
            [("/healthz", 200), ("/healthz/ping", 200), ("/readyz", 200), ("/healthzz", 403), ("/metrics", 403)]
        {
            assert_eq!(status(&access, path, None).await, code, "{path}");
        }
        assert_eq!(status(&access, "/metrics", Some(user("dev"))).await, 403);
        assert_eq!(status(&access, "/metrics", Some(user("system:masters"))).await, 200);
    }

    #[tokio::test]
    async fn without_anonymous_access_credentials_are_needed() {
        let policy = Policy { anonymous: false, authorize: false, ..Policy::default() };
        let access = Delegated::new(None, None, policy);
        assert_eq!(status(&access, "/metrics", None).await, 401);
        assert_eq!(status(&access, "/healthz", None).await, 200);
        assert_eq!(status(&access, "/metrics", Some(user("dev"))).await, 200);
    }

    #[tokio::test]
    async fn a_token_nobody_can_review_is_refused() {
        let access = Delegated::new(None, None, Policy::default());
        let response = access.check(&parts("/metrics", Some("t")), Presented::default()).await.unwrap_err();
        assert_eq!(response.status().as_u16(), 401);
    }
}
