//! Running templates. Upstream: Go's `text/template/exec.go`.

use super::{Branch, EvalError, Node, Pipe, Template, Term, TermKind, Val, format, functions, position};
use apimachinery::Value;
use std::borrow::Cow;
use std::ops::ControlFlow;

/// Templates that call templates.
const MAX_DEPTH: usize = 200;

/// Text that a template may make.
const MAX_OUTPUT: usize = 1 << 30;

/// Renders; what came before an error is kept.
pub(super) fn run(template: &Template, object: &Value) -> (String, Result<(), EvalError>) {
    let mut state = State { template, out: String::new(), variables: Vec::new(), depth: 0 };
    let dot = Val::Data(Cow::Borrowed(object));
    state.variables.push(("$".into(), dot.clone()));
    let outcome = state.nodes(&template.body, &dot);
    (state.out, outcome.map(drop))
}

struct State<'a> {
    template: &'a Template,
    out: String,
    variables: Vec<(String, Val<'a>)>,
    depth: usize,
}

/// What `break` and `continue` leave.
enum Jump {
    Break,
    Continue,
}

type Flow = ControlFlow<Jump>;

impl<'a> State<'a> {
    fn fail(&self, at: usize, text: &str, what: impl Into<String>) -> EvalError {
        let (line, column) = position(&self.template.source, at);
        EvalError { line, column, at: text.to_owned(), what: what.into() }
    }

    fn nodes(&mut self, nodes: &'a [Node], dot: &Val<'a>) -> Result<Flow, EvalError> {
        let scope = self.variables.len();
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow.is_break() {
                self.variables.truncate(scope);
                return Ok(flow);
            }
        }
        Ok(Flow::Continue(()))
    }

    fn node(&mut self, node: &'a Node, dot: &Val<'a>) -> Result<Flow, EvalError> {
        let scope = self.variables.len();
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    format::write(&mut self.out, &value);
                }
                return Ok(Flow::Continue(()));
            }
            Node::If(branch) | Node::With(branch) => {
                let value = self.pipe(&branch.pipe, dot)?;
                let inner = if matches!(node, Node::With(_)) { &value } else { dot };
                let flow = match value.is_true() {
                    true => self.nodes(&branch.then, inner)?,
                    false => self.nodes(&branch.otherwise, dot)?,
                };
                self.variables.truncate(scope);
                return Ok(flow);
            }
            Node::Range(branch) => {
                self.range(branch, dot)?;
                self.variables.truncate(scope);
            }
            Node::Template { name, pipe } => self.call(name, pipe.as_ref(), dot)?,
            Node::Break => return Ok(Flow::Break(Jump::Break)),
            Node::Continue => return Ok(Flow::Break(Jump::Continue)),
        }
        Ok(Flow::Continue(()))
    }

    fn range(&mut self, branch: &'a Branch, dot: &Val<'a>) -> Result<(), EvalError> {
        let value = self.pipe(&branch.pipe, dot)?;
        // A loop's variables are set anew for each element.
        let elements = match elements(&value) {
            Some(elements) => elements,
            None => {
                let text = branch.pipe.commands.first().and_then(|c| c.first());
                let (at, text) = text.map_or((0, ""), |t| (t.at, t.text.as_str()));
                return Err(self.fail(at, text, format!("range can't iterate over {}", format::text(&value))));
            }
        };
        if elements.is_empty() {
            return self.nodes(&branch.otherwise, dot).map(drop);
        }
        for (key, element) in elements {
            let scope = self.variables.len();
            match branch.pipe.variables.as_slice() {
                [one] => self.set(one, element.clone(), branch.pipe.assigns),
                [first, second] => {
                    self.set(first, key, branch.pipe.assigns);
                    self.set(second, element.clone(), branch.pipe.assigns);
                }
                _ => {}
            }
            let flow = self.nodes(&branch.then, &element)?;
            self.variables.truncate(scope);
            if let Flow::Break(Jump::Break) = flow {
                break;
            }
            if self.out.len() > MAX_OUTPUT {
                return Err(self.fail(0, "range", "the output is too long"));
            }
        }
        Ok(())
    }

    fn call(&mut self, name: &str, pipe: Option<&'a Pipe>, dot: &Val<'a>) -> Result<(), EvalError> {
        let template = self.template;
        let Some(body) = template.defined.get(name) else {
            return Err(self.fail(0, &format!("{{{{template {name:?}}}}}"), format!("template {name:?} not defined")));
        };
        if self.depth >= MAX_DEPTH {
            return Err(self.fail(0, name, format!("exceeded maximum template depth ({MAX_DEPTH})")));
        }
        let dot = match pipe {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Val::Missing,
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$".into(), dot.clone())]);
        self.depth += 1;
        let _flow = self.nodes(body, &dot)?;
        self.depth -= 1;
        self.variables = outer;
        Ok(())
    }

    /// Declares a variable, or gives one a new value.
    fn set(&mut self, name: &str, value: Val<'a>, assigns: bool) {
        match self.variables.iter_mut().rev().find(|(n, _)| assigns && n == name) {
            Some((_, old)) => *old = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    fn pipe(&mut self, pipe: &'a Pipe, dot: &Val<'a>) -> Result<Val<'a>, EvalError> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Val::Missing);
        // A loop sets its variables itself.
        if let [name] = pipe.variables.as_slice() {
            self.set(name, value.clone(), pipe.assigns);
        }
        Ok(value)
    }

    fn command(&mut self, terms: &'a [Term], dot: &Val<'a>, last: Option<Val<'a>>) -> Result<Val<'a>, EvalError> {
        let Some((first, rest)) = terms.split_first() else { return Ok(Val::Missing) };
        if let TermKind::Function(name) = &first.kind {
            return self.function(name, terms, dot, last);
        }
        if !rest.is_empty() || last.is_some() {
            let what = match &first.kind {
                TermKind::Field(names) => {
                    format!("{} has arguments but cannot be invoked as function", names.join("."))
                }
                _ => format!("can't give argument to non-function {}", first.text),
            };
            return Err(self.fail(first.at, &first.text, what));
        }
        match first.kind {
            TermKind::Nil => Err(self.fail(first.at, "nil", "nil is not a command")),
            _ => self.term(first, dot),
        }
    }

    fn function(
        &mut self,
        name: &str,
        terms: &'a [Term],
        dot: &Val<'a>,
        last: Option<Val<'a>>,
    ) -> Result<Val<'a>, EvalError> {
        let mut arguments = Vec::new();
        for term in &terms[1..] {
            let value = self.term(term, dot)?;
            // `and` and `or` stop as soon as they know.
            let decided = match name {
                "and" => !value.is_true(),
                "or" => value.is_true(),
                _ => false,
            };
            if decided {
                return Ok(value);
            }
            arguments.push(value);
        }
        arguments.extend(last);
        let first = &terms[0];
        let text = || terms.iter().map(|t| t.text.as_str()).collect::<Vec<_>>().join(" ");
        functions::call(name, arguments).map_err(|error| match error {
            functions::CallError::Count { want, got } => {
                self.fail(first.at, &first.text, format!("wrong number of args for {name}: want {want} got {got}"))
            }
            functions::CallError::Failed(what) => self.fail(first.at, &text(), format!("error calling {name}: {what}")),
        })
    }

    fn term(&mut self, term: &'a Term, dot: &Val<'a>) -> Result<Val<'a>, EvalError> {
        match &term.kind {
            TermKind::Dot => Ok(dot.clone()),
            TermKind::Nil => Ok(Val::Data(Cow::Owned(Value::Null))),
            TermKind::Constant(value) => Ok(value.clone()),
            TermKind::Field(names) => self.fields(dot.clone(), names, term),
            TermKind::Variable(name, names) => {
                let value = self.variables.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
                self.fields(value.unwrap_or(Val::Missing), names, term)
            }
            TermKind::Function(name) => self.function(name, std::slice::from_ref(term), dot, None),
            TermKind::Pipe(pipe, names) => {
                let value = self.pipe(pipe, dot)?;
                self.fields(value, names, term)
            }
        }
    }

    fn fields(&self, value: Val<'a>, names: &[String], term: &Term) -> Result<Val<'a>, EvalError> {
        let mut value = value;
        let last_dot = term.text.rfind('.').unwrap_or(0);
        let at = if names.len() > 1 { term.at + last_dot } else { term.at };
        for name in names {
            let fail = |what: String| Err(self.fail(at, &term.text, what));
            value = match value {
                Val::Missing if self.template.allow_missing => Val::Missing,
                Val::Missing => return fail(format!("nil data; no entry for key {name:?}")),
                Val::Data(data) if data.is_null() => {
                    return fail(format!("nil pointer evaluating interface {{}}.{name}"));
                }
                Val::Data(data) if data.is_object() => match get(data, name) {
                    Some(found) => Val::Data(found),
                    None if self.template.allow_missing => Val::Missing,
                    None => return fail(format!("map has no entry for key {name:?}")),
                },
                _ => return fail(format!("can't evaluate field {name} in type interface {{}}")),
            };
        }
        Ok(value)
    }
}

fn get<'a>(data: Cow<'a, Value>, name: &str) -> Option<Cow<'a, Value>> {
    match data {
        Cow::Borrowed(data) => data.get(name).map(Cow::Borrowed),
        Cow::Owned(mut data) => data.get_mut(name).map(|v| Cow::Owned(v.take())),
    }
}

/// What a loop runs over: index or key, and element.
fn elements<'a>(value: &Val<'a>) -> Option<Vec<(Val<'a>, Val<'a>)>> {
    let index = |i: usize| Val::Int(i64::try_from(i).unwrap_or(i64::MAX));
    match value {
        Val::Missing => Some(Vec::new()),
        Val::Int(count) => Some((0..(*count).clamp(0, 1 << 20)).map(|i| (Val::Int(i), Val::Int(i))).collect()),
        Val::Data(data) => match data {
            Cow::Borrowed(Value::Array(list)) => {
                Some(list.iter().enumerate().map(|(i, v)| (index(i), Val::Data(Cow::Borrowed(v)))).collect())
            }
            Cow::Borrowed(Value::Object(map)) => {
                Some(map.iter().map(|(k, v)| (Val::text(k.as_str()), Val::Data(Cow::Borrowed(v)))).collect())
            }
            Cow::Owned(Value::Array(list)) => {
                Some(list.iter().enumerate().map(|(i, v)| (index(i), Val::Data(Cow::Owned(v.clone())))).collect())
            }
            Cow::Owned(Value::Object(map)) => {
                Some(map.iter().map(|(k, v)| (Val::text(k.as_str()), Val::Data(Cow::Owned(v.clone())))).collect())
            }
            other if other.is_null() => Some(Vec::new()),
            _ => None,
        },
    }
}
