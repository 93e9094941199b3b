//! The difference of two structs, as upstream puts it into messages: a unified one of their indented texts.
//!
//! Upstream: `apimachinery/pkg/util/diff`, `pmezard/go-difflib` (the `SequenceMatcher` of Python's `difflib`).

use super::super::check::Show;
use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

/// Lines around a change.
const CONTEXT: usize = 3;
/// Structs of more lines are not compared: that takes the square of their number.
const MAX_LINES: usize = 1000;
/// From so many lines on, those that are there often are not looked for.
const MANY: usize = 200;

/// What changed between two structs; empty if they are too large to say.
pub(in crate::validation) fn difference(old: &impl Show, new: &impl Show) -> String {
    let (old, new) = (indented(&old.show()), indented(&new.show()));
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    match old.len().max(new.len()) > MAX_LINES {
        true => String::new(),
        false => unified(&old, &new),
    }
}

/// JSON with each member in a line of its own.
fn indented(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len() * 2);
    let (mut depth, mut in_text, mut is_escaped) = (0, false, false);
    let mut chars = compact.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth));
    };
    while let Some(c) = chars.next() {
        match c {
            _ if in_text => {
                out.push(c);
                in_text = c != '"' || is_escaped;
                is_escaped = c == '\\' && !is_escaped;
            }
            '{' | '[' => {
                out.push(c);
                match chars.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

/// Lines of both texts that stand for each other.
type Pair = (Range<usize>, Range<usize>);

/// A stretch of lines.
enum Stretch {
    Equal(Pair),
    Changed(Pair),
}

fn unified(old: &[&str], new: &[&str]) -> String {
    let mut out = String::new();
    for group in groups(stretches(old, new)) {
        let pair = |stretch: &Stretch| match stretch {
            Stretch::Equal(pair) | Stretch::Changed(pair) => pair.clone(),
        };
        let (Some(first), Some(last)) = (group.first().map(pair), group.last().map(pair)) else { continue };
        let (before, after) = (first.0.start..last.0.end, first.1.start..last.1.end);
        // Writing to a text does not fail.
        let _ = writeln!(out, "@@ -{} +{} @@", place(before), place(after));
        let mut lines = |sign: char, lines: &[&str]| {
            for line in lines {
                let _ = writeln!(out, "{sign}{line}");
            }
        };
        for stretch in &group {
            match stretch {
                Stretch::Equal((before, _)) => lines(' ', &old[before.clone()]),
                Stretch::Changed((before, after)) => {
                    lines('-', &old[before.clone()]);
                    lines('+', &new[after.clone()]);
                }
            }
        }
    }
    out
}

fn place(lines: Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => (lines.start + 1).to_string(),
        count => format!("{},{count}", lines.start + 1),
    }
}

/// Changes with the lines around them; those that are near each other together.
fn groups(stretches: Vec<Stretch>) -> Vec<Vec<Stretch>> {
    let count = stretches.len();
    let (mut groups, mut group) = (Vec::new(), Vec::new());
    for (at, stretch) in stretches.into_iter().enumerate() {
        let Stretch::Equal((before, after)) = stretch else {
            group.push(stretch);
            continue;
        };
        let (is_first, is_last) = (at == 0, at + 1 == count);
        let kept = before.len().min(CONTEXT);
        let head = Stretch::Equal((before.start..before.start + kept, after.start..after.start + kept));
        let tail = Stretch::Equal((before.end - kept..before.end, after.end - kept..after.end));
        match (is_first, is_last) {
            (true, true) => {}
            (true, false) => group.push(tail),
            (false, true) => group.push(head),
            (false, false) if before.len() > 2 * CONTEXT => {
                group.push(head);
                groups.push(std::mem::replace(&mut group, vec![tail]));
            }
            (false, false) => group.push(Stretch::Equal((before, after))),
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

/// The texts as stretches, in order.
fn stretches(old: &[&str], new: &[&str]) -> Vec<Stretch> {
    let mut blocks = Vec::new();
    let index = index(new);
    let mut todo = vec![(0..old.len(), 0..new.len())];
    while let Some((before, after)) = todo.pop() {
        let (i, j, size) = longest(old, new, &index, &before, &after);
        if size > 0 {
            blocks.push((i, j, size));
            todo.push((before.start..i, after.start..j));
            todo.push((i + size..before.end, j + size..after.end));
        }
    }
    blocks.sort_unstable();
    blocks.push((old.len(), new.len(), 0));
    let mut stretches: Vec<Stretch> = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (at, to, size) in blocks {
        if i < at || j < to {
            stretches.push(Stretch::Changed((i..at, j..to)));
        }
        (i, j) = (at + size, to + size);
        match stretches.last_mut() {
            _ if size == 0 => {}
            // Blocks that touch are one.
            Some(Stretch::Equal((before, after))) => (before.end, after.end) = (i, j),
            _ => stretches.push(Stretch::Equal((at..i, to..j))),
        }
    }
    stretches
}

/// Where each line stands, without those that stand everywhere.
fn index<'a>(lines: &[&'a str]) -> HashMap<&'a str, Vec<usize>> {
    let mut index: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        index.entry(line).or_default().push(at);
    }
    if lines.len() >= MANY {
        index.retain(|_, places| places.len() <= lines.len() / 100 + 1);
    }
    index
}

/// The longest common block of two ranges, the earliest of those of its length: where it begins, and its length.
fn longest(
    old: &[&str],
    new: &[&str],
    index: &HashMap<&str, Vec<usize>>,
    before: &Range<usize>,
    after: &Range<usize>,
) -> (usize, usize, usize) {
    let (mut i, mut j, mut size) = (before.start, after.start, 0);
    let mut ending: HashMap<usize, usize> = HashMap::new();
    for at in before.clone() {
        let mut next = HashMap::new();
        let places = index.get(old[at]).into_iter().flatten().copied();
        for place in places.filter(|place| after.contains(place)) {
            let length = place.checked_sub(1).and_then(|last| ending.get(&last)).map_or(1, |length| length + 1);
            next.insert(place, length);
            if length > size {
                (i, j, size) = (at + 1 - length, place + 1 - length, length);
            }
        }
        ending = next;
    }
    // Lines that are not looked for may be next to those that were found.
    while i > before.start && j > after.start && old[i - 1] == new[j - 1] {
        (i, j, size) = (i - 1, j - 1, size + 1);
    }
    while i + size < before.end && j + size < after.end && old[i + size] == new[j + size] {
        size += 1;
    }
    (i, j, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(&'static str);

    impl Show for Text {
        fn show(&self) -> String {
            self.0.to_owned()
        }
    }

    #[test]
    fn structs_are_indented() {
        let text = indented(r#"{"A":[],"B":{"C":"x,{\"}","D":[1,2]},"E":{}}"#);
        let want =
            "{\n \"A\": [],\n \"B\": {\n  \"C\": \"x,{\\\"}\",\n  \"D\": [\n   1,\n   2\n  ]\n },\n \"E\": {}\n}";
        assert_eq!(text, want);
    }

    #[test]
    fn changes_stand_in_their_context() {
        for (old, new, want) in [
            (r#"{"A":1}"#, r#"{"A":1}"#, ""),
            (r#"{"A":1}"#, r#"{"A":2}"#, "@@ -1,3 +1,3 @@\n {\n- \"A\": 1\n+ \"A\": 2\n }\n"),
            ("[1,2,3,4,5,6]", "[1,2,3,4,5,6,7]", "@@ -4,5 +4,6 @@\n  3,\n  4,\n  5,\n- 6\n+ 6,\n+ 7\n ]\n"),
            (
                "[0,1,2,3,4,5,6,7,8,9]",
                "[1,1,2,3,4,5,6,7,8,8]",
                "@@ -1,5 +1,5 @@\n [\n- 0,\n+ 1,\n  1,\n  2,\n  3,\n@@ -8,5 +8,5 @@\n  6,\n  7,\n  8,\n- 9\n+ 8\n ]\n",
            ),
        ] {
            assert_eq!(difference(&Text(old), &Text(new)), want, "{old} {new}");
        }
    }

    #[test]
    fn large_structs_are_not_compared() {
        struct Large(usize);
        impl Show for Large {
            fn show(&self) -> String {
                format!("[{}]", vec!["1"; self.0].join(","))
            }
        }
        assert_eq!(difference(&Large(MAX_LINES), &Large(1)), "");
        assert!(difference(&Large(MANY + 1), &Large(MANY)).starts_with("@@ "));
    }
}
