//! Logins with OpenID Connect: the identity token as long as it is valid, then a new one for the
//! refresh token.
//!
//! Upstream: `client-go/plugin/pkg/client/auth/oidc`.

use super::{ConfigError, Connection, text};
use crate::cli::Global;
use crate::http::Client;
use crate::kubeconfig::Access;
use apimachinery::codec;
use apimachinery::{Map, Value};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use http_body_util::BodyExt;

/// A token this close to its end is not used any more, in seconds: clocks differ.
const MARGIN: f64 = 10.0;
/// How much of a page that is no answer is shown.
const SHOWN: usize = 80;

/// Why there is no new token; upstream's messages.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The metadata of the issuer cannot be had.
    #[error("oidc: failed to query metadata endpoint {status}: {body:?}")]
    NoMetadata { status: StatusCode, body: String },
    /// The metadata are no JSON.
    #[error("oidc: failed to decode provider discovery object: {0}")]
    BadMetadata(serde_json::Error),
    /// The metadata do not say where tokens are given.
    #[error("oidc: discovery object doesn't contain a token_endpoint")]
    NoEndpoint,
    /// The issuer gives no token.
    #[error("failed to refresh token: oauth2: cannot fetch token: {status}\nResponse: {body}")]
    Refused { status: StatusCode, body: String },
    /// The issuer gives tokens of another kind.
    #[error(
        "token response did not contain an id_token, either the scope \"openid\" wasn't requested upon login, or the provider doesn't support id_tokens as part of the refresh response"
    )]
    NoIdentity,
    /// The issuer cannot be talked to.
    #[error("failed to refresh token: {0:#}")]
    Unreachable(anyhow::Error),
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

/// Uses the token of a user's entry, or remembers that it must be renewed.
pub(super) fn apply(connection: &mut Connection, user: &str, provider: &Value) -> Result<(), ConfigError> {
    let wrong = |why: &str| Err(ConfigError::Unsupported(why.to_owned()));
    let name = text(provider, "name").unwrap_or_default();
    if name != "oidc" {
        return Err(ConfigError::Unsupported(format!("no Auth Provider found for name {name:?}")));
    }
    let config = provider.get("config").cloned().unwrap_or_default();
    let Some(issuer) = text(&config, "idp-issuer-url") else { return wrong("Must provide idp-issuer-url") };
    let Some(client) = text(&config, "client-id") else { return wrong("Must provide client-id") };
    if let Some(token) = text(&config, "id-token")
        && is_valid(token)?
    {
        connection.authorization = Some(format!("Bearer {token}"));
        return Ok(());
    }
    let Some(refresh_token) = text(&config, "refresh-token") else {
        return wrong("No valid id-token, and cannot refresh without refresh-token");
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

fn authority(config: &Value) -> Result<Option<Vec<u8>>, ConfigError> {
    let data = "idp-certificate-authority-data";
    match (text(config, data), text(config, "idp-certificate-authority")) {
        (Some(text), _) => codec::base64::decode(text).map(Some).map_err(|_| ConfigError::BadData(data)),
        (None, Some(path)) => super::read(std::path::Path::new(path)).map(Some),
        (None, None) => Ok(None),
    }
}

/// Whether a token is not yet near its end.
fn is_valid(token: &str) -> Result<bool, ConfigError> {
    let wrong = |why: String| ConfigError::Unsupported(why);
    let [_, claims, _] = token.split('.').collect::<Vec<_>>()[..] else {
        return Err(wrong("ID Token is not a valid JWT".into()));
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|error| wrong(error.to_string()))?;
    let claims: Value = serde_json::from_slice(&claims).map_err(|error| wrong(format!("parsing claims: {error}")))?;
    let expires = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
    Ok(jiff::Timestamp::now().as_second() as f64 + MARGIN < expires)
}

/// Renews the token of a connection that waits for it, and keeps it in the kubeconfig.
pub(super) async fn log_in(connection: &mut Connection, global: &Global) -> Result<(), LoginError> {
    let Some(login) = connection.login.take() else { return Ok(()) };
    let answer = login.renewed().await?;
    let identity = text(&answer, "id_token").ok_or(LoginError::NoIdentity)?;
    login.keep(global, identity, text(&answer, "refresh_token"))?;
    connection.authorization = Some(format!("Bearer {identity}"));
    Ok(())
}

impl Login {
    async fn renewed(&self) -> Result<Value, LoginError> {
        let metadata = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let (status, body) = self.ask(Method::GET, &metadata, &[], String::new()).await?;
        if status != StatusCode::OK {
            return Err(LoginError::NoMetadata { status, body: shortened(&body) });
        }
        let metadata: Value = serde_json::from_slice(&body).map_err(LoginError::BadMetadata)?;
        let endpoint = text(&metadata, "token_endpoint").ok_or(LoginError::NoEndpoint)?;
        // Issuers differ in where they look for who asks: in the header first, as most do.
        let form = [("grant_type", "refresh_token"), ("refresh_token", &*self.refresh_token)];
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = STANDARD.encode(format!("{}:{}", encoded(&self.client), encoded(&self.secret)));
        let answer = self.token(endpoint, Some(&format!("Basic {basic}")), &form).await;
        let Err(LoginError::Refused { .. }) = answer else { return answer };
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
        let (status, body) = self.ask(Method::POST, endpoint, &headers, body).await?;
        match serde_json::from_slice(&body) {
            Ok(answer) if status.is_success() => Ok(answer),
            _ => Err(LoginError::Refused { status, body: String::from_utf8_lossy(&body).into_owned() }),
        }
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        headers: &[(HeaderName, &str)],
        body: String,
    ) -> Result<(StatusCode, Bytes), LoginError> {
        let issuer = Connection { server: url.to_owned(), authority: self.authority.clone(), ..Connection::default() };
        let asked = async {
            let response = Client::new(issuer)?.send(method, "", headers, Bytes::from(body)).await?;
            let status = response.status();
            anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        asked.await.map_err(LoginError::Unreachable)
    }

    fn keep(&self, global: &Global, identity: &str, refresh_token: Option<&str>) -> Result<(), LoginError> {
        let access = Access::of(global);
        let unkept = |error| LoginError::Unkept(Box::new(error));
        let mut files = access.load().map_err(unkept)?;
        let provider = files.entry_mut("users", &self.user).entry("auth-provider").or_insert_with(Value::default);
        if let Some(config) = provider.get_mut("config").and_then(Value::as_object_mut) {
            set(config, "id-token", identity);
            if let Some(token) = refresh_token {
                set(config, "refresh-token", token);
            }
        }
        access.store(&files, true).map_err(unkept)
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
        let complaint = "No valid id-token, and cannot refresh without refresh-token";
        assert_eq!(with(stale.clone()).map(drop), Err(complaint.to_owned()));
        stale["refresh-token"] = "r".into();
        let waiting = with(stale).expect("can be renewed");
        assert!(waiting.authorization.is_none() && waiting.login.is_some());
        assert_eq!(with(config("a.b")).map(drop), Err("ID Token is not a valid JWT".to_owned()));
        assert_eq!(with(json!({"client-id": "c"})).map(drop), Err("Must provide idp-issuer-url".to_owned()));
    }

    #[test]
    fn long_pages_are_shortened() {
        assert_eq!(shortened(b"no"), "no");
        assert_eq!(shortened("é".repeat(90).as_bytes()), format!("{}...", "é".repeat(80)));
    }
}
