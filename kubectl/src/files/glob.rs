//! Patterns of file names: `*`, `?`, `[a-z]`, each within one part of a path.
//!
//! Upstream: Go's `path/filepath` (`Match`, `Glob`).

use std::path::{Path, PathBuf};

/// A pattern that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub(super) struct BadPattern;

/// What one sign of a pattern stands for.
#[derive(Debug, PartialEq, Eq)]
enum Sign {
    /// Any text.
    Any,
    /// Any one letter.
    One,
    /// This letter.
    Letter(char),
    /// A letter of these ranges, or, if `not`, of none of them.
    Class { not: bool, ranges: Vec<(char, char)> },
}

/// The paths that a pattern matches, in their order. What cannot be looked into has no matches.
pub(super) fn glob(pattern: &str) -> Result<Vec<PathBuf>, BadPattern> {
    let parts = pattern.split('/').filter(|part| !part.is_empty());
    let parts: Vec<Vec<Sign>> = parts.map(signs).collect::<Result<_, _>>()?;
    let mut found = vec![PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })];
    for part in &parts {
        found = found.iter().flat_map(|folder| inside(folder, part)).collect();
    }
    Ok(found)
}

fn inside(folder: &Path, part: &[Sign]) -> Vec<PathBuf> {
    if let Some(name) = plain(part) {
        return Some(folder.join(name)).filter(|path| path.symlink_metadata().is_ok()).into_iter().collect();
    }
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(here).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| matches(part, &name.chars().collect::<Vec<_>>()));
    names.sort();
    names.into_iter().map(|name| folder.join(name)).collect()
}

/// The name, if the pattern has nothing that stands for anything else.
fn plain(part: &[Sign]) -> Option<String> {
    part.iter().map(|sign| if let Sign::Letter(letter) = sign { Some(*letter) } else { None }).collect()
}

fn signs(part: &str) -> Result<Vec<Sign>, BadPattern> {
    let mut letters = part.chars();
    let mut signs = Vec::new();
    while let Some(letter) = letters.next() {
        match letter {
            // Several are as good as one.
            '*' if signs.last() == Some(&Sign::Any) => {}
            '*' => signs.push(Sign::Any),
            '?' => signs.push(Sign::One),
            '[' => signs.push(class(&mut letters)?),
            '\\' => signs.push(Sign::Letter(letters.next().ok_or(BadPattern)?)),
            letter => signs.push(Sign::Letter(letter)),
        }
    }
    Ok(signs)
}

fn class(letters: &mut std::str::Chars<'_>) -> Result<Sign, BadPattern> {
    let not = letters.as_str().starts_with('^');
    if not {
        letters.next();
    }
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && letters.as_str().starts_with(']') {
            letters.next();
            return Ok(Sign::Class { not, ranges });
        }
        let low = end_of_range(letters)?;
        let high = match letters.as_str().starts_with('-') {
            true => {
                letters.next();
                end_of_range(letters)?
            }
            false => low,
        };
        ranges.push((low, high));
    }
}

fn end_of_range(letters: &mut std::str::Chars<'_>) -> Result<char, BadPattern> {
    match letters.next().ok_or(BadPattern)? {
        '-' | ']' => Err(BadPattern),
        '\\' => letters.next().ok_or(BadPattern),
        letter => Ok(letter),
    }
}

/// Whether the signs match the whole name. After a mismatch only the last `*` takes one letter more,
/// so that no name takes longer than its length times that of the pattern.
fn matches(signs: &[Sign], name: &[char]) -> bool {
    let (mut at, mut letter, mut any) = (0, 0, None);
    while letter < name.len() {
        match signs.get(at) {
            Some(Sign::Any) => {
                any = Some((at, letter));
                at += 1;
            }
            Some(sign) if fits(sign, name[letter]) => (at, letter) = (at + 1, letter + 1),
            _ => {
                let Some((star, start)) = any else { return false };
                any = Some((star, start + 1));
                (at, letter) = (star + 1, start + 1);
            }
        }
    }
    signs[at..].iter().all(|sign| *sign == Sign::Any)
}

fn fits(sign: &Sign, letter: char) -> bool {
    match sign {
        Sign::Any | Sign::One => true,
        Sign::Letter(wanted) => *wanted == letter,
        Sign::Class { not, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)) != *not,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_go_does() {
        for (pattern, name, want) in [
            ("*.yaml", "a.yaml", Ok(true)),
            ("*.yaml", "a.yml", Ok(false)),
            ("a*b*c", "axxbxbxc", Ok(true)),
            ("a?c", "abc", Ok(true)),
            ("[a-c]x", "bx", Ok(true)),
            ("[^a-c]x", "bx", Ok(false)),
            ("\\*", "*", Ok(true)),
            ("**", "", Ok(true)),
            ("[a", "a", Err(BadPattern)),
            ("[]a]", "a", Err(BadPattern)),
            ("[-a]", "a", Err(BadPattern)),
            ("a\\", "a", Err(BadPattern)),
            ("a*a*a*a*a*a*a*a*b", &"a".repeat(500), Ok(false)),
        ] {
            let name: Vec<char> = name.chars().collect();
            assert_eq!(signs(pattern).map(|signs| matches(&signs, &name)), want, "{pattern}");
        }
    }

    #[test]
    fn paths_are_found_in_their_order() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.yaml", "a.yaml", "c.txt"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        let of = |pattern: &str| glob(&folder.path().join(pattern).display().to_string());
        assert_eq!(of("*.yaml"), Ok(vec![folder.path().join("a.yaml"), folder.path().join("b.yaml")]));
        assert_eq!(of("c.tx?"), Ok(vec![folder.path().join("c.txt")]));
        assert_eq!((of("*.json"), of("none/*")), (Ok(vec![]), Ok(vec![])));
    }
}
