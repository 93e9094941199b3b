//! `--use-service-account-credentials`: each controller speaks as its own service account of
//! `kube-system`, with no more rights than its work needs.
//!
//! All identities share connections that carry no client certificate; what differs is
//! the token in the header. Tokens are requested for an hour and renewed in time.
//!
//! Upstream: `k8s.io/controller-manager/pkg/clientbuilder` (DynamicControllerClientBuilder).

use crate::scaffold::error::message;
use crate::scaffold::{is_exists, is_not_found};
use component::Supervisor;
use http::header::{AUTHORIZATION, HeaderValue};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{ObjectMeta, PostParams};
use kube::client::Body;
use kube::{Api, Client};
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;

const NAMESPACE: &str = "kube-system";
/// Seconds that a token is asked for.
const LIFETIME: i64 = 3600;
/// Tokens are renewed after this part of their life.
const RENEW_AT: f64 = 0.8;
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LAST_DELAY: Duration = Duration::from_secs(10);

/// As whom controllers speak.
#[derive(Clone)]
pub enum Identities {
    /// All as the process itself.
    One(Client),
    /// Each as its own service account.
    Each {
        /// Requests the tokens.
        root: Client,
        /// Connections without an identity.
        anonymous: Client,
        /// Owner of the renewals.
        supervisor: Supervisor,
    },
}

impl Identities {
    /// One service account per controller, against the apiserver of this kubeconfig.
    pub async fn each(
        root: Client,
        kubeconfig: &Path,
        agent: &str,
        supervisor: Supervisor,
    ) -> Result<Self, client::ConnectError> {
        let anonymous = client::connect_without_identity(kubeconfig, agent).await?;
        Ok(Self::Each { root, anonymous, supervisor })
    }

    /// A client for the service account of this name. Its first request waits for the token.
    pub fn client(&self, account: &'static str) -> Client {
        let (root, anonymous, supervisor) = match self {
            Self::One(client) => return client.clone(),
            Self::Each { root, anonymous, supervisor } => (root.clone(), anonymous.clone(), supervisor),
        };
        let (sender, token) = watch::channel(None);
        supervisor.spawn_until_stop("token renewal", renew(root, account, sender));
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (anonymous, token) = (anonymous.clone(), token.clone());
            async move { send(anonymous, token, request).await }
        });
        Client::new(service, NAMESPACE)
    }
}

async fn send(
    anonymous: Client,
    mut token: watch::Receiver<Option<HeaderValue>>,
    mut request: http::Request<Body>,
) -> Result<http::Response<Body>, kube::Error> {
    // The sender ends only with the process; then the request fails for want of a token.
    let header = token.wait_for(Option::is_some).await.ok().and_then(|header| header.clone());
    if let Some(header) = header {
        request.headers_mut().insert(AUTHORIZATION, header);
    }
    anonymous.send(request).await
}

/// Keeps a valid token in `sender`.
async fn renew(root: Client, account: &'static str, sender: watch::Sender<Option<HeaderValue>>) {
    let mut delay = FIRST_DELAY;
    loop {
        // Boxed, as all but a moment of the hour is waiting.
        match Box::pin(request(&root, account)).await {
            Ok((header, lifetime)) => {
                sender.send_replace(Some(header));
                delay = FIRST_DELAY;
                tokio::time::sleep(lifetime.mul_f64(RENEW_AT)).await;
            }
            Err(error) => {
                tracing::warn!(account, error = message(&error), "no token yet; trying again");
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(LAST_DELAY);
            }
        }
    }
}

/// A token, and how long it is valid.
async fn request(root: &Client, account: &str) -> Result<(HeaderValue, Duration), kube::Error> {
    let accounts: Api<ServiceAccount> = Api::namespaced(root.clone(), NAMESPACE);
    let wanted = TokenRequest {
        spec: Some(TokenRequestSpec { expiration_seconds: Some(LIFETIME), ..TokenRequestSpec::default() }),
        ..TokenRequest::default()
    };
    let answer = match accounts.create_token_request(account, &PostParams::default(), &wanted).await {
        Err(error) if is_not_found(&error) => {
            create(&accounts, account).await?;
            accounts.create_token_request(account, &PostParams::default(), &wanted).await?
        }
        answer => answer?,
    };
    let lifetime = answer
        .spec
        .and_then(|spec| spec.expiration_seconds)
        .and_then(|seconds| u64::try_from(seconds).ok())
        .unwrap_or(60);
    let token = answer.status.and_then(|status| status.token).unwrap_or_default();
    let mut header =
        HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| kube::Error::HttpError(error.into()))?;
    header.set_sensitive(true);
    Ok((header, Duration::from_secs(lifetime.max(10))))
}

async fn create(accounts: &Api<ServiceAccount>, name: &str) -> Result<(), kube::Error> {
    let metadata =
        ObjectMeta { name: Some(name.to_owned()), namespace: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata, ..ServiceAccount::default() };
    match accounts.create(&PostParams::default(), &account).await {
        Err(error) if !is_exists(&error) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_carries_the_token_of_its_account() {
        let echo = tower::service_fn(|request: http::Request<Body>| async move {
            let header = request.headers().get(AUTHORIZATION).cloned().unwrap();
            let body = Body::from(header.as_bytes().to_vec());
            Ok::<_, std::io::Error>(http::Response::new(body))
        });
        let (sender, token) = watch::channel(None);
        let sent = send(Client::new(echo, "n"), token, http::Request::new(Body::empty()));
        let give = async { sender.send_replace(Some(HeaderValue::from_static("Bearer x"))) };
        let (response, _) = tokio::join!(sent, give);
        let body = response.unwrap().into_body().collect_bytes().await.unwrap();
        assert_eq!(&body[..], b"Bearer x");
    }
}
