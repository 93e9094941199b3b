//! Who asks for what: everything the filter chain learned of a request.

use apimachinery::codec::FieldValidation;
use apimachinery::resources::{ResourceInfo, Subresource};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// An authenticated user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// User name, such as `system:serviceaccount:default:default`.
    pub name: String,
    /// UID; may be empty.
    pub uid: String,
    /// Groups, `system:authenticated` included.
    pub groups: Vec<String>,
    /// Extra attributes.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The verb of a request, as authorization names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    /// `exec`, `attach`, `portforward`, `proxy`: authorized by HTTP method, connected by the server.
    Connect,
}

/// One resource request after the filter chain.
#[derive(Debug)]
pub struct Context {
    /// Who.
    pub user: Arc<UserInfo>,
    /// Does what.
    pub verb: Verb,
    /// To which resource, in the requested version.
    pub resource: Arc<ResourceInfo>,
    /// And subresource.
    pub subresource: Option<Subresource>,
    /// In which namespace; empty for cluster-scoped and all-namespace requests.
    pub namespace: String,
    /// Object name; empty for collections.
    pub name: String,
    /// `dryRun=All`.
    pub dry_run: bool,
    /// `fieldManager`, or the first word of the user agent.
    pub field_manager: String,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
    /// When the request must be answered.
    pub deadline: Instant,
    /// Texts for `Warning:` headers, collected on the way.
    pub warnings: Arc<Warnings>,
    /// Annotations of the request's audit event; `None` if there is none.
    pub annotations: Option<Arc<Annotations>>,
}

/// Texts for `Warning:` headers, collected on the way; the request may fail for all that.
pub type Warnings = Mutex<Vec<String>>;

/// Annotations of an audit event, collected on the way.
pub type Annotations = Mutex<BTreeMap<String, String>>;

impl Context {
    /// Adds a text that goes to the client as a `Warning: 299` header.
    pub fn warn(&self, text: impl Into<String>) {
        self.warnings.lock().push(text.into());
    }

    /// Annotates the request's audit event, if there is one; what has been said stays.
    pub fn annotate(&self, key: &str, value: impl FnOnce() -> String) {
        if let Some(annotations) = &self.annotations {
            annotations.lock().entry(key.to_owned()).or_insert_with(value);
        }
    }

    /// The subresource's name, or the empty string.
    pub fn subresource_name(&self) -> &str {
        self.subresource.as_ref().map_or("", |s| &s.name)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Contexts for unit tests.

    use super::*;

    /// A create request of a user `tester` for a built-in resource in `default`.
    pub(crate) fn context(group: &str, plural: &str) -> Context {
        let found = apimachinery::resources::builtin().iter().find(|r| r.group == group && r.plural == plural);
        let resource = found.expect("a built-in resource").clone();
        Context {
            user: Arc::new(UserInfo {
                name: "tester".into(),
                groups: vec!["system:masters".into()],
                ..UserInfo::default()
            }),
            verb: Verb::Create,
            namespace: if resource.namespaced { "default".into() } else { String::new() },
            resource,
            subresource: None,
            name: String::new(),
            dry_run: false,
            field_manager: String::new(),
            field_validation: FieldValidation::Warn,
            deadline: Instant::now() + std::time::Duration::from_secs(60),
            warnings: Arc::default(),
            annotations: None,
        }
    }
}
