//! `x-kubernetes-validations`: CEL rules about a value and, in transitions, the one before it.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/schema/cel/{compilation,validation}.go`.

mod checks;
mod costs;

pub use checks::check;
pub use costs::Total;

use super::{Node, Type};
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind as Kind, Path};
use apimachinery::go::quoted;
use apimachinery::schema::{Schema, Semantics, Shape};
use cel::{Bindings, Budget, CompileError, Environment, EvalError, Program};
use rules::tree::Tree;
use std::sync::Arc;

/// What all rules of an object may cost together, as upstream.
const BUDGET: u64 = 10_000_000;

/// The longest message that an expression may make, in bytes.
const LONGEST_MESSAGE: usize = 5 * 1024;

/// A rule, compiled once for each version of its definition.
#[derive(Clone, Debug)]
struct Rule {
    source: Box<str>,
    message: Box<str>,
    /// The message expression's text.
    expression: Box<str>,
    message_expression: Option<Compiled>,
    reason: Box<str>,
    field_path: Box<str>,
    /// Whether the rule runs without an old value, too.
    optional_old: Option<bool>,
    program: Compiled,
}

/// A program, or why there is none.
#[derive(Clone, Debug)]
struct Compiled(Result<Arc<Program>, Box<str>>);

/// How rules see the value they are about.
#[derive(Clone, Debug)]
struct View {
    schema: Arc<Schema>,
    shape: Shape,
    semantics: Semantics,
}

/// The rules of one level of a schema.
#[derive(Clone, Debug)]
pub struct Rules {
    view: View,
    rules: Vec<Rule>,
}

impl Rules {
    /// Compiles the rules of a schema whose other members have been read; `None` if there are none.
    pub(super) fn read(schema: &Value, node: &Node, is_root: bool) -> Option<Box<Self>> {
        let declared = schema.items("x-kubernetes-validations");
        if declared.is_empty() {
            return None;
        }
        let (schema, shape, semantics) = super::table::view(node, is_root);
        let view = View { schema, shape, semantics };
        let rules = declared.iter().map(|rule| Rule::read(rule, &view)).collect();
        Some(Box::new(Self { view, rules }))
    }
}

impl View {
    /// What rules may name.
    fn environment(&self, optional_old: bool) -> Environment {
        let own = cel::Type::of_shape(&self.schema, &self.shape);
        let old = if optional_old { cel::Type::optional(own.clone()) } else { own.clone() };
        Environment::new().with("self", own).with("oldSelf", old)
    }
}

impl Rule {
    fn read(rule: &Value, view: &View) -> Self {
        let optional = rule.at("optionalOldSelf").and_then(Value::as_bool);
        let environment = view.environment(optional == Some(true));
        let compile = |source: &str, tell: fn(CompileError) -> String| {
            Compiled(cel::compile(source, &environment).map(Arc::new).map_err(|error| tell(error).into()))
        };
        let of_message = |error: CompileError| match error.is_of_constants() {
            true => format!("messageExpression instantiation failed: {error}"),
            false => format!("messageExpression compilation failed: {error}"),
        };
        let expression = rule.text("messageExpression");
        Self {
            source: rule.text("rule").into(),
            message: rule.text("message").into(),
            expression: expression.into(),
            message_expression: (!expression.is_empty()).then(|| compile(expression, of_message)),
            reason: rule.text("reason").into(),
            field_path: rule.text("fieldPath").into(),
            optional_old: optional,
            program: compile(rule.text("rule"), |error| error.reason()),
        }
    }

    /// What errors call it.
    fn told(&self) -> &str {
        if self.message.is_empty() { self.source.trim() } else { self.message.trim() }
    }

    /// What failures are about.
    fn place(&self, path: &Path) -> Path {
        let members = self.field_path.trim().trim_start_matches('.').split('.').filter(|member| !member.is_empty());
        members.fold(path.clone(), |path, member| path.child(member))
    }

    fn uses_old(&self) -> bool {
        self.program.0.as_ref().is_ok_and(|program| program.uses("oldSelf"))
    }
}

/// What the rules of a schema have against a value.
pub fn evaluate(node: &Node, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut run = Run { budget: Budget::new(BUDGET), errors: Vec::new(), has_ended: false };
    run.visit(node, new, old, &Path::default());
    run.errors
}

struct Run {
    budget: Budget,
    errors: Vec<FieldError>,
    /// Whether no further rules run, as what has run was too dear.
    has_ended: bool,
}

/// Why an expression has no value.
enum Ended {
    /// All rules together have no budget left.
    OutOfBudget,
    /// It is too dear on its own.
    TooDear,
    /// It cannot be computed.
    Failed(EvalError),
}

/// What is said when nothing is left.
const OUT_OF_BUDGET: &str = "failed due to running out of cost budget, no further validation rules will be run";

impl Run {
    fn visit(&mut self, node: &Node, new: &Value, old: Option<&Value>, path: &Path) {
        if new.is_null() || self.has_ended {
            return;
        }
        if let Some(rules) = &node.rules {
            if self.budget.left() == 0 {
                return self.end(node, path, format!("validation {OUT_OF_BUDGET}"));
            }
            rules.rules.iter().for_each(|rule| self.apply(rule, &rules.view, node, new, old, path));
        }
        match new {
            Value::Object(map) => {
                let old = old.filter(|_| node.has_correlatable_members());
                for (key, value) in map {
                    let place =
                        if node.properties.contains_key(key.as_str()) { path.child(key) } else { path.key(key) };
                    if let Some(member) = node.member(key) {
                        self.visit(member, value, old.and_then(|old| old.get(key)), &place);
                    }
                }
            }
            Value::Array(list) => {
                let Some(items) = &node.items else { return };
                for (index, value) in list.iter().enumerate() {
                    self.visit(items, value, super::validate::counterpart(node, value, old), &path.index(index));
                }
            }
            _ => {}
        }
    }

    fn apply<'a>(
        &mut self,
        rule: &'a Rule,
        view: &'a View,
        node: &Node,
        new: &'a Value,
        old: Option<&'a Value>,
        path: &Path,
    ) {
        let Ok(program) = &rule.program.0 else { return };
        if self.has_ended {
            return;
        }
        let optional = rule.optional_old == Some(true);
        let is_transition = rule.uses_old();
        // What has not changed may stay, unless the rule is about changes.
        if is_transition && old.is_none() && !optional || !is_transition && old == Some(new) {
            return;
        }
        let value = |json: &'a Value| cel::Value::shaped(json, &view.schema, &view.shape, &view.semantics);
        let mut bindings = Bindings::new().with("self", value(new));
        match (optional, old) {
            (true, old) => {
                bindings = bindings.with("oldSelf", cel::Value::Optional(old.map(|old| Arc::new(value(old)))))
            }
            (false, Some(old)) => bindings = bindings.with("oldSelf", value(old)),
            (false, None) => {}
        }
        let told = rule.told();
        let why = match self.run(program, &bindings) {
            Ok(verdict) if verdict.as_bool() == Some(true) => return,
            Ok(_) => match self.message(rule, &bindings) {
                Ok(message) => return self.errors.push(refusal(rule, node, new, path, message)),
                Err(why) => return self.end(node, &rule.place(path), why),
            },
            Err(Ended::OutOfBudget) => return self.end(node, path, format!("validation {OUT_OF_BUDGET}")),
            Err(Ended::TooDear) => {
                let why = "no further validation rules will be run due to call cost exceeds limit for rule";
                return self.end(node, path, format!("'{}': {why}: {told}", EvalError::OverBudget));
            }
            // Types that are only known while it runs have kept the compiler from telling more.
            Err(Ended::Failed(error)) if error.to_string().starts_with("no such overload") => format!(
                "'{error}': call arguments did not match a supported operator, function or macro signature for rule: \
                 {told}"
            ),
            Err(Ended::Failed(error)) => format!("{error} evaluating rule: {told}"),
        };
        self.errors.push(invalid(node, path.clone(), why));
    }

    /// No rules run after this.
    fn end(&mut self, node: &Node, path: &Path, why: String) {
        self.errors.push(invalid(node, path.clone(), why));
        self.has_ended = true;
    }

    fn run<'a>(&mut self, program: &'a Program, bindings: &Bindings<'a>) -> Result<cel::Value<'a>, Ended> {
        let mut call = self.budget.call();
        let result = cel::evaluate(program, bindings, &mut call);
        self.budget.settle(&call);
        result.map_err(|error| match error {
            EvalError::OverBudget if self.budget.is_exhausted() => Ended::OutOfBudget,
            EvalError::OverBudget => Ended::TooDear,
            error => Ended::Failed(error),
        })
    }

    /// The rule's own words; if they cannot be computed, the next best. What is too dear is an error.
    fn message<'a>(&mut self, rule: &'a Rule, bindings: &Bindings<'a>) -> Result<String, String> {
        let otherwise = || match rule.message.trim() {
            "" => format!("failed rule: {}", rule.source.trim()),
            text => text.to_owned(),
        };
        let Some(Compiled(Ok(program))) = &rule.message_expression else { return Ok(otherwise()) };
        match self.run(program, bindings) {
            Ok(text) => {
                let is_fit = |text: &&str| !text.is_empty() && !text.contains('\n') && text.len() <= LONGEST_MESSAGE;
                let text = text.as_str().map(str::trim).filter(is_fit);
                Ok(text.map_or_else(otherwise, str::to_owned))
            }
            Err(Ended::Failed(_)) => Ok(otherwise()),
            Err(Ended::OutOfBudget) => Err(format!("messageExpression evaluation {OUT_OF_BUDGET}")),
            Err(Ended::TooDear) => Err(format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {:?}",
                program.source()
            )),
        }
    }
}

/// What a rule that does not hold has against a value. It tells the value, if it is none that has others in it.
fn refusal(rule: &Rule, node: &Node, value: &Value, path: &Path, why: String) -> FieldError {
    let kind = match (&*rule.reason, told(node, value)) {
        ("FieldValueRequired", _) => Kind::Required(why),
        ("FieldValueForbidden", _) => Kind::Forbidden(why),
        ("FieldValueDuplicate", value) => Kind::Duplicate(value.unwrap_or_else(|| quoted(type_name(node)))),
        (_, Some(value)) => Kind::Invalid(value, why),
        (_, None) => Kind::Invalid(why, String::new()),
    };
    placed(rule.place(path), kind)
}

/// A value as Go prints it; `None` for objects and lists.
fn told(node: &Node, value: &Value) -> Option<String> {
    match value {
        _ if matches!(node.ty, Some(Type::Object | Type::Array)) => None,
        Value::String(text) => Some(quoted(text)),
        Value::Object(_) | Value::Array(_) => None,
        other => Some(other.to_string()),
    }
}

fn invalid(node: &Node, path: Path, why: String) -> FieldError {
    placed(path, Kind::Invalid(format!("{:?}", type_name(node)), why))
}

fn placed(path: Path, kind: Kind) -> FieldError {
    let path = if path == Path::default() { Path::new("<nil>") } else { path };
    FieldError { path, kind }
}

fn type_name(node: &Node) -> &'static str {
    match node.ty {
        Some(Type::Object) => "object",
        Some(Type::Array) => "array",
        Some(Type::String) => "string",
        Some(Type::Integer) => "integer",
        Some(Type::Number) => "number",
        Some(Type::Boolean) => "boolean",
        Some(Type::Unknown) | None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::node;
    use serde_json::json;

    fn texts(schema: Value, new: Value, old: Option<Value>) -> Vec<String> {
        let root = node(json!({"type": "object", "properties": {"spec": schema}}));
        let wrap = |spec: Value| json!({"spec": spec});
        let old = old.map(wrap);
        evaluate(&root, &wrap(new), old.as_ref()).iter().map(ToString::to_string).collect()
    }

    fn numbers(rules: Value) -> Value {
        json!({"type": "object", "x-kubernetes-validations": rules,
            "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}}})
    }

    #[test]
    fn rules_hold_or_say_why() {
        let schema = |rule: Value| numbers(json!([rule]));
        let (good, bad) = (json!({"min": 1, "max": 2}), json!({"min": 3, "max": 2}));
        let rule = json!({"rule": "self.min <= self.max"});
        assert_eq!(texts(schema(rule.clone()), good, None), [""; 0]);
        assert_eq!(texts(schema(rule), bad.clone(), None), ["spec: Invalid value: failed rule: self.min <= self.max"]);
        for (rule, want) in [
            (json!({"rule": "false", "message": "never"}), "spec: Invalid value: never"),
            (
                json!({"rule": "false", "messageExpression": "'min is ' + string(self.min)"}),
                "spec: Invalid value: min is 3",
            ),
            (
                json!({"rule": "false", "message": "m", "reason": "FieldValueForbidden", "fieldPath": ".min"}),
                "spec.min: Forbidden: m",
            ),
        ] {
            assert_eq!(texts(schema(rule), bad.clone(), None), [want]);
        }
    }

    #[test]
    fn values_without_parts_are_told() {
        let of = |ty: &str| json!({"type": ty, "x-kubernetes-validations": [{"rule": "false", "message": "m"}]});
        for (ty, value, want) in [
            ("string", json!("a\n"), r#"spec: Invalid value: "a\n": m"#),
            ("integer", json!(-5), "spec: Invalid value: -5: m"),
            ("boolean", json!(true), "spec: Invalid value: true: m"),
        ] {
            assert_eq!(texts(of(ty), value, None), [want]);
        }
    }

    #[test]
    fn what_is_too_dear_ends_it() {
        let numbers = |count: usize| (0..count).collect::<Vec<_>>();
        let schema = |rule: &str, more: Value| {
            let mut rules = vec![json!({"rule": rule})];
            rules.extend(more.as_array().cloned().unwrap_or_default());
            let list = json!({"type": "array", "items": {"type": "integer"}});
            json!({"type": "object", "x-kubernetes-validations": rules, "properties": {"list": list}})
        };
        let dear = "self.list.all(x, self.list.all(y, x + y >= 0))";
        // A walk within a walk costs some seven for each pair.
        let limit = format!(
            r#"spec: Invalid value: "object": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: {dear}"#
        );
        let never = json!([{"rule": "false"}]);
        assert_eq!(texts(schema(dear, never.clone()), json!({"list": numbers(400)}), None), [limit]);
        let budget = r#"spec: Invalid value: "object": validation failed due to running out of cost budget, no further validation rules will be run"#;
        let again: Vec<Value> = (0..20).map(|_| json!({"rule": dear})).chain([json!({"rule": "false"})]).collect();
        assert_eq!(texts(schema(dear, json!(again)), json!({"list": numbers(300)}), None), [budget]);
        for (rule, want) in [
            ("self.list[5] == 1", "index out of bounds: 5 evaluating rule: self.list[5] == 1"),
            (
                "dyn(self.list) > dyn(1)",
                "'no such overload: _>_': call arguments did not match a supported operator, function or macro signature \
                 for rule: dyn(self.list) > dyn(1)",
            ),
        ] {
            let found = texts(schema(rule, json!([])), json!({"list": [1]}), None);
            assert_eq!(found, [format!(r#"spec: Invalid value: "object": {want}"#)]);
        }
        let explained = json!([{"rule": "false", "messageExpression": format!("{dear} ? 'a' : 'b'")}]);
        let found = texts(schema("true", explained), json!({"list": numbers(400)}), None);
        assert!(found[0].contains("call cost exceeds limit for messageExpression: \"self.list.all("), "{found:?}");
    }

    #[test]
    fn transitions_need_an_old_value() {
        let schema = numbers(json!([{"rule": "self.min >= oldSelf.min", "message": "shrunk"}]));
        assert_eq!(texts(schema.clone(), json!({"min": 1}), None), [""; 0]);
        assert_eq!(texts(schema.clone(), json!({"min": 2}), Some(json!({"min": 1}))), [""; 0]);
        assert_eq!(texts(schema, json!({"min": 1}), Some(json!({"min": 2}))), ["spec: Invalid value: shrunk"]);
        let optional = numbers(json!([{"rule": "oldSelf.hasValue() || self.min == 0", "optionalOldSelf": true}]));
        assert_eq!(texts(optional.clone(), json!({"min": 1}), None).len(), 1);
        assert_eq!(texts(optional, json!({"min": 1}), Some(json!({"min": 2}))), [""; 0]);
    }
}
