//! Why a configuration is not applied, and what the client is told.
//!
//! Upstream: `apimachinery/pkg/util/managedfields/internal/conflict.go`.

use super::check::Misfits;
use super::element::Element;
use super::managers::{ManagedError, Manager};
use super::place::KeyError;
use apimachinery::status::{Cause, Details, Reason, Status};

/// A field that another manager has and the configuration wants with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who has it.
    pub manager: Manager,
    /// Which field.
    pub path: Vec<Element>,
}

impl Conflict {
    fn shown_path(&self) -> String {
        self.path.iter().map(ToString::to_string).collect()
    }
}

/// Why a configuration is not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Who manages the object's fields cannot be told.
    #[error("failed to decode managed fields: {0}")]
    Managed(#[from] ManagedError),
    /// The configuration is of another kind than the resource.
    #[error("invalid object type: {0}")]
    Kind(String),
    /// Managed fields are the server's to write.
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsGiven,
    /// The configuration does not fit its schema.
    #[error("failed to create typed patch object ({object}): {misfits}")]
    Misfit {
        /// Namespace, name and kind.
        object: String,
        /// What does not fit.
        misfits: Misfits,
    },
    /// The live object's lists cannot be merged with.
    #[error("failed to merge config: {0}")]
    Merge(#[from] KeyError),
    /// Others have fields that the configuration wants otherwise.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [one] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", one.manager, one.shown_path());
    }
    let mut managers: Vec<&Manager> = Vec::new();
    for conflict in conflicts {
        if !managers.contains(&&conflict.manager) {
            managers.push(&conflict.manager);
        }
    }
    managers.sort_by(|a, b| (&a.name, a.operation).cmp(&(&b.name, b.operation)));
    let lines = managers.into_iter().flat_map(|manager| {
        let own = conflicts.iter().filter(move |conflict| conflict.manager == *manager);
        std::iter::once(format!("conflicts with {manager}:")).chain(own.map(|c| format!("- {}", c.shown_path())))
    });
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.collect::<Vec<_>>().join("\n"))
}

impl From<ApplyError> for Status {
    fn from(error: ApplyError) -> Self {
        let message = error.to_string();
        match error {
            ApplyError::Kind(_) | ApplyError::ManagedFieldsGiven => Status::bad_request(message),
            ApplyError::Conflicts(conflicts) => {
                let causes = conflicts.iter().map(|conflict| Cause {
                    reason: "FieldManagerConflict".into(),
                    message: format!("conflict with {}", conflict.manager),
                    field: conflict.shown_path(),
                });
                let details = Details { causes: causes.collect(), ..Details::default() };
                Status { details: Some(Box::new(details)), ..Status::plain(409, Reason::Conflict, message) }
            }
            // Upstream says no more of these than that they happened.
            ApplyError::Managed(_) | ApplyError::Misfit { .. } | ApplyError::Merge(_) => {
                Status::plain(500, Reason::Unknown, message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::managers::Operation;
    use super::*;

    fn conflict(manager: &str, path: &[&str]) -> Conflict {
        let manager = Manager {
            name: manager.into(),
            operation: Operation::Update,
            api_version: "apps/v1".into(),
            subresource: String::new(),
        };
        Conflict { manager, path: path.iter().copied().map(Element::field).collect() }
    }

    #[test]
    fn conflicts_are_listed_by_manager() {
        let one = Status::from(ApplyError::Conflicts(vec![conflict("x", &["spec", "replicas"])]));
        assert_eq!(one.message, "Apply failed with 1 conflict: conflict with \"x\" using apps/v1: .spec.replicas");
        assert_eq!((one.code, one.reason), (409, Reason::Conflict));
        let causes = one.details.expect("details").causes;
        assert_eq!(
            (&*causes[0].reason, &*causes[0].message, &*causes[0].field),
            ("FieldManagerConflict", "conflict with \"x\" using apps/v1", ".spec.replicas")
        );
        let many = ApplyError::Conflicts(vec![
            conflict("y", &["spec", "replicas"]),
            conflict("x", &["spec", "paused"]),
            conflict("y", &["spec", "template"]),
        ]);
        assert_eq!(
            many.to_string(),
            "Apply failed with 3 conflicts: conflicts with \"x\" using apps/v1:\n- .spec.paused\nconflicts with \"y\" using \
             apps/v1:\n- .spec.replicas\n- .spec.template"
        );
    }
}
