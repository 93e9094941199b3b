//! Completion of command lines: the protocol that shells speak with the program, and the scripts
//! that teach it to them.
//!
//! A shell runs `kubectl __complete WORDS…`, the last word being the one that is typed; the answer
//! is a candidate a line, with a description behind a tab, and a last line `:N` that says what
//! else the shell may do.
//!
//! Upstream: `spf13/cobra` (`completions.go`), `kubectl/pkg/util/completion`.

mod names;
mod scripts;

pub use scripts::script;

use crate::cli::{self, Walk};
use clap::{Arg, ArgAction, Command};
use std::fmt::Write as _;

/// What a shell may do beside offering the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Complete files if there is no candidate.
    Default = 0,
    /// Complete no files.
    NoFiles = 4,
    /// No files, and no blank behind the candidate.
    NoFilesNoSpace = 6,
    /// The candidates are extensions of files.
    Extensions = 8,
}

impl Directive {
    fn name(self) -> &'static str {
        match self {
            Directive::Default => "ShellCompDirectiveDefault",
            Directive::NoFiles => "ShellCompDirectiveNoFileComp",
            Directive::NoFilesNoSpace => "ShellCompDirectiveNoSpace, ShellCompDirectiveNoFileComp",
            Directive::Extensions => "ShellCompDirectiveFilterFileExt",
        }
    }
}

/// Candidates, each with a description that may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    candidates: Vec<(String, String)>,
    directive: Directive,
}

impl Answer {
    fn nothing(directive: Directive) -> Self {
        Answer { candidates: Vec::new(), directive }
    }

    fn values<'a>(values: impl IntoIterator<Item = &'a str>, typed: &str) -> Self {
        let fitting = values.into_iter().filter(|v| v.starts_with(typed));
        Answer { candidates: fitting.map(|v| (v.to_owned(), String::new())).collect(), directive: Directive::NoFiles }
    }

    /// What the shell reads.
    pub fn text(&self, described: bool) -> String {
        let mut text = String::new();
        for (value, description) in &self.candidates {
            let _ = match described && !description.is_empty() {
                true => writeln!(text, "{value}\t{}", description.lines().next().unwrap_or_default().trim()),
                false => writeln!(text, "{value}"),
            };
        }
        let _ = writeln!(text, ":{}", self.directive as u8);
        text
    }

    /// What people read who try it by hand.
    pub fn remark(&self) -> String {
        format!("Completion ended with directive: {}", self.directive.name())
    }
}

/// Answers a shell; the words are what stands behind `__complete`.
pub async fn answer(words: &[String]) -> Answer {
    let (typed, before) = words.split_last().map_or(("", [].as_slice()), |(typed, before)| (typed.as_str(), before));
    let root = cli::command();
    if let Some((_, path)) = before.split_first().filter(|(first, _)| *first == "help" && !typed.starts_with('-')) {
        return of_help(&root, path, typed);
    }
    let mut line = vec!["kubectl".to_owned()];
    line.extend_from_slice(before);
    let walk = cli::walk(&root, &line);
    if walk.path.is_empty() && !walk.rest.is_empty() {
        return of_plugin(&line[1..], typed);
    }
    if !walk.ended {
        if let Some((flag, value)) = open_value(&root, &walk, typed) {
            return flag_value(&line, &walk, flag, value).await;
        }
        if typed.starts_with('-') {
            return flags(&root, &walk, &line, typed);
        }
    }
    let has_commands = walk.command.get_subcommands().next().is_some();
    if has_commands && walk.rest.is_empty() {
        return commands(&walk, typed);
    }
    let mut answer = names::positional(&line, &walk, typed).await;
    if typed.is_empty() {
        answer.candidates.splice(0..0, required(&walk, &line));
    }
    answer
}

/// The flags without which a command does nothing, and which are not set yet.
fn required(walk: &Walk<'_>, line: &[String]) -> Vec<(String, String)> {
    let long = match walk.path.last().map(String::as_str) {
        Some("run") => "image",
        Some("scale") => "replicas",
        Some("autoscale") => "max",
        _ => return Vec::new(),
    };
    let flag = walk.command.get_arguments().find(|a| a.get_long() == Some(long) && !cli::given(a, line));
    let help = |flag: &Arg| flag.get_help().map(ToString::to_string).unwrap_or_default();
    flag.map(|flag| (format!("--{long}"), help(flag))).into_iter().collect()
}

/// The flag whose value is being typed, and what of it there is.
fn open_value<'a, 't>(root: &'a Command, walk: &Walk<'a>, typed: &'t str) -> Option<(&'a Arg, &'t str)> {
    if let Some(flag) = walk.open_flag {
        return Some((flag, typed));
    }
    let (name, value) = typed.split_once('=').filter(|(name, _)| name.starts_with('-'))?;
    let flag = match name.strip_prefix("--") {
        Some(long) => cli::flag(root, walk.command, long),
        None => {
            let short = name.chars().next_back();
            let all = walk.command.get_arguments().chain(root.get_arguments());
            all.filter(|a| a.get_short().is_some()).find(|a| a.get_short() == short)
        }
    };
    flag.map(|flag| (flag, value))
}

/// The commands that there is help of: those behind a path of commands.
fn of_help(root: &Command, path: &[String], typed: &str) -> Answer {
    let line: Vec<String> = [&["kubectl".to_owned()], path].concat();
    let walk = cli::walk(root, &line);
    let mut candidates = if walk.rest.is_empty() { own_commands(&walk) } else { Vec::new() };
    if path.is_empty() {
        candidates.push(("help".into(), "Help about any command".into()));
    }
    candidates.retain(|(name, _)| name.starts_with(typed));
    candidates.sort();
    Answer { candidates, directive: Directive::NoFiles }
}

fn own_commands(walk: &Walk<'_>) -> Vec<(String, String)> {
    let own = walk.command.get_subcommands().filter(|c| !c.is_hide_set());
    let about = |c: &Command| c.get_about().map(|a| a.to_string().trim_end_matches('.').to_owned()).unwrap_or_default();
    own.map(|c| (c.get_name().to_owned(), about(c))).collect()
}

/// Commands, and at the top the plugins.
fn commands(walk: &Walk<'_>, typed: &str) -> Answer {
    let mut candidates = own_commands(walk);
    if walk.path.is_empty() {
        for plugin in crate::plugins::all(false) {
            let name = plugin.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = name.split('-').nth(1).unwrap_or_default().replace('_', "-");
            if !name.is_empty() && !candidates.iter().any(|(known, _)| *known == name) {
                let about = format!("The command {name} is a plugin installed by the user");
                candidates.push((name, about));
            }
        }
    }
    candidates.retain(|(name, _)| name.starts_with(typed));
    candidates.sort();
    Answer { candidates, directive: Directive::NoFiles }
}

/// Names of flags: those of all commands, then the command's own; what is set already only if it
/// may be set again.
fn flags(root: &Command, walk: &Walk<'_>, line: &[String], typed: &str) -> Answer {
    let shown = |a: &&Arg| a.get_long().is_some_and(|l| l != "help") && (!a.is_hide_set() || a.is_global_set());
    let mut of_all: Vec<&Arg> = root.get_arguments().filter(|a| a.is_global_set()).filter(shown).collect();
    let mut own: Vec<&Arg> = walk.command.get_arguments().filter(|a| !a.is_global_set()).filter(shown).collect();
    for list in [&mut of_all, &mut own] {
        list.sort_by_key(|a| a.get_long());
    }
    let mut candidates = Vec::new();
    for arg in of_all.into_iter().chain(own) {
        let long = format!("--{}", arg.get_long().unwrap_or_default());
        if cli::given(arg, line) && !matches!(arg.get_action(), ArgAction::Append) {
            continue;
        }
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let short = arg.get_short().map(|c| format!("-{c}"));
        for name in [Some(long), short].into_iter().flatten().filter(|n| n.starts_with(typed)) {
            candidates.push((name, help.clone()));
        }
    }
    Answer { candidates, directive: Directive::NoFiles }
}

/// Output formats of commands that print objects, and of those that print tables.
const FORMATS: [&str; 11] = [
    "json",
    "yaml",
    "kyaml",
    "name",
    "go-template",
    "go-template-file",
    "template",
    "templatefile",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
];

async fn flag_value(line: &[String], walk: &Walk<'_>, flag: &Arg, typed: &str) -> Answer {
    let path: Vec<&str> = walk.path.iter().map(String::as_str).collect();
    match (flag.get_long().unwrap_or_default(), path.as_slice()) {
        ("namespace", _) => names::objects(line, "namespaces", typed).await,
        ("context", _) => names::entries(line, "contexts", typed),
        ("cluster", _) => names::entries(line, "clusters", typed),
        ("user", _) => names::entries(line, "users", typed),
        ("container", _) => names::containers(line, walk, typed).await,
        ("filename", _) => Answer { directive: Directive::Extensions, ..Answer::values(["json", "yaml", "yml"], "") },
        ("output", ["version"]) => Answer::values(["json", "yaml"], typed),
        ("output", ["api-resources"]) => Answer::values(["json", "yaml", "kyaml", "name", "wide"], typed),
        ("output", ["explain"]) => Answer::values(["plaintext", "plaintext-openapiv2"], typed),
        ("output", ["get"]) => {
            let more = ["custom-columns", "custom-columns-file", "wide"];
            Answer::values(FORMATS.into_iter().chain(more), typed)
        }
        ("output", _) => Answer::values(FORMATS, typed),
        ("dry-run", _) => Answer::values(["none", "server", "client"], typed),
        _ => Answer::nothing(Directive::Default),
    }
}

/// A plugin completes itself: `kubectl_complete-NAME` is run with its arguments.
fn of_plugin(words: &[String], typed: &str) -> Answer {
    let nothing = Answer::nothing(Directive::Default);
    let Some((name, arguments)) = words.split_first().filter(|(name, _)| !name.starts_with('-')) else {
        return nothing;
    };
    let program = format!("kubectl_complete-{}", name.replace('-', "_"));
    let output =
        std::process::Command::new(program).args(arguments).arg(typed).stderr(std::process::Stdio::null()).output();
    let Ok(output) = output else { return nothing };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<&str> = text.lines().collect();
    let directive = lines.last().and_then(|l| l.strip_prefix(':')?.trim().parse::<u8>().ok());
    if directive.is_some() {
        lines.pop();
    }
    let directive = match directive.unwrap_or_default() {
        4 => Directive::NoFiles,
        6 => Directive::NoFilesNoSpace,
        8 => Directive::Extensions,
        _ => Directive::Default,
    };
    let pair = |line: &str| {
        let (value, about) = line.split_once('\t').unwrap_or((line, ""));
        (value.to_owned(), about.to_owned())
    };
    Answer { candidates: lines.into_iter().map(pair).collect(), directive }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(|w| w.trim_matches('"').to_owned()).collect();
        answer(&words).await.text(false).replace('\n', " ")
    }

    #[tokio::test]
    async fn answers_without_a_server() {
        for (line, want) in [
            ("rollout re", "restart resume :4 "),
            ("config v", "view :4 "),
            ("help he", "help :4 "),
            ("help rollout re", "restart resume :4 "),
            ("get --out", "--output --output-watch-events :4 "),
            ("get pods -o js", "json jsonpath jsonpath-as-json jsonpath-file :4 "),
            ("get pods --output=ya", "yaml :4 "),
            ("get pods -o=ya", "yaml :4 "),
            ("apply -f \"\"", "json yaml yml :8 "),
            ("nosuchcommand \"\"", ":0 "),
            ("wait \"\"", ":0 "),
            ("completion z", "zsh :4 "),
        ] {
            assert_eq!(told(line).await, want, "{line}");
        }
        let words = ["version".to_owned(), "--o".to_owned()];
        assert_eq!(answer(&words).await.text(true), "--output\tOne of 'yaml' or 'json'\n:4\n");
    }
}
