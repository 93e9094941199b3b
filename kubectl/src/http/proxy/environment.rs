//! The proxies that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name.
//!
//! Upstream: Go's `http.ProxyFromEnvironment` (`golang.org/x/net/http/httpproxy`).

use std::net::IpAddr;
use url::{Host, Url};

/// Whoever asks a CGI program something sets its `HTTP_PROXY` with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refusing to use HTTP_PROXY value in CGI environment; see golang.org/s/cgihttpproxy")]
pub(in crate::http) struct InCgi;

/// What the environment says of proxies.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    http: Option<Url>,
    https: Option<Url>,
    exempt: Vec<Exempt>,
    is_cgi: bool,
}

impl Environment {
    /// Reads the variables, each in capitals first.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let set = |name: &str| variable(name).filter(|value| !value.is_empty());
            set(name).or_else(|| set(&name.to_ascii_lowercase()))
        };
        Self {
            http: either("HTTP_PROXY").and_then(|text| proxy(&text)),
            https: either("HTTPS_PROXY").and_then(|text| proxy(&text)),
            exempt: either("NO_PROXY").unwrap_or_default().split(',').filter_map(Exempt::read).collect(),
            is_cgi: variable("REQUEST_METHOD").is_some_and(|method| !method.is_empty()),
        }
    }

    /// The proxy for a server.
    pub(super) fn proxy(&self, server: &Url) -> Result<Option<&Url>, InCgi> {
        let proxy = match server.scheme() {
            "https" => &self.https,
            "http" if self.http.is_some() && self.is_cgi => return Err(InCgi),
            "http" => &self.http,
            _ => return Ok(None),
        };
        Ok(proxy.as_ref().filter(|_| !self.goes_direct(server)))
    }

    fn goes_direct(&self, server: &Url) -> bool {
        let port = server.port_or_known_default().map(|port| port.to_string()).unwrap_or_default();
        let name = match server.host() {
            Some(Host::Domain("localhost")) => return true,
            Some(Host::Domain(name)) => Name::Domain(name),
            Some(Host::Ipv4(address)) => Name::Address(address.into()),
            Some(Host::Ipv6(address)) => Name::Address(address.to_canonical()),
            None => return false,
        };
        match name {
            Name::Address(address) if address.is_loopback() => true,
            name => self.exempt.iter().any(|exempt| exempt.has(name, &port)),
        }
    }
}

/// `http://host:port`, or without the scheme. What is no URL is as good as nothing.
fn proxy(text: &str) -> Option<Url> {
    let known = |url: &Url| matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
    Url::parse(text).ok().filter(known).or_else(|| Url::parse(&format!("http://{text}")).ok())
}

/// A server's name.
#[derive(Clone, Copy)]
enum Name<'a> {
    Domain(&'a str),
    Address(IpAddr),
}

/// A server that no proxy is asked for: an entry of `NO_PROXY`.
#[derive(Clone, Debug)]
enum Exempt {
    /// `*`.
    All,
    /// `10.0.0.0/8`.
    Network { address: IpAddr, length: u32 },
    /// `10.0.0.1`, `[::1]:443`.
    Address { address: IpAddr, port: Option<String> },
    /// `a.b` has itself and what is below it, `.a.b` and `*.a.b` have what is below it.
    Domain { name: String, itself: bool, port: Option<String> },
}

impl Exempt {
    fn read(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_lowercase();
        if entry == "*" {
            return Some(Exempt::All);
        }
        if let Some((address, length)) = network(&entry) {
            return Some(Exempt::Network { address, length });
        }
        let (host, port) = host_and_port(&entry).unwrap_or((&entry, ""));
        let port = (!port.is_empty()).then(|| port.to_owned());
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Exempt::Address { address: address.to_canonical(), port });
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let name = host.strip_prefix('.').unwrap_or(host);
        (!host.is_empty()).then(|| Exempt::Domain { itself: name == host, name: ascii(name), port })
    }

    fn has(&self, name: Name<'_>, its_port: &str) -> bool {
        let of_port = |port: &Option<String>| port.as_deref().is_none_or(|port| port == its_port);
        match (self, name) {
            (Exempt::All, _) => true,
            (Exempt::Network { address, length }, Name::Address(other)) => within(*address, *length, other),
            (Exempt::Address { address, port }, Name::Address(other)) => *address == other && of_port(port),
            (Exempt::Domain { name, itself, port }, Name::Domain(other)) => {
                let below = |prefix: &str| if prefix.is_empty() { *itself } else { prefix.ends_with('.') };
                other.strip_suffix(name.as_str()).is_some_and(below) && of_port(port)
            }
            _ => false,
        }
    }
}

fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length = length.parse().ok().filter(|_| length.bytes().all(|byte| byte.is_ascii_digit()))?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

/// As Go's `net.SplitHostPort`: of colons there is one, or the host is in brackets.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => Some((host, port)),
        None => (!host.contains([':', '[', ']']) && !port.contains(']')).then_some((host, port)),
    }
}

/// A name as name servers know it.
fn ascii(name: &str) -> String {
    match Host::parse(name) {
        Ok(Host::Domain(encoded)) if !name.is_ascii() => encoded,
        _ => name.to_owned(),
    }
}

/// Whether an address begins with as many bits of another one.
fn within(network: IpAddr, length: u32, address: IpAddr) -> bool {
    let bits = |address| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    };
    let rest = (bits(network) ^ bits(address)).checked_shr(128 - length).unwrap_or_default();
    network.is_ipv4() == address.is_ipv4() && rest == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is chosen for a server among `NAME=value` of the environment.
    fn chosen(environment: &[(&str, &str)], server: &str) -> Result<Option<String>, InCgi> {
        let variable = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let server = Url::parse(server).expect("a URL");
        let environment = Environment::read(variable);
        environment.proxy(&server).map(|proxy| proxy.map(|url| url.as_str().trim_end_matches('/').to_owned()))
    }

    #[test]
    fn the_scheme_of_the_server_names_the_variable() {
        let both = [("HTTP_PROXY", "http://plain:1"), ("HTTPS_PROXY", "secure:2"), ("https_proxy", "small:3")];
        for (environment, server, want) in [
            (&both[..], "https://a", Some("http://secure:2")),
            (&both[..], "http://a", Some("http://plain:1")),
            (&both[..1], "https://a", None),
            (&both[2..], "https://a", Some("http://small:3")),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "small:3")], "https://a", Some("http://small:3")),
            (&[("HTTPS_PROXY", "10.0.0.1:3128")], "https://a", Some("http://10.0.0.1:3128")),
            (&[("HTTPS_PROXY", "https://u:p@p:4")], "https://a", Some("https://u:p@p:4")),
            (&[("HTTPS_PROXY", "socks5://p")], "https://a", Some("socks5://p")),
            (&[("HTTPS_PROXY", "no host")], "https://a", None),
            (&[("ALL_PROXY", "http://all:1")], "https://a", None),
            (&[], "https://a", None),
        ] {
            assert_eq!(chosen(environment, server), Ok(want.map(str::to_owned)), "{environment:?} {server}");
        }
        let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "p"), ("HTTPS_PROXY", "p")];
        assert_eq!(chosen(&cgi, "http://a"), Err(InCgi));
        assert!(chosen(&cgi, "https://a").is_ok_and(|proxy| proxy.is_some()));
    }

    #[test]
    fn some_servers_are_asked_directly() {
        for (no_proxy, server, direct) in [
            ("", "https://a.b", false),
            ("", "https://localhost:6443", true),
            ("", "https://127.8.9.10:6443", true),
            ("", "https://[::1]:6443", true),
            ("", "https://[::ffff:127.0.0.1]", true),
            ("", "https://localhost.localdomain", false),
            ("*", "https://a.b", true),
            ("x, *", "https://10.0.0.1", true),
            ("a.b", "https://a.b", true),
            ("A.B", "https://a.B:6443", true),
            ("a.b", "https://c.a.b", true),
            ("a.b", "https://ca.b", false),
            (".a.b", "https://a.b", false),
            (".a.b", "https://c.a.b", true),
            ("*.a.b", "https://d.c.a.b", true),
            ("*.a.b", "https://a.b", false),
            ("a.b:6443", "https://a.b:6443", true),
            ("a.b:443", "https://a.b", true),
            ("a.b:6443", "https://a.b", false),
            ("bücher.example", "https://xn--bcher-kva.example", true),
            ("10.0.0.1", "https://10.0.0.1:6443", true),
            ("10.0.0.1:6443", "https://10.0.0.1:6443", true),
            ("10.0.0.1:6443", "https://10.0.0.1", false),
            ("0.0.1", "https://10.0.0.1", false),
            ("::2", "https://[::2]:6443", true),
            ("[::2]:6443", "https://[::2]:6443", true),
            ("[::2]:6443", "https://[::2]", false),
            ("[::2]", "https://[::2]", false),
            ("10.0.0.0/8", "https://10.255.0.1", true),
            ("10.0.0.0/8", "https://11.0.0.1", false),
            ("10.1.2.3/8", "https://10.255.0.1", true),
            ("0.0.0.0/0", "https://11.0.0.1", true),
            ("0.0.0.0/0", "https://[2001:db8::1]", false),
            ("2001:db8::/32", "https://[2001:db8:1::1]", true),
            ("2001:db8::/32", "https://[2001:db9::1]", false),
            ("10.0.0.0/33", "https://10.0.0.0", false),
            (" , :80,a.b , 10.0.0.1", "https://a.b", true),
            (":80", "https://a.b", false),
        ] {
            let chosen = chosen(&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", no_proxy)], server).expect("no CGI");
            assert_eq!(chosen.is_none(), direct, "{no_proxy:?} {server}");
        }
        assert_eq!(chosen(&[("HTTPS_PROXY", "p:1"), ("no_proxy", "a")], "https://a"), Ok(None));
    }
}
