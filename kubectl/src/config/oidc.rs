//! Logins with OpenID Connect: the identity token as long as it is valid, then a new one for the
//! refresh token.
//!
//! Upstream: `client-go/plugin/pkg/client/auth/oidc`.

use super::{ConfigError, Connection, text};
use crate::cli::Global;
use crate::http::{Client, Patience, Unanswered, Why};
use crate::kubeconfig::Access;
use apimachinery::codec;
use apimachinery::{Map, Value};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use http_body_util::BodyExt;
use hyper::ext::ReasonPhrase;

/// A token this close to its end is not used any more, in seconds: clocks differ.
const MARGIN: f64 = 10.0;
/// How much of a page that is no answer is shown.
const SHOWN: usize = 80;

/// Why there is no new token; upstream's messages.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    /// The metadata of the issuer cannot be had.
    #[error("oidc: failed to query metadata endpoint {status}: {body:?}")]
    NoMetadata { status: String, body: String },
    /// The metadata are no JSON.
    #[error("oidc: failed to decode provider discovery object: {0}")]
    BadMetadata(serde_json::Error),
    /// The metadata do not say where tokens are given.
    #[error("oidc: discovery object doesn't contain a token_endpoint")]
    NoEndpoint,
    /// The issuer gives no token.
    #[error("failed to refresh token: oauth2: {0}")]
    Refused(String),
    /// The issuer gives tokens of another kind.
    #[error(
        "token response did not contain an id_token, either the scope \"openid\" wasn't requested upon login, or the provider doesn't support id_tokens as part of the refresh response"
    )]
    NoIdentity,
    /// The issuer cannot be asked for its metadata.
    #[error("{0:#}")]
    Unreachable(anyhow::Error),
    /// The issuer cannot be asked for a token.
    #[error("failed to refresh token: {0:#}")]
    Unrefreshed(anyhow::Error),
    /// The token that is there is none.
    #[error("{0}")]
    NoToken(String),
    /// Nothing to get a new token with.
    #[error("No valid id-token, and cannot refresh without refresh-token")]
    NoRefreshToken,
    /// The new tokens cannot be kept.
    #[error("could not persist new tokens: {0}")]
    Unkept(Box<crate::kubeconfig::EditError>),
}

/// A login whose token must be renewed first.
#[derive(Clone)]
pub struct Login {
    user: String,
    issuer: String,
    client: String,
    secret: String,
    refresh_token: String,
    authority: Option<Vec<u8>>,
}

/// Providers that were there once: the program that does it now, and where to read about it.
const REMOVED: [(&str, &str, &str); 2] = [
    (
        "azure",
        "https://github.com/Azure/kubelogin",
        "https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins",
    ),
    (
        "gcp",
        "\"gke-gcloud-auth-plugin\"",
        "https://cloud.google.com/blog/products/containers-kubernetes/kubectl-auth-changes-in-gke",
    ),
];

/// Uses the token of a user's entry, or remembers that it must be renewed.
pub(super) fn apply(connection: &mut Connection, user: &str, provider: &Value) -> Result<(), ConfigError> {
    let wrong = |why: &str| Err(ConfigError::Unsupported(why.to_owned()));
    let name = text(provider, "name").unwrap_or_default();
    if name != "oidc" {
        let removed = REMOVED.iter().find(|(provider, ..)| *provider == name);
        let why = match removed {
            Some((_, instead, page)) => format!(
                "The {name} auth plugin has been removed.\nPlease use the {instead} kubectl/client-go credential plugin instead.\nSee {page} for further details"
            ),
            None => format!("no Auth Provider found for name {name:?}"),
        };
        return Err(ConfigError::Unsupported(why));
    }
    let config = provider.get("config").cloned().unwrap_or_default();
    let Some(issuer) = text(&config, "idp-issuer-url") else { return wrong("Must provide idp-issuer-url") };
    let Some(client) = text(&config, "client-id") else { return wrong("Must provide client-id") };
    if let Some(token) = text(&config, "id-token")
        && is_valid(token).map_err(|why| failed(connection, why))?
    {
        connection.authorization = Some(format!("Bearer {token}"));
        return Ok(());
    }
    let Some(refresh_token) = text(&config, "refresh-token") else {
        return Err(failed(connection, LoginError::NoRefreshToken));
    };
    connection.login = Some(Login {
        user: user.to_owned(),
        issuer: issuer.to_owned(),
        client: client.to_owned(),
        secret: text(&config, "client-secret").unwrap_or_default().to_owned(),
        refresh_token: refresh_token.to_owned(),
        authority: authority(&config)?,
    });
    Ok(())
}

/// Upstream logs in with the first request, whose error it is then.
fn failed(connection: &Connection, why: LoginError) -> ConfigError {
    let why = Why::Broken(why.to_string());
    ConfigError::Login(Unanswered { method: "Get".into(), url: connection.server.clone(), why })
}

fn authority(config: &Value) -> Result<Option<Vec<u8>>, ConfigError> {
    let data = "idp-certificate-authority-data";
    match (text(config, data), text(config, "idp-certificate-authority")) {
        (Some(text), _) => codec::base64::decode(text).map(Some).map_err(|_| ConfigError::BadData(data)),
        (None, Some(path)) => super::read(std::path::Path::new(path)).map(Some),
        (None, None) => Ok(None),
    }
}

/// Whether a token is not yet near its end.
fn is_valid(token: &str) -> Result<bool, LoginError> {
    let wrong = LoginError::NoToken;
    let [_, claims, _] = token.split('.').collect::<Vec<_>>()[..] else {
        return Err(wrong("ID Token is not a valid JWT".into()));
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|error| wrong(error.to_string()))?;
    let claims: Value = serde_json::from_slice(&claims).map_err(|error| wrong(format!("parsing claims: {error}")))?;
    let expires = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
    Ok(jiff::Timestamp::now().as_second() as f64 + MARGIN < expires)
}

/// Renews the token of a connection that waits for it, and keeps it in the kubeconfig.
pub(super) async fn log_in(connection: &mut Connection, global: &Global) -> Result<(), ConfigError> {
    let Some(login) = connection.login.take() else { return Ok(()) };
    let identity = login.identity(global).await.map_err(|why| failed(connection, why))?;
    connection.authorization = Some(format!("Bearer {identity}"));
    Ok(())
}

impl Login {
    async fn identity(&self, global: &Global) -> Result<String, LoginError> {
        let answer = self.renewed().await?;
        let identity = text(&answer, "id_token").ok_or(LoginError::NoIdentity)?;
        self.keep(global, identity, text(&answer, "refresh_token"))?;
        Ok(identity.to_owned())
    }

    async fn renewed(&self) -> Result<Value, LoginError> {
        let metadata = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let answer = self.ask(Method::GET, &metadata, &[], String::new()).await.map_err(LoginError::Unreachable)?;
        if answer.code != StatusCode::OK {
            return Err(LoginError::NoMetadata { status: answer.status, body: shortened(&answer.body) });
        }
        let metadata: Value = serde_json::from_slice(&answer.body).map_err(LoginError::BadMetadata)?;
        let endpoint = text(&metadata, "token_endpoint").ok_or(LoginError::NoEndpoint)?;
        // Issuers differ in where they look for who asks: in the header first, as most do.
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*self.refresh_token)];
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = STANDARD.encode(format!("{}:{}", encoded(&self.client), encoded(&self.secret)));
        if let Ok(answer) = self.token(endpoint, Some(&format!("Basic {basic}")), &form).await {
            return Ok(answer);
        }
        let mut form = form.to_vec();
        form.push(("client_id", &*self.client));
        if !self.secret.is_empty() {
            form.push(("client_secret", &*self.secret));
        }
        self.token(endpoint, None, &form).await
    }

    async fn token(&self, endpoint: &str, basic: Option<&str>, form: &[(&str, &str)]) -> Result<Value, LoginError> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut headers = vec![(header::CONTENT_TYPE, "application/x-www-form-urlencoded")];
        headers.extend(basic.map(|basic| (header::AUTHORIZATION, basic)));
        let answer = self.ask(Method::POST, endpoint, &headers, body).await.map_err(LoginError::Unrefreshed)?;
        tokens(&answer).map_err(LoginError::Refused)
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        headers: &[(HeaderName, &str)],
        body: String,
    ) -> anyhow::Result<Answer> {
        let url = url::Url::parse(url)?;
        let server = url.origin().ascii_serialization();
        let issuer = Connection { server, authority: self.authority.clone(), ..Connection::default() };
        // To the letter, since it is no apiserver.
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let response = Client::new(issuer)?.ask(Patience::None, method, path, headers, Bytes::from(body)).await?;
        let code = response.status();
        let reason = match response.extensions().get::<ReasonPhrase>() {
            Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
            None => code.canonical_reason().unwrap_or_default().to_owned(),
        };
        let status = format!("{} {reason}", code.as_u16());
        Ok(Answer { code, status, body: response.into_body().collect().await?.to_bytes() })
    }

    fn keep(&self, global: &Global, identity: &str, refresh_token: Option<&str>) -> Result<(), LoginError> {
        let kept = Access::of(global).amend("users", &self.user, |user| {
            let config = user.get_mut("auth-provider").and_then(|provider| provider.get_mut("config"));
            if let Some(config) = config.and_then(Value::as_object_mut) {
                set(config, "id-token", identity);
                if let Some(token) = refresh_token {
                    set(config, "refresh-token", token);
                }
            }
        });
        kept.map_err(|error| LoginError::Unkept(Box::new(error)))
    }
}

/// What an issuer answers.
struct Answer {
    code: StatusCode,
    /// With its reason, as it came.
    status: String,
    body: Bytes,
}

/// The tokens of an answer, or why it has none.
///
/// Upstream: `golang.org/x/oauth2/internal/token.go` and `oauth2/token.go` (`RetrieveError`).
fn tokens(answer: &Answer) -> Result<Value, String> {
    let refused =
        || format!("cannot fetch token: {}\nResponse: {}", answer.status, String::from_utf8_lossy(&answer.body));
    let tokens: Value = match serde_json::from_slice(&answer.body) {
        Ok(tokens) => tokens,
        Err(error) if answer.code.is_success() => return Err(format!("cannot parse json: {error}")),
        Err(_) => return Err(refused()),
    };
    if text(&tokens, "error").is_some() {
        let told = ["error", "error_description", "error_uri"].into_iter().filter_map(|key| text(&tokens, key));
        return Err(told.map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" "));
    }
    match text(&tokens, "access_token") {
        _ if !answer.code.is_success() => Err(refused()),
        None => Err("server response missing access_token".into()),
        Some(_) => Ok(tokens),
    }
}

fn set(config: &mut Map, key: &str, text: &str) {
    config.insert(key.to_owned(), text.into());
}

fn shortened(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn token(expires: i64) -> String {
        format!("a.{}.c", URL_SAFE_NO_PAD.encode(json!({"exp": expires}).to_string()))
    }

    fn with(config: Value) -> Result<Connection, String> {
        let mut connection = Connection::default();
        let applied = apply(&mut connection, "u", &json!({"name": "oidc", "config": config}));
        applied.map(|()| connection).map_err(|error| error.to_string())
    }

    #[test]
    fn tokens_are_used_until_they_expire() {
        let now = jiff::Timestamp::now().as_second();
        let config = |token: &str| json!({"idp-issuer-url": "https://i", "client-id": "c", "id-token": token});
        let fresh = token(now + 60);
        assert_eq!(with(config(&fresh)).expect("valid").authorization, Some(format!("Bearer {fresh}")));
        let mut stale = config(&token(now + 5));
        let complaint = "Unable to connect to the server: No valid id-token, and cannot refresh without refresh-token";
        assert_eq!(with(stale.clone()).map(drop), Err(complaint.to_owned()));
        stale["refresh-token"] = "r".into();
        let waiting = with(stale).expect("can be renewed");
        assert!(waiting.authorization.is_none() && waiting.login.is_some());
        assert_eq!(
            with(config("a.b")).map(drop),
            Err("Unable to connect to the server: ID Token is not a valid JWT".to_owned())
        );
        assert_eq!(with(json!({"client-id": "c"})).map(drop), Err("Must provide idp-issuer-url".to_owned()));
    }

    #[test]
    fn long_pages_are_shortened() {
        assert_eq!(shortened(b"no"), "no");
        assert_eq!(shortened("é".repeat(90).as_bytes()), format!("{}...", "é".repeat(80)));
    }
}
