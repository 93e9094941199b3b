//! References of images.
//!
//! Upstream: `pkg/util/parsers`, `distribution/reference`.

/// The tag of an image: `latest` if it has neither a tag nor a digest, none if it has only a digest or is no
/// reference.
pub(super) fn tag(image: &str) -> Option<&str> {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    let (name, tag) = match rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((name, tag)) => (name, Some(tag)),
        None => (rest, None),
    };
    let right = !is_identifier(image) && is_name(name) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest);
    match tag {
        _ if !right => None,
        None if digest.is_none() => Some("latest"),
        tag => tag,
    }
}

/// What would be taken for the ID of an image.
fn is_identifier(image: &str) -> bool {
    image.len() == 64 && image.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

const MAX_NAME: usize = 255;

/// Path components, after a host where the first one looks like one.
fn is_name(name: &str) -> bool {
    let host_like = |first: &str| {
        first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
    };
    let (host, path) = match name.split_once('/').filter(|(first, _)| host_like(first)) {
        Some((host, path)) => (Some(host), path),
        None => (None, name),
    };
    let length = if host.is_none() { "docker.io/library/".len() + path.len() } else { name.len() };
    length <= MAX_NAME
        && host.is_none_or(|host| is_host(host) || is_component(host))
        && path.split('/').all(is_component)
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let named = match address {
        Some(address) => !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => name.split('.').all(label),
    };
    named && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Small letters and digits, with a dot, one or two underscores, or hyphens between them.
fn is_component(component: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut separators = component.split(|c: char| c.is_ascii() && is_letter(c as u8));
    let ends = [component.bytes().next(), component.bytes().last()];
    ends.into_iter().all(|end| end.is_some_and(is_letter))
        && separators.all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(letter)
        && tag.bytes().all(|b| letter(b) || b == b'.' || b == b'-')
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (image, want) in [
            ("nginx", Some("latest")),
            ("nginx:latest", Some("latest")),
            ("nginx:1.27", Some("1.27")),
            ("localhost:5000/nginx", Some("latest")),
            ("localhost:5000/nginx:1", Some("1")),
            ("Example.com/a__b/c-d.e", Some("latest")),
            ("[::1]:5000/a", Some("latest")),
            (&format!("nginx@{digest}"), None),
            (&format!("nginx:latest@{digest}"), Some("latest")),
            // No references.
            ("nginx@sha256:00", None),
            ("NGINX", None),
            ("a/B", None),
            ("a..b", None),
            ("a b", None),
            ("nginx:", None),
            ("", None),
            (&"a".repeat(64), None),
            (&"a".repeat(250), None),
        ] {
            assert_eq!(tag(image), want, "{image}");
        }
    }
}
