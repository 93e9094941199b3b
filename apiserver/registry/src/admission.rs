//! The contract between the registry and admission plugins, which live in `apiserver-admission`.
//!
//! Upstream: `apiserver/pkg/admission/interfaces.go`.

use crate::{Context, Registry};
use apimachinery::Value;
use apimachinery::status::Status;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// The resources, for those who look at other versions of the object.
    pub registry: &'a Registry,
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
    /// Who has to be asked again, as others changed the object after they had seen it.
    pub reinvocation: Reinvocation,
}

/// What the mutating plugins that call out remember of each other during one request.
///
/// Upstream: `apiserver/pkg/admission/{reinvocation,attributes}.go`.
#[derive(Debug, Default)]
pub struct Reinvocation {
    round: Round,
    /// Something changed the object after somebody who wants to know of that had seen it.
    wanted: bool,
    /// Who wants to see later changes and has seen the object in the first round.
    seen: Vec<String>,
    /// Who has to be asked in the second round.
    due: Vec<String>,
}

/// How often the mutating plugins have run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Round {
    /// For the first time.
    #[default]
    First,
    /// Again, as somebody wants to see what others have changed.
    Second,
}

impl Reinvocation {
    /// The round.
    pub fn round(&self) -> Round {
        self.round
    }

    /// Whether somebody has to be asked in this round.
    pub fn is_due(&self, who: &str) -> bool {
        self.round == Round::First || self.due.iter().any(|due| due == who)
    }

    /// Somebody who wants to see later changes has seen the object.
    pub fn saw(&mut self, who: &str) {
        self.seen.push(who.to_owned());
    }

    /// Somebody changed the object: who has seen it before has to see it again.
    pub fn changed(&mut self, by: &str) {
        let others: Vec<String> = self.seen.iter().filter(|seen| *seen != by).cloned().collect();
        self.wanted |= !others.is_empty() || self.round == Round::First;
        for other in others {
            if !self.due.contains(&other) {
                self.due.push(other);
            }
        }
    }
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

/// A step of admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Objects are changed.
    Admit,
    /// Objects are judged.
    Validate,
}

/// Is told how long admission takes.
pub trait Observer: Send + Sync {
    /// A plugin has run.
    fn plugin(&self, name: &'static str, ran: &Ran);

    /// All plugins have run, or the request was refused by one of them.
    fn step(&self, ran: &Ran);
}

/// What has run.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Ran {
    pub step: Step,
    pub operation: Operation,
    pub rejected: bool,
    pub elapsed: Duration,
}

/// The configured plugins in upstream's order.
#[derive(Default)]
pub struct Chain {
    /// The plugins.
    pub plugins: Vec<Box<dyn Plugin>>,
    /// Who is told how long they take.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Chain {
    /// Runs all mutating steps; a second time if somebody has to see what others changed.
    pub async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let (started, operation) = (Instant::now(), attributes.operation);
        let result = self.admit_all(attributes).await;
        if let Some(observer) = &self.observer {
            observer.step(&ran(Step::Admit, operation, started, &result));
        }
        result
    }

    async fn admit_all(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        self.admit_once(attributes).await?;
        if !attributes.reinvocation.wanted {
            return Ok(());
        }
        attributes.reinvocation.round = Round::Second;
        self.admit_once(attributes).await
    }

    async fn admit_once(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        for plugin in &self.plugins {
            if plugin.handles(attributes.operation, attributes.context) {
                let (started, operation) = (Instant::now(), attributes.operation);
                let result = plugin.admit(attributes).await;
                if let Some(observer) = &self.observer {
                    observer.plugin(plugin.name(), &ran(Step::Admit, operation, started, &result));
                }
                result?;
            }
        }
        Ok(())
    }

    /// Runs all validating steps.
    pub async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let started = Instant::now();
        let result = self.validate_all(attributes).await;
        if let Some(observer) = &self.observer {
            observer.step(&ran(Step::Validate, attributes.operation, started, &result));
        }
        result
    }

    async fn validate_all(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        for plugin in self.plugins.iter().filter(|p| p.handles(attributes.operation, attributes.context)) {
            let started = Instant::now();
            let result = plugin.validate(attributes).await;
            if let Some(observer) = &self.observer {
                observer.plugin(plugin.name(), &ran(Step::Validate, attributes.operation, started, &result));
            }
            result?;
        }
        Ok(())
    }
}

fn ran(step: Step, operation: Operation, started: Instant, result: &Result<(), Status>) -> Ran {
    Ran { step, operation, rejected: result.is_err(), elapsed: started.elapsed() }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.plugins.iter().map(|p| p.name())).finish()
    }
}
