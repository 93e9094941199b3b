//! Chores of the repository, as a library so that they are tested.

pub mod codegen;
pub mod tidy;
