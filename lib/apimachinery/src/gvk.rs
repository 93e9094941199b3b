//! Names of API types and resources.

use std::borrow::Cow;
use std::fmt;

/// A string that is static for built-in types and owned for custom ones.
pub type Str = Cow<'static, str>;

/// A kind in one version of an API group. The core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// API group, empty for core.
    pub group: Str,
    /// API version, such as `v1`.
    pub version: Str,
    /// Kind, such as `Pod`.
    pub kind: Str,
}

impl GroupVersionKind {
    /// Names a kind.
    pub fn new(group: impl Into<Str>, version: impl Into<Str>, kind: impl Into<Str>) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// The `apiVersion` field: `v1` for core, `group/version` otherwise.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// Splits `apiVersion` and `kind`; `None` if `apiVersion` has more than one slash.
    pub fn parse(api_version: &str, kind: &str) -> Option<Self> {
        let (group, version) = parse_api_version(api_version)?;
        Some(Self::new(group.to_owned(), version.to_owned(), kind.to_owned()))
    }
}

impl fmt::Display for GroupVersionKind {
    /// Upstream's form in messages: `apps/v1, Kind=Deployment`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// A resource (plural) of a group, as messages and RBAC name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupResource {
    /// API group, empty for core.
    pub group: Str,
    /// Plural resource name.
    pub resource: Str,
}

impl GroupResource {
    /// Names a resource.
    pub fn new(group: impl Into<Str>, resource: impl Into<Str>) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }
}

impl fmt::Display for GroupResource {
    /// `pods`, or `deployments.apps`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.is_empty() {
            true => f.write_str(&self.resource),
            false => write!(f, "{}.{}", self.resource, self.group),
        }
    }
}

/// `v1` for core, `group/version` otherwise.
pub fn api_version(group: &str, version: &str) -> String {
    match group.is_empty() {
        true => version.to_owned(),
        false => format!("{group}/{version}"),
    }
}

/// Splits an `apiVersion` into group and version; `None` if it has more than one slash.
pub fn parse_api_version(api_version: &str) -> Option<(&str, &str)> {
    match api_version.split_once('/') {
        None => Some(("", api_version)),
        Some((_, version)) if version.contains('/') => None,
        Some(pair) => Some(pair),
    }
}
