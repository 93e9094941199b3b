//! Lists, maps and objects.

use super::calls::qualified;
use super::{OPERAND, Parsed, Parser};
use crate::ast::{Element, Expr, Kind, Member, Mode, Struct, StructField};
use crate::lexer::Token;
use std::sync::Arc;

impl Parser<'_> {
    /// A comma may stand before nothing, too.
    fn skip_comma(&mut self, close: &str) {
        if self.is_next(",") && self.is_ahead(close) {
            self.next += 1;
        }
    }

    fn mode(&mut self) -> Mode {
        if self.eat("?").is_some() { Mode::Optional } else { Mode::Plain }
    }

    pub(super) fn list(&mut self, at: usize) -> Parsed {
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

    pub(super) fn map(&mut self, at: usize) -> Parsed {
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

    pub(super) fn object(&mut self, name: Expr) -> Parsed {
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
