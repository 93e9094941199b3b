//! One path for one thing: requests for other forms of it are told where to go.
//!
//! Upstream: Go's `http.ServeMux`.

/// Where a request for this path and query should go, if not where it goes: to the path without
/// empty and dotted parts, and from a prefix without its slash to the one with it.
pub(super) fn moved(path: &str, query: Option<&str>, prefixes: &[&str]) -> Option<String> {
    let mut target = canonical(path);
    if prefixes.iter().any(|prefix| prefix.len() > 1 && prefix.strip_suffix('/') == Some(target.as_str())) {
        target.push('/');
    }
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    (target != path).then(|| target + &query)
}

fn canonical(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let slash = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_has_one_path() {
        for (path, want) in [
            ("/", None),
            ("/custom/", None),
            ("/custom/api/v1", None),
            ("/custom/api/v1/", None),
            ("//custom/healthz", Some("/custom/healthz")),
            ("/custom/./api//v1/", Some("/custom/api/v1/")),
            ("/custom/../../x", Some("/x")),
            ("/custom", Some("/custom/")),
            ("//static", Some("/static/")),
            ("/static/a", None),
            ("/..", Some("/")),
        ] {
            assert_eq!(moved(path, None, &["/custom/", "/static/"]).as_deref(), want, "{path}");
        }
        assert_eq!(moved("//api", Some("x=1"), &["/"]).as_deref(), Some("/api?x=1"));
    }
}
