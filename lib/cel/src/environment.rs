//! What an expression may name.

use crate::Type;
use std::collections::BTreeMap;

/// Variables and their types, and which objects may be built.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, Type>,
    mutations: bool,
}

impl Environment {
    /// Without any variable.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a variable.
    #[must_use]
    pub fn with(mut self, name: &str, of: Type) -> Self {
        self.variables.insert(name.to_owned(), of);
        self
    }

    /// Lets expressions build `Object{...}` and `JSONPatch{...}`.
    #[must_use]
    pub fn with_mutations(mut self) -> Self {
        self.mutations = true;
        self
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&Type> {
        self.variables.get(name)
    }

    pub(crate) fn has_mutations(&self) -> bool {
        self.mutations
    }
}
