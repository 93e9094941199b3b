//! What should stand where something else does, in the words of upstream's parser generator, and where to go on.
//!
//! Upstream: `antlr4-go` (`DefaultErrorStrategy`).

use super::{OPERAND, Parsed, Parser};
use crate::Issue;
use crate::lexer::Token;

impl Parser<'_> {
    pub(super) fn expect(&mut self, sign: &str) -> Result<usize, Issue> {
        self.expect_one_of(sign, &format!("'{sign}'"))
    }

    /// Takes a sign, where others could stand, too.
    pub(super) fn expect_one_of(&mut self, sign: &str, expected: &str) -> Result<usize, Issue> {
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

    /// What stands where it should not; it is too much if all were well without it.
    pub(super) fn unexpected(&self, is_extraneous: bool, expected: &str) -> Issue {
        let kind = if is_extraneous { "extraneous" } else { "mismatched" };
        let text = self.text();
        Issue { at: self.at(), message: format!("Syntax error: {kind} input '{text}' expecting {expected}") }
    }

    /// An operand is missing: goes on if all were well without what stands in its place.
    pub(super) fn recover(&mut self) -> Parsed {
        let issue = self.no_operand();
        if *self.peek() == Token::End || !self.starts_operand(1) {
            return Err(issue);
        }
        self.issues.push(issue.at, issue.message);
        self.next += 1;
        self.member()
    }

    /// What follows a sign that only a number or an operand may follow.
    pub(super) fn no_alternative(&self, at: usize, text: &str) -> Issue {
        Issue { at, message: format!("Syntax error: no viable alternative at input '{text}'") }
    }

    /// What stands where an operand should.
    pub(super) fn no_operand(&self) -> Issue {
        self.unexpected(*self.peek() != Token::End && self.starts_operand(1), OPERAND)
    }

    /// Whether an operand comes next, or one of these signs: what else could is told with them.
    pub(super) fn check_start(&mut self, others: &[&'static str], expected: &str) -> Result<(), Issue> {
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
}
