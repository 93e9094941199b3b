//! Whether rules compile, and are cheap enough for any object that their schema allows.
//!
//! Upstream: the last part of `ValidateCustomResourceDefinitionOpenAPISchema` in
//! `apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`.

use super::costs::{Count, LIMIT, Total, message};
use super::{Compiled, Rule, Rules};
use crate::schema::sizes::Declared;
use crate::schema::{Additional, ListType, Node};
use apimachinery::field::FieldError;
use cel::Program;
use rules::validation::check::{At, Report, Show};

/// What is wrong with the rules of a schema, and what they cost together. Above what is `broken`
/// otherwise, rules are not looked at.
pub fn check(root: &Node, at: &At<'_>, broken: &[FieldError], out: &mut Report) -> Total {
    let mut broken: Vec<String> = broken.iter().map(|error| error.path.to_string()).collect();
    broken.sort_unstable();
    let mut checker = Checker { broken, total: Total::default(), out };
    checker.visit(root, at, Scope { is_root: true, count: Count::AtMost(1), uncorrelatable: None });
    checker.total
}

/// What places inherit from those around.
#[derive(Clone, Copy)]
struct Scope<'a> {
    is_root: bool,
    count: Count,
    /// The outermost place whose members have no old values: a list whose elements have no identity, or
    /// an object that is replaced as a whole.
    uncorrelatable: Option<&'a At<'a>>,
}

struct Checker<'o> {
    /// Where the schema is wrong otherwise, sorted.
    broken: Vec<String>,
    total: Total,
    out: &'o mut Report,
}

/// A rule as errors show it: upstream's inner type as JSON.
struct Shown<'a>(&'a Rule);

impl Show for &Shown<'_> {
    fn show(&self) -> String {
        let Shown(rule) = self;
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let reason = if rule.reason.is_empty() { "null".to_owned() } else { text(&rule.reason) };
        let optional = rule.optional_old.map_or("null".to_owned(), |optional| optional.to_string());
        format!(
            r#"{{"Rule":{},"Message":{},"MessageExpression":{},"Reason":{reason},"FieldPath":{},"OptionalOldSelf":{optional}}}"#,
            text(&rule.source),
            text(&rule.message),
            text(&rule.expression),
            text(&rule.field_path),
        )
    }
}

/// A rule's surroundings.
struct Context<'a> {
    rules: &'a Rules,
    declared: &'a Declared,
    scope: Scope<'a>,
}

impl Checker<'_> {
    fn visit(&mut self, node: &Node, at: &At<'_>, scope: Scope<'_>) {
        let below = Scope { is_root: false, count: scope.count.below(node), ..scope };
        let unless = |correlatable: bool| below.uncorrelatable.or((!correlatable).then_some(at));
        if let Additional::Schema(values) = &node.additional {
            self.visit(values, &at.child("additionalProperties"), below);
        }
        let properties = at.child("properties");
        let of_properties = Scope { uncorrelatable: unless(node.has_correlatable_members()), ..below };
        for (name, property) in &node.properties {
            self.visit(property, &properties.key(name), of_properties);
        }
        if let Some(items) = &node.items {
            let of_items = Scope { uncorrelatable: unless(node.extensions.list_type == ListType::Map), ..below };
            self.visit(items, &at.child("items"), of_items);
        }
        if let Some(rules) = &node.rules
            && !self.is_broken(at)
        {
            self.rules(rules, node, &at.child("x-kubernetes-validations"), scope);
        }
    }

    /// Whether the schema is wrong there, or below.
    fn is_broken(&self, at: &At<'_>) -> bool {
        if self.broken.is_empty() {
            return false;
        }
        let path = at.path().to_string();
        let first = self.broken.partition_point(|broken| *broken < path);
        self.broken.get(first).is_some_and(|broken| broken.starts_with(&path))
    }

    fn rules(&mut self, rules: &Rules, node: &Node, at: &At<'_>, scope: Scope<'_>) {
        let Some(declared) = Declared::of(node, scope.is_root || node.extensions.is_embedded) else {
            let why = "internal error: failed to construct type information for x-kubernetes-validations rules: unable \
                       to convert structural schema to CEL declarations";
            return self.out.internal(at, why);
        };
        let context = Context { rules, declared: &declared, scope };
        for (index, rule) in rules.rules.iter().enumerate().filter(|(_, rule)| !rule.source.trim().is_empty()) {
            self.rule(rule, &at.index(index), &context);
        }
    }

    fn rule(&mut self, rule: &Rule, at: &At<'_>, context: &Context<'_>) {
        let shown = Shown(rule);
        match &rule.program.0 {
            Err(why) => self.out.invalid(&at.child("rule"), &shown, why.to_string()),
            Ok(program) if !matches!(program.result_type(), cel::Type::Bool) => {
                self.out.invalid(&at.child("rule"), &shown, "cel expression must evaluate to a bool");
            }
            Ok(program) => {
                let each = context.estimate(rule, program);
                let cost = context.scope.count.times(each, context.declared.fewest_bytes);
                self.cost("estimated rule cost", &at.child("rule"), cost);
                self.message(rule, at, context);
            }
        }
        self.old_value(rule, at, context.scope);
    }

    /// What failures are explained by.
    fn message(&mut self, rule: &Rule, at: &At<'_>, context: &Context<'_>) {
        let Some(Compiled(compiled)) = &rule.message_expression else { return };
        let at = at.child("messageExpression");
        let shown = Shown(rule);
        match compiled {
            Err(why) => self.out.invalid(&at, &shown, why.to_string()),
            Ok(program) if !matches!(program.result_type(), cel::Type::String) => {
                self.out.invalid(&at, &shown, "messageExpression must evaluate to a string");
            }
            // One failure is explained, wherever it is.
            Ok(program) => self.cost("estimated messageExpression cost", &at, context.estimate(rule, program)),
        }
    }

    fn cost(&mut self, what: &str, at: &At<'_>, cost: u64) {
        if cost > LIMIT {
            self.out.forbidden(at, message(what, cost, LIMIT));
        }
        self.total.add(at, cost);
    }

    fn old_value(&mut self, rule: &Rule, at: &At<'_>, scope: Scope<'_>) {
        match (rule.uses_old(), scope.uncorrelatable, rule.optional_old) {
            (true, Some(place), _) => {
                let place = place.path();
                let why = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {place}");
                self.out.invalid(&at.child("rule"), &*rule.source, why);
            }
            (false, _, Some(optional)) => {
                let why = "may not be set if oldSelf is not used in rule";
                self.out.invalid(&at.child("optionalOldSelf"), optional, why);
            }
            _ => {}
        }
    }
}

impl Context<'_> {
    /// The most that an expression costs on one value.
    fn estimate(&self, rule: &Rule, program: &Program) -> u64 {
        let environment = self.rules.view.environment(rule.optional_old == Some(true));
        cel::estimate(program, &environment, self.declared).max
    }
}

#[cfg(test)]
mod tests;
