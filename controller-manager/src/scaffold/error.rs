//! Why a reconciliation failed.

/// A failed reconciliation; its key comes again with a growing delay.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A request failed.
    #[error("{doing}")]
    Api {
        /// What was attempted.
        doing: String,
        /// The answer of the apiserver, or why there was none.
        source: Box<kube::Error>,
    },
    /// The object cannot be worked with until somebody changes it.
    #[error("{object}: {why}")]
    Unusable {
        /// The object.
        object: String,
        /// What is wrong with it.
        why: String,
    },
    /// Some parts are not done yet; what is left.
    #[error("unfinished: {left}")]
    Unfinished {
        /// What is left.
        left: String,
    },
}

impl ReconcileError {
    /// Whether another writer was faster: not worth a warning.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { source, .. } if is_conflict(source))
    }

    /// What the apiserver said, in its words; empty if it was not asked.
    pub fn cause(&self) -> String {
        match self {
            Self::Api { source, .. } => message(source),
            Self::Unusable { .. } | Self::Unfinished { .. } => String::new(),
        }
    }

    /// Whether trying again soon cannot help.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Unusable { .. })
    }
}

/// Says what was attempted when a request failed.
pub trait At<T> {
    /// Wraps a client error with what was attempted.
    fn at(self, doing: impl FnOnce() -> String) -> Result<T, ReconcileError>;
}

impl<T> At<T> for Result<T, kube::Error> {
    fn at(self, doing: impl FnOnce() -> String) -> Result<T, ReconcileError> {
        self.map_err(|source| ReconcileError::Api { doing: doing(), source: Box::new(source) })
    }
}

fn reason_is(error: &kube::Error, code: u16, reason: &str) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code && (reason.is_empty() || status.reason == reason))
}

/// Whether the object or its namespace is gone.
pub fn is_not_found(error: &kube::Error) -> bool {
    reason_is(error, 404, "")
}

/// Whether another writer was faster, or a precondition does not hold.
pub fn is_conflict(error: &kube::Error) -> bool {
    reason_is(error, 409, "Conflict")
}

/// Whether there is an object of this name already.
pub fn is_exists(error: &kube::Error) -> bool {
    reason_is(error, 409, "AlreadyExists")
}

/// Whether the namespace is being deleted, so that nothing can be created in it.
pub fn is_namespace_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// The message of the apiserver, or of the connection.
pub fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn answer(code: u16, reason: &str) -> kube::Error {
        kube::Error::Api(Status::failure("m", reason).with_code(code).boxed())
    }

    #[test]
    fn answers_are_told_apart() {
        assert!(is_exists(&answer(409, "AlreadyExists")) && !is_conflict(&answer(409, "AlreadyExists")));
        assert!(is_conflict(&answer(409, "Conflict")) && !is_exists(&answer(409, "Conflict")));
        assert!(is_not_found(&answer(404, "NotFound")));
        assert_eq!(message(&answer(500, "InternalError")), "m");
    }

    #[test]
    fn display_does_not_repeat_the_source() {
        let error = Err::<(), _>(answer(500, "x")).at(|| "create pod".to_owned()).unwrap_err();
        assert_eq!(error.to_string(), "create pod");
        assert!(!error.is_conflict() && !error.is_final());
    }
}
