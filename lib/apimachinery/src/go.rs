//! Texts and numbers as Go prints them: messages quote values in its words.
//!
//! Upstream: Go's `strconv`, `fmt` and `encoding/json`.

use crate::Value;
use serde_json::Number;
use std::fmt::{self, Write};

/// A tree of JSON as `%v` prints it.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a Value);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("<nil>"),
            Value::String(text) => f.write_str(text),
            Value::Bool(set) => write!(f, "{set}"),
            Value::Number(number) => f.write_str(&plain_number(number)),
            Value::Array(items) => {
                f.write_str("[")?;
                separated(f, items, |f, item| Plain(item).fmt(f))?;
                f.write_str("]")
            }
            Value::Object(members) => {
                f.write_str("map[")?;
                separated(f, members, |f, (key, value)| write!(f, "{key}:{}", Plain(value)))?;
                f.write_str("]")
            }
        }
    }
}

fn separated<I: IntoIterator>(
    f: &mut fmt::Formatter<'_>,
    items: I,
    write: impl Fn(&mut fmt::Formatter<'_>, I::Item) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            f.write_str(" ")?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// A number as `%v` prints it: integers as they are, others as [`plain_float`].
pub fn plain_number(number: &Number) -> String {
    match as_float(number) {
        Some(float) => plain_float(float),
        None => number.to_string(),
    }
}

/// What Go reads a number as that is no `int64`.
fn as_float(number: &Number) -> Option<f64> {
    number.as_f64().filter(|_| !number.is_i64())
}

/// A `float64` as `%v` prints it: in the shortest form, with an exponent below 1e-4 and from 1e6 on.
pub fn plain_float(float: f64) -> String {
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(power) if float != 0.0 && !(-4..6).contains(&power) => with_exponent(mantissa, power, 2),
        _ => float.to_string(),
    }
}

/// A `float64` as a tree has it that was read from what `encoding/json` writes: as an integer if it is one.
pub fn double(float: f64) -> Value {
    // All integers below are floats, and the other way round.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_integer = float.fract() == 0.0 && float.abs() <= EXACT && (float != 0.0 || float.is_sign_positive());
    if is_integer { (float as i64).into() } else { float.into() }
}

/// A number as `encoding/json` writes it: with an exponent below 1e-6 and from 1e21 on.
pub fn json_number(number: &Number) -> String {
    let Some(float) = as_float(number) else { return number.to_string() };
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(power) if float != 0.0 && !(-6..21).contains(&power) => with_exponent(mantissa, power, 1),
        _ => float.to_string(),
    }
}

fn with_exponent(mantissa: &str, power: i32, digits: usize) -> String {
    let sign = if power < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:0>digits$}", power.unsigned_abs())
}

/// A text in double quotes as `%q` prints it: what is not printable is escaped.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            // Writing to a text does not fail.
            '\0'..='\u{7f}' => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c if is_printable(c) => out.push(c),
            '\0'..='\u{ffff}' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => drop(write!(out, "\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// What stands between the quotes of a literal, its escapes resolved; `None` if one of them is wrong.
pub fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            same @ ('\\' | '\'' | '"') => same,
            'x' => code_point(&mut chars, 2)?,
            'u' => code_point(&mut chars, 4)?,
            'U' => code_point(&mut chars, 8)?,
            _ => return None,
        });
    }
    Some(out)
}

fn code_point(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let code = (0..digits).try_fold(0_u32, |code, _| Some(code << 4 | chars.next()?.to_digit(16)?))?;
    char::from_u32(code)
}

/// Whether Go prints a character outside of ASCII as it is: letters, marks, numbers, punctuation and symbols. Rust's
/// table is the same, but that it escapes marks that have nothing to stand on.
fn is_printable(c: char) -> bool {
    let mut buffer = [b'a', 0, 0, 0, 0];
    let length = c.encode_utf8(&mut buffer[1..]).len();
    let text = std::str::from_utf8(&buffer[..=length]).unwrap_or_default();
    text.escape_debug().nth(1) == Some(c)
}

/// Appends a text as `encoding/json` writes it, which also spells out what HTML or JavaScript would read.
pub fn push_json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // Writing to a text does not fail.
            c if is_spelled_out(c) || c < ' ' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// What `encoding/json` spells out in texts though JSON does not ask for it.
pub fn is_spelled_out(c: char) -> bool {
    matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn trees_as_go_prints_them() {
        let tree = json!({"a": [1, "x", null, 1.5, true], "b": {"c": {}, "d": []}});
        assert_eq!(Plain(&tree).to_string(), "map[a:[1 x <nil> 1.5 true] b:map[c:map[] d:[]]]");
    }

    #[test]
    fn doubles_as_go_writes_them() {
        for (float, want) in [(100.0, "100"), (-3.0, "-3"), (0.0, "0"), (-0.0, "-0.0"), (1.5, "1.5"), (1e300, "1e+300")]
        {
            assert_eq!(double(float).to_string(), want);
        }
    }

    #[test]
    fn numbers_as_go_prints_them() {
        for (value, plain, json) in [
            (json!(7), "7", "7"),
            (json!(100000.0), "100000", "100000"),
            (json!(1234567.0), "1.234567e+06", "1234567"),
            (json!(1e20), "1e+20", "100000000000000000000"),
            (json!(1e21), "1e+21", "1e+21"),
            (json!(1e-5), "1e-05", "0.00001"),
            (json!(1e-7), "1e-07", "1e-7"),
            (json!(0.0001), "0.0001", "0.0001"),
            (json!(-1.5), "-1.5", "-1.5"),
            (json!(0.0), "0", "0"),
            (json!(u64::MAX), "1.8446744073709552e+19", "18446744073709552000"),
            (json!(i64::MIN), "-9223372036854775808", "-9223372036854775808"),
        ] {
            let Value::Number(number) = value else { panic!("a number") };
            assert_eq!((plain_number(&number).as_str(), json_number(&number).as_str()), (plain, json));
        }
    }

    #[test]
    fn texts_in_quotes() {
        let text = "a\"\\\n\u{1}\u{7}\u{7f}é\u{a0}\u{ad}\u{2028}\u{1f600}\u{e0001}<";
        assert_eq!(quoted(text), "\"a\\\"\\\\\\n\\x01\\a\\x7fé\\u00a0\\u00ad\\u2028\u{1f600}\\U000e0001<\"");
        let mut json = String::new();
        push_json_text(&mut json, text);
        let want = "\"a\\\"\\\\\\n\\u0001\\u0007\u{7f}é\u{a0}\u{ad}\\u2028\u{1f600}\u{e0001}\\u003c\"";
        assert_eq!(json, want);
    }

    #[test]
    fn texts_stand_in_gos_quotes() {
        for (text, want) in [
            ("a b", r#""a b""#),
            ("a\"\\'", r#""a\"\\'""#),
            ("\0\u{7}\u{8}\t\n\u{b}\u{c}\r\u{1b}\u{7f}", r#""\x00\a\b\t\n\v\f\r\x1b\x7f""#),
            ("é漢\u{301}😀", "\"é漢\u{301}😀\""),
            ("\u{85}\u{a0}\u{ad}\u{feff}\u{fffd}", "\"\\u0085\\u00a0\\u00ad\\ufeff\u{fffd}\""),
            ("\u{10ffff}\u{e000}", r#""\U0010ffff\ue000""#),
        ] {
            assert_eq!(quoted(text), want);
        }
    }
}
