//! Expressions as trees, macros already expanded.

use crate::library::Entry;
use std::sync::Arc;

/// An expression and where it stands.
#[derive(Debug)]
pub(crate) struct Expr {
    /// Byte offset of what the compiler points at: an operator, a dot, a parenthesis.
    pub(crate) at: usize,
    pub(crate) kind: Kind,
    /// Whether it is the same whenever it is evaluated, so that it costs nothing.
    pub(crate) is_constant: bool,
}

impl Expr {
    pub(crate) fn new(at: usize, kind: Kind) -> Self {
        Self { at, kind, is_constant: false }
    }
}

/// What an expression is.
#[derive(Debug)]
pub(crate) enum Kind {
    Literal(Literal),
    Ident(Arc<str>),
    Select(Box<Select>),
    /// `has(a.b)`.
    Has(Box<Select>),
    Call(Box<Call>),
    /// `a && b && …`
    And(Vec<Expr>),
    /// `a || b || …`
    Or(Vec<Expr>),
    /// `a ? b : c`
    Conditional(Box<[Expr; 3]>),
    List(Vec<Element>),
    Map(Vec<Member>),
    /// `Object.spec{replicas: 3}`
    Struct(Box<Struct>),
    Comprehension(Box<Comprehension>),
    /// `optMap`, `optFlatMap` and `cel.bind`.
    Named(Box<Named>),
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
}

/// `a.b` or `a.?b`.
#[derive(Debug)]
pub(crate) struct Select {
    pub(crate) operand: Expr,
    pub(crate) field: Arc<str>,
    pub(crate) mode: Mode,
}

/// Whether what is absent is an error or an empty optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Plain,
    Optional,
}

/// A function or operator with its arguments; a receiver comes first.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: Arc<str>,
    pub(crate) style: Style,
    pub(crate) running: Running,
    /// What the name stands for; `None` is an undeclared function, which the checker refuses.
    pub(crate) entry: Option<&'static Entry>,
    /// Which overload it is, if that is known before it runs.
    pub(crate) overload: Option<u8>,
    pub(crate) arguments: Vec<Expr>,
}

/// How a call is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Running {
    /// A function of its arguments.
    Function,
    /// An operator, which looks at both of its operands, whatever the first one is.
    Operator,
    /// `a[b]`, a step of a path.
    Index(Mode),
    /// `or` and `orValue`, which look at their alternative if it is needed.
    Alternative,
    /// `in` a list of constants.
    Set,
}

impl Running {
    pub(crate) fn of(name: &str, style: Style) -> Self {
        match (style, name) {
            (Style::Global, "_[_]") => Running::Index(Mode::Plain),
            (Style::Global, "_[?_]") => Running::Index(Mode::Optional),
            (Style::Member, "or" | "orValue") => Running::Alternative,
            (Style::Global, name) if name.starts_with(['_', '@']) => Running::Operator,
            _ => Running::Function,
        }
    }
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Style {
    /// `f(a, b)`, `ns.f(a, b)`, and operators.
    Global,
    /// `a.f(b)`
    Member,
}

impl Style {
    pub(crate) fn other(self) -> Self {
        match self {
            Style::Global => Style::Member,
            Style::Member => Style::Global,
        }
    }
}

/// An element of a list; an optional one may be missing.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) value: Expr,
    pub(crate) mode: Mode,
}

/// A member of a map.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) key: Expr,
    pub(crate) value: Expr,
    pub(crate) mode: Mode,
}

/// An object of a named type.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: Arc<str>,
    pub(crate) fields: Vec<StructField>,
}

/// A member of an object.
#[derive(Debug)]
pub(crate) struct StructField {
    pub(crate) at: usize,
    pub(crate) name: Arc<str>,
    pub(crate) value: Expr,
    pub(crate) mode: Mode,
}

/// A macro that walks over a list or map.
#[derive(Debug)]
pub(crate) struct Comprehension {
    pub(crate) kind: Walk,
    pub(crate) range: Expr,
    /// The element (or key); with a second variable: index or key, and value.
    pub(crate) variable: Arc<str>,
    pub(crate) second: Option<Arc<str>>,
    pub(crate) filter: Option<Expr>,
    pub(crate) body: Expr,
}

/// What a walk makes of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    All,
    Exists,
    ExistsOne,
    /// `map`, `transformList`
    List,
    /// `filter`
    Filter,
    /// `transformMap`
    Map,
    /// `transformMapEntry`
    MapEntry,
}

/// A macro that names one value in its body: `target.optMap(variable, body)`.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) target: Expr,
    pub(crate) variable: Arc<str>,
    pub(crate) body: Expr,
    pub(crate) kind: Naming,
}

/// What is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// `optMap`: what an optional holds.
    Map,
    /// `optFlatMap`: the same, with a body that is optional itself.
    FlatMap,
    /// `cel.bind`: the target.
    Bind,
}
