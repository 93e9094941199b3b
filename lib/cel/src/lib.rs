//! The Common Expression Language as Kubernetes speaks it: compiled against declared types,
//! evaluated within a budget, over JSON as it lies.
//!
//! [`compile`] parses and checks an expression in an [`Environment`]; [`evaluate`] runs the
//! [`Program`] over [`Bindings`] until it ends or the [`Budget`] does; [`estimate`] tells what that may
//! cost, given how large the values may be. No input makes any of them panic, recurse without bound, or
//! run for longer than the budget allows. Invariant: pure.
//!
//! ```
//! let environment = cel::Environment::new().with("object", cel::Type::Dyn);
//! let program = cel::compile("object.spec.replicas <= 5", &environment)?;
//! let object = serde_json::json!({"spec": {"replicas": 3}});
//! let bindings = cel::Bindings::new().with("object", cel::Value::json(&object));
//! let verdict = cel::evaluate(&program, &bindings, &mut cel::Budget::per_call())?;
//! assert_eq!(verdict.as_bool(), Some(true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Upstream: `github.com/google/cel-go`, `apiserver/pkg/cel`.
#![warn(missing_docs)]

mod ast;
mod check;
mod compare;
mod compile;
mod cost;
mod environment;
mod error;
mod escape;
mod estimate;
mod eval;
mod lexer;
mod library;
mod macros;
mod meter;
mod moment;
mod parser;
mod pattern;
mod plan;
mod types;
mod validate;
mod value;

pub use compile::{Program, compile};
pub use environment::Environment;
pub use error::{CompileError, EvalError, Issue};
pub use escape::{escape, is_identifier};
pub use estimate::{Estimate, Sizes, Step, estimate};
pub use eval::{Bindings, Variable, evaluate};
pub use library::authorizer::{Authorize, Check, Subject, Verdict};
pub use meter::Budget;
pub use moment::Moment;
pub use pattern::{pattern, why_no_pattern};
pub use types::{Opaque, Record, Type};
pub use value::{List, Map, Text, Value};
