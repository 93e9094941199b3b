//! What a viewer logs in with: a bearer token, or what a kubeconfig says of its user.
//!
//! Upstream: `src/app/backend/auth` of v2.7 (token, kubeconfig), which knows no client certificates.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Most bytes of a token.
const LONGEST_TOKEN: usize = 16 << 10;

/// A viewer's proof of identity. It is never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// Sent as `Authorization: Bearer`.
    Token(Zeroizing<String>),
    /// A certificate with its chain and its key, PEM.
    Certificate {
        /// The chain.
        chain: String,
        /// The key.
        key: Zeroizing<String>,
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token",
            Self::Certificate { .. } => "Certificate",
        })
    }
}

/// What a login consists of.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Login {
    /// A bearer token.
    Token(Zeroizing<String>),
    /// The text of a kubeconfig.
    Kubeconfig(Zeroizing<String>),
}

/// Why a login is none. No variant holds any of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Not what a token consists of.
    #[error("this is no token: it is empty, longer than {LONGEST_TOKEN} bytes, or has spaces in it")]
    Token,
    /// Not YAML, or without the parts that are needed.
    #[error("this is no kubeconfig: {0}")]
    Kubeconfig(&'static str),
    /// The user's credential is somewhere else.
    #[error(
        "the kubeconfig's user has {0}, which lies or runs on the machine that the kubeconfig is from; paste a token \
         (kubectl create token)"
    )]
    Elsewhere(&'static str),
    /// The user has none.
    #[error("the kubeconfig's user has neither a token nor a client certificate")]
    Nothing,
}

impl Login {
    /// The credential in it.
    pub fn credential(&self) -> Result<Credential, CredentialError> {
        match self {
            Self::Token(token) => of_token(token),
            Self::Kubeconfig(text) => of_kubeconfig(text),
        }
    }
}

fn of_token(token: &str) -> Result<Credential, CredentialError> {
    let token = token.trim();
    let is_one = !token.is_empty() && token.len() <= LONGEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_one.then(|| Credential::Token(Zeroizing::new(token.to_owned()))).ok_or(CredentialError::Token)
}

/// What lies elsewhere is refused: files of this machine are none of the viewer's.
const ELSEWHERE: [(&str, &str); 6] = [
    ("exec", "a program to run"),
    ("auth-provider", "an auth-provider"),
    ("tokenFile", "a file with a token"),
    ("client-certificate", "a file with a certificate"),
    ("client-key", "a file with a key"),
    ("username", "a password, which the apiserver does not take"),
];

fn of_kubeconfig(text: &str) -> Result<Credential, CredentialError> {
    use CredentialError::Kubeconfig;
    let config = apimachinery::codec::yaml::to_value(text.as_bytes()).map_err(|_| Kubeconfig("it is not YAML"))?;
    let config = serde_json::to_value(&config).map_err(|_| Kubeconfig("it is not YAML"))?;
    let context = config["current-context"].as_str().ok_or(Kubeconfig("it has no current-context"))?;
    let context = named(&config["contexts"], context).ok_or(Kubeconfig("it has no such context"))?;
    let user = context["context"]["user"].as_str().ok_or(Kubeconfig("its context has no user"))?;
    let user = &named(&config["users"], user).ok_or(Kubeconfig("it has no such user"))?["user"];
    let text = |key: &str| user[key].as_str().filter(|value| !value.is_empty());
    if let Some(token) = text("token") {
        return of_token(token);
    }
    if let (Some(chain), Some(key)) = (text("client-certificate-data"), text("client-key-data")) {
        let chain = pem(chain).ok_or(Kubeconfig("its client-certificate-data cannot be read"))?;
        let key = pem(key).ok_or(Kubeconfig("its client-key-data cannot be read"))?;
        pki::pair::check(chain.as_bytes(), key.as_bytes())
            .map_err(|_| Kubeconfig("its certificate and its key do not belong together"))?;
        return Ok(Credential::Certificate { chain, key: Zeroizing::new(key) });
    }
    let elsewhere = ELSEWHERE.iter().find(|(key, _)| !user[*key].is_null());
    Err(elsewhere.map_or(CredentialError::Nothing, |(_, what)| CredentialError::Elsewhere(what)))
}

fn named<'a>(list: &'a serde_json::Value, name: &str) -> Option<&'a serde_json::Value> {
    list.as_array()?.iter().find(|entry| entry["name"] == name)
}

fn pem(data: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(data.bytes().filter(|b| !b.is_ascii_whitespace()).collect::<Vec<u8>>()).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(user: &str) -> Result<Credential, CredentialError> {
        of_kubeconfig(&format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- {{name: c, context: {{user: u}}}}\n\
             users:\n- {{name: other, user: {{token: wrong}}}}\n- {{name: u, user: {user}}}\n"
        ))
    }

    #[test]
    fn tokens_are_what_a_header_can_carry() {
        assert_eq!(of_token(" abc.def \n"), Ok(Credential::Token("abc.def".to_owned().into())));
        for wrong in ["", "  ", "a b", "a\r\nx: y", "ä", &"x".repeat(LONGEST_TOKEN + 1)] {
            assert_eq!(of_token(wrong), Err(CredentialError::Token), "{wrong}");
        }
    }

    #[test]
    fn kubeconfigs_give_the_current_user_s_token_or_certificate() {
        assert_eq!(kubeconfig("{token: abc}"), Ok(Credential::Token("abc".to_owned().into())));
        let made = pki::serving::self_signed("jane", &[]).expect("a certificate");
        let (chain, key) = (BASE64_STANDARD.encode(&made.certificate_pem), BASE64_STANDARD.encode(&made.key_pem));
        let pair = |key: &str| kubeconfig(&format!("{{client-certificate-data: {chain}, client-key-data: {key}}}"));
        let want = Credential::Certificate { chain: made.certificate_pem.clone(), key: made.key_pem.clone().into() };
        assert_eq!(pair(&key), Ok(want));
        let other = pki::serving::self_signed("jane", &[]).expect("a certificate");
        assert!(matches!(pair(&BASE64_STANDARD.encode(other.key_pem)), Err(CredentialError::Kubeconfig(_))));
    }

    #[test]
    fn what_lies_on_another_machine_is_refused_by_name() {
        for (user, want) in [
            ("{exec: {command: x}}", "a program to run"),
            ("{tokenFile: /etc/shadow}", "a file with a token"),
            ("{client-certificate: /a, client-key: /b}", "a file with a certificate"),
        ] {
            assert_eq!(kubeconfig(user), Err(CredentialError::Elsewhere(want)));
        }
        assert_eq!(kubeconfig("{}"), Err(CredentialError::Nothing));
        for text in ["[", "a: b", "current-context: c", "current-context: c\ncontexts: [{name: c}]"] {
            assert!(matches!(of_kubeconfig(text), Err(CredentialError::Kubeconfig(_))), "{text}");
        }
    }

    #[test]
    fn nothing_of_it_is_printed() {
        assert_eq!(format!("{:?}", Credential::Token("secret".to_owned().into())), "Token");
    }
}
