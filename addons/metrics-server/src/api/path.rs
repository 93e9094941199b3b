//! What the group's paths mean.

/// A kind of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `NodeMetrics`.
    Node,
    /// `PodMetrics`.
    Pod,
}

impl Kind {
    /// The resource in paths and rules.
    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::Node => "nodes",
            Self::Pod => "pods",
        }
    }

    /// The resource in messages.
    pub(super) fn metrics(self) -> &'static str {
        match self {
            Self::Node => "nodemetrics",
            Self::Pod => "podmetrics",
        }
    }

    /// The kind of one object.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Node => "NodeMetrics",
            Self::Pod => "PodMetrics",
        }
    }
}

/// A path: `nodes[/NAME]`, `pods`, `namespaces/NAMESPACE/pods[/NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
}

impl Path {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/apis/metrics.k8s.io/v1beta1/")?;
        let words: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
        let (kind, namespace, name) = match words[..] {
            ["nodes"] => (Kind::Node, None, None),
            ["nodes", name] => (Kind::Node, None, Some(name)),
            ["pods"] => (Kind::Pod, None, None),
            ["namespaces", namespace, "pods"] => (Kind::Pod, Some(namespace), None),
            ["namespaces", namespace, "pods", name] => (Kind::Pod, Some(namespace), Some(name)),
            _ => return None,
        };
        let is_empty = |part: Option<&str>| part.is_some_and(str::is_empty);
        if is_empty(namespace) || is_empty(name) {
            return None;
        }
        Some(Self { kind, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_is_wanted() {
        let parse = |rest: &str| {
            let path = Path::parse(&format!("/apis/metrics.k8s.io/v1beta1/{rest}"))?;
            Some((path.kind, path.namespace.unwrap_or_default(), path.name.unwrap_or_default()))
        };
        let found = |kind, namespace: &str, name: &str| Some((kind, namespace.to_owned(), name.to_owned()));
        assert_eq!(parse("nodes"), found(Kind::Node, "", ""));
        assert_eq!(parse("nodes/a"), found(Kind::Node, "", "a"));
        assert_eq!(parse("pods"), found(Kind::Pod, "", ""));
        assert_eq!(parse("namespaces/n/pods"), found(Kind::Pod, "n", ""));
        assert_eq!(parse("namespaces/n/pods/p"), found(Kind::Pod, "n", "p"));
        for wrong in ["", "pods/p", "namespaces//pods", "namespaces/n/pods/p/log", "services"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
