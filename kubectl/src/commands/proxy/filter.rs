//! Which requests the proxy passes on: so that a page in a browser cannot use it.

use crate::cli::streams::Proxy;
use regex::Regex;

/// The patterns of the flags.
#[derive(Debug)]
pub(super) struct Filter {
    accept_paths: Vec<Regex>,
    reject_paths: Vec<Regex>,
    accept_hosts: Vec<Regex>,
    reject_methods: Vec<Regex>,
}

impl Filter {
    pub(super) fn of(flags: &Proxy) -> Result<Self, BadPattern> {
        Ok(Self {
            accept_paths: patterns(&flags.accept_paths)?,
            reject_paths: patterns(&flags.reject_paths)?,
            accept_hosts: patterns(&flags.accept_hosts)?,
            reject_methods: patterns(&flags.reject_methods)?,
        })
    }

    pub(super) fn accepts(&self, method: &str, path: &str, host: &str) -> bool {
        let any = |list: &[Regex], text: &str| list.iter().any(|r| r.is_match(text));
        !any(&self.reject_paths, path)
            && !any(&self.reject_methods, method)
            && any(&self.accept_paths, path)
            && any(&self.accept_hosts, without_port(host))
    }
}

/// A pattern that is none, in Go's words where it has them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub(super) struct BadPattern(String);

fn patterns(list: &str) -> Result<Vec<Regex>, BadPattern> {
    list.split(',').map(|text| Regex::new(text).map_err(|error| BadPattern(in_go(text, &error.to_string())))).collect()
}

/// What Go says of a pattern, by what is said of it here: the pattern, a line that points into it, and the reason.
fn in_go(pattern: &str, told: &str) -> String {
    const INDENT: usize = 4;
    let column = told.lines().nth(2).and_then(|line| line.find('^')).unwrap_or_default().saturating_sub(INDENT);
    let at = pattern.char_indices().nth(column).map_or(pattern.len(), |(at, _)| at);
    let why = told.lines().last().unwrap_or_default();
    let why = why.strip_prefix("error: ").unwrap_or(why);
    let operator = |c: char| matches!(c, '*' | '+' | '?');
    match why {
        "unclosed character class" => format!("missing closing ]: `{}`", &pattern[at..]),
        "unclosed group" => format!("missing closing ): `{pattern}`"),
        "unopened group" => format!("unexpected ): `{pattern}`"),
        "repetition operator missing expression" => {
            let behind = &pattern[at..];
            let end = behind.find(|c| !operator(c)).unwrap_or(behind.len());
            format!("missing argument to repetition operator: `{}`", &behind[..end])
        }
        "incomplete escape sequence, reached end of pattern prematurely" => {
            "trailing backslash at end of expression: ``".to_owned()
        }
        why => format!("{why}: `{pattern}`"),
    }
}

/// `[::1]:8001` → `[::1]`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Args, Command};
    use clap::Parser;

    fn filter(line: &str) -> Filter {
        match Args::parse_from(["k", "proxy"].into_iter().chain(line.split_whitespace())).command {
            Command::Proxy(flags) => Filter::of(&flags).expect("patterns"),
            _ => panic!("proxy"),
        }
    }

    #[test]
    fn the_defaults_protect() {
        let filter = filter("");
        for (method, path, host, want) in [
            ("GET", "/api/v1/pods", "localhost:8001", true),
            ("GET", "/api/v1/pods", "127.0.0.1:8001", true),
            ("GET", "/api/v1/pods", "[::1]:8001", true),
            ("GET", "/api/v1/pods", "evil.example", false),
            ("POST", "/api/v1/namespaces/a/pods/b/exec", "localhost", false),
            ("POST", "/api/v1/namespaces/a/pods/b/attach", "localhost", false),
        ] {
            assert_eq!(filter.accepts(method, path, host), want, "{method} {path} {host}");
        }
    }

    #[test]
    fn broken_patterns_are_told_of_in_the_words_of_go() {
        for (text, want) in [
            ("a[", "missing closing ]: `[`"),
            ("(", "missing closing ): `(`"),
            (")", "unexpected ): `)`"),
            ("*", "missing argument to repetition operator: `*`"),
            ("\\", "trailing backslash at end of expression: ``"),
        ] {
            let told = patterns(text).expect_err(text).to_string();
            assert_eq!(told, format!("error parsing regexp: {want}"), "{text}");
        }
    }

    #[test]
    fn methods_and_paths_are_chosen() {
        let filter = filter("--reject-methods=POST,PUT --accept-paths=^/api");
        assert!(filter.accepts("GET", "/api/v1", "localhost") && !filter.accepts("PUT", "/api/v1", "localhost"));
        assert!(!filter.accepts("GET", "/version", "localhost"));
    }
}
