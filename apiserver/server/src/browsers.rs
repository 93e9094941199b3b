//! What browsers are told: which pages of other origins may ask, and that this server speaks TLS only.
//!
//! Upstream: `apiserver/pkg/server/filters/cors.go`, `apiserver/pkg/server/filters/hsts.go`.

use crate::body::Body;
use http::header::{self, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use http::{Method, Response, StatusCode};
use regex::Regex;

/// The headers of an answer to a page that may ask, but for its origin.
const ALLOWED: [(HeaderName, &str); 4] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, GET, OPTIONS, PUT, DELETE, PATCH"),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, If-Modified-Since",
    ),
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
    (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
];

/// `--cors-allowed-origins`.
#[derive(Clone, Debug)]
pub struct Origins(Vec<Regex>);

/// An expression that is none, or that would match too much; upstream's words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OriginError {
    /// Nothing.
    #[error("empty value in --cors-allowed-origins")]
    Empty,
    /// No expression.
    #[error("--cors-allowed-origins has an invalid regular expression: {0}")]
    Invalid(#[from] regex::Error),
    /// The expression of other hosts, too.
    #[error(
        "--cors-allowed-origins has an invalid regular expression: regular expression does not pin to start/end of host in \
         the origin header"
    )]
    Loose,
}

impl Origins {
    /// Compiles expressions; `None` if there are none.
    ///
    /// # Errors
    /// Expressions that are none, or that do not say where the host begins and ends.
    pub fn compile(expressions: &[String]) -> Result<Option<Self>, OriginError> {
        let compiled = expressions.iter().map(|expression| {
            let pins = |marks: [&str; 2]| marks.iter().any(|mark| expression.contains(mark));
            match expression.is_empty() {
                true => Err(OriginError::Empty),
                false => Ok((Regex::new(expression)?, pins(["^", "//"]) && pins(["$", ":"]))),
            }
        });
        let compiled = compiled.collect::<Result<Vec<_>, _>>()?;
        if compiled.iter().any(|(_, is_pinned)| !is_pinned) {
            return Err(OriginError::Loose);
        }
        Ok((!compiled.is_empty()).then(|| Self(compiled.into_iter().map(|(expression, _)| expression).collect())))
    }

    /// The origin of a request, if it may ask.
    fn allowed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok().filter(|text| !text.is_empty())?;
        self.0.iter().any(|expression| expression.is_match(text)).then_some(origin)
    }
}

/// What is added to answers.
#[derive(Clone, Debug, Default)]
pub struct Browsers {
    /// Which origins may ask, if any.
    origins: Option<Origins>,
    /// What `Strict-Transport-Security` says, if it is sent.
    strict_transport: Option<HeaderValue>,
}

impl Browsers {
    /// With origins, and the text of `Strict-Transport-Security`.
    ///
    /// # Errors
    /// A text that no header can hold.
    pub fn new(origins: Option<Origins>, strict: Option<&str>) -> Result<Self, InvalidHeaderValue> {
        Ok(Self { origins, strict_transport: strict.map(HeaderValue::from_str).transpose()? })
    }

    /// The headers that the answer to this request has besides its own, and the answer itself if the request only asks
    /// whether another one may be sent.
    pub fn greet(&self, method: &Method, headers: &HeaderMap) -> (Option<HeaderMap>, Option<Response<Body>>) {
        let origin = self.origins.as_ref().and_then(|origins| origins.allowed(headers));
        if origin.is_none() && self.strict_transport.is_none() {
            return (None, None);
        }
        let mut added = HeaderMap::new();
        if let Some(strict) = &self.strict_transport {
            added.insert(header::STRICT_TRANSPORT_SECURITY, strict.clone());
        }
        let Some(origin) = origin else { return (Some(added), None) };
        added.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        added.extend(ALLOWED.map(|(name, value)| (name, HeaderValue::from_static(value))));
        let answer = (method == Method::OPTIONS).then(|| {
            let mut answer = Response::new(Body::from(""));
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        });
        (Some(added), answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browsers(expression: &str) -> Browsers {
        let origins = Origins::compile(&[expression.to_owned()]).expect("an expression");
        Browsers { origins, strict_transport: Some(HeaderValue::from_static("max-age=1")) }
    }

    fn from(origin: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))])
    }

    #[test]
    fn pages_of_allowed_origins_may_ask() {
        let browsers = browsers("^https://a[.]example$");
        let (added, answer) = browsers.greet(&Method::GET, &from("https://a.example"));
        let added = added.expect("headers");
        assert_eq!((added.len(), answer.is_none()), (6, true));
        assert_eq!(added[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        let (added, answer) = browsers.greet(&Method::OPTIONS, &from("https://b.example"));
        assert_eq!((added.expect("headers").len(), answer.is_none()), (1, true));
        let (_, answer) = browsers.greet(&Method::OPTIONS, &from("https://a.example"));
        assert_eq!(answer.expect("an answer").status(), StatusCode::NO_CONTENT);
    }

    #[test]
    fn expressions_must_pin_the_host() {
        for (expression, want) in
            [("example", true), ("//example", true), ("//example:", false), ("^h$", false), ("(", true)]
        {
            assert_eq!(Origins::compile(&[expression.to_owned()]).is_err(), want, "{expression}");
        }
        assert!(Origins::compile(&[]).is_ok_and(|origins| origins.is_none()));
    }
}
