//! The contract between the registry and admission plugins, which live in `apiserver-admission`.
//!
//! Upstream: `apiserver/pkg/admission/interfaces.go`.

use crate::Context;
use apimachinery::Value;
use apimachinery::status::Status;
use async_trait::async_trait;

/// The operation under admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// What a plugin sees of a request.
#[derive(Debug)]
pub struct Attributes<'a> {
    /// The request.
    pub context: &'a Context,
    /// The operation.
    pub operation: Operation,
    /// The object's name (the request's, or the body's on create; may be empty for generateName).
    pub name: &'a str,
    /// The new object in the requested version; `Null` on delete.
    pub object: &'a mut Value,
    /// The old object; `Null` on create and connect.
    pub old_object: &'a Value,
    /// `CreateOptions`, `UpdateOptions`, `DeleteOptions` or the connect options.
    pub options: &'a Value,
}

/// An admission plugin. Mutation runs over all plugins in order, then validation over all.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// Upstream's name, such as `NamespaceLifecycle`.
    fn name(&self) -> &'static str;

    /// Whether the plugin looks at this operation on this resource and subresource at all;
    /// a cheap test that spares the calls below.
    fn handles(&self, _operation: Operation, _context: &Context) -> bool {
        true
    }

    /// May change the object, or refuse the request.
    async fn admit(&self, _attributes: &mut Attributes<'_>) -> Result<(), Status> {
        Ok(())
    }

    /// May refuse the request; sees the object as it will be stored.
    async fn validate(&self, _attributes: &Attributes<'_>) -> Result<(), Status> {
        Ok(())
    }
}

/// The configured plugins in upstream's order.
#[derive(Default)]
pub struct Chain {
    /// The plugins.
    pub plugins: Vec<Box<dyn Plugin>>,
}

impl Chain {
    /// Runs all mutating steps.
    pub async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        for plugin in &self.plugins {
            if plugin.handles(attributes.operation, attributes.context) {
                plugin.admit(attributes).await?;
            }
        }
        Ok(())
    }

    /// Runs all validating steps.
    pub async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        for plugin in self.plugins.iter().filter(|p| p.handles(attributes.operation, attributes.context)) {
            plugin.validate(attributes).await?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.plugins.iter().map(|p| p.name())).finish()
    }
}
