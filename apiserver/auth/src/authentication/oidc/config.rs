//! Issuers from `--oidc-*` or an `AuthenticationConfiguration` of `apiserver.config.k8s.io/v1`.
//!
//! Upstream: `apiserver/pkg/apis/apiserver/validation/validation.go`.

use super::expressions::{Condition, Expression};
use crate::authentication::Anonymous;
use component::kinds::{self, Kind, KindError};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;

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
    /// An expression does not compile, or gives the wrong type.
    #[error("{path}: {why}")]
    Expression {
        /// Such as `jwt[0].claimMappings.username.expression`.
        path: String,
        /// What is wrong.
        why: String,
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
    pub username: Origin<Mapping>,
    /// Where groups are.
    pub groups: Option<Origin<Mapping>>,
    /// Where the UID is.
    pub uid: Option<Origin<String>>,
    /// What else is told of the user, by its key.
    pub extra: Vec<(String, Expression)>,
    /// Claims that must have these values.
    pub required_claims: Vec<(String, String)>,
    /// What must hold of the claims.
    pub claim_rules: Vec<Condition>,
    /// What must hold of the user.
    pub user_rules: Vec<Condition>,
}

/// Where a part of the user comes from.
#[derive(Clone, Debug)]
pub enum Origin<C> {
    /// A claim.
    Claim(C),
    /// An expression over all claims.
    Expression(Expression),
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
            username: Origin::Claim(Mapping { claim: flags.username_claim, prefix }),
            groups: (!groups.claim.is_empty()).then_some(Origin::Claim(groups)),
            uid: None,
            extra: Vec::new(),
            required_claims: flags.required_claims,
            claim_rules: Vec::new(),
            user_rules: Vec::new(),
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
    conditions: Vec<PathCondition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathCondition {
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
    user_validation_rules: Vec<UserRule>,
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
    extra: Vec<ExtraRule>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prefixed {
    #[serde(default)]
    claim: String,
    prefix: Option<String>,
    #[serde(default)]
    expression: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    #[serde(default)]
    claim: String,
    #[serde(default)]
    expression: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClaimRule {
    #[serde(default)]
    claim: String,
    #[serde(default)]
    required_value: String,
    #[serde(default)]
    expression: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserRule {
    #[serde(default)]
    expression: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExtraRule {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value_expression: String,
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
        let mappings = self.claim_mappings;
        let username = mappings.username.origin(&at("claimMappings.username"))?;
        let (required_claims, claim_rules) = claim_rules(self.claim_validation_rules, &at("claimValidationRules"))?;
        let issuer = Issuer {
            discovery_url: if discovery_url.is_empty() { discovery_of(&url) } else { discovery_url },
            url,
            authorities: certificate_authority,
            audiences,
            algorithms: ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect(),
            username: username.ok_or_else(|| wrong(at("claimMappings.username"), "claim or expression is required"))?,
            groups: mappings.groups.origin(&at("claimMappings.groups"))?,
            uid: mappings.uid.origin(&at("claimMappings.uid"))?,
            extra: extra_rules(mappings.extra, &at("claimMappings.extra"))?,
            required_claims,
            claim_rules,
            user_rules: user_rules(self.user_validation_rules, &at("userValidationRules"))?,
        };
        match issuer.trusts_any_address() {
            true => Err(wrong(
                at("claimMappings.username.expression"),
                "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression",
            )),
            false => Ok(issuer),
        }
    }
}

impl Issuer {
    /// Whether the user's name is an address that nobody needs to have checked.
    fn trusts_any_address(&self) -> bool {
        let Origin::Expression(username) = &self.username else { return false };
        let verified = "email_verified";
        let is_checked = username.reads(verified)
            || self.extra.iter().any(|(_, expression)| expression.reads(verified))
            || self.claim_rules.iter().any(|rule| rule.reads(verified));
        username.reads("email") && !is_checked
    }
}

fn compiled<T>(path: String, outcome: Result<T, String>) -> Result<T, ConfigError> {
    outcome.map_err(|why| ConfigError::Expression { path, why })
}

/// Claims with their values, and conditions.
type ClaimRules = (Vec<(String, String)>, Vec<Condition>);

fn claim_rules(rules: Vec<ClaimRule>, path: &str) -> Result<ClaimRules, ConfigError> {
    let (mut required, mut conditions) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for (at, rule) in rules.into_iter().enumerate() {
        let path = format!("{path}[{at}]");
        match (rule.claim.is_empty(), rule.expression.is_empty()) {
            (false, false) => return Err(wrong(path, "claim and expression can't both be set")),
            (true, true) => return Err(wrong(path, "claim or expression is required")),
            (false, true) if !rule.message.is_empty() => {
                return Err(wrong(format!("{path}.message"), "may not be specified when claim is set"));
            }
            (true, false) if !rule.required_value.is_empty() => {
                return Err(wrong(format!("{path}.requiredValue"), "may not be specified when expression is set"));
            }
            (is_expression, _) if !seen.insert((is_expression, format!("{}{}", rule.claim, rule.expression))) => {
                return Err(wrong(path, "Duplicate value"));
            }
            (false, true) => required.push((rule.claim, rule.required_value)),
            (true, false) => {
                let condition = Condition::over_claims(&rule.expression, rule.message);
                conditions.push(compiled(format!("{path}.expression"), condition)?);
            }
        }
    }
    Ok((required, conditions))
}

fn user_rules(rules: Vec<UserRule>, path: &str) -> Result<Vec<Condition>, ConfigError> {
    let mut seen = HashSet::new();
    let mut conditions = Vec::new();
    for (at, rule) in rules.into_iter().enumerate() {
        let path = format!("{path}[{at}].expression");
        if rule.expression.is_empty() {
            return Err(wrong(path, "Required value"));
        }
        if !seen.insert(rule.expression.clone()) {
            return Err(wrong(path, "Duplicate value"));
        }
        conditions.push(compiled(path, Condition::over_user(&rule.expression, rule.message))?);
    }
    Ok(conditions)
}

fn extra_rules(rules: Vec<ExtraRule>, path: &str) -> Result<Vec<(String, Expression)>, ConfigError> {
    let mut extra: Vec<(String, Expression)> = Vec::new();
    for (at, rule) in rules.into_iter().enumerate() {
        let (key_path, value_path) = (format!("{path}[{at}].key"), format!("{path}[{at}].valueExpression"));
        let domain = rule.key.split_once('/').map(|(domain, rest)| (domain, rest.is_empty()));
        let reserved = |domain: &str, of: &str| domain == of || domain.ends_with(&format!(".{of}"));
        match domain {
            None | Some(("", _) | (_, true)) => {
                return Err(wrong(key_path, "must be a domain-prefixed path (such as \"acme.io/foo\")"));
            }
            Some(_) if rule.key != rule.key.to_lowercase() => return Err(wrong(key_path, "must be lowercase")),
            Some((domain, _)) if reserved(domain, "kubernetes.io") || reserved(domain, "k8s.io") => {
                let why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use";
                return Err(wrong(key_path, why));
            }
            Some(_) if extra.iter().any(|(key, _)| *key == rule.key) => return Err(wrong(key_path, "Duplicate value")),
            Some(_) if rule.value_expression.is_empty() => return Err(wrong(value_path, "Required value")),
            Some(_) => extra.push((rule.key, compiled(value_path, Expression::over_claims(&rule.value_expression))?)),
        }
    }
    Ok(extra)
}

impl Prefixed {
    fn origin(self, path: &str) -> Result<Option<Origin<Mapping>>, ConfigError> {
        if !self.expression.is_empty() {
            if !self.claim.is_empty() {
                return Err(wrong(path, "claim and expression can't both be set"));
            }
            if self.prefix.is_some() {
                return Err(wrong(format!("{path}.prefix"), "may not be specified when expression is set"));
            }
            let expression = Expression::over_claims(&self.expression);
            return Ok(Some(Origin::Expression(compiled(format!("{path}.expression"), expression)?)));
        }
        match (self.claim.is_empty(), self.prefix) {
            (true, _) => Ok(None),
            (false, Some(prefix)) => Ok(Some(Origin::Claim(Mapping { claim: self.claim, prefix }))),
            (false, None) => Err(wrong(
                format!("{path}.prefix"),
                "prefix is required when claim is set. It can be set to an empty string to disable prefixing",
            )),
        }
    }
}

impl Plain {
    fn origin(self, path: &str) -> Result<Option<Origin<String>>, ConfigError> {
        match (self.claim.is_empty(), self.expression.is_empty()) {
            (true, true) => Ok(None),
            (false, true) => Ok(Some(Origin::Claim(self.claim))),
            (false, false) => Err(wrong(path, "claim and expression can't both be set")),
            (true, false) => {
                let expression = Expression::over_claims(&self.expression);
                Ok(Some(Origin::Expression(compiled(format!("{path}.expression"), expression)?)))
            }
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
        assert!(matches!(&a.username, Origin::Claim(of) if (of.claim.as_str(), of.prefix.as_str()) == ("sub", "a:")));
        assert!(matches!(&a.uid, Some(Origin::Claim(claim)) if claim == "uid"));
        assert_eq!(a.required_claims.len(), 1);
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
                with("url: https://a, audiences: [k]", "expression: 'claims.'"),
                "jwt[0].claimMappings.username.expression: compilation failed: ",
            ),
            (
                with("url: https://a, audiences: [k]", "expression: claims.email"),
                "jwt[0].claimMappings.username.expression: claims.email_verified must be used in",
            ),
            (
                with("url: https://a, audiences: [k]", "expression: claims.sub, prefix: x"),
                "jwt[0].claimMappings.username.prefix: may not be specified when expression is set",
            ),
            (
                format!("{EXPRESSIVE}  claimValidationRules: [{{expression: claims.sub}}]\n"),
                "jwt[0].claimValidationRules[0].expression: must evaluate to bool",
            ),
            (
                format!("{EXPRESSIVE}  userValidationRules: [{{expression: user.name == ''}}]\n"),
                "jwt[0].userValidationRules[0].expression: compilation failed: ",
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

    const EXPRESSIVE: &str = "jwt:
- issuer: {url: https://a/, audiences: [k]}
  claimMappings:
    username: {expression: 'claims.email_verified ? claims.email : claims.sub'}
    groups: {expression: claims.roles}
    uid: {expression: claims.sub}
    extra: [{key: example.com/tenant, valueExpression: claims.tenant}]
";

    #[test]
    fn expressions_are_compiled() {
        let rules = "  claimValidationRules: [{expression: 'claims.exp - claims.nbf <= 86400', message: long}]\n  userValidationRules: [{expression: \"!user.username.startsWith('system:')\", message: reserved}]\n";
        let configuration = parse(&format!("{EXPRESSIVE}{rules}")).expect("a configuration");
        let issuer = &configuration.issuers[0];
        assert!(matches!((&issuer.username, &issuer.groups), (Origin::Expression(_), Some(Origin::Expression(_)))));
        assert_eq!((issuer.extra.len(), issuer.claim_rules.len(), issuer.user_rules.len()), (1, 1, 1));
        for key in ["tenant", "kubernetes.io/tenant", "a.k8s.io/tenant", "Example.com/tenant", "example.com/"] {
            assert!(parse(&EXPRESSIVE.replace("example.com/tenant", key)).is_err(), "{key}");
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
            let Origin::Claim(username) = &configuration.issuers[0].username else { panic!("a claim") };
            assert_eq!(username.prefix, want, "{claim} {prefix}");
        }
        let odd = FlagOptions { algorithms: vec!["none".into()], ..flags("sub", "") };
        assert!(Configuration::from_flags(odd).is_err());
    }
}
