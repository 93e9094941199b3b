//! Which pod and container a path names.

/// `{namespace}/{pod}[/{uid}][/{container}]`, as the paths of exec, logs and the like end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub namespace: String,
    pub pod: String,
    pub uid: Option<String>,
    pub container: Option<String>,
}

impl Target {
    /// Reads the rest of a path after its prefix: with a container, the UID before it.
    pub fn parse(path: &str, prefix: &str) -> Option<Self> {
        let parts = parts(path, prefix)?;
        let (uid, container) = match parts.as_slice() {
            [_, _, container] => (None, container),
            [_, _, uid, container] => (Some(uid.clone()), container),
            _ => return None,
        };
        Some(Self { namespace: parts[0].clone(), pod: parts[1].clone(), uid, container: Some(container.clone()) })
    }

    /// The same without a container.
    pub fn parse_pod(path: &str, prefix: &str) -> Option<Self> {
        let parts = parts(path, prefix)?;
        let uid = match parts.as_slice() {
            [_, _] => None,
            [_, _, uid] => Some(uid.clone()),
            _ => return None,
        };
        Some(Self { namespace: parts[0].clone(), pod: parts[1].clone(), uid, container: None })
    }
}

fn parts(path: &str, prefix: &str) -> Option<Vec<String>> {
    let rest = path.strip_prefix(prefix)?.trim_end_matches('/');
    let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8().ok().map(|s| s.into_owned());
    let parts: Option<Vec<String>> = rest.split('/').map(decode).collect();
    parts.filter(|all| all.iter().all(|p| !p.is_empty() && !p.contains('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let t = Target::parse("/exec/ns/p/c", "/exec/").unwrap();
        assert_eq!((t.namespace.as_str(), t.pod.as_str(), t.uid, t.container.as_deref()), ("ns", "p", None, Some("c")));
        assert_eq!(Target::parse("/exec/ns/p/u/c", "/exec/").unwrap().uid.as_deref(), Some("u"));
        assert_eq!(Target::parse_pod("/portForward/ns/p", "/portForward/").unwrap().container, None);
        for bad in ["/exec/ns/p", "/exec/ns//c", "/exec/a/b/c/d/e", "/x"] {
            assert_eq!(Target::parse(bad, "/exec/"), None, "{bad}");
        }
    }
}
