//! What stands between operators: literals, names, selections, indices and calls.

use super::calls::{call, function, method, qualified};
use super::{OPERAND, Parsed, Parser};
use crate::Issue;
use crate::ast::{Expr, Kind, Literal, Mode, Select};
use crate::escape::is_reserved;
use crate::lexer::{Spanned, Token};
use std::sync::Arc;

impl Parser<'_> {
    pub(super) fn member(&mut self) -> Parsed {
        let (operand, depth) = self.primary()?;
        self.postfix(operand, depth)
    }

    pub(super) fn postfix(&mut self, mut expr: Expr, mut depth: usize) -> Parsed {
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
}
