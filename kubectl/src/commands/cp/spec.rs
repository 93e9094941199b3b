//! `[[namespace/]pod:]path`.
//!
//! Upstream: `kubectl/pkg/cmd/cp/filespec.go`.

use std::path::PathBuf;

/// A file here or in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spec {
    Local(PathBuf),
    Remote { pod: Pod, path: String },
}

/// A pod, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// A text that is neither.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum SpecError {
    #[error("filespec must match the canonical format: [[namespace/]pod:]file/path")]
    Form,
    #[error("filepath can not be empty")]
    NoPath,
}

impl Spec {
    pub(super) fn parse(text: &str) -> Result<Self, SpecError> {
        let Some((pod, path)) = text.split_once(':') else {
            return if text.is_empty() { Err(SpecError::NoPath) } else { Ok(Spec::Local(text.into())) };
        };
        if pod.is_empty() {
            return Err(SpecError::Form);
        }
        // A colon in a local path: `./a:b`.
        if pod.starts_with(['.', '/']) {
            return Ok(Spec::Local(text.into()));
        }
        if path.is_empty() {
            return Err(SpecError::NoPath);
        }
        let pod = match pod.split('/').collect::<Vec<_>>()[..] {
            [name] => Pod { namespace: None, name: name.into() },
            [namespace, name] if !namespace.is_empty() && !name.is_empty() => {
                Pod { namespace: Some(namespace.into()), name: name.into() }
            }
            _ => return Err(SpecError::Form),
        };
        Ok(Spec::Remote { pod, path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_specs() {
        let remote = |namespace: Option<&str>, name: &str, path: &str| {
            Ok(Spec::Remote {
                pod: Pod { namespace: namespace.map(str::to_owned), name: name.into() },
                path: path.into(),
            })
        };
        assert_eq!(Spec::parse("a/b"), Ok(Spec::Local("a/b".into())));
        assert_eq!(Spec::parse("./a:b"), Ok(Spec::Local("./a:b".into())));
        assert_eq!(Spec::parse("p:/x"), remote(None, "p", "/x"));
        assert_eq!(Spec::parse("n/p:x"), remote(Some("n"), "p", "x"));
        assert_eq!(Spec::parse("a/b/c:x"), Err(SpecError::Form));
        assert_eq!(Spec::parse(":x"), Err(SpecError::Form));
        assert_eq!(Spec::parse("p:"), Err(SpecError::NoPath));
    }
}
