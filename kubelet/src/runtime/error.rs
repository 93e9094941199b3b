//! Failures of runtime calls, in the words that events and statuses carry.

use std::future::Future;
use std::time::Duration;
use tonic::{Code, Response, Status};

/// A call to the runtime failed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The runtime answered with an error.
    #[error("rpc error: code = {code:?} desc = {message}")]
    Answer { call: &'static str, code: Code, message: String },
    /// It did not answer in time.
    #[error("{call}: no answer from the runtime within {} s", patience.as_secs())]
    Timeout { call: &'static str, patience: Duration },
}

impl RuntimeError {
    /// Whether the thing asked for does not exist (any more).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Answer { code: Code::NotFound, .. })
    }

    /// Whether the runtime does not know the call.
    pub fn is_unimplemented(&self) -> bool {
        matches!(self, Self::Answer { code: Code::Unimplemented, .. })
    }

    /// Whether something ran out of time, here or in the runtime.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Answer { code: Code::DeadlineExceeded, .. })
    }

    /// The text without the gRPC frame.
    pub fn message(&self) -> String {
        match self {
            Self::Answer { message, .. } => message.clone(),
            Self::Timeout { .. } => self.to_string(),
        }
    }
}

/// Awaits one call with a time limit.
pub(super) async fn call<T>(
    patience: Duration,
    name: &'static str,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, RuntimeError> {
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => {
            Err(RuntimeError::Answer { call: name, code: status.code(), message: status.message().to_owned() })
        }
        Err(_) => Err(RuntimeError::Timeout { call: name, patience }),
    }
}
