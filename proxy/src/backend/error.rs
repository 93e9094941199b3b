//! Why rules could not be applied or read.

use component::program::ProgramError;

/// Why rules could not be applied or read.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// A program did not do its work.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The proxy cannot listen for a port.
    #[error("cannot listen for {port}")]
    Listen {
        /// Name of the port.
        port: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The kernel refused, asked without a program.
    #[error("ipvs: cannot {what}")]
    Kernel {
        /// What was to be done.
        what: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}
