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

/// Which steps a plugin takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It changes objects.
    Admit,
    /// It judges them.
    Validate,
    /// It does both.
    Both,
}

impl Part {
    fn is_in(self, step: Step) -> bool {
        match step {
            Step::Admit => self != Self::Validate,
            Step::Validate => self != Self::Admit,
        }
    }
}

/// Is told how long something of admission takes.
pub trait Observer: Send + Sync {
    /// It has run.
    fn ran(&self, ran: &Ran);
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

/// A plugin in its place.
pub struct Link {
    /// The plugin.
    pub plugin: Box<dyn Plugin>,
    /// The steps that it is asked in.
    pub part: Part,
    /// Who is told how long it takes.
    pub observer: Arc<dyn Observer>,
}

/// The configured plugins in upstream's order.
#[derive(Default)]
pub struct Chain {
    /// The plugins.
    pub links: Vec<Link>,
    /// Who is told how long all of them take, or those up to one that refuses.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Chain {
    /// Runs all mutating steps; a second time if somebody has to see what others changed.
    pub async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let (mut clock, operation) = (Clock::start(), attributes.operation);
        let result = self.admit_all(attributes).await;
        if let Some(observer) = &self.observer {
            observer.ran(&clock.ran(Step::Admit, operation, &result));
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
        let mut clock = Clock::start();
        for link in self.links.iter().filter(|link| link.part.is_in(Step::Admit)) {
            if link.plugin.handles(attributes.operation, attributes.context) {
                let operation = attributes.operation;
                let result = link.plugin.admit(attributes).await;
                link.observer.ran(&clock.ran(Step::Admit, operation, &result));
                result?;
            }
        }
        Ok(())
    }

    /// Runs all validating steps.
    pub async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let mut clock = Clock::start();
        let result = self.validate_all(attributes).await;
        if let Some(observer) = &self.observer {
            observer.ran(&clock.ran(Step::Validate, attributes.operation, &result));
        }
        result
    }

    async fn validate_all(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let mut clock = Clock::start();
        for link in self.links.iter().filter(|link| link.part.is_in(Step::Validate)) {
            if link.plugin.handles(attributes.operation, attributes.context) {
                let result = link.plugin.validate(attributes).await;
                link.observer.ran(&clock.ran(Step::Validate, attributes.operation, &result));
                result?;
            }
        }
        Ok(())
    }
}

/// Measures what runs one after the other: the end of one is the beginning of the next.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn ran(&mut self, step: Step, operation: Operation, result: &Result<(), Status>) -> Ran {
        let began = std::mem::replace(&mut self.0, Instant::now());
        Ran { step, operation, rejected: result.is_err(), elapsed: self.0 - began }
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.links.iter().map(|link| link.plugin.name())).finish()
    }
}
