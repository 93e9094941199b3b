//! Flags that hold lists: each value is a line of comma-separated values with quotes, as Go's flag library reads it.
//!
//! Upstream: `github.com/spf13/pflag` (`string_slice.go`), Go's `encoding/csv`.

use super::usage::REQUIRED;
use clap::{Arg, ArgAction, Command};
use std::any::TypeId;

/// Between the parts of a value once it is read: no flag holds it.
const BETWEEN: char = '\u{1f}';
/// In front of a value that is no list.
const FAULTY: char = '\u{1e}';

/// Lists of pairs: they know no quotes.
const PAIRS: [&str; 1] = ["aggregation-rule"];

/// Lets every list of a command and its subcommands take its parts as [`read_parts`] leaves them.
pub(super) fn separate(command: Command) -> Command {
    command.mut_args(take_parts).mut_subcommands(separate)
}

fn take_parts(arg: Arg) -> Arg {
    if arg.get_value_delimiter() != Some(',') || arg.get_long().is_some_and(|long| PAIRS.contains(&long)) {
        return arg;
    }
    let is_text = arg.get_value_parser().type_id() == TypeId::of::<String>();
    let arg = arg.value_delimiter(BETWEEN);
    if is_text { arg.value_parser(part) } else { arg }
}

/// A part of a list, unless the whole of it could not be read.
fn part(text: &str) -> Result<String, String> {
    match text.strip_prefix(FAULTY) {
        Some(whole) => record(whole).map(|_| whole.to_owned()),
        None => Ok(text.to_owned()),
    }
}

/// A value as it was typed.
pub(super) fn typed(value: &str) -> &str {
    value.strip_prefix(FAULTY).unwrap_or(value)
}

/// Puts the parts of lists apart, and marks what is none.
pub(super) fn read_parts(command: &Command, words: &mut [String]) {
    for place in 1..words.len() {
        if !words[place].contains([',', '"', '\n', '\r']) {
            continue;
        }
        let before = super::walk(command, &words[..place]);
        if before.ended {
            return;
        }
        let begin = match before.open_flag {
            Some(arg) => Some(0).filter(|_| is_record(arg)),
            None => value_of_list(command, before.command, &words[place]),
        };
        if let Some((flag, value)) = begin.and_then(|begin| words[place].split_at_checked(begin)) {
            words[place] = match record(value) {
                Ok(parts) => format!("{flag}{}", parts.join(&BETWEEN.to_string())),
                Err(_) => format!("{flag}{FAULTY}{value}"),
            };
        }
    }
}

/// Where in a word the value of a list begins: `--verb=get,list`, `-fa,b`.
fn value_of_list(root: &Command, command: &Command, word: &str) -> Option<usize> {
    if let Some(long) = word.strip_prefix("--") {
        let end = long.find('=')?;
        return super::words::flag(root, command, &long[..end]).filter(|arg| is_record(arg)).map(|_| end + 3);
    }
    for (at, letter) in word.strip_prefix('-')?.char_indices() {
        let arg = super::words::letter(root, command, letter)?;
        if super::takes_word(arg) {
            let value = at + 1 + letter.len_utf8();
            return is_record(arg).then(|| if word[value..].starts_with('=') { value + 1 } else { value });
        }
    }
    None
}

/// Drops `--verb=` and `-f ''`: a list of nothing, while a list elsewhere of one empty text is that to Go.
pub(super) fn drop_empty(command: &Command, words: &mut Vec<String>) {
    drop_empty_words(command, words);
    let own = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let walk = super::walk(command, words);
    let (at, path) = (walk.command, walk.path);
    let required = |long: &str| REQUIRED.iter().any(|(of, flags)| *of == path && flags.contains(&long));
    let is_empty_list = |word: &String| {
        let long = word.strip_prefix("--").and_then(|word| word.strip_suffix('='));
        let listed = |long: &&str| at.get_arguments().any(|a| a.get_long() == Some(*long) && is_list(a));
        long.filter(listed).is_some_and(|long| !required(long))
    };
    let mut place = 0;
    words.retain(|word| {
        place += 1;
        place > own || !is_empty_list(word)
    });
}

/// The same for values that are words of their own.
fn drop_empty_words(command: &Command, words: &mut Vec<String>) {
    for place in (2..words.len()).rev().filter(|place| words[*place].is_empty()).collect::<Vec<_>>() {
        let before = super::walk(command, &words[..place]);
        let alone = before.open_flag.filter(|arg| is_list(arg) && words[place - 1].len() > 1);
        // What a command cannot do without is missed otherwise.
        let required = |long| REQUIRED.iter().any(|(of, flags)| *of == before.path && flags.contains(&long));
        let stands_alone = |word: &str| word.starts_with("--") || word.len() == 2;
        if alone.and_then(Arg::get_long).is_some_and(|long| !required(long)) && stands_alone(&words[place - 1]) {
            words.drain(place - 1..=place);
        }
    }
}

fn is_list(arg: &Arg) -> bool {
    arg.get_value_delimiter().is_some() && matches!(arg.get_action(), ArgAction::Append)
}

/// Whether a flag takes a line of values with quotes.
fn is_record(arg: &Arg) -> bool {
    arg.get_value_delimiter() == Some(BETWEEN)
}

/// The first line that says something, as its parts; or what Go says of it.
fn record(text: &str) -> Result<Vec<String>, String> {
    let text = text.replace("\r\n", "\n");
    let mut rest = text.trim_start_matches('\n');
    if rest.is_empty() {
        return if text.is_empty() { Ok(Vec::new()) } else { Err("EOF".into()) };
    }
    let begin = text.len() - rest.len() + 1;
    let (mut parts, mut line, mut column) = (Vec::new(), begin, 1);
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find([',', '\n']).unwrap_or(rest.len());
            if let Some(quote) = rest[..end].find('"') {
                return Err(wrong(begin, line, column + quote, "bare \" in non-quoted-field"));
            }
            parts.push(rest[..end].to_owned());
            match rest[end..].strip_prefix(',') {
                Some(more) => (rest, column) = (more, column + end + 1),
                None => return Ok(parts),
            }
            continue;
        };
        let (part, behind) = unquoted(quoted);
        parts.push(part);
        // Where the closing quote is, or the end of the text.
        let read = &rest[..rest.len() - behind.map_or(0, str::len)];
        match read.rfind('\n').filter(|_| behind.is_some() || !read.ends_with('\n')) {
            Some(last) => (line, column) = (line + read.matches('\n').count(), read.len() - last),
            None => column += read.len(),
        }
        match behind {
            Some(behind) if behind.is_empty() || behind.starts_with('\n') => return Ok(parts),
            Some(behind) => match behind.strip_prefix(',') {
                Some(more) => (rest, column) = (more, column + 1),
                None => return Err(wrong(begin, line, column - 1, ODD_QUOTE)),
            },
            None => return Err(wrong(begin, line, column, ODD_QUOTE)),
        }
    }
}

const ODD_QUOTE: &str = "extraneous or missing \" in quoted-field";

/// What stands between quotes, and what is behind the closing one, if there is one.
fn unquoted(mut rest: &str) -> (String, Option<&str>) {
    let mut part = String::new();
    while let Some((text, behind)) = rest.split_once('"') {
        part.push_str(text);
        match behind.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return (part, Some(behind)),
        }
    }
    part.push_str(rest);
    (part, None)
}

fn wrong(begin: usize, line: usize, column: usize, what: &str) -> String {
    let of = if begin == line { String::new() } else { format!("record on line {begin}; ") };
    format!("{of}parse error on line {line}, column {column}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_records_of_comma_separated_values() {
        let wrong = |place: &str, what: &str| Err(format!("parse error on line 1, column {place}: {what}"));
        let parts = |parts: &[&str]| Ok(parts.iter().map(|part| (*part).to_owned()).collect());
        for (text, want) in [
            ("", parts(&[])),
            ("a", parts(&["a"])),
            ("a,,b,", parts(&["a", "", "b", ""])),
            (",,", parts(&["", "", ""])),
            ("\"a,b\",\"c\"\"d\",e", parts(&["a,b", "c\"d", "e"])),
            ("\"\"", parts(&[""])),
            ("\na,b\nc", parts(&["a", "b"])),
            ("\"a\nb\"\nc", parts(&["a\nb"])),
            ("\n", Err("EOF".into())),
            ("a\"b", wrong("2", "bare \" in non-quoted-field")),
            ("x,a\"b", wrong("4", "bare \" in non-quoted-field")),
            ("\"a", wrong("3", ODD_QUOTE)),
            ("\"a\"b", wrong("3", ODD_QUOTE)),
            ("x,\"a\" ,", wrong("5", ODD_QUOTE)),
            ("\"a\nb\"c", Err(format!("record on line 1; parse error on line 2, column 2: {ODD_QUOTE}"))),
        ] {
            assert_eq!(record(text), want, "{text:?}");
        }
    }

    #[test]
    fn values_are_put_apart_wherever_they_stand() {
        let command = super::super::command();
        for (line, want) in [
            ("k get -fa,b pods,cm", "k get -fa|b pods,cm"),
            ("k get -Rf=a,b", "k get -Rf=a|b"),
            ("k create role r --verb=get,list --resource a,b", "k create role r --verb=get|list --resource a|b"),
            ("k create role r --resource-name=a,b", "k create role r --resource-name=a,b"),
            ("k create role r -- --verb=a,b", "k create role r -- --verb=a,b"),
            ("k get -f \"a,b\" -f \"a", "k get -f a,b -f !\"a"),
        ] {
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            read_parts(&command, &mut words);
            assert_eq!(words.join(" ").replace(BETWEEN, "|").replace(FAULTY, "!"), want);
        }
    }
}
