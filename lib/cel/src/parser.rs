//! Tokens to trees. Chains of `&&` and `||` become flat, so that only
//! real nesting is deep, and that is bounded.
//!
//! Upstream: `cel-go/parser/parser.go`.

mod calls;
mod collections;
mod expected;
mod operands;
mod operators;

use crate::Issue;
use crate::ast::Expr;
use crate::error::Issues;
use crate::lexer::{Spanned, Token, tokens};

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

    /// Refuses what nests too deeply.
    fn bounded(&self, expr: Expr, depth: usize) -> Parsed {
        match depth > MAX_DEPTH {
            true => Err(too_deep(expr.at)),
            false => Ok((expr, depth)),
        }
    }
}

fn too_deep(at: usize) -> Issue {
    Issue { at, message: format!("expression recursion limit exceeded: {MAX_DEPTH}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::{Kind, Literal};

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
