//! The names that drivers give to things.

use super::super::check::{At, Report};
use super::super::names::subdomain;

const MAX_ID: usize = 32;
const MAX_DRIVER: usize = 63;
const MAX_POOL: usize = 253;
/// Domain, slash and identifier.
const MAX_KEY: usize = 63 + 1 + MAX_ID;

const IDENTIFIER: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
                          alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for \
                          validation is '[A-Za-z_][A-Za-z0-9_]*')";

/// A driver: a DNS name, of which case does not matter.
pub(super) fn driver(at: &At<'_>, name: &str, out: &mut Report) {
    if name.is_empty() {
        return out.required(at, "");
    }
    if name.len() > MAX_DRIVER {
        out.too_long(at, MAX_DRIVER);
    }
    out.invalid_each(at, name, subdomain(&name.to_lowercase()));
}

/// A pool: DNS names with slashes between.
pub(super) fn pool(at: &At<'_>, name: &str, out: &mut Report) {
    if name.is_empty() {
        return out.required(at, "");
    }
    if name.len() > MAX_POOL {
        out.too_long(at, MAX_POOL);
    }
    for part in name.split('/') {
        out.invalid_each(at, part, subdomain(part));
    }
}

/// An attribute or a capacity: an identifier, perhaps with a domain before it.
pub(super) fn qualified(at: &At<'_>, name: &str, out: &mut Report) {
    let mut parts = name.split('/');
    match (parts.next().unwrap_or_default(), parts.next(), parts.next()) {
        (id, None, _) => identifier(at, id, out),
        (domain, Some(id), None) => {
            match domain {
                "" => out.invalid(at, "", "the domain must not be empty"),
                domain => driver(at, domain, out),
            }
            match id {
                "" => out.invalid(at, "", "the name must not be empty"),
                id => identifier(at, id, out),
            }
        }
        // Upstream lets more slashes pass.
        _ => {}
    }
}

/// An attribute with its domain.
pub(super) fn fully_qualified(at: &At<'_>, name: &str, out: &mut Report) {
    qualified(at, name, out);
    if !name.contains('/') {
        out.invalid(at, name, "a fully qualified name must be a domain and a name separated by a slash");
    }
}

fn identifier(at: &At<'_>, id: &str, out: &mut Report) {
    if id.len() > MAX_ID {
        out.too_long(at, MAX_ID);
    }
    let is_letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let is_right = id.bytes().next().is_some_and(is_letter) && id.bytes().all(|b| is_letter(b) || b.is_ascii_digit());
    if !is_right {
        out.invalid(at, id, IDENTIFIER);
    }
}

/// A key as it is shown in a path: without its middle, if it is too long to be right.
pub(super) fn shown(key: &str) -> std::borrow::Cow<'_, str> {
    const DOTS: &str = "...";
    let rest = MAX_KEY - DOTS.len();
    let (head, tail) = (rest.div_ceil(2), key.len().saturating_sub(rest / 2));
    match (key.get(..head), key.get(tail..)) {
        (Some(head), Some(tail)) if key.len() > MAX_KEY => format!("{head}{DOTS}{tail}").into(),
        _ => key.into(),
    }
}
