//! Which credentials are for which image: an index of credentials by the place that they are for. Pure.
//!
//! Upstream: `pkg/credentialprovider/keyring.go`, `pkg/util/parsers`.

use crate::runtime::images::RegistryAuth;
use std::collections::BTreeMap;

/// Where images without a registry come from, as a name says it and as credentials do.
const DEFAULT: &str = "docker.io";
const DEFAULT_HOST: &str = "index.docker.io";

/// An image's name without tag and digest, with the registry that is meant if it names none.
pub fn repository(image: &str) -> String {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost" || part.contains(char::is_uppercase);
    match name.split_once('/') {
        Some((DEFAULT | DEFAULT_HOST, path)) => of_default(path),
        Some((host, _)) if is_host(host) => name.to_owned(),
        _ => of_default(name),
    }
}

fn of_default(path: &str) -> String {
    if path.contains('/') { format!("{DEFAULT}/{path}") } else { format!("{DEFAULT}/library/{path}") }
}

/// A URL without its scheme: `*.example.com:5000/team`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    labels: Vec<&'a str>,
    port: &'a str,
    path: &'a str,
}

impl<'a> Place<'a> {
    /// `None` for what no URL looks like.
    pub fn parse(text: &'a str) -> Option<Self> {
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || "\"<>\\^`{|}%".contains(c);
        if text.is_empty() || text.contains(is_odd) {
            return None;
        }
        let (authority, path) = text.find('/').map_or((text, ""), |at| text.split_at(at));
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
        let is_port = port.chars().all(|c| c.is_ascii_digit());
        is_port.then(|| Self { labels: host.split('.').collect(), port, path })
    }

    /// Whether another place is this one or lies below it. Labels may have `*` and `?`, each for itself.
    pub fn covers(&self, other: &Place<'_>) -> bool {
        let labels = || self.labels.iter().zip(&other.labels).all(|(pattern, label)| is_like(pattern, label));
        self.port == other.port
            && self.labels.len() == other.labels.len()
            && other.path.starts_with(self.path)
            && labels()
    }
}

/// Whether an image is from a place that a pattern names.
pub fn matches(pattern: &str, image: &str) -> bool {
    let (pattern, image) = (Place::parse(pattern), Place::parse(image));
    pattern.zip(image).is_some_and(|(pattern, image)| pattern.covers(&image))
}

fn is_like(pattern: &str, label: &str) -> bool {
    match pattern.split_at_checked(1) {
        None => label.is_empty(),
        Some(("*", rest)) => {
            let mut ends = label.char_indices().map(|(at, _)| at).chain([label.len()]);
            ends.any(|at| is_like(rest, &label[at..]))
        }
        Some(("?", rest)) => {
            let mut chars = label.chars();
            chars.next().is_some() && is_like(rest, chars.as_str())
        }
        Some((first, rest)) => label.strip_prefix(first).is_some_and(|label| is_like(rest, label)),
    }
}

/// Credentials by what they are for.
#[derive(Clone, Default)]
pub struct Keyring {
    by_place: BTreeMap<String, Vec<RegistryAuth>>,
}

impl Keyring {
    /// Adds credentials, each for the place that it names.
    pub fn of(all: impl IntoIterator<Item = RegistryAuth>) -> Self {
        let mut keyring = Self::default();
        for auth in all {
            match key(&auth.server) {
                Some(key) => keyring.by_place.entry(key).or_default().push(auth),
                None => tracing::warn!(entry = auth.server, "an entry in a configuration of registries is invalid"),
            }
        }
        keyring
    }

    /// Those that may be for this repository, the most specific first.
    pub fn lookup(&self, repository: &str) -> Vec<RegistryAuth> {
        let fitting = self.by_place.iter().rev().filter(|(key, _)| matches(key, repository));
        let found: Vec<RegistryAuth> = fitting.flat_map(|(_, auths)| auths.clone()).collect();
        if found.is_empty() && is_default(repository) {
            return self.by_place.get(DEFAULT_HOST).cloned().unwrap_or_default();
        }
        found
    }
}

fn is_default(repository: &str) -> bool {
    repository.split_once('/').is_none_or(|(host, _)| {
        !host.is_empty() && (host == DEFAULT || host == DEFAULT_HOST || !host.contains(['.', ':']))
    })
}

/// `https://r.example.com/v1/` is for all of `r.example.com`.
fn key(server: &str) -> Option<String> {
    let place = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    Place::parse(place)?;
    let (host, path) = place.find('/').map_or((place, ""), |at| place.split_at(at));
    let path = if path.starts_with("/v1/") || path.starts_with("/v2/") { &path[3..] } else { path };
    Some(if path == "/" { host.to_owned() } else { format!("{host}{path}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories() {
        for (image, want) in [
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1@sha256:ab", "docker.io/library/nginx"),
            ("a/b:1", "docker.io/a/b"),
            ("index.docker.io/b", "docker.io/library/b"),
            ("localhost/b", "localhost/b"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b"),
            ("r.example.com/a@sha256:ab", "r.example.com/a"),
        ] {
            assert_eq!(repository(image), want, "{image}");
        }
    }

    #[test]
    fn places_cover_what_lies_below() {
        for (pattern, image, want) in [
            ("*.example.com", "r.example.com/b", true),
            ("*.example.com", "a.r.example.com/b", false),
            ("r*?.example.com", "reg.example.com/b", true),
            ("r*?.example.com", "r.example.com/b", false),
            ("*.*.example.com", "a.r.example.com/b", true),
            ("r.example.com:5000", "r.example.com/b", false),
            ("r.example.com/team", "r.example.com/team/b", true),
            ("r.example.com/team", "r.example.com/other", false),
            ("r example", "r example", false),
        ] {
            assert_eq!(matches(pattern, image), want, "{pattern} {image}");
        }
    }

    #[test]
    fn the_most_specific_credentials_come_first() {
        let auth = |server: &str| RegistryAuth { server: server.into(), ..RegistryAuth::default() };
        let keyring = Keyring::of(["r.test", "https://r.test/a", "https://index.docker.io/v1/", "b d"].map(auth));
        let found =
            |image: &str| keyring.lookup(&repository(image)).into_iter().map(|auth| auth.server).collect::<Vec<_>>();
        assert_eq!(found("r.test/a/b:1"), ["https://r.test/a", "r.test"]);
        assert_eq!(found("r.test/b:1"), ["r.test"]);
        assert_eq!(found("nginx"), ["https://index.docker.io/v1/"]);
        assert!(found("other.test/nginx").is_empty());
    }
}
