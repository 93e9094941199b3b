//! The command line as `kubernetes.io/change-cause` tells it: words first, then every flag with its value.
//!
//! Upstream: `cli-runtime/pkg/genericclioptions/record_flags.go` (`parseCommandArguments`).

use super::words::{flag, letter, takes_word, walk};
use clap::Command;

/// A command line, told again. The first word is the program.
pub(crate) fn retold(words: &[String]) -> String {
    let root = super::command();
    let at = walk(&root, words).command;
    let program = words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word));
    let (mut told, mut flags) = (vec![program.to_owned()], Vec::new());
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        if word == "--" {
            told.extend(rest.by_ref().cloned());
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let name = name.replace('_', "-");
            let wants = flag(&root, at, &name).is_some_and(takes_word);
            let value = value.or_else(|| if wants { rest.next().map(String::as_str) } else { None });
            flags.push(format!("--{name}={}", value.unwrap_or(alone(&name))));
        } else if word.len() > 1 && word.starts_with('-') {
            flags.extend(letters(&root, at, word, &mut rest));
        } else {
            told.push(word.clone());
        }
    }
    told.extend(flags);
    told.join(" ")
}

/// The flags of `-Ro yaml`; the last may take its value from the words behind it.
fn letters<'a>(root: &Command, at: &Command, word: &str, rest: &mut impl Iterator<Item = &'a String>) -> Vec<String> {
    let (mut told, mut left) = (Vec::new(), word.get(1..).unwrap_or_default().chars());
    while let Some(short) = left.next() {
        let Some(arg) = letter(root, at, short) else { continue };
        let name = arg.get_long().map_or_else(|| short.to_string(), str::to_owned);
        let behind = left.as_str();
        let value = match behind.strip_prefix('=').filter(|value| !value.is_empty()) {
            Some(value) => value.to_owned(),
            None if !takes_word(arg) => {
                told.push(format!("--{name}={}", alone(&name)));
                continue;
            }
            None if behind.is_empty() => rest.next().cloned().unwrap_or_default(),
            None => behind.to_owned(),
        };
        told.push(format!("--{name}={value}"));
        break;
    }
    told
}

/// What a flag stands for that has no value (`NoOptDefVal`).
fn alone(name: &str) -> &'static str {
    match name {
        "dry-run" => "unchanged",
        "validate" => "strict",
        "cascade" => "background",
        _ => "true",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_behind_words_with_their_values() {
        for (line, want) in [
            ("/bin/kubectl edit cm x --record", "kubectl edit cm x --record=true"),
            ("kubectl -n ns label pod p a=b --record=1", "kubectl label pod p a=b --namespace=ns --record=1"),
            ("kubectl apply -Rf x.yaml --record", "kubectl apply --recursive=true --filename=x.yaml --record=true"),
            ("kubectl scale -oyaml --replicas 2 deploy/a", "kubectl scale deploy/a --output=yaml --replicas=2"),
            ("kubectl run a --image=b --dry_run -- c -d", "kubectl run a c -d --image=b --dry-run=unchanged"),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(retold(&words), want, "{line}");
        }
    }
}
