//! What can be wrong with an expression, before and while it runs.

use std::fmt;
use std::sync::Arc;

/// One thing that is wrong with the text of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Byte offset into the source.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

/// What is wrong with an expression, as far as it is told.
#[derive(Debug, Default)]
pub(crate) struct Issues(Vec<Issue>);

/// The most issues that are told.
const MOST: usize = 100;

impl Issues {
    pub(crate) fn push(&mut self, at: usize, message: String) {
        if self.0.len() < MOST {
            self.0.push(Issue { at, message });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(crate) fn get(&self, index: usize) -> &Issue {
        &self.0[index]
    }

    #[cfg(test)]
    pub(crate) fn first(&self) -> Option<&Issue> {
        self.0.first()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says some of what has been said once more.
    pub(crate) fn repeat(&mut self, which: std::ops::Range<usize>) {
        for index in which {
            let Issue { at, message } = self.0[index].clone();
            self.push(at, message);
        }
    }
}

/// An expression that does not compile. Prints as upstream's compiler does:
/// `ERROR: <input>:1:7: undefined field 'x'`, then the line and a mark below the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    source: Arc<str>,
    /// What is wrong, in order of appearance; nothing, if it is a constant that cannot be computed.
    pub issues: Vec<Issue>,
    /// Why a constant cannot be computed.
    instantiation: Option<Box<str>>,
}

impl CompileError {
    pub(crate) fn new(source: &str, Issues(mut issues): Issues) -> Self {
        issues.sort_by_key(|issue| issue.at);
        Self { source: source.into(), issues, instantiation: None }
    }

    pub(crate) fn instantiation(source: &str, why: String) -> Self {
        Self { source: source.into(), issues: Vec::new(), instantiation: Some(why.into()) }
    }

    /// What has failed, with why.
    pub fn reason(&self) -> String {
        match self.is_of_constants() {
            true => format!("program instantiation failed: {self}"),
            false => format!("compilation failed: {self}"),
        }
    }

    /// Whether the text is right, and only a constant cannot be computed.
    pub fn is_of_constants(&self) -> bool {
        self.instantiation.is_some()
    }
}

impl std::error::Error for CompileError {}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.instantiation {
            return f.write_str(why);
        }
        for (index, issue) in self.issues.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if self.source.is_empty() {
                // Upstream finds no place in nothing, and shows none.
                write!(f, "ERROR: <input>:1:0: {}", issue.message)?;
                continue;
            }
            let place = Place::of(&self.source, issue.at);
            let (line, column) = (place.line, place.column);
            write!(f, "ERROR: <input>:{line}:{}: {}", column + 1, issue.message)?;
            if place.text.chars().count() <= LONGEST_LINE {
                write!(f, "\n | {}\n | {}", place.text.replace('\t', " "), place.mark())?;
            }
        }
        Ok(())
    }
}

/// The longest line that is shown, in characters.
const LONGEST_LINE: usize = 16384;

/// A place in a text: its line from 1, its column in characters from 0.
struct Place<'a> {
    line: usize,
    column: usize,
    text: &'a str,
}

impl<'a> Place<'a> {
    /// What points at it from the line below; what is not ASCII takes a wide character.
    fn mark(&self) -> String {
        let mut line = self.text.chars();
        let mut mark: String =
            line.by_ref().take(self.column).map(|c| if c.is_ascii() { '.' } else { '\u{ff0e}' }).collect();
        mark.push(if line.next().is_none_or(|c| c.is_ascii()) { '^' } else { '\u{ff3e}' });
        mark
    }

    fn of(source: &'a str, at: usize) -> Self {
        let at = source.floor_char_boundary(at.min(source.len()));
        let start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: source[..at].matches('\n').count() + 1,
            column: source[start..at].chars().count(),
            text: source[start..].lines().next().unwrap_or_default(),
        }
    }
}

/// Why an evaluation has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The budget is used up.
    #[error("operation cancelled: actual cost limit exceeded")]
    OverBudget,
    /// Evaluation nests too deeply.
    #[error("evaluation nests too deeply")]
    TooDeep,
    /// A map has no such key, or an object no such field.
    #[error("no such key: {0}")]
    NoSuchKey(String),
    /// Nothing is bound to the name.
    #[error("no such attribute(s): {0}")]
    Unbound(String),
    /// The operands do not fit the function.
    #[error("no such overload")]
    NoOverload,
    /// The same, of a function that has been found by its name alone.
    #[error("no such overload: {0}")]
    NoFunction(String),
    /// An index outside of a list.
    #[error("index out of bounds: {0}")]
    OutOfBounds(i64),
    /// A number left its range.
    #[error("integer overflow")]
    Overflow,
    /// A division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A remainder by zero.
    #[error("modulus by zero")]
    ModulusByZero,
    /// The value of an empty optional was asked for.
    #[error("optional.none() dereference")]
    EmptyOptional,
    /// A map would have a key twice.
    #[error("insert failed: key {0} already exists")]
    DuplicateKey(String),
    /// A variable of a policy has no value.
    #[error("composited variable {name:?} fails to {why}")]
    Variable {
        /// The variable.
        name: String,
        /// What went wrong: `compile: …`, `evaluate: …`.
        why: String,
    },
    /// A value that a function cannot use.
    #[error("{0}")]
    Argument(String),
    /// A value that JSON cannot hold.
    #[error("unsupported type: {0}")]
    Unconvertible(&'static str),
}

impl EvalError {
    /// Whether nothing that stands beside it outweighs it.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, EvalError::OverBudget | EvalError::TooDeep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_like_upstream() {
        let issue = |at, message: &str| Issue { at, message: message.into() };
        let issues = Issues(vec![issue(12, "undefined field 'foo'"), issue(0, "x"), issue(5, "y")]);
        let error = CompileError::new("a &&\nöbject\t.foo", issues);
        assert_eq!(
            error.to_string(),
            "ERROR: <input>:1:1: x\n | a &&\n | ^\nERROR: <input>:2:1: y\n | öbject .foo\n | ＾\n\
             ERROR: <input>:2:7: undefined field 'foo'\n | öbject .foo\n | ．.....^"
        );
    }
}
