//! A mutating policy, compiled, and what its mutations make of an object.
//!
//! Upstream: `apiserver/pkg/admission/plugin/policy/mutating/{compilation.go,patch}`.

use super::policy::{Head, Policy};
use crate::dynamic::expression::{Expression, ExpressionError};
use crate::dynamic::request::Target;
use crate::dynamic::view::View;
use apimachinery::codec::json::conform;
use apimachinery::schema::TypeRef;
use apimachinery::{Map, Value as Json};
use cel::{Bindings, Budget, EvalError, Value};
use rules::apply::OverlayError;
use rules::patch::PatchError;

/// What one mutation may cost.
const BUDGET: u64 = 10_000_000;

/// A `MutatingAdmissionPolicy`.
#[derive(Debug)]
pub(super) struct MutatingPolicy {
    head: Head,
    pub(super) mutations: Vec<Mutation>,
    pub(super) reinvocation: Reinvoke,
}

/// `reinvocationPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reinvoke {
    Never,
    IfNeeded,
}

/// One mutation.
#[derive(Debug)]
pub(super) enum Mutation {
    /// Its expression gives a configuration that is applied.
    Apply(Expression),
    /// Its expression gives the operations of a JSON patch.
    Patch(Expression),
}

/// Why a mutation does not change an object.
#[derive(Debug, thiserror::Error)]
pub(super) enum MutationError {
    #[error("{0}")]
    Expression(#[from] ExpressionError),
    /// Upstream's words for a program that is refused before it runs.
    #[error("{0}")]
    Compilation(String),
    #[error("type mismatch: {0}")]
    Names(String),
    #[error("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch")]
    NotOperations,
    #[error("JSONPath valueExpression evaluated to a type that could not marshal to JSON: {0}")]
    NotJson(EvalError),
    #[error("error applying patch: {0}")]
    Overlay(OverlayError),
    #[error("JSON Patch: {0}")]
    Patch(PatchError),
    #[error("Internal error occurred: {0}")]
    Misfit(String),
}

impl Policy for MutatingPolicy {
    fn head(&self) -> &Head {
        &self.head
    }
}

impl MutatingPolicy {
    pub(super) fn compile(value: &Json) -> Self {
        let (head, compiler) = Head::compile(value);
        let spec = value.get("spec").unwrap_or(&Json::Null);
        let mutations = spec.get("mutations").and_then(Json::as_array).into_iter().flatten();
        let text = |value: &Json, pointer: &str| value.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
        let mutations = mutations.filter_map(|mutation| match text(mutation, "/patchType")?.as_str() {
            "ApplyConfiguration" => {
                let source = text(mutation, "/applyConfiguration/expression")?;
                Some(Mutation::Apply(Expression::new(&source, compiler.apply_configuration(&source))))
            }
            "JSONPatch" => {
                let source = text(mutation, "/jsonPatch/expression")?;
                Some(Mutation::Patch(Expression::new(&source, compiler.json_patch(&source))))
            }
            _ => None,
        });
        let reinvocation = match text(spec, "/reinvocationPolicy").as_deref() {
            Some("IfNeeded") => Reinvoke::IfNeeded,
            _ => Reinvoke::Never,
        };
        Self { mutations: mutations.collect(), reinvocation, head }
    }

    /// The object as a mutation makes it, with the defaults of what is new.
    pub(super) fn mutated(
        &self,
        mutation: &Mutation,
        view: &View<'_>,
        params: Option<&Json>,
        (target, ty): (&Target, &TypeRef),
    ) -> Result<Json, MutationError> {
        let bindings = view.bindings(params, &self.head.variables);
        let changed = match mutation {
            Mutation::Apply(expression) => applied(expression, &bindings, view.object(), ty)?,
            Mutation::Patch(expression) => match patched(expression, &bindings, view.object())? {
                Some(changed) => changed,
                // A test has failed, so the patch is not for this object.
                None => return Ok(view.object().clone()),
            },
        };
        let decoded = conform(ty, &changed).map_err(|error| MutationError::Misfit(error.to_string()))?;
        if matches!(mutation, Mutation::Patch(_)) && !decoded.findings.is_empty() {
            return Err(MutationError::Misfit(format!("strict decoding error: {}", decoded.findings.join(", "))));
        }
        let mut changed = decoded.value;
        if target.kind() == target.resource.gvk() {
            rules::defaults::apply(&target.resource, &mut changed);
        }
        Ok(changed)
    }
}

fn run<'a>(expression: &'a Expression, bindings: &Bindings<'a>) -> Result<Value<'a>, MutationError> {
    expression.run(bindings, &mut Budget::new(BUDGET)).map_err(|error| match error {
        ExpressionError::Compilation(why) => MutationError::Compilation(why),
        other => MutationError::Expression(other),
    })
}

fn applied<'a>(
    expression: &'a Expression,
    bindings: &Bindings<'a>,
    object: &Json,
    ty: &TypeRef,
) -> Result<Json, MutationError> {
    let value = run(expression, bindings)?;
    if let Some(why) = value.misnamed() {
        return Err(MutationError::Names(why));
    }
    let mut config = value.to_json().map_err(MutationError::NotJson)?;
    for key in ["apiVersion", "kind"] {
        if let (Some(members), Some(of)) = (config.as_object_mut(), object.get(key)) {
            members.insert(key.to_owned(), of.clone());
        }
    }
    rules::apply::overlay(ty, object.clone(), &config).map_err(MutationError::Overlay)
}

/// The patched object; `None` if a test has failed.
fn patched<'a>(
    expression: &'a Expression,
    bindings: &Bindings<'a>,
    object: &Json,
) -> Result<Option<Json>, MutationError> {
    let value = run(expression, bindings)?;
    let list = value.as_list().ok_or(MutationError::NotOperations)?;
    let patch = list.iter().map(|item| operation(&item)).collect::<Result<Json, MutationError>>()?;
    match rules::patch::json::apply(object.clone(), &patch) {
        Ok(changed) => Ok(Some(changed)),
        Err(PatchError::TestFailed(_)) => Ok(None),
        Err(error) => Err(MutationError::Patch(error)),
    }
}

/// One operation as JSON.
fn operation(item: &Value<'_>) -> Result<Json, MutationError> {
    let fields = item.as_map().filter(|map| map.is_object("JSONPatch")).ok_or(MutationError::NotOperations)?;
    let mut operation = Map::new();
    for key in ["op", "path", "from", "value"] {
        let Some(value) = fields.get(key) else { continue };
        if let Some(why) = value.misnamed() {
            return Err(MutationError::Names(why));
        }
        operation.insert(key.to_owned(), value.to_json().map_err(MutationError::NotJson)?);
    }
    Ok(Json::Object(operation))
}
