//! `authorizer`: asks whether somebody may do something.
//!
//! Upstream: `apiserver/pkg/cel/library/authz.go`.

use super::{Function, member, text, wrong};
use crate::cost::{Used, scaled};
use crate::estimate::Estimate;
use crate::estimate::calls::{Asked, Outcome, WALK};
use crate::value::Value;
use crate::{Budget, EvalError};
use std::fmt;
use std::sync::Arc;

/// What expressions ask; the server's authorizer stands behind it.
pub trait Authorize: Send + Sync {
    /// Decides on a check.
    fn authorize(&self, check: &Check) -> Verdict;
}

/// Who is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// The user of the request.
    #[default]
    Requester,
    /// A service account: namespace and name.
    ServiceAccount(String, String),
}

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Whose permission.
    pub subject: Subject,
    /// The path, if it is not about a resource.
    pub path: Option<String>,
    /// The API group.
    pub group: String,
    /// The resource.
    pub resource: String,
    /// The subresource.
    pub subresource: String,
    /// The namespace; empty for all, or for what has none.
    pub namespace: String,
    /// The name; empty for all.
    pub name: String,
    /// A field selector.
    pub field_selector: String,
    /// A label selector.
    pub label_selector: String,
    /// The verb.
    pub verb: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why, as far as the authorizer says.
    pub reason: String,
    /// What went wrong while deciding.
    pub error: Option<String>,
}

/// Where between `authorizer` and its answer a value is.
#[derive(Clone)]
pub struct Authorization<'a> {
    authorizer: &'a dyn Authorize,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Whose permissions, and what `requestResource` is.
    Authorizer(Subject, Arc<Check>),
    Path(Arc<Check>),
    Group(Arc<Check>),
    Resource(Arc<Check>),
    Decision(Arc<Verdict>),
}

impl fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stage.fmt(f)
    }
}

impl<'a> Value<'a> {
    /// The value of the variable `authorizer`; `request` is what `authorizer.requestResource` asks.
    pub fn authorizer(authorizer: &'a dyn Authorize, request: Check) -> Self {
        let stage = Stage::Authorizer(Subject::Requester, Arc::new(request));
        Value::Authorization(Authorization { authorizer, stage })
    }
}

/// What an authorization check costs.
const COST: u64 = 350_000;

const NARROW: &[&str] = &["resourcecheck, string -> resourcecheck"];
const SAY: &[&str] = &["decision -> string"];

/// What a selector costs besides its requirements: a list of them.
const SELECTOR: Estimate = Estimate::exactly(10);

/// A requirement takes two characters at least.
const REQUIREMENTS: f64 = 0.5;

/// A requirement is an object with a list.
const REQUIREMENT: f64 = 50.0;

fn selector(asked: &Asked<'_, '_>) -> Outcome {
    let text = asked.size(1);
    (SELECTOR + text.scaled(WALK) + text.scaled(REQUIREMENTS).scaled(REQUIREMENT)).into()
}

fn parsed(used: &Used<'_, '_>) -> u64 {
    let text = used.size(1);
    SELECTOR.max + scaled(text, WALK) + scaled(scaled(text, REQUIREMENTS), REQUIREMENT)
}

pub(super) const FUNCTIONS: &[Function] = &[
    member("path", &["authorizer, string -> pathcheck"], |a, _| {
        let (asked, subject) = root(a)?;
        if text(a, 1)?.trim().is_empty() {
            return wrong("path must not be empty".into());
        }
        let check = Check { subject, path: Some(text(a, 1)?.to_owned()), ..Check::default() };
        Ok(asked.at(Stage::Path(Arc::new(check))))
    }),
    member("group", &["authorizer, string -> groupcheck"], |a, _| {
        let (asked, subject) = root(a)?;
        let check = Check { subject, group: text(a, 1)?.to_owned(), ..Check::default() };
        Ok(asked.at(Stage::Group(Arc::new(check))))
    }),
    member("serviceAccount", &["authorizer, string, string -> authorizer"], |a, _| {
        let (asked, _) = root(a)?;
        let (namespace, name) = (text(a, 1)?, text(a, 2)?);
        if !super::formats::fits("dns1123Subdomain", name) {
            return wrong("Invalid service account name".into());
        }
        if !super::formats::fits("dns1123Label", namespace) {
            return wrong("Invalid service account namespace".into());
        }
        let subject = Subject::ServiceAccount(namespace.into(), name.into());
        Ok(asked.at(Stage::Authorizer(subject, Arc::default())))
    }),
    member("resource", &["groupcheck, string -> resourcecheck"], |a, _| {
        let Value::Authorization(asked @ Authorization { stage: Stage::Group(check), .. }) = &a[0] else {
            return Err(EvalError::NoOverload);
        };
        let check = Check { resource: text(a, 1)?.to_owned(), ..(**check).clone() };
        Ok(asked.at(Stage::Resource(Arc::new(check))))
    }),
    member("subresource", NARROW, |a, _| narrow(a, |check, text| check.subresource = text)),
    member("namespace", NARROW, |a, _| narrow(a, |check, text| check.namespace = text)),
    member("name", NARROW, |a, _| narrow(a, |check, text| check.name = text)),
    member("fieldSelector", NARROW, |a, _| narrow(a, |check, text| check.field_selector = text))
        .estimated(selector)
        .metered(parsed),
    member("labelSelector", NARROW, |a, _| narrow(a, |check, text| check.label_selector = text))
        .estimated(selector)
        .metered(parsed),
    member("check", &["pathcheck, string -> decision", "resourcecheck, string -> decision"], check)
        .estimated(|_| Estimate::exactly(COST).into())
        .metered(|_| COST),
    member("allowed", &["decision -> bool"], |a, _| Ok(Value::Bool(decision(a)?.allowed))),
    member("errored", &["decision -> bool"], |a, _| Ok(Value::Bool(decision(a)?.error.is_some()))),
    member("reason", SAY, |a, _| Ok(Value::text(decision(a)?.reason.as_str()))),
    member("error", SAY, |a, _| Ok(Value::text(decision(a)?.error.as_deref().unwrap_or_default()))),
];

impl<'a> Authorization<'a> {
    /// `authorizer.requestResource`.
    pub(crate) fn field(&self, name: &str) -> Option<Value<'a>> {
        match (&self.stage, name) {
            (Stage::Authorizer(_, request), "requestResource") => Some(self.at(Stage::Resource(request.clone()))),
            _ => None,
        }
    }

    /// What `type()` says.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.stage {
            Stage::Authorizer(..) => "kubernetes.authorization.Authorizer",
            Stage::Path(_) => "kubernetes.authorization.PathCheck",
            Stage::Group(_) => "kubernetes.authorization.GroupCheck",
            Stage::Resource(_) => "kubernetes.authorization.ResourceCheck",
            Stage::Decision(_) => "kubernetes.authorization.Decision",
        }
    }

    fn at(&self, stage: Stage) -> Value<'a> {
        Value::Authorization(Authorization { authorizer: self.authorizer, stage })
    }
}

fn root<'a, 'b>(a: &'b [Value<'a>]) -> Result<(&'b Authorization<'a>, Subject), EvalError> {
    match &a[0] {
        Value::Authorization(asked @ Authorization { stage: Stage::Authorizer(subject, _), .. }) => {
            Ok((asked, subject.clone()))
        }
        _ => Err(EvalError::NoOverload),
    }
}

fn narrow<'a>(a: &[Value<'a>], set: fn(&mut Check, String)) -> Result<Value<'a>, EvalError> {
    let Value::Authorization(asked @ Authorization { stage: Stage::Resource(check), .. }) = &a[0] else {
        return Err(EvalError::NoOverload);
    };
    let mut check = (**check).clone();
    set(&mut check, text(a, 1)?.to_owned());
    Ok(asked.at(Stage::Resource(Arc::new(check))))
}

fn check<'a>(a: &[Value<'a>], _: &mut Budget) -> Result<Value<'a>, EvalError> {
    let Value::Authorization(asked @ Authorization { stage: Stage::Resource(check) | Stage::Path(check), .. }) = &a[0]
    else {
        return Err(EvalError::NoOverload);
    };
    let check = Check { verb: text(a, 1)?.to_owned(), ..(**check).clone() };
    let verdict = asked.authorizer.authorize(&check);
    Ok(asked.at(Stage::Decision(Arc::new(verdict))))
}

fn decision<'b>(a: &'b [Value<'_>]) -> Result<&'b Verdict, EvalError> {
    match &a[0] {
        Value::Authorization(Authorization { stage: Stage::Decision(verdict), .. }) => Ok(verdict),
        _ => Err(EvalError::NoOverload),
    }
}
