//! Parsing label selectors, from text and from objects.

use super::lexer::{Lexer, Token};
use super::names::{label_key_errors, label_value_errors};
use super::{LabelSelector, Operator, Requirement, SelectorError};
use crate::Value;

type Word<'a> = (Token, &'a str);

pub(super) fn parse(text: &str) -> Result<LabelSelector, SelectorError> {
    let mut parser = Parser { lexer: Lexer::new(text), peeked: None };
    parser.selector().map_err(SelectorError)
}

pub(super) fn from_value(selector: &Value) -> Result<Option<LabelSelector>, SelectorError> {
    let Some(selector) = selector.as_object() else { return Ok(None) };
    let mut requirements = Vec::new();
    for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        let values = vec![value.as_str().unwrap_or_default().to_owned()];
        requirements.push(requirement(key, Operator::In(values)).map_err(SelectorError)?);
    }
    for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        requirements.push(expressed(expression).map_err(SelectorError)?);
    }
    Ok(Some(LabelSelector { requirements }))
}

fn expressed(expression: &Value) -> Result<Requirement, String> {
    let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
    let values: Vec<String> = values.filter_map(Value::as_str).map(str::to_owned).collect();
    let word = |key: &str| expression.get(key).and_then(Value::as_str).unwrap_or_default();
    let operator = match (word("operator"), values.is_empty()) {
        ("In", _) => Operator::In(values),
        ("NotIn", _) => Operator::NotIn(values),
        ("Exists" | "DoesNotExist", false) => {
            let values: Vec<String> = values.iter().map(|v| format!("{v:?}")).collect();
            let values = values.join(",");
            return Err(format!(
                "values: Invalid value: [{values}]: values set must be empty for exists and does not exist"
            ));
        }
        ("Exists", true) => Operator::Exists,
        ("DoesNotExist", true) => Operator::DoesNotExist,
        (other, _) => return Err(format!("{other:?} is not a valid label selector operator")),
    };
    requirement(word("key"), operator)
}

/// Checks key and values as upstream's `NewRequirement` does.
fn requirement(key: &str, operator: Operator) -> Result<Requirement, String> {
    let mut errors = Vec::new();
    let problems = label_key_errors(key);
    if !problems.is_empty() {
        errors.push(format!("key: Invalid value: {key:?}: {}", problems.join("; ")));
    }
    if let Operator::In(values) | Operator::NotIn(values) = &operator {
        if values.is_empty() {
            errors.push("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty".into());
        }
        for (index, value) in values.iter().enumerate() {
            let problems = label_value_errors(value);
            if !problems.is_empty() {
                errors.push(format!("values[{index}][{key}]: Invalid value: {value:?}: {}", problems.join("; ")));
            }
        }
    }
    match errors.as_slice() {
        [] => Ok(Requirement { key: key.to_owned(), operator }),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    peeked: Option<Word<'a>>,
}

impl<'a> Parser<'a> {
    fn selector(&mut self) -> Result<LabelSelector, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek_value() {
                (Token::End, _) => break,
                (Token::Identifier | Token::Not, _) => {}
                (_, text) => return Err(format!("found '{text}', expected: !, identifier, or 'end of string'")),
            }
            requirements.push(self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?);
            match self.next_value() {
                (Token::End, _) => break,
                (Token::Comma, _) => match self.peek_value() {
                    (Token::Identifier | Token::Not, _) => {}
                    (_, text) => return Err(format!("found '{text}', expected: identifier after ','")),
                },
                (_, text) => return Err(format!("found '{text}', expected: ',' or 'end of string'")),
            }
        }
        Ok(LabelSelector { requirements })
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.next_value();
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.next_value();
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        let problems = label_key_errors(key);
        if !problems.is_empty() {
            return Err(format!("<nil>: Invalid value: {key:?}: {}", problems.join("; ")));
        }
        match (negated, self.peek_value().0) {
            (true, _) => requirement(key, Operator::DoesNotExist),
            (false, Token::End | Token::Comma) => requirement(key, Operator::Exists),
            _ => {
                let operator = self.operator()?;
                requirement(key, operator)
            }
        }
    }

    fn operator(&mut self) -> Result<Operator, String> {
        match self.next() {
            (Token::In, _) => self.values().map(Operator::In),
            (Token::NotIn, _) => self.values().map(Operator::NotIn),
            (Token::Equals, _) => self.value().map(|value| Operator::In(vec![value])),
            (Token::NotEquals, _) => self.value().map(|value| Operator::NotIn(vec![value])),
            (Token::Greater, _) => self.bound().map(Operator::GreaterThan),
            (Token::Less, _) => self.bound().map(Operator::LessThan),
            (_, text) => Err(format!("found '{text}', expected: in, notin, =, ==, !=, gt, lt")),
        }
    }

    fn bound(&mut self) -> Result<i64, String> {
        let value = self.value()?;
        let wrong =
            || format!("values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer");
        value.parse().map_err(|_| wrong())
    }

    fn value(&mut self) -> Result<String, String> {
        match self.peek_value() {
            (Token::End | Token::Comma, _) => Ok(String::new()),
            (Token::Identifier, text) => {
                self.next_value();
                Ok(text.to_owned())
            }
            (_, text) => Err(format!("found '{text}', expected: identifier")),
        }
    }

    /// `(a,b)`; an empty place between commas is the empty value.
    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next_value() {
            (Token::Open, _) => {}
            (_, text) => return Err(format!("found '{text}' expected: '('")),
        }
        let mut values = Vec::new();
        if self.peek_value().0 == Token::Close {
            values.push(String::new());
        }
        loop {
            match self.next_value() {
                (Token::Identifier, text) => {
                    values.push(text.to_owned());
                    match self.next_value() {
                        (Token::Comma, _) if self.peek_value().0 == Token::Close => values.push(String::new()),
                        (Token::Comma, _) => {}
                        (Token::Close, _) => break,
                        (_, text) => return Err(format!("found '{text}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    values.push(String::new());
                    if self.peek_value().0 == Token::Close {
                        values.push(String::new());
                    }
                }
                (Token::Close, _) => break,
                (_, text) => return Err(format!("found '{text}', expected: ',', ')' or identifier")),
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }

    fn next(&mut self) -> Word<'a> {
        self.peeked.take().unwrap_or_else(|| self.lexer.next())
    }

    fn peek(&mut self) -> Word<'a> {
        *self.peeked.get_or_insert_with(|| self.lexer.next())
    }

    /// The next word where a key or a value stands: `in` is a value there.
    fn next_value(&mut self) -> Word<'a> {
        as_value(self.next())
    }

    fn peek_value(&mut self) -> Word<'a> {
        as_value(self.peek())
    }
}

fn as_value((token, text): Word<'_>) -> Word<'_> {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic());
    match token {
        Token::In | Token::NotIn | Token::Greater | Token::Less if is_word => (Token::Identifier, text),
        token => (token, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn r(key: &str, operator: Operator) -> Requirement {
        Requirement { key: key.into(), operator }
    }

    fn s(values: &[&str]) -> Vec<String> {
        values.iter().map(|v| (*v).to_owned()).collect()
    }

    #[test]
    fn parses() {
        use Operator::{DoesNotExist, Exists, GreaterThan, In, LessThan, NotIn};
        for (text, want) in [
            ("", vec![]),
            ("\0b", vec![]),
            ("a", vec![r("a", Exists)]),
            (" !a ", vec![r("a", DoesNotExist)]),
            ("a=b,c==d, e != f", vec![r("a", In(s(&["b"]))), r("c", In(s(&["d"]))), r("e", NotIn(s(&["f"])))]),
            ("x in (b,a),y notin (c)", vec![r("x", In(s(&["a", "b"]))), r("y", NotIn(s(&["c"])))]),
            ("x in (,a)", vec![r("x", In(s(&["", "a"])))]),
            ("x in (a,)", vec![r("x", In(s(&["", "a"])))]),
            ("x in ()", vec![r("x", In(s(&[""])))]),
            ("x in (,)", vec![r("x", In(s(&[""])))]),
            ("a=", vec![r("a", In(s(&[""])))]),
            ("a=,b", vec![r("a", In(s(&[""]))), r("b", Exists)]),
            ("n>5,m<-3", vec![r("n", GreaterThan(5)), r("m", LessThan(-3))]),
            ("in=notin", vec![r("in", In(s(&["notin"])))]),
            ("k8s.io/a in (in)", vec![r("k8s.io/a", In(s(&["in"])))]),
        ] {
            assert_eq!(parse(text).map(|selector| selector.requirements), Ok(want), "{text:?}");
        }
    }

    #[test]
    fn refuses_in_upstreams_words() {
        for (text, want) in [
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a,", "found '', expected: identifier after ','"),
            (",a", "found ',', expected: !, identifier, or 'end of string'"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            (
                "a>b",
                "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
        ] {
            assert_eq!(parse(text).map_err(|e| e.0), Err(want.to_owned()), "{text:?}");
        }
        for (text, want) in [
            ("-a=b", "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of"),
            ("a=b/c", "unable to parse requirement: values[0][a]: Invalid value: \"b/c\": a valid label must be"),
        ] {
            assert!(parse(text).is_err_and(|e| e.0.starts_with(want)), "{text:?}");
        }
    }

    #[test]
    fn converts_objects() {
        let selector = from_value(&json!({
            "matchLabels": {"a": "b"},
            "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["d"]}, {"key": "e", "operator": "Exists"}],
        }));
        let selector = selector.expect("valid").expect("not null");
        let matches = |labels: &[(&str, &'static str)]| {
            selector.matches(|key| labels.iter().find(|(k, _)| *k == key).map(|(_, value)| *value))
        };
        assert!(matches(&[("a", "b"), ("e", "")]) && matches(&[("a", "b"), ("c", "x"), ("e", "1")]));
        assert!(!matches(&[("a", "b")]) && !matches(&[("a", "b"), ("c", "d"), ("e", "1")]));
        assert_eq!(from_value(&Value::Null), Ok(None));
        assert_eq!(from_value(&json!({})), Ok(Some(LabelSelector::default())));
        for wrong in [
            json!({"matchExpressions": [{"key": "a", "operator": "Near"}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}),
            json!({"matchLabels": {"a b": "c"}}),
        ] {
            assert!(from_value(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn absent_labels() {
        let matches = |text: &str, value: Option<&'static str>| parse(text).expect(text).matches(|_| value);
        assert!(matches("a!=b", None) && matches("a notin (b)", None) && matches("!a", None));
        assert!(!matches("a=b", None) && !matches("a", None) && !matches("a>1", None) && !matches("a=", None));
        assert!(matches("a>1", Some("2")) && !matches("a>1", Some("x")) && matches("a<1", Some("0")));
    }
}
