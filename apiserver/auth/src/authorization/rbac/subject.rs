//! Whom a binding is about.

use apimachinery::Value;
use apiserver_registry::UserInfo;
use std::fmt;

/// A subject of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    User(String),
    Group(String),
    ServiceAccount {
        namespace: String,
        name: String,
        /// The user name that its tokens have.
        user: String,
    },
}

impl Subject {
    /// Reads a subject; service accounts without a namespace are of the binding's.
    pub(super) fn from_value(subject: &Value, binding_namespace: &str) -> Option<Self> {
        let text = |key: &str| subject.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = text("name").to_owned();
        let namespace = match text("namespace") {
            "" => binding_namespace,
            namespace => namespace,
        };
        match text("kind") {
            "User" => Some(Self::User(name)),
            "Group" => Some(Self::Group(name)),
            "ServiceAccount" if !namespace.is_empty() => Some(Self::ServiceAccount {
                user: format!("system:serviceaccount:{namespace}:{name}"),
                namespace: namespace.to_owned(),
                name,
            }),
            _ => None,
        }
    }

    /// Whether the user is this, or in it.
    pub(super) fn is(&self, user: &UserInfo) -> bool {
        match self {
            Self::User(name) | Self::ServiceAccount { user: name, .. } => *name == user.name,
            Self::Group(name) => user.groups.contains(name),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "User {name:?}"),
            Self::Group(name) => write!(f, "Group {name:?}"),
            Self::ServiceAccount { namespace, name, .. } => write!(f, "ServiceAccount \"{name}/{namespace}\""),
        }
    }
}
