//! Tokens to trees, by precedence climbing. Chains of `&&` and `||` become flat, so that only
//! real nesting is deep, and that is bounded.
//!
//! Upstream: `cel-go/parser/parser.go`.

use crate::Issue;
use crate::ast::{Call, Element, Expr, Kind, Literal, Member, Mode, Running, Select, Struct, StructField, Style};
use crate::error::Issues;
use crate::escape::is_reserved;
use crate::lexer::{Spanned, Token, tokens};
use crate::library;
use crate::macros;
use std::sync::Arc;

/// How deep trees may be: chains of operators and selections are as deep as they are long.
const MAX_DEPTH: usize = 200;

/// How deep brackets may nest; for each the parser itself goes several calls deeper.
const MAX_BRACKETS: usize = 80;

/// How long an expression may be, in characters.
const MAX_LENGTH: usize = 100_000;

/// What stands where an operand should.
const OPERAND: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, \
                       BYTES, IDENTIFIER}";

/// Parses an expression; `None` is one with issues.
pub(crate) fn parse(source: &str, issues: &mut Issues) -> Option<Expr> {
    match read(source, issues) {
        Ok(expr) => issues.is_empty().then_some(expr),
        Err(Issue { at, message }) => {
            issues.push(at, message);
            None
        }
    }
}

fn read(source: &str, issues: &mut Issues) -> Result<Expr, Issue> {
    if source.len() > MAX_LENGTH {
        let size = source.chars().count();
        let message = format!("expression code point size exceeds limit: size: {size}, limit {MAX_LENGTH}");
        return Err(Issue { at: 0, message });
    }
    let tokens = tokens(source, issues)?;
    let mut parser = Parser { source, tokens, next: 0, depth: 0, issues };
    let (expr, _) = parser.conditional()?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected(parser.ahead(1) == Some(&Token::End), "<EOF>")),
    }
}

/// An expression and how deep it nests.
type Parsed = Result<(Expr, usize), Issue>;

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Spanned>,
    next: usize,
    /// How deep the parser itself is.
    depth: usize,
    /// What is wrong and does not keep it from going on.
    issues: &'a mut Issues,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)].token
    }

    fn at(&self) -> usize {
        self.tokens[self.next.min(self.tokens.len() - 1)].at
    }

    fn is_next(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(next) if *next == sign)
    }

    /// Takes a sign if it is next; its place.
    fn eat(&mut self, sign: &str) -> Option<usize> {
        let at = self.at();
        self.is_next(sign).then(|| {
            self.next += 1;
            at
        })
    }

    fn expect(&mut self, sign: &str) -> Result<usize, Issue> {
        self.expect_one_of(sign, &format!("'{sign}'"))
    }

    /// Takes a sign, where others could stand, too.
    fn expect_one_of(&mut self, sign: &str, expected: &str) -> Result<usize, Issue> {
        if let Some(at) = self.eat(sign) {
            return Ok(at);
        }
        let is_end = *self.peek() == Token::End;
        // What could follow the sign stands in its place.
        let is_missing = match sign {
            ")" => is_end,
            "]" => is_end && expected == "']'",
            "}" => is_end && expected == "'}'",
            ":" => !is_end && self.starts_operand(0) && !self.is_ahead(sign),
            _ => false,
        };
        match is_missing {
            true => {
                let text = self.text();
                Err(Issue { at: self.at(), message: format!("Syntax error: missing '{sign}' at '{text}'") })
            }
            false => Err(self.unexpected(self.is_ahead(sign), expected)),
        }
    }

    /// Whether a sign follows the next token.
    fn is_ahead(&self, sign: &str) -> bool {
        matches!(self.ahead(1), Some(Token::Sign(next)) if *next == sign)
    }

    fn ahead(&self, count: usize) -> Option<&Token> {
        self.tokens.get(self.next + count).map(|spanned| &spanned.token)
    }

    /// Whether an operand may start with a token ahead.
    fn starts_operand(&self, count: usize) -> bool {
        match self.ahead(count) {
            Some(Token::Sign(sign)) => ["[", "{", "(", ".", "-", "!"].contains(sign),
            Some(Token::Ident(word)) => &**word != "in",
            Some(Token::End) | None => false,
            Some(_) => true,
        }
    }

    fn text(&self) -> &str {
        let token = &self.tokens[self.next.min(self.tokens.len() - 1)];
        match &token.token {
            Token::End => "<EOF>",
            _ => &self.source[token.at..token.end],
        }
    }

    /// What stands where it should not; it is too much if all were well without it.
    fn unexpected(&self, is_extraneous: bool, expected: &str) -> Issue {
        let kind = if is_extraneous { "extraneous" } else { "mismatched" };
        let text = self.text();
        Issue { at: self.at(), message: format!("Syntax error: {kind} input '{text}' expecting {expected}") }
    }

    /// An operand is missing: goes on if all were well without what stands in its place.
    fn recover(&mut self) -> Parsed {
        let issue = self.no_operand();
        if *self.peek() == Token::End || !self.starts_operand(1) {
            return Err(issue);
        }
        self.issues.push(issue.at, issue.message);
        self.next += 1;
        self.member()
    }

    /// What follows a sign that only a number or an operand may follow.
    fn no_alternative(&self, at: usize, text: &str) -> Issue {
        Issue { at, message: format!("Syntax error: no viable alternative at input '{text}'") }
    }

    /// What stands where an operand should.
    fn no_operand(&self) -> Issue {
        self.unexpected(*self.peek() != Token::End && self.starts_operand(1), OPERAND)
    }

    /// Refuses what nests too deeply.
    fn bounded(&self, expr: Expr, depth: usize) -> Parsed {
        match depth > MAX_DEPTH {
            true => Err(too_deep(expr.at)),
            false => Ok((expr, depth)),
        }
    }

    fn conditional(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_BRACKETS {
            return Err(too_deep(self.at()));
        }
        let (condition, depth) = self.chain("||")?;
        let result = match self.eat("?") {
            None => Ok((condition, depth)),
            Some(at) => {
                let (then, second) = self.chain("||")?;
                self.expect(":")?;
                let (otherwise, third) = self.conditional()?;
                let expr = Expr::new(at, Kind::Conditional(Box::new([condition, then, otherwise])));
                self.bounded(expr, depth.max(second).max(third) + 1)
            }
        };
        self.depth -= 1;
        result
    }

    /// `a || b || …` or `a && b && …`, flat.
    fn chain(&mut self, sign: &'static str) -> Parsed {
        let operand = |parser: &mut Self| if sign == "||" { parser.chain("&&") } else { parser.binary(0) };
        let (first, mut depth) = operand(self)?;
        let Some(at) = self.eat(sign) else { return Ok((first, depth)) };
        let mut all = vec![first];
        loop {
            let (next, deep) = operand(self)?;
            depth = depth.max(deep);
            all.push(next);
            if self.eat(sign).is_none() {
                break;
            }
        }
        let kind = if sign == "||" { Kind::Or(all) } else { Kind::And(all) };
        self.bounded(Expr::new(at, kind), depth + 1)
    }

    fn binary(&mut self, level: usize) -> Parsed {
        const LEVELS: &[&[(&str, &str)]] = &[
            &[
                ("<=", "_<=_"),
                (">=", "_>=_"),
                ("<", "_<_"),
                (">", "_>_"),
                ("==", "_==_"),
                ("!=", "_!=_"),
                ("in", "@in"),
            ],
            &[("+", "_+_"), ("-", "_-_")],
            &[("*", "_*_"), ("/", "_/_"), ("%", "_%_")],
        ];
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let (mut left, mut depth) = self.binary(level + 1)?;
        while let Some((_, function)) = operators.iter().find(|(sign, _)| self.is_operator(sign)) {
            let at = self.at();
            self.next += 1;
            let (right, deep) = self.binary(level + 1)?;
            (left, depth) = self.bounded(call(at, function, vec![left, right]), depth.max(deep) + 1)?;
        }
        Ok((left, depth))
    }

    fn is_operator(&self, sign: &str) -> bool {
        self.is_next(sign) || sign == "in" && matches!(self.peek(), Token::Ident(word) if &**word == "in")
    }

    fn unary(&mut self) -> Parsed {
        let at = self.at();
        let count = |parser: &mut Self, sign: &str| std::iter::from_fn(|| parser.eat(sign)).count();
        let nots = count(self, "!");
        if nots > 0 {
            self.check_signed()?;
            // Two negations are none.
            let (operand, depth) = self.member()?;
            return match nots % 2 {
                0 => Ok((operand, depth)),
                _ => self.bounded(call(at, "!_", vec![operand]), depth + 1),
            };
        }
        let minuses = count(self, "-");
        if minuses == 1
            && let Some(literal) = self.negative_literal()?
        {
            return self.postfix(Expr::new(at, Kind::Literal(literal)), 1);
        }
        if minuses > 0 {
            self.check_negated()?;
        }
        let (operand, depth) = self.member()?;
        match minuses % 2 {
            0 => Ok((operand, depth)),
            _ => self.bounded(call(at, "-_", vec![operand]), depth + 1),
        }
    }

    /// After a `!`, there is no minus but that of a number.
    fn check_signed(&mut self) -> Result<(), Issue> {
        if *self.peek() == Token::End {
            return Err(self.unexpected(true, OPERAND));
        }
        if self.is_next("-") && !matches!(self.ahead(1), Some(Token::Int(_) | Token::Double(_))) {
            self.next += 1;
            let text = if *self.peek() == Token::End { "" } else { self.text() };
            return Err(self.no_alternative(self.at(), &format!("-{text}")));
        }
        Ok(())
    }

    /// After a minus, there is no other sign.
    fn check_negated(&mut self) -> Result<(), Issue> {
        if *self.peek() == Token::End {
            let issue = self.no_alternative(self.at(), "-");
            self.issues.push(issue.at, issue.message);
            return Err(self.no_operand());
        }
        match self.is_next("!") || !self.starts_operand(0) {
            true => Err(self.no_alternative(self.at(), &format!("-{}", self.text()))),
            false => Ok(()),
        }
    }

    /// A number after a minus is negative itself: the least integer has no positive twin.
    fn negative_literal(&mut self) -> Result<Option<Literal>, Issue> {
        let literal = match self.peek().clone() {
            Token::Int(digits) => self.int(&digits, true)?,
            Token::Double(number) => Literal::Double(-number),
            _ => return Ok(None),
        };
        self.next += 1;
        Ok(Some(literal))
    }

    fn int(&self, digits: &str, negative: bool) -> Result<Literal, Issue> {
        let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => (hex, 16),
            None => (digits, 10),
        };
        let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
        let number = i64::from_str_radix(&signed, radix);
        number.map(Literal::Int).map_err(|_| Issue { at: self.at(), message: "invalid int literal".into() })
    }

    fn member(&mut self) -> Parsed {
        let (operand, depth) = self.primary()?;
        self.postfix(operand, depth)
    }

    fn postfix(&mut self, mut expr: Expr, mut depth: usize) -> Parsed {
        loop {
            if let Some(at) = self.eat(".") {
                (expr, depth) = self.selection(expr, depth, at)?;
            } else if let Some(at) = self.eat("[") {
                let function = if self.eat("?").is_some() { "_[?_]" } else { "_[_]" };
                if function == "_[_]" {
                    self.check_start(&["?"], &OPERAND.replace("'!'", "'!', '?'"))?;
                }
                let (index, deep) = self.conditional()?;
                self.expect("]")?;
                (expr, depth) = self.bounded(call(at, function, vec![expr, index]), depth.max(deep) + 1)?;
            } else if self.is_next("{") && qualified(&expr).is_some() {
                (expr, depth) = self.object(expr)?;
            } else {
                return Ok((expr, depth));
            }
        }
    }

    /// Whether an operand comes next, or one of these signs: what else could is told with them.
    fn check_start(&mut self, others: &[&'static str], expected: &str) -> Result<(), Issue> {
        let fits = |parser: &Self, count: usize| {
            parser.starts_operand(count) || others.iter().any(|sign| parser.ahead(count) == Some(&Token::Sign(sign)))
        };
        if fits(self, 0) {
            return Ok(());
        }
        let is_extraneous = *self.peek() != Token::End && fits(self, 1);
        let issue = self.unexpected(is_extraneous, expected);
        if !is_extraneous {
            return Err(issue);
        }
        self.issues.push(issue.at, issue.message);
        self.next += 1;
        Ok(())
    }

    /// What follows a dot: a field, or a method.
    fn selection(&mut self, operand: Expr, depth: usize, at: usize) -> Parsed {
        let mode = if self.eat("?").is_some() { Mode::Optional } else { Mode::Plain };
        let field = match self.peek().clone() {
            Token::Ident(word) if matches!(&*word, "true" | "false" | "null") => {
                return Err(self.unexpected(false, "IDENTIFIER"));
            }
            Token::Ident(word) if &*word != "in" => word,
            Token::Escaped => return Err(Issue { at: self.at(), message: "unsupported syntax: '`'".into() }),
            _ if mode == Mode::Optional => {
                let issue = self.unexpected(false, "{IDENTIFIER, ESC_IDENTIFIER}");
                let at = issue.at;
                self.issues.push(at, issue.message);
                return Err(Issue { at, message: "unsupported ident kind".into() });
            }
            other => {
                let text = if other == Token::End { "" } else { self.text() };
                return Err(self.no_alternative(self.at(), &format!(".{text}")));
            }
        };
        self.next += 1;
        let Some(open) = self.eat("(").filter(|_| mode == Mode::Plain) else {
            let select = Select { operand, field, mode };
            return self.bounded(Expr::new(at, Kind::Select(Box::new(select))), depth + 1);
        };
        let (arguments, deep) = self.arguments()?;
        self.bounded(method(open, operand, field, arguments)?, depth.max(deep) + 1)
    }

    fn arguments(&mut self) -> Result<(Vec<Expr>, usize), Issue> {
        let (mut all, mut depth) = (Vec::new(), 0);
        if self.eat(")").is_some() {
            return Ok((all, depth));
        }
        if !self.starts_operand(0) {
            let is_extraneous = *self.peek() != Token::End && (self.starts_operand(1) || self.is_ahead(")"));
            return Err(self.unexpected(is_extraneous, &OPERAND.replace("'.'", "')', '.'")));
        }
        loop {
            let (argument, deep) = self.conditional()?;
            depth = depth.max(deep);
            all.push(argument);
            if self.eat(",").is_none() {
                self.expect(")")?;
                return Ok((all, depth));
            }
        }
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at();
        let literal = match self.peek().clone() {
            Token::Ident(word) => return self.word(&word),
            Token::Int(digits) => self.int(&digits, false)?,
            Token::Uint(number) => Literal::Uint(number),
            Token::Double(number) => Literal::Double(number),
            Token::String(text) => Literal::String(text),
            Token::Bytes(bytes) => Literal::Bytes(bytes),
            Token::Sign(sign) => return self.bracketed(sign),
            Token::Escaped | Token::End => return self.recover(),
        };
        self.next += 1;
        Ok((Expr::new(at, Kind::Literal(literal)), 1))
    }

    fn word(&mut self, word: &Arc<str>) -> Parsed {
        let at = self.at();
        let literal = match &**word {
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "null" => Some(Literal::Null),
            _ => None,
        };
        if literal.is_none() && &**word == "in" {
            return self.recover();
        }
        self.next += 1;
        if let Some(literal) = literal {
            return Ok((Expr::new(at, Kind::Literal(literal)), 1));
        }
        if is_reserved(word) {
            self.issues.push(at, format!("reserved identifier: {word}"));
        }
        let Some(open) = self.eat("(") else { return Ok((Expr::new(at, Kind::Ident(word.clone())), 1)) };
        let (arguments, depth) = self.arguments()?;
        self.bounded(function(open, word.clone(), arguments)?, depth + 1)
    }

    fn bracketed(&mut self, sign: &str) -> Parsed {
        let at = self.at();
        match sign {
            "(" => {
                self.next += 1;
                let inner = self.conditional()?;
                self.expect(")")?;
                Ok(inner)
            }
            "[" => {
                self.next += 1;
                self.list(at)
            }
            "{" => {
                self.next += 1;
                self.map(at)
            }
            // A name from the root: there is only one container, so it is the name itself.
            "." if matches!(self.tokens.get(self.next + 1), Some(Spanned { token: Token::Ident(_), .. })) => {
                self.next += 1;
                self.primary()
            }
            _ => self.recover(),
        }
    }

    /// A comma may stand before nothing, too.
    fn skip_comma(&mut self, close: &str) {
        if self.is_next(",") && self.is_ahead(close) {
            self.next += 1;
        }
    }

    fn mode(&mut self) -> Mode {
        if self.eat("?").is_some() { Mode::Optional } else { Mode::Plain }
    }

    fn list(&mut self, at: usize) -> Parsed {
        let (mut elements, mut depth) = (Vec::new(), 0);
        self.skip_comma("]");
        self.check_start(
            &["]", ",", "?"],
            &OPERAND.replace("'{', '(', '.', '-', '!'", "']', '{', '(', '.', ',', '-', '!', '?'"),
        )?;
        while self.eat("]").is_none() {
            let mode = self.mode();
            let (value, deep) = self.conditional()?;
            depth = depth.max(deep);
            elements.push(Element { value, mode });
            if self.eat(",").is_none() {
                self.expect_one_of("]", "{']', ','}")?;
                break;
            }
            if !self.starts_operand(0) && !self.is_next("?") {
                self.expect("]")?;
                break;
            }
        }
        self.bounded(Expr::new(at, Kind::List(elements)), depth + 1)
    }

    fn map(&mut self, at: usize) -> Parsed {
        let (mut members, mut depth) = (Vec::new(), 0);
        self.skip_comma("}");
        self.check_start(
            &["}", ",", "?"],
            &OPERAND.replace("'(', '.', '-', '!'", "'}', '(', '.', ',', '-', '!', '?'"),
        )?;
        while self.eat("}").is_none() {
            let mode = self.mode();
            let (key, deep) = self.conditional()?;
            self.expect(":")?;
            let (value, deeper) = self.conditional()?;
            depth = depth.max(deep).max(deeper);
            members.push(Member { key, value, mode });
            if self.eat(",").is_none() {
                self.expect_one_of("}", "{'}', ','}")?;
                break;
            }
            if !self.starts_operand(0) && !self.is_next("?") {
                self.expect("}")?;
                break;
            }
        }
        self.bounded(Expr::new(at, Kind::Map(members)), depth + 1)
    }

    fn object(&mut self, name: Expr) -> Parsed {
        let at = self.expect("{")?;
        let name: Arc<str> = qualified(&name).unwrap_or_default().into();
        let (mut fields, mut depth) = (Vec::new(), 0);
        while self.eat("}").is_none() {
            let mode = self.mode();
            let Token::Ident(field) = self.peek().clone() else {
                let expected =
                    if fields.is_empty() { "{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}" } else { "IDENTIFIER" };
                return Err(self.unexpected(false, expected));
            };
            self.next += 1;
            let colon = self.expect(":")?;
            let (value, deep) = self.conditional()?;
            depth = depth.max(deep);
            fields.push(StructField { at: colon, name: field, value, mode });
            if self.eat(",").is_none() {
                self.expect_one_of("}", "{'}', ','}")?;
                break;
            }
            if *self.peek() == Token::End {
                self.expect("}")?;
            }
        }
        self.bounded(Expr::new(at, Kind::Struct(Box::new(Struct { name, fields }))), depth + 1)
    }
}

fn too_deep(at: usize) -> Issue {
    Issue { at, message: format!("expression recursion limit exceeded: {MAX_DEPTH}") }
}

/// A call of an operator or a global function.
fn call(at: usize, name: &str, arguments: Vec<Expr>) -> Expr {
    named(at, name.into(), Style::Global, arguments)
}

fn named(at: usize, name: Arc<str>, style: Style, arguments: Vec<Expr>) -> Expr {
    let entry = library::find(&name, style);
    Expr::new(
        at,
        Kind::Call(Box::new(Call {
            running: Running::of(&name, style),
            name,
            style,
            entry,
            overload: None,
            arguments,
        })),
    )
}

fn function(at: usize, name: Arc<str>, arguments: Vec<Expr>) -> Result<Expr, Issue> {
    match &*name {
        "has" if arguments.len() == 1 => macros::has(at, arguments),
        _ => Ok(named(at, name, Style::Global, arguments)),
    }
}

/// A macro, a function in a namespace, or a method.
fn method(at: usize, operand: Expr, name: Arc<str>, arguments: Vec<Expr>) -> Result<Expr, Issue> {
    if let Some(namespace) = qualified(&operand) {
        let full = format!("{namespace}.{name}");
        if library::find(&full, Style::Global).is_some() {
            return Ok(named(at, full.into(), Style::Global, arguments));
        }
    }
    match macros::method(at, operand, &name, arguments) {
        macros::Expansion::Done(expr) => Ok(expr),
        macros::Expansion::Wrong(issue) => Err(issue),
        macros::Expansion::None(operand, mut arguments) => {
            arguments.insert(0, operand);
            Ok(named(at, name, Style::Member, arguments))
        }
    }
}

/// `a.b.c` as text, if the expression is nothing but names.
fn qualified(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Ident(name) => Some(name.to_string()),
        Kind::Select(select) if select.mode == Mode::Plain => {
            Some(format!("{}.{}", qualified(&select.operand)?, select.field))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(source: &str) -> Result<Expr, Issue> {
        let mut issues = Issues::default();
        super::parse(source, &mut issues).ok_or_else(|| issues.first().cloned().expect("an issue"))
    }

    #[test]
    fn precedence() {
        let Kind::Or(all) = parse("a || b && c == 1 + 2 * 3 || d").expect("parses").kind else { panic!("an or") };
        assert_eq!(all.len(), 3);
        assert!(matches!(&all[1].kind, Kind::And(inner) if inner.len() == 2));
        assert!(matches!(parse("a ? b : c ? d : e").expect("parses").kind, Kind::Conditional(_)));
        let least = parse("-9223372036854775808").expect("parses");
        assert!(matches!(least.kind, Kind::Literal(Literal::Int(i64::MIN))));
    }

    #[test]
    fn syntax_errors() {
        for (source, at, message) in [
            ("a b", 2, "Syntax error: extraneous input 'b' expecting <EOF>"),
            ("a b c", 2, "Syntax error: mismatched input 'b' expecting <EOF>"),
            ("a.", 2, "Syntax error: no viable alternative at input '.'"),
            ("a..b", 2, "Syntax error: no viable alternative at input '..'"),
            ("a.true", 2, "Syntax error: mismatched input 'true' expecting IDENTIFIER"),
            ("f(1", 3, "Syntax error: missing ')' at '<EOF>'"),
            ("(1 2)", 3, "Syntax error: extraneous input '2' expecting ')'"),
            ("[1", 2, "Syntax error: mismatched input '<EOF>' expecting {']', ','}"),
            ("{1: 2 3: 4}", 6, "Syntax error: mismatched input '3' expecting {'}', ','}"),
            ("a ? 1 2", 6, "Syntax error: missing ':' at '2'"),
            ("for", 0, "reserved identifier: for"),
            ("[1,", 3, "Syntax error: missing ']' at '<EOF>'"),
            ("[1,,2]", 3, "Syntax error: mismatched input ',' expecting ']'"),
            ("-!a", 1, "Syntax error: no viable alternative at input '-!'"),
            ("!-a", 2, "Syntax error: no viable alternative at input '-a'"),
            ("a.1", 1, "Syntax error: extraneous input '.1' expecting <EOF>"),
            ("a.`b`", 2, "unsupported syntax: '`'"),
            ("A{1:2}", 2, "Syntax error: mismatched input '1' expecting {'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}"),
            ("A{b:1,", 6, "Syntax error: missing '}' at '<EOF>'"),
            ("99999999999999999999", 0, "invalid int literal"),
        ] {
            assert_eq!(parse(source).err(), Some(Issue { at, message: message.into() }), "{source}");
        }
        let issue = parse("1 +").expect_err("incomplete");
        assert!(issue.message.starts_with("Syntax error: mismatched input '<EOF>' expecting {'[', '{'"), "{issue:?}");
    }

    #[test]
    fn goes_on_after_what_is_too_much() {
        let all = |source: &str| {
            let mut issues = Issues::default();
            assert!(super::parse(source, &mut issues).is_none(), "{source}");
            (0..issues.len()).map(|at| issues.get(at).message.clone()).collect::<Vec<_>>()
        };
        let operand = format!("expecting {OPERAND}");
        for (source, want) in [
            (
                "a ? : c",
                vec![
                    format!("Syntax error: extraneous input ':' {operand}"),
                    "Syntax error: mismatched input '<EOF>' expecting ':'".into(),
                ],
            ),
            (
                "-",
                vec![
                    "Syntax error: no viable alternative at input '-'".into(),
                    format!("Syntax error: mismatched input '<EOF>' {operand}"),
                ],
            ),
            (
                "if a",
                vec!["reserved identifier: if".into(), "Syntax error: extraneous input 'a' expecting <EOF>".into()],
            ),
        ] {
            assert_eq!(all(source), want, "{source}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        for source in [
            "(".repeat(5000),
            format!("{}1{}", "[".repeat(5000), "]".repeat(5000)),
            format!("a{}", ".b".repeat(5000)),
            format!("1{}", " + 1".repeat(5000)),
            "a?b:".repeat(5000),
        ] {
            let issue = parse(&source).expect_err("too deep");
            assert!(issue.message.contains("limit exceeded"), "{issue:?}");
        }
        assert!(parse(&format!("true{}", " && true".repeat(5000))).is_ok(), "chains are flat");
        assert!(parse(&format!("{}true", "!".repeat(5000))).is_ok());
    }
}
