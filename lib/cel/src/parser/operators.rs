//! Operators, by precedence climbing.

use super::calls::call;
use super::{MAX_BRACKETS, OPERAND, Parsed, Parser, too_deep};
use crate::Issue;
use crate::ast::{Expr, Kind, Literal};
use crate::lexer::Token;

impl Parser<'_> {
    pub(super) fn conditional(&mut self) -> Parsed {
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

    pub(super) fn int(&self, digits: &str, negative: bool) -> Result<Literal, Issue> {
        let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => (hex, 16),
            None => (digits, 10),
        };
        let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
        let number = i64::from_str_radix(&signed, radix);
        number.map(Literal::Int).map_err(|_| Issue { at: self.at(), message: "invalid int literal".into() })
    }
}
