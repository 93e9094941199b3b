//! Go's `text/template` over JSON, with kubectl's functions.
//!
//! Numbers of the object are floats, as Go decodes them; those of the template are integers.
//!
//! Upstream: Go's `text/template`, `cli-runtime/pkg/printers/template.go`.

mod eval;
mod format;
mod functions;
mod lex;
mod parse;

pub use format::print;

use apimachinery::Value;
use std::collections::BTreeMap;

/// A template, read.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    body: Vec<Node>,
    defined: BTreeMap<String, Vec<Node>>,
    allow_missing: bool,
}

/// A template that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: output:{line}: {what}")]
pub struct SyntaxError {
    line: usize,
    what: String,
}

/// An object that does not fit a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: output:{line}:{column}: executing \"output\" at <{at}>: {what}")]
pub struct EvalError {
    line: usize,
    column: usize,
    at: String,
    what: String,
}

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { name: String, pipe: Option<Pipe> },
    Break,
    Continue,
}

#[derive(Clone, Debug)]
struct Branch {
    pipe: Pipe,
    then: Vec<Node>,
    otherwise: Vec<Node>,
}

/// Commands, each of which hands its value to the next.
#[derive(Clone, Debug)]
struct Pipe {
    /// `$x :=`, `$i, $x :=`.
    variables: Vec<String>,
    /// `=` instead of `:=`.
    assigns: bool,
    commands: Vec<Vec<Term>>,
}

/// A word of a command.
#[derive(Clone, Debug)]
struct Term {
    kind: TermKind,
    /// Where it stands in the source.
    at: usize,
    text: String,
}

#[derive(Clone, Debug)]
enum TermKind {
    Dot,
    Nil,
    Constant(Val<'static>),
    /// `.a.b`.
    Field(Vec<String>),
    /// `$x.a.b`.
    Variable(String, Vec<String>),
    Function(String),
    /// `(...)`.a.b
    Pipe(Pipe, Vec<String>),
}

/// What a template computes with.
#[derive(Clone, Debug, PartialEq)]
enum Val<'a> {
    /// A key that is not there.
    Missing,
    /// Of the object; its numbers are floats.
    Data(std::borrow::Cow<'a, Value>),
    /// Of the template.
    Int(i64),
}

impl Val<'_> {
    fn text(text: impl Into<String>) -> Self {
        Val::Data(std::borrow::Cow::Owned(Value::String(text.into())))
    }

    fn flag(flag: bool) -> Self {
        Val::Data(std::borrow::Cow::Owned(Value::Bool(flag)))
    }

    fn as_str(&self) -> Option<&str> {
        match self {
            Val::Data(value) => value.as_str(),
            _ => None,
        }
    }

    /// Go's name of the type.
    fn type_name(&self) -> &'static str {
        match self {
            Val::Missing => "nil",
            Val::Int(_) => "int",
            Val::Data(value) => match &**value {
                Value::Null => "nil",
                Value::Bool(_) => "bool",
                Value::Number(_) => "float64",
                Value::String(_) => "string",
                Value::Array(_) => "[]interface {}",
                Value::Object(_) => "map[string]interface {}",
            },
        }
    }

    /// What `if` makes of it.
    fn is_true(&self) -> bool {
        match self {
            Val::Missing => false,
            Val::Int(number) => *number != 0,
            Val::Data(value) => match &**value {
                Value::Null => false,
                Value::Bool(flag) => *flag,
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::String(text) => !text.is_empty(),
                Value::Array(list) => !list.is_empty(),
                Value::Object(map) => !map.is_empty(),
            },
        }
    }
}

impl Template {
    /// Reads a template; missing keys print `<no value>`, or are an error.
    pub fn parse(source: &str, allow_missing: bool) -> Result<Self, SyntaxError> {
        let (body, defined) = parse::template(source)?;
        Ok(Self { source: source.to_owned(), body, defined, allow_missing })
    }

    /// The template's text for an object, or what came before an error.
    pub fn render(&self, object: &Value) -> (String, Result<(), EvalError>) {
        eval::run(self, object)
    }

    /// The template as written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// Line and column of a place.
fn position(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..at.min(source.len())];
    let line = before.matches('\n').count() + 1;
    (line, before.len() - before.rfind('\n').map_or(0, |i| i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(source: &str) -> String {
        let object = json!({"kind": "List", "metadata": {"name": "web", "labels": {"a": "1", "b": "2"}}, "none": null,
            "items": [{"name": "x", "n": 1}, {"name": "y", "n": 2.5}], "big": 1_000_000, "flag": true, "html": "<a href='x'>", "secret": "aGk="});
        match Template::parse(source, true) {
            Err(error) => format!("?{error}"),
            Ok(template) => match template.render(&object) {
                (text, Ok(())) => text,
                (_, Err(error)) => format!("!{error}"),
            },
        }
    }

    #[test]
    fn renders_as_go() {
        for (source, want) in [
            ("x{{.kind}}y", "xListy"),
            ("{{.metadata.name}}", "web"),
            ("{{.missing}}|{{.missing.more}}|{{.none}}", "<no value>|<no value>|<no value>"),
            ("{{.big}} {{len .items}} {{5}} {{1.5}} {{.flag}}", "1e+06 2 5 1.5 true"),
            ("{{.metadata.labels}} {{.items}}", "map[a:1 b:2] [map[n:1 name:x] map[n:2.5 name:y]]"),
            ("{{range .items}}{{.name}},{{end}}", "x,y,"),
            ("{{range $i, $x := .items}}{{$i}}={{$x.name}} {{end}}", "0=x 1=y "),
            ("{{range $k, $v := .metadata.labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;"),
            ("{{range .missing}}x{{else}}none{{end}}", "none"),
            ("{{range .items}}{{if eq .name \"y\"}}{{break}}{{end}}{{.name}}{{end}}", "x"),
            ("{{range .items}}{{if eq .name \"x\"}}{{continue}}{{end}}{{.name}}{{end}}", "y"),
            ("{{if .flag}}a{{else}}b{{end}}{{if .missing}}a{{else if .flag}}c{{end}}", "ac"),
            ("{{with .metadata}}{{.name}}{{$.kind}}{{end}}{{with .missing}}x{{else}}y{{end}}", "webListy"),
            ("a {{- .kind -}}  b", "aListb"),
            ("{{/* no */}}{{- /* no */ -}} x", "x"),
            ("{{$x := .kind}}{{$x}}{{$x = \"z\"}}{{$x}}", "Listz"),
            ("{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" .kind}}", "<List>"),
            ("{{block \"b\" .kind}}[{{.}}]{{end}}", "[List]"),
            ("{{index .items 1 \"name\"}} {{index .metadata.labels \"a\"}}", "y 1"),
            ("{{(index .items 0).name}} {{.kind | printf \"%s-%s\" \"a\"}}", "x a-List"),
            (
                "{{printf \"%5s|%-5s|%05d|%q|%v|%.1f|%t|%%\" \"a\" \"b\" 42 \"c\" .flag 1.25 true}}",
                "    a|b    |00042|\"c\"|true|1.2|true|%",
            ),
            ("{{and .flag .kind}} {{or .missing \"z\"}} {{not .flag}}", "List z false"),
            (
                "{{eq .kind \"a\" \"List\"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} {{ge 1.5 2.5}}",
                "true true true true true false",
            ),
            (
                "{{html .html}} {{js .html}} {{urlquery .html}}",
                "&lt;a href=&#39;x&#39;&gt; \\u003Ca href\\u003D\\'x\\'\\u003E %3Ca+href%3D%27x%27%3E",
            ),
            ("{{slice .kind 1 3}} {{print 1 2 \"a\" \"b\" 3}} {{println \"a\"}}", "is 1 2ab3 a\n"),
            (
                "{{exists . \"metadata\" \"name\"}} {{exists . \"metadata\" \"x\"}} {{base64decode .secret}}",
                "true false hi",
            ),
            ("{{`raw`}} {{'a'}} {{0x10}}", "raw 97 16"),
            (
                "{{if eq .big 1000000}}x{{end}}",
                "!template: output:1:5: executing \"output\" at <eq .big 1000000>: error calling eq: incompatible types for comparison",
            ),
            (
                "{{.kind.x}}",
                "!template: output:1:7: executing \"output\" at <.kind.x>: can't evaluate field x in type interface {}",
            ),
            (
                "{{index .items 9}}",
                "!template: output:1:2: executing \"output\" at <index .items 9>: error calling index: index out of range: 9",
            ),
            ("{{", "?template: output:1: unclosed action"),
            ("{{foo}}", "?template: output:1: function \"foo\" not defined"),
            ("{{if .x}}", "?template: output:1: unexpected EOF"),
            ("{{end}}", "?template: output:1: unexpected {{end}}"),
            ("{{$y}}", "?template: output:1: undefined variable \"$y\""),
            ("{{.x", "?template: output:1: unclosed action"),
        ] {
            assert_eq!(run(source), want, "{source}");
        }
    }

    #[test]
    fn can_insist_on_keys() {
        let template = Template::parse("a{{.x}}", false).expect("reads");
        let (text, outcome) = template.render(&json!({}));
        assert_eq!(text, "a");
        assert!(outcome.expect_err("no key").to_string().ends_with("at <.x>: map has no entry for key \"x\""));
    }

    #[test]
    fn templates_cannot_call_themselves_for_ever() {
        let text = run("{{define \"t\"}}{{template \"t\"}}{{end}}{{template \"t\"}}");
        assert!(text.contains("exceeded maximum template depth"), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(source in "(\\{\\{|\\}\\}|-|range|end|if|with|else|index|printf|eq|len| |\\.|\\$x|:=|\\||\\(|\\)|\"%d\"|[a-c]|1|,){0,20}") {
            run(&source);
        }
    }
}
