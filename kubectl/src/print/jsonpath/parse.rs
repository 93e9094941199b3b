//! Reading templates. Upstream: `client-go/util/jsonpath/parser.go`.

use super::{End, Filter, Part, Step, SyntaxError};
use apimachinery::{Value, go};

/// Unions and filters hold expressions, which may hold more.
const MAX_DEPTH: usize = 32;

/// An expression as it was written: steps, and `range` or `end`.
#[derive(Default)]
struct Action {
    steps: Vec<Step>,
    keyword: Option<Keyword>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyword {
    Range,
    End,
}

/// Reads a whole template.
pub(super) fn template(text: &str) -> Result<Vec<Part>, SyntaxError> {
    // The block that is open, and the loops around it.
    let mut open: Vec<(Vec<Step>, Vec<Part>)> = Vec::new();
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        if at > 0 {
            parts.push(Part::Text(rest[..at].to_owned()));
        }
        let (action, after) = action(&rest[at + 1..], 0)?;
        rest = after;
        match action.keyword {
            None => parts.push(Part::Path(action.steps)),
            Some(Keyword::Range) => open.push((action.steps, std::mem::take(&mut parts))),
            Some(Keyword::End) => close(&mut open, &mut parts)?,
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    // A loop without `end` goes to the end.
    while !open.is_empty() {
        close(&mut open, &mut parts)?;
    }
    Ok(parts)
}

fn close(open: &mut Vec<(Vec<Step>, Vec<Part>)>, parts: &mut Vec<Part>) -> Result<(), SyntaxError> {
    let (steps, before) = open.pop().ok_or(SyntaxError::NothingToEnd)?;
    let body = std::mem::replace(parts, before);
    parts.push(Part::Range(steps, body));
    Ok(())
}

/// Reads up to the closing brace; gives what is behind it.
fn action(text: &str, depth: usize) -> Result<(Action, &str), SyntaxError> {
    if depth > MAX_DEPTH {
        return Err(SyntaxError::TooDeep);
    }
    let mut action = Action::default();
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((action, after));
        }
        rest = if let Some(after) = rest.strip_prefix("[?(") {
            filter(&mut action, after, depth)?
        } else if let Some(after) = rest.strip_prefix("..") {
            recursive(&mut action, after)?
        } else {
            let c = rest.chars().next().filter(|c| !matches!(c, '\n' | '\r')).ok_or(SyntaxError::Unclosed)?;
            let after = &rest[c.len_utf8()..];
            match c {
                ' ' | '@' | '$' => after,
                '[' => array(&mut action, after, depth)?,
                '"' | '\'' => quote(&mut action, rest, c)?,
                '.' => field(&mut action, after),
                '+' | '-' | '0'..='9' => number(&mut action, rest)?,
                c if c == '_' || c.is_alphanumeric() => identifier(&mut action, rest)?,
                c => return Err(SyntaxError::Character(c)),
            }
        };
    }
}

/// Reads a piece of an expression as one of its own.
fn nested(text: &str, depth: usize) -> Result<Vec<Step>, SyntaxError> {
    let (action, _) = action(&format!("{text}}}"), depth + 1)?;
    Ok(action.steps)
}

fn is_terminator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

fn identifier<'a>(action: &mut Action, text: &'a str) -> Result<&'a str, SyntaxError> {
    let (word, rest) = text.split_at(text.find(is_terminator).unwrap_or(text.len()));
    match word {
        "true" | "false" => action.steps.push(Step::Constant(Value::Bool(word == "true"))),
        "range" => action.keyword = Some(Keyword::Range),
        "end" => action.keyword = Some(Keyword::End),
        other => return Err(SyntaxError::Identifier(other.to_owned())),
    }
    Ok(rest)
}

fn recursive<'a>(action: &mut Action, rest: &'a str) -> Result<&'a str, SyntaxError> {
    if action.steps.last() == Some(&Step::Recursive) {
        return Err(SyntaxError::MultipleRecursion);
    }
    action.steps.push(Step::Recursive);
    match rest.chars().next() {
        Some(c) if c == '_' || c.is_alphanumeric() => Ok(field(action, rest)),
        _ => Ok(rest),
    }
}

/// A name; a backslash takes the next sign for itself.
fn field<'a>(action: &mut Action, text: &'a str) -> &'a str {
    let mut escaped = false;
    let end = text.find(|c| {
        let stop = !escaped && is_terminator(c);
        escaped = !escaped && c == '\\';
        stop
    });
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    action.steps.push(match name {
        "*" => Step::Wildcard,
        name => Step::Field(name.replace('\\', "")),
    });
    rest
}

fn number<'a>(action: &mut Action, text: &'a str) -> Result<&'a str, SyntaxError> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let length = text[sign..].find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len() - sign);
    let (word, rest) = text.split_at(sign + length);
    let value = match (word.parse::<i64>(), word.parse::<f64>()) {
        (Ok(whole), _) => Value::from(whole),
        (_, Ok(float)) => Value::from(float),
        _ => return Err(SyntaxError::Number(word.to_owned())),
    };
    action.steps.push(Step::Constant(value));
    Ok(rest)
}

fn quote<'a>(action: &mut Action, text: &'a str, mark: char) -> Result<&'a str, SyntaxError> {
    let mut before = ' ';
    let end = text.char_indices().skip(1).take_while(|(_, c)| *c != '\n').find(|(_, c)| {
        let found = *c == mark && before != '\\';
        before = *c;
        found
    });
    let (end, _) = end.ok_or(SyntaxError::UnterminatedQuote)?;
    let (literal, rest) = text.split_at(end + 1);
    let value = go::unescaped(&literal[1..end]).ok_or_else(|| SyntaxError::Quote(literal.to_owned()))?;
    action.steps.push(Step::Constant(Value::String(value)));
    Ok(rest)
}

fn array<'a>(action: &mut Action, text: &'a str, depth: usize) -> Result<&'a str, SyntaxError> {
    let end = text.find([']', '\n']).filter(|i| text[*i..].starts_with(']')).ok_or(SyntaxError::UnterminatedArray)?;
    let (inner, rest) = (&text[..end], &text[end + 1..]);
    let inner = if inner == "*" { ":" } else { inner };
    if inner.contains(',') {
        let members = inner.split(',').map(|m| nested(&format!("[{}]", m.trim_matches(' ')), depth));
        action.steps.push(Step::Union(members.collect::<Result<_, _>>()?));
    } else if let Some(key) = dictionary_key(inner) {
        action.steps.extend(nested(&format!(".{key}"), depth)?);
    } else {
        action.steps.push(slice(inner).ok_or_else(|| SyntaxError::Index(inner.to_owned()))?);
    }
    Ok(rest)
}

fn dictionary_key(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.strip_suffix('\'').filter(|key| !key.contains('\''))
}

/// `a`, `a:b` or `a:b:c`, each of which may be left out.
fn slice(text: &str) -> Option<Step> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    // A bare sign is a number neither here nor there.
    let number = |i: usize| match parts.get(i) {
        None | Some(&"") => Some(None),
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => digits.parse::<i64>().ok().map(Some),
    };
    let end = match number(1)? {
        Some(end) => End::At(end),
        None if parts.len() == 1 => End::Single,
        None => End::Open,
    };
    Some(Step::Slice { start: number(0)?, end, step: number(2)? })
}

fn filter<'a>(action: &mut Action, text: &'a str, depth: usize) -> Result<&'a str, SyntaxError> {
    let end = filter_end(text).ok_or(SyntaxError::UnterminatedFilter)?;
    let (inner, rest) = (&text[..end], &text[end + 1..]);
    let rest = rest.strip_prefix(']').ok_or(SyntaxError::UnclosedFilter)?;
    let is_operator = |c: char| matches!(c, '!' | '<' | '>' | '=');
    let at = inner.find(is_operator).filter(|at| *at > 0);
    let behind = at.and_then(|at| match inner[at..].find(|c| !is_operator(c)) {
        Some(length) => Some((at, at + length)),
        // With nothing behind, the last sign is what is compared with, if it is not the only one.
        None => Some((at, inner.len() - 1)).filter(|(at, behind)| at < behind),
    });
    action.steps.push(Step::Filter(match behind {
        None => Filter::Exists(nested(inner, depth)?),
        Some((at, behind)) => Filter::Compare {
            left: nested(&inner[..at], depth)?,
            operator: inner[at..behind].to_owned(),
            right: nested(&inner[behind..], depth)?,
        },
    }));
    Ok(rest)
}

/// The closing parenthesis that is in no quotes.
fn filter_end(text: &str) -> Option<usize> {
    let (mut mark, mut closed, mut before) = (None, false, ' ');
    for (i, c) in text.char_indices() {
        match c {
            '\n' => return None,
            '"' | '\'' if mark.is_none() => mark = Some(c),
            '"' | '\'' if before != '\\' && mark == Some(c) => closed = true,
            ')' if mark.is_some() == closed => return Some(i),
            _ => {}
        }
        before = c;
    }
    None
}
