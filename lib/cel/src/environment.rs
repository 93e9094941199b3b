//! What an expression may name.

use crate::Type;
use std::collections::BTreeMap;

/// Variables and their types, and which objects may be built.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, Type>,
    mutations: bool,
    binding: bool,
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

    /// Lets expressions name parts of themselves: `cel.bind(name, value, expression)`.
    #[must_use]
    pub fn with_binding(mut self) -> Self {
        self.binding = true;
        self
    }

    pub(crate) fn has_binding(&self) -> bool {
        self.binding
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&Type> {
        self.variables.get(name)
    }

    pub(crate) fn has_mutations(&self) -> bool {
        self.mutations
    }
}
