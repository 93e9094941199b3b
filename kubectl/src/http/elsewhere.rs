//! Answers that send elsewhere.
//!
//! Upstream: Go's `net/http` (`Client.do`). There the token goes along to wherever a server sends; here only to the
//! same server.

use super::{Client, Unanswered, Why};
use crate::config::Connection;
use bytes::Bytes;
use http::{Method, Response, header};
use hyper::body::Incoming;
use std::time::Duration;
use url::Url;

/// How often one goes elsewhere.
const MOST: usize = 10;

/// Where an answer sends to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elsewhere {
    /// The method that was first.
    asked: Method,
    /// The one for there.
    method: Method,
    /// Where it came from.
    from: Url,
    /// As the server says it.
    location: String,
}

impl Elsewhere {
    /// Nothing if the answer is one.
    pub(super) fn of<B>(method: &Method, response: &Response<B>, server: &str, path: &str) -> Option<Self> {
        let from = Url::parse(&format!("{server}{path}")).ok()?;
        Self::next(method, method, response, from)
    }

    fn next<B>(asked: &Method, method: &Method, response: &Response<B>, from: Url) -> Option<Self> {
        let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
        let next = match response.status().as_u16() {
            301..=303 if matches!(*method, Method::GET | Method::HEAD) => method.clone(),
            301..=303 => Method::GET,
            307 | 308 => method.clone(),
            _ => return None,
        };
        (!location.is_empty()).then(|| Self { asked: asked.clone(), method: next, from, location: location.to_owned() })
    }

    /// Asks there, and wherever it sends from there.
    pub(super) async fn follow(
        mut self,
        home: &Client,
        limit: Option<Duration>,
        extra: &[(header::HeaderName, &str)],
        body: Bytes,
    ) -> Result<Response<Incoming>, Unanswered> {
        for _ in 1..MOST {
            let to = self.target().map_err(|why| self.unanswered(why))?;
            let path = match to.query() {
                Some(query) => format!("{}?{query}", to.path()),
                None => to.path().to_owned(),
            };
            // A body is sent once more only where the method stays.
            let body = if self.method == self.asked { body.clone() } else { Bytes::new() };
            let response = match to.origin() == home.address.url.origin() {
                true if path.starts_with(&home.base_path()) => {
                    home.once(limit, &self.method, home.below(&path), extra, &body).await
                }
                true => self.root(home, &to)?.once(limit, &self.method, &path, extra, &body).await,
                false => self.stranger(home, &to)?.once(limit, &self.method, &path, extra, &body).await,
            };
            let response = response.map_err(|why| Unanswered { why, ..self.unanswered_at(&to) })?;
            match Self::next(&self.asked, &self.method, &response, to) {
                Some(next) => self = next,
                None => return Ok(response),
            }
        }
        Err(self.unanswered(format!("stopped after {MOST} redirects")))
    }

    /// Where it leads, seen from where it came from.
    fn target(&self) -> Result<Url, String> {
        let location = self.location.as_str();
        let wrong = |why: String| format!("failed to parse Location header {location:?}: parse {location:?}: {why}");
        if let Some(why) = super::address::bad_location(location) {
            return Err(wrong(why));
        }
        // Neither a host nor a path: it leads back.
        let relative = if location == "//" { "" } else { location };
        let to = self.from.join(relative).map_err(|error| wrong(error.to_string()))?;
        match to.scheme() {
            "http" | "https" => Ok(to),
            other => Err(format!("unsupported protocol scheme {other:?}")),
        }
    }

    /// The same server, all of it: the base path is that of the API only.
    fn root(&self, home: &Client, to: &Url) -> Result<Client, Unanswered> {
        let server = to.origin().ascii_serialization();
        self.client(to, Connection { server, ..home.connection().clone() })
    }

    /// Another server is not told who asks.
    fn stranger(&self, home: &Client, to: &Url) -> Result<Client, Unanswered> {
        let server = to.origin().ascii_serialization();
        let known = home.connection();
        let connection = Connection {
            server: if to.has_host() { server } else { to.to_string() },
            authority: known.authority.clone(),
            insecure: known.insecure,
            proxy: known.proxy.clone(),
            ..Connection::default()
        };
        self.client(to, connection)
    }

    fn client(&self, to: &Url, connection: Connection) -> Result<Client, Unanswered> {
        Client::new(connection).map_err(|error| match error.downcast() {
            Ok(unanswered) => Unanswered { url: to.to_string(), ..unanswered },
            Err(error) => self.unanswered(format!("{error:#}")),
        })
    }

    fn unanswered_at(&self, to: &Url) -> Unanswered {
        let (first, rest) = self.asked.as_str().split_at(1);
        // A URL without a path stays without one.
        let url = if self.location.ends_with('/') { to.as_str() } else { to.as_str().trim_end_matches('/') };
        let method = format!("{first}{}", rest.to_ascii_lowercase());
        Unanswered { method, url: url.to_owned(), why: Why::Late }
    }

    fn unanswered(&self, why: String) -> Unanswered {
        Unanswered { why: Why::Broken(why), url: self.location.clone(), ..self.unanswered_at(&self.from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_answers_send_elsewhere() {
        let sent = |method: &Method, status: u16, location: &str| {
            let response = Response::builder().status(status).header(header::LOCATION, location).body(());
            let elsewhere = Elsewhere::of(method, &response.expect("a response"), "http://h", "/x");
            elsewhere.map(|elsewhere| elsewhere.method)
        };
        for (method, status, want) in [
            (Method::GET, 302, Some(Method::GET)),
            (Method::POST, 301, Some(Method::GET)),
            (Method::DELETE, 303, Some(Method::GET)),
            (Method::POST, 307, Some(Method::POST)),
            (Method::PATCH, 308, Some(Method::PATCH)),
            (Method::GET, 304, None),
            (Method::GET, 200, None),
        ] {
            assert_eq!(sent(&method, status, "/y"), want, "{method} {status}");
        }
        assert_eq!(sent(&Method::GET, 302, ""), None);
    }
}
