//! API priority and fairness: which requests wait when there are more than the server can serve.
//!
//! A request is classified by the first [`FlowSchema`] that matches it, which names a priority level
//! and the flow that it belongs to. A level has a number of seats; what finds none waits in a queue,
//! or is refused. [`Fairness::admit`] answers with a [`Ticket`], which holds the seats until it is
//! dropped.
//!
//! Invariant: a request that finds free seats takes one lock, once.
//!
//! Upstream: `apiserver/pkg/util/flowcontrol`.
#![warn(missing_docs)]

mod allocation;
mod config;
mod dump;
mod fairness;
mod follow;
mod level;
mod matching;
pub mod metrics;
mod queues;
mod state;
pub mod width;

pub use config::{FlowSchema, PriorityLevel};
pub use fairness::{Admission, Fairness, Ticket};
pub use matching::Request;
pub use queues::Refusal;
