//! Issuers from `--oidc-*` or an `AuthenticationConfiguration` of `apiserver.config.k8s.io/v1`.
//!
//! Upstream: `apiserver/pkg/apis/apiserver/validation/validation.go`.

use crate::authentication::Anonymous;
use component::kinds::{self, Kind, KindError};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use std::path::Path;

/// Expressions are refused by name, see [`ConfigError::Unbuilt`].
const KIND: Kind =
    Kind { api_version: "apiserver.config.k8s.io/v1", kind: "AuthenticationConfiguration", unbuilt: &[] };
/// Issuers of one configuration, as upstream.
const MAX_ISSUERS: usize = 64;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] KindError),
    /// A value makes no sense.
    #[error("{path}: {why}")]
    Value {
        /// Such as `jwt[0].issuer.url`.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A field that upstream knows and this server does not have.
    #[error("{0}: is known but not built")]
    Unbuilt(String),
    /// An authority's certificate cannot be used.
    #[error("issuer.certificateAuthority: {0}")]
    Authority(String),
}

/// One issuer.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// What tokens name.
    pub url: String,
    /// Where its keys are named.
    pub discovery_url: String,
    /// PEM of the authorities of its server; those of the system if absent.
    pub authorities: Option<String>,
    /// A token must be meant for one of these.
    pub audiences: Vec<String>,
    /// Signature algorithms that are taken.
    pub algorithms: Vec<Algorithm>,
    /// Where the user name is.
    pub username: Mapping,
    /// Where groups are.
    pub groups: Option<Mapping>,
    /// Where the UID is.
    pub uid: Option<String>,
    /// Claims that must have these values.
    pub required_claims: Vec<(String, String)>,
}

/// A claim, and what is put before its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The claim.
    pub claim: String,
    /// The prefix.
    pub prefix: String,
}

/// All issuers, and what the file says of requests without credentials.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The issuers.
    pub issuers: Vec<Issuer>,
    /// `anonymous`, if the file has it.
    pub anonymous: Option<Anonymous>,
}

/// `--oidc-*`.
#[derive(Clone, Debug, Default)]
pub struct FlagOptions {
    /// `--oidc-issuer-url`.
    pub issuer_url: String,
    /// `--oidc-client-id`.
    pub client_id: String,
    /// PEM of `--oidc-ca-file`.
    pub authorities: Option<String>,
    /// `--oidc-username-claim`.
    pub username_claim: String,
    /// `--oidc-username-prefix`.
    pub username_prefix: String,
    /// `--oidc-groups-claim`.
    pub groups_claim: String,
    /// `--oidc-groups-prefix`.
    pub groups_prefix: String,
    /// `--oidc-required-claim`.
    pub required_claims: Vec<(String, String)>,
    /// `--oidc-signing-algs`.
    pub algorithms: Vec<String>,
}

impl Configuration {
    /// The one issuer of the flags.
    pub fn from_flags(flags: FlagOptions) -> Result<Self, ConfigError> {
        let algorithm =
            |name: &String| algorithm(name).ok_or_else(|| wrong("oidc-signing-algs", "unsupported signing alg"));
        let url = flags.issuer_url;
        check_url(&url, "oidc-issuer-url")?;
        let prefix = match (flags.username_prefix.as_str(), flags.username_claim.as_str()) {
            ("-", _) | ("", "email") => String::new(),
            ("", _) => format!("{url}#"),
            (prefix, _) => prefix.to_owned(),
        };
        let groups = Mapping { claim: flags.groups_claim, prefix: flags.groups_prefix };
        let issuer = Issuer {
            discovery_url: discovery_of(&url),
            url,
            authorities: flags.authorities,
            audiences: vec![flags.client_id],
            algorithms: flags.algorithms.iter().map(algorithm).collect::<Result<_, _>>()?,
            username: Mapping { claim: flags.username_claim, prefix },
            groups: (!groups.claim.is_empty()).then_some(groups),
            uid: None,
            required_claims: flags.required_claims,
        };
        Ok(Self { issuers: vec![issuer], anonymous: None })
    }

    /// Reads `--authentication-config`.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        Self::from_file(kinds::load(file, &KIND)?.config)
    }

    fn from_file(file: File) -> Result<Self, ConfigError> {
        if file.jwt.len() > MAX_ISSUERS {
            return Err(wrong("jwt", "must have at most 64 items"));
        }
        let issuers = file.jwt.into_iter().enumerate().map(|(at, jwt)| jwt.issuer(&format!("jwt[{at}]")));
        let issuers: Vec<Issuer> = issuers.collect::<Result<_, _>>()?;
        for (at, issuer) in issuers.iter().enumerate() {
            if issuers[..at].iter().any(|other| other.url == issuer.url) {
                return Err(wrong(format!("jwt[{at}].issuer.url"), "duplicate issuer"));
            }
        }
        let anonymous = file.anonymous.map(AnonymousRule::into_anonymous).transpose()?;
        Ok(Self { issuers, anonymous })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(default)]
    jwt: Vec<Jwt>,
    anonymous: Option<AnonymousRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AnonymousRule {
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Jwt {
    issuer: IssuerRule,
    claim_mappings: ClaimMappings,
    #[serde(default)]
    claim_validation_rules: Vec<ClaimRule>,
    #[serde(default)]
    user_validation_rules: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IssuerRule {
    url: String,
    #[serde(default, rename = "discoveryURL")]
    discovery_url: String,
    certificate_authority: Option<String>,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    audience_match_policy: String,
    #[serde(default)]
    egress_selector_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClaimMappings {
    username: Prefixed,
    #[serde(default)]
    groups: Prefixed,
    #[serde(default)]
    uid: Plain,
    #[serde(default)]
    extra: Vec<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prefixed {
    #[serde(default)]
    claim: String,
    prefix: Option<String>,
    expression: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    #[serde(default)]
    claim: String,
    expression: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClaimRule {
    #[serde(default)]
    claim: String,
    #[serde(default)]
    required_value: String,
    expression: Option<String>,
    #[serde(default, rename = "message")]
    _message: String,
}

impl AnonymousRule {
    fn into_anonymous(self) -> Result<Anonymous, ConfigError> {
        match (self.enabled, self.conditions.is_empty()) {
            (true, true) => Ok(Anonymous::Allowed),
            (true, false) => Ok(Anonymous::AllowedAt(self.conditions.into_iter().map(|c| c.path).collect())),
            (false, true) => Ok(Anonymous::Refused),
            (false, false) => {
                Err(wrong("anonymous.conditions", "enabled should be set to true when conditions are defined"))
            }
        }
    }
}

impl Jwt {
    fn issuer(self, path: &str) -> Result<Issuer, ConfigError> {
        let at = |rest: &str| format!("{path}.{rest}");
        let IssuerRule {
            url,
            discovery_url,
            certificate_authority,
            audiences,
            audience_match_policy,
            egress_selector_type,
        } = self.issuer;
        check_url(&url, &at("issuer.url"))?;
        if !discovery_url.is_empty() {
            check_url(&discovery_url, &at("issuer.discoveryURL"))?;
        }
        if audiences.is_empty() {
            return Err(wrong(at("issuer.audiences"), "at least one jwt audience is required"));
        }
        if audiences.len() > 1 && audience_match_policy != "MatchAny" {
            return Err(wrong(
                at("issuer.audienceMatchPolicy"),
                "audienceMatchPolicy must be MatchAny for multiple audiences",
            ));
        }
        if !egress_selector_type.is_empty() {
            return Err(ConfigError::Unbuilt(at("issuer.egressSelectorType")));
        }
        if !self.user_validation_rules.is_empty() {
            return Err(ConfigError::Unbuilt(at("userValidationRules")));
        }
        if !self.claim_mappings.extra.is_empty() {
            return Err(ConfigError::Unbuilt(at("claimMappings.extra")));
        }
        let mappings = self.claim_mappings;
        let username = mappings.username.mapping(&at("claimMappings.username"))?;
        let rules = self.claim_validation_rules.into_iter().enumerate();
        Ok(Issuer {
            discovery_url: if discovery_url.is_empty() { discovery_of(&url) } else { discovery_url },
            url,
            authorities: certificate_authority,
            audiences,
            algorithms: ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect(),
            username: username.ok_or_else(|| wrong(at("claimMappings.username"), "claim or expression is required"))?,
            groups: mappings.groups.mapping(&at("claimMappings.groups"))?,
            uid: mappings.uid.claim(&at("claimMappings.uid"))?,
            required_claims: rules
                .map(|(n, rule)| rule.required(&at(&format!("claimValidationRules[{n}]"))))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Prefixed {
    fn mapping(self, path: &str) -> Result<Option<Mapping>, ConfigError> {
        if self.expression.is_some() {
            return Err(ConfigError::Unbuilt(format!("{path}.expression")));
        }
        match (self.claim.is_empty(), self.prefix) {
            (true, _) => Ok(None),
            (false, Some(prefix)) => Ok(Some(Mapping { claim: self.claim, prefix })),
            (false, None) => Err(wrong(
                format!("{path}.prefix"),
                "prefix is required when claim is set. It can be set to an empty string to disable prefixing",
            )),
        }
    }
}

impl Plain {
    fn claim(self, path: &str) -> Result<Option<String>, ConfigError> {
        match self.expression {
            Some(_) => Err(ConfigError::Unbuilt(format!("{path}.expression"))),
            None => Ok(Some(self.claim).filter(|claim| !claim.is_empty())),
        }
    }
}

impl ClaimRule {
    fn required(self, path: &str) -> Result<(String, String), ConfigError> {
        match self.expression {
            Some(_) => Err(ConfigError::Unbuilt(format!("{path}.expression"))),
            None if self.claim.is_empty() => Err(wrong(path, "claim or expression is required")),
            None => Ok((self.claim, self.required_value)),
        }
    }
}

fn wrong(path: impl Into<String>, why: &'static str) -> ConfigError {
    ConfigError::Value { path: path.into(), why }
}

fn check_url(url: &str, path: &str) -> Result<(), ConfigError> {
    match url {
        "" => Err(wrong(path, "URL is required")),
        url if !url.starts_with("https://") => Err(wrong(path, "URL scheme must be https")),
        url if url.contains(['@', '?', '#']) => {
            Err(wrong(path, "URL must not contain a username, password, query or fragment"))
        }
        _ => Ok(()),
    }
}

fn discovery_of(url: &str) -> String {
    format!("{}/.well-known/openid-configuration", url.trim_end_matches('/'))
}

/// The algorithms of OpenID Connect that there are keys for.
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
];

fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Configuration, ConfigError> {
        let text = format!("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n{text}");
        Configuration::from_file(kinds::parse(&text, "auth.yaml", &KIND)?.config)
    }

    #[test]
    fn several_issuers_and_anonymous_paths() {
        let configuration = parse(
            "anonymous: {enabled: true, conditions: [{path: /healthz}]}
jwt:
- issuer: {url: https://a/, audiences: [k, l], audienceMatchPolicy: MatchAny}
  claimMappings: {username: {claim: sub, prefix: 'a:'}, groups: {claim: roles, prefix: ''}, uid: {claim: uid}}
  claimValidationRules: [{claim: hd, requiredValue: x}]
- issuer: {url: https://b, audiences: [k], discoveryURL: https://c/d}
  claimMappings: {username: {claim: email, prefix: ''}}
",
        )
        .expect("a configuration");
        assert_eq!(configuration.anonymous, Some(Anonymous::AllowedAt(vec!["/healthz".into()])));
        let [a, b] = configuration.issuers.as_slice() else { panic!("two issuers") };
        assert_eq!(a.discovery_url, "https://a/.well-known/openid-configuration");
        assert_eq!(a.username, Mapping { claim: "sub".into(), prefix: "a:".into() });
        assert_eq!((a.uid.as_deref(), a.required_claims.len()), (Some("uid"), 1));
        assert_eq!((b.discovery_url.as_str(), b.groups.is_none()), ("https://c/d", true));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let with = |issuer: &str, rest: &str| {
            format!("jwt: [{{issuer: {{{issuer}}}, claimMappings: {{username: {{{rest}}}}}}}]")
        };
        for (text, want) in [
            (
                with("url: http://a, audiences: [k]", "claim: sub, prefix: ''"),
                "jwt[0].issuer.url: URL scheme must be https",
            ),
            (with("url: https://a", "claim: sub, prefix: ''"), "jwt[0].issuer.audiences: at least one"),
            (
                with("url: https://a, audiences: [k]", "expression: claims.sub"),
                "jwt[0].claimMappings.username.expression: is known but not built",
            ),
            (
                with("url: https://a, audiences: [k]", "prefix: ''"),
                "jwt[0].claimMappings.username: claim or expression",
            ),
            ("anonymous: {enabled: false, conditions: [{path: /x}]}".into(), "anonymous.conditions: "),
            ("jwts: []".into(), "auth.yaml: "),
        ] {
            let error = parse(&text).expect_err(&text).to_string();
            assert!(error.starts_with(want), "{error}");
        }
    }

    #[test]
    fn flags_are_one_issuer() {
        let flags = |claim: &str, prefix: &str| FlagOptions {
            issuer_url: "https://a".into(),
            client_id: "k".into(),
            username_claim: claim.into(),
            username_prefix: prefix.into(),
            algorithms: vec!["RS256".into()],
            ..FlagOptions::default()
        };
        for (claim, prefix, want) in
            [("sub", "", "https://a#"), ("email", "", ""), ("sub", "-", ""), ("sub", "x:", "x:")]
        {
            let configuration = Configuration::from_flags(flags(claim, prefix)).expect("an issuer");
            assert_eq!(configuration.issuers[0].username.prefix, want, "{claim} {prefix}");
        }
        let odd = FlagOptions { algorithms: vec!["none".into()], ..flags("sub", "") };
        assert!(Configuration::from_flags(odd).is_err());
    }
}
