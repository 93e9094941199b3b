//! The words of an action. Upstream: Go's `text/template/parse/lex.go`.

use apimachinery::go;

/// A word with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: usize,
    pub(super) end: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Word(String),
    /// `.name`.
    Field(String),
    Dot,
    /// `$name`.
    Variable(String),
    Text(String),
    Int(i64),
    Float(f64),
    Open,
    Close,
    Pipe,
    Comma,
    Declare,
    Assign,
    Space,
}

/// Splits the inside of an action; `base` is its place in the template.
pub(super) fn tokens(text: &str, base: usize) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (kind, length) = match c {
            ' ' | '\t' | '\r' | '\n' => (Kind::Space, blanks(rest)),
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            '|' => (Kind::Pipe, 1),
            ',' => (Kind::Comma, 1),
            ':' if rest.starts_with(":=") => (Kind::Declare, 2),
            ':' => return Err("expected :=".into()),
            '=' => (Kind::Assign, 1),
            '"' => quoted(rest)?,
            '`' => raw(rest)?,
            '\'' => character(rest)?,
            '$' => {
                let name = word(&rest[1..]);
                (Kind::Variable(format!("${name}")), 1 + name.len())
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => match word(&rest[1..]) {
                "" => (Kind::Dot, 1),
                name => (Kind::Field(name.to_owned()), 1 + name.len()),
            },
            '.' | '+' | '-' | '0'..='9' => number(rest)?,
            c if c == '_' || c.is_alphanumeric() => {
                let name = word(rest);
                (Kind::Word(name.to_owned()), name.len())
            }
            c => return Err(format!("unexpected {c:?} in command")),
        };
        tokens.push(Token { kind, at: base + at, end: base + at + length });
        at += length;
    }
    Ok(tokens)
}

fn blanks(text: &str) -> usize {
    text.find(|c: char| !matches!(c, ' ' | '\t' | '\r' | '\n')).unwrap_or(text.len())
}

fn word(text: &str) -> &str {
    &text[..text.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(text.len())]
}

/// Where a quoted text ends, from its opening mark on.
pub(super) fn quote_end(text: &str, mark: char) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == mark => return Some(i + 1),
            _ => {}
        }
    }
    None
}

fn quoted(text: &str) -> Result<(Kind, usize), String> {
    let end = quote_end(text, '"').ok_or("unterminated quoted string")?;
    let value = go::unescaped(&text[1..end - 1]).ok_or_else(|| "invalid syntax".to_owned())?;
    Ok((Kind::Text(value), end))
}

fn raw(text: &str) -> Result<(Kind, usize), String> {
    let length = text[1..].find('`').ok_or("unterminated raw quoted string")?;
    Ok((Kind::Text(text[1..=length].to_owned()), length + 2))
}

fn character(text: &str) -> Result<(Kind, usize), String> {
    let end = quote_end(text, '\'').ok_or("unterminated character constant")?;
    let value = go::unescaped(&text[1..end - 1]).unwrap_or_default();
    let mut chars = value.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok((Kind::Int(i64::from(u32::from(c))), end)),
        _ => Err(format!("malformed character constant: {}", &text[..end])),
    }
}

fn number(text: &str) -> Result<(Kind, usize), String> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let mut end = sign;
    for c in text[sign..].chars() {
        let after_exponent = text[..end].ends_with(['e', 'E']) && !text[sign..].starts_with("0x");
        if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || (after_exponent && matches!(c, '+' | '-'))) {
            break;
        }
        end += c.len_utf8();
    }
    let plain = text[..end].replace('_', "");
    let digits = plain.trim_start_matches(['+', '-']).to_ascii_lowercase();
    let negative = plain.starts_with('-');
    let radix = |prefix: &str, radix| digits.strip_prefix(prefix).and_then(|d| i64::from_str_radix(d, radix).ok());
    let octal = || radix("0", 8).filter(|_| digits.len() > 1);
    let whole = radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2)).or_else(octal);
    let whole = whole.or_else(|| digits.parse().ok()).map(|n: i64| if negative { -n } else { n });
    match (whole, plain.parse::<f64>()) {
        (Some(whole), _) => Ok((Kind::Int(whole), end)),
        (None, Ok(float)) if float.is_finite() => Ok((Kind::Float(float), end)),
        _ => Err(format!("bad number syntax: {:?}", &text[..end])),
    }
}
