//! Reading the command line: flags as Go's `pflag` takes them, complaints as `cobra` words them.
//!
//! Upstream: `spf13/cobra`, `spf13/pflag`, `kubectl/pkg/cmd/util/helpers.go`.

use super::complaint::{complaint, path};
use super::{Args, lists, switches};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

/// What to say instead of running something.
#[derive(Debug)]
pub enum UsageError {
    /// Help that was asked for.
    Help(String),
    /// Help for somebody who got lost, on standard output.
    Lost(String),
    /// A complaint.
    Wrong(String),
    /// A complaint of `diff`, whose exit code 1 says that something differs.
    NotCompared(String),
}

/// Reads a command line; the first word is the program.
pub fn parse(words: &[String]) -> Result<Args, UsageError> {
    if let Some(args) = parse_quickly(words) {
        return Ok(args);
    }
    let mut command = command();
    let mut words = commands_first(&command, words);
    spell_with_dashes(&command, &mut words);
    let misread = lone_equals_signs(&command, &mut words);
    drop_uncounted(&command, &mut words);
    lists::drop_empty(&command, &mut words);
    lists::read_parts(&command, &mut words);
    let unexpected = unexpected_words(&command, &words);
    let matches = loop {
        match command.try_get_matches_from_mut(&words) {
            Ok(matches) => break matches,
            // A command that looks at no words lets them pass.
            Err(error) => match superfluous(&command, &words, &error) {
                Some(place) => drop(words.remove(place)),
                None => return Err(worded(&command, &words, &error, unexpected)),
            },
        }
    };
    if let Some(complaint) = misread {
        return Err(complaint);
    }
    if let Some(complaint) = unexpected {
        return Err(of_command(&command, &words, complaint));
    }
    required(&matches).map_err(UsageError::Wrong)?;
    let mut args = Args::from_arg_matches(&matches).map_err(|error| complaint(&command, &words, &error))?;
    if let super::Command::Exec(exec) = &mut args.command {
        exec.ended = super::walk(&command, &words).ended;
    }
    Ok(Args { global: args.global.without_empty_paths(), ..args })
}

/// Spells `--dry_run` as `--dry-run`, which is the same flag to upstream. One that is not there keeps its name.
///
/// Upstream: `component-base/cli/flag` (`WordSepNormalizeFunc`).
fn spell_with_dashes(command: &Command, words: &mut [String]) {
    for place in 1..words.len() {
        let before = super::walk(command, &words[..place]);
        if before.ended {
            return;
        }
        let Some(long) = words[place].strip_prefix("--").filter(|_| before.open_flag.is_none()) else { continue };
        let (name, value) = long.split_at(long.find('=').unwrap_or(long.len()));
        let spelt = name.replace('_', "-");
        if spelt != name && super::words::flag(command, super::walk(command, words).command, &spelt).is_some() {
            words[place] = format!("--{spelt}{value}");
        }
    }
}

/// Drops what stands behind `--` where `create` wants a name: upstream counts the words in front of it.
///
/// Upstream: `kubectl/pkg/cmd/create/create.go` (`NameFromCommandArgs`).
fn drop_uncounted(command: &Command, words: &mut Vec<String>) {
    let walk = super::walk(command, words);
    let is_generator = walk.path.len() > 1 && walk.path[0] == "create";
    if !walk.ended || !is_generator || walk.command.get_arguments().any(clap::Arg::is_last_set) {
        return;
    }
    let end = (1..words.len()).find(|place| super::walk(command, &words[..=*place]).ended);
    words.truncate(end.unwrap_or(words.len()));
}

/// Spells `-o=` out: the sign is the value, since Go looks for one behind it only if there is more. A switch takes no
/// such value, and so the sign is taken for another flag, which is not there.
fn lone_equals_signs(command: &Command, words: &mut [String]) -> Option<UsageError> {
    let own = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let path = path(command, words);
    let at = super::walk(command, words).command;
    let mut misread = None;
    for word in words.iter_mut().take(own) {
        let [b'-', short, b'='] = word.as_bytes() else { continue };
        let named = |arg: &&clap::Arg| arg.get_short() == Some(char::from(*short));
        let found = at.get_arguments().chain(command.get_arguments()).find(named);
        match found.and_then(|arg| Some((arg.get_long()?, super::takes_word(arg)))) {
            Some((long, true)) => *word = format!("--{long}=="),
            Some((_, false)) => {
                let text = format!("error: unknown shorthand flag: '=' in -=\nSee '{path} --help' for usage.");
                misread.get_or_insert(UsageError::Wrong(text));
                // The complaint comes once the other flags have been read.
                word.pop();
            }
            None => {}
        }
    }
    misread
}

/// What is wrong, flags first: whether a command is there is asked once they have been read.
fn worded(command: &Command, words: &[String], error: &clap::Error, unexpected: Option<String>) -> UsageError {
    if error.kind() == ErrorKind::DisplayHelp
        && let Some(wrong) = wrong_beside_help(command, words)
    {
        return of_diff(command, words, wrong);
    }
    let (words, earlier) = match first_fault(command, words) {
        Some((length, error)) => (&words[..length], Some(error)),
        None => (words, None),
    };
    let error = earlier.as_ref().unwrap_or(error);
    let first = match error.kind() {
        ErrorKind::InvalidSubcommand => wrong_flag(command, words),
        // A word like any other, not a command behind flags that it has not.
        ErrorKind::ArgumentConflict if unexpected.is_some() => wrong_flag(command, words),
        _ => Some(complaint(command, words, error)),
    };
    let other = || match unexpected {
        Some(complaint) => UsageError::Wrong(complaint),
        None => complaint(command, words, error),
    };
    of_diff(command, words, first.unwrap_or_else(other))
}

/// What is wrong with the flags beside one that asks for help, which Go's gives once it has read all of them.
fn wrong_beside_help(command: &Command, words: &[String]) -> Option<UsageError> {
    let own = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let is_asked = |(place, word): (usize, &String)| match word.strip_prefix("-h") {
        _ if place >= own => Some(word.clone()),
        Some("") => None,
        Some(rest) => Some(format!("-{rest}")),
        None => Some(word.clone()).filter(|word| word != "--help"),
    };
    let others: Vec<String> = words.iter().enumerate().filter_map(is_asked).collect();
    let (length, error) = match first_fault(command, &others) {
        Some(fault) => fault,
        None => (others.len(), command.clone().try_get_matches_from(&others).err()?),
    };
    let is_flag =
        !matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(arg)) if !arg.starts_with('-'));
    let of_flag =
        matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidValue | ErrorKind::ValueValidation);
    (of_flag && is_flag).then(|| complaint(command, &others[..length], &error))
}

/// The first flag that is wrong, as how many words lead up to it: the parser tells of a flag that is not there before it
/// looks at values, Go's tells of what it meets first.
fn first_fault(command: &Command, words: &[String]) -> Option<(usize, clap::Error)> {
    let ends = super::walk(command, words).commands.last().map_or(1, |place| place + 1);
    (ends..words.len()).find_map(|length| {
        if super::walk(command, &words[..length]).open_flag.is_some() {
            return None;
        }
        let error = command.clone().try_get_matches_from(&words[..length]).err()?;
        let of_value = matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation);
        of_value.then_some((length, error))
    })
}

/// What is wrong with the flags of a command that has commands, none of which is named.
fn wrong_flag(command: &Command, words: &[String]) -> Option<UsageError> {
    let walk = super::walk(command, words);
    if walk.path.is_empty() {
        return None;
    }
    let places = (0..words.len()).filter(|place| !walk.rest.contains(place));
    let flags: Vec<String> = places.map(|place| words[place].clone()).collect();
    let error = command.clone().try_get_matches_from(&flags).err()?;
    match error.kind() {
        ErrorKind::UnknownArgument
        | ErrorKind::InvalidValue
        | ErrorKind::ValueValidation
        | ErrorKind::NoEquals
        | ErrorKind::TooManyValues => Some(complaint(command, &flags, &error)),
        _ => None,
    }
}

/// Commands that take manifests and say so if they get words.
const WITHOUT_WORDS: [&str; 3] = ["apply", "create", "diff"];

/// The complaint about words behind a command that takes none.
fn unexpected_words(command: &Command, words: &[String]) -> Option<String> {
    let walk = super::walk(command, words);
    let [name] = walk.path.as_slice() else { return None };
    if !WITHOUT_WORDS.contains(&name.as_str()) || walk.rest.is_empty() {
        return None;
    }
    let rest: Vec<&str> = walk.rest.iter().map(|place| words[*place].as_str()).collect();
    Some(format!("error: Unexpected args: [{}]\nSee 'kubectl {name} -h' for help and examples", rest.join(" ")))
}

/// A complaint with the exit code of the command.
fn of_command(command: &Command, words: &[String], complaint: String) -> UsageError {
    match super::walk(command, words).path.first().map(String::as_str) {
        Some("diff") => UsageError::NotCompared(complaint),
        _ => UsageError::Wrong(complaint),
    }
}

/// The complaint as `diff` words it, if the command is that.
fn of_diff(command: &Command, words: &[String], complaint: UsageError) -> UsageError {
    let UsageError::Wrong(text) = complaint else { return complaint };
    let own = "See 'kubectl diff -h' for help and examples";
    of_command(command, words, text.replace("See 'kubectl diff --help' for usage.", own))
}

/// Flags that a command cannot do without; they are missed before its words are counted.
pub(super) const REQUIRED: [(&[&str], &[&str]); 8] = [
    (&["autoscale"], &["max"]),
    (&["create", "clusterrolebinding"], &["clusterrole"]),
    (&["create", "cronjob"], &["image", "schedule"]),
    (&["create", "deployment"], &["image"]),
    (&["create", "service", "externalname"], &["external_name"]),
    (&["kuberc", "set"], &["section"]),
    (&["run"], &["image"]),
    (&["scale"], &["replicas"]),
];

fn required(matches: &ArgMatches) -> Result<(), String> {
    let (mut at, mut path) = (matches, Vec::new());
    while let Some((name, inner)) = at.subcommand() {
        (at, path) = (inner, [path.as_slice(), &[name]].concat());
    }
    let Some((_, flags)) = REQUIRED.iter().find(|(of, _)| *of == path) else { return Ok(()) };
    let given = |flag: &str| at.value_source(flag) == Some(ValueSource::CommandLine);
    let missing: Vec<String> =
        flags.iter().filter(|flag| !given(flag)).map(|flag| format!("{:?}", flag.replace('_', "-"))).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("error: required flag(s) {} not set", missing.join(", "))) }
}

/// The words with those that name commands in front: Go's flags may stand anywhere, also before
/// the command that they belong to.
fn commands_first(command: &Command, words: &[String]) -> Vec<String> {
    let commands = super::walk(command, words).commands;
    let is_command = |place: &usize| *place == 0 || commands.contains(place);
    let (mut places, behind): (Vec<usize>, Vec<usize>) = (0..words.len()).partition(is_command);
    places.extend(behind);
    places.into_iter().map(|place| words[place].clone()).collect()
}

/// The place of a word that is neither a flag nor wanted.
fn superfluous(command: &Command, words: &[String], error: &clap::Error) -> Option<usize> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::UnknownArgument || word.starts_with('-') {
        return None;
    }
    let walk = super::walk(command, words);
    // Words behind a command that has commands are commands that do not exist.
    let takes_commands = walk.command.get_subcommands().next().is_some();
    if takes_commands { None } else { walk.rest.into_iter().find(|place| words[*place] == *word) }
}

/// The command line of scripts that ask for the version again and again, read without building
/// the flags of all other commands; nothing if it is not one of them, or not a good one.
fn parse_quickly(words: &[String]) -> Option<Args> {
    if words.get(1).is_none_or(|word| word != "version") {
        return None;
    }
    let command = switches::loosen(Quick::command()).args_override_self(true);
    let quick = Quick::from_arg_matches(&command.try_get_matches_from(words).ok()?).ok()?;
    let QuickCommand::Version(version) = quick.command;
    Some(Args { global: quick.global.without_empty_paths(), command: super::Command::Version(version) })
}

#[derive(Parser)]
#[command(name = "kubectl", disable_version_flag = true)]
struct Quick {
    #[command(flatten)]
    global: super::Global,
    #[command(subcommand)]
    command: QuickCommand,
}

#[derive(Subcommand)]
enum QuickCommand {
    Version(super::Version),
}

/// The whole command line, with switches as Go has them: `-A`, `-A=false`.
pub fn command() -> Command {
    let command = Args::command().mut_subcommands(|sub| match sub.get_name() {
        "set" => sub.mut_subcommands(looks_through),
        _ => sub,
    });
    lists::separate(switches::loosen(command)).args_override_self(true)
}

/// `set selector` looks through folders to their end, unless somebody says otherwise.
fn looks_through(command: Command) -> Command {
    match command.get_name() {
        "selector" => command.mut_arg("recursive", |arg| arg.default_value("true")),
        _ => command,
    }
}

/// Whether the program has a command of this name.
pub fn has_command(name: &str) -> bool {
    Args::command().get_subcommands().any(|c| c.get_name() == name || c.get_all_aliases().any(|a| a == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        match parse(&words) {
            Ok(_) => "fine".into(),
            Err(UsageError::Help(text)) => format!("help: {}", text.lines().next().unwrap_or_default()),
            Err(UsageError::Lost(text)) => format!("lost: {}", text.lines().next().unwrap_or_default()),
            Err(UsageError::Wrong(text)) => text,
            Err(UsageError::NotCompared(text)) => format!("2: {text}"),
        }
    }

    #[test]
    fn complains_as_cobra_does() {
        for (line, want) in [
            ("kubectl proxy x", "fine"),
            ("kubectl", "help: kubectl controls the Kubernetes cluster manager."),
            ("kubectl rollout", "lost: Manage the rollout of a resource."),
            ("kubectl rollout --help", "help: Manage the rollout of a resource."),
            ("kubectl version --client -ojson --context x", "fine"),
            ("kubectl version --foo", "error: unknown flag: --foo\nSee 'kubectl version --help' for usage."),
            ("kubectl get pods --foo", "error: unknown flag: --foo\nSee 'kubectl get --help' for usage."),
            ("kubectl get pods -Z", "error: unknown shorthand flag: 'Z' in -Z\nSee 'kubectl get --help' for usage."),
            ("kubectl get pods -o", "error: flag needs an argument: 'o' in -o\nSee 'kubectl get --help' for usage."),
            (
                "kubectl get pods --output",
                "error: flag needs an argument: --output\nSee 'kubectl get --help' for usage.",
            ),
            (
                "kubectl got",
                "error: unknown command \"got\" for \"kubectl\"\n\nDid you mean this?\n\tset\n\tget\n\ttop",
            ),
            (
                "kubectl get pods -A=maybe",
                "error: invalid argument \"maybe\" for \"-A, --all-namespaces\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax\nSee 'kubectl get --help' for usage.",
            ),
            ("kubectl get pods --kubeconfig= --allow-missing-template-keys=1", "fine"),
            (
                "kubectl explain pods -R=",
                "error: unknown shorthand flag: '=' in -=\nSee 'kubectl explain --help' for usage.",
            ),
            (
                "kubectl create priorityclass x --value=99999999999",
                "error: invalid argument \"99999999999\" for \"--value\" flag: strconv.ParseInt: parsing \"99999999999\": value out of range\nSee 'kubectl create priorityclass --help' for usage.",
            ),
            (
                "kubectl get pods --vmodule=a:b",
                "error: invalid argument \"a:b\" for \"--vmodule\" flag: syntax error: expect comma-separated list of filename=N\nSee 'kubectl get --help' for usage.",
            ),
            (
                "kubectl api-versions --log-flush-frequency=",
                "error: invalid argument \"\" for \"--log-flush-frequency\" flag: parse error\nSee 'kubectl api-versions --help' for usage.",
            ),
            (
                "kubectl get pods --allow-missing-template-keys=x",
                "error: invalid argument \"x\" for \"--allow-missing-template-keys\" flag: strconv.ParseBool: parsing \"x\": invalid syntax\nSee 'kubectl get --help' for usage.",
            ),
            (
                "kubectl get pods --allow-missing-template-keys=",
                "error: invalid argument \"\" for \"--allow-missing-template-keys\" flag: strconv.ParseBool: parsing \"\": invalid syntax\nSee 'kubectl get --help' for usage.",
            ),
            (
                "kubectl config set --help=x",
                "error: invalid argument \"x\" for \"-h, --help\" flag: strconv.ParseBool: parsing \"x\": invalid syntax\nSee 'kubectl config set --help' for usage.",
            ),
            (
                "kubectl create service x -Zy",
                "error: unknown shorthand flag: 'Z' in -Zy\nSee 'kubectl create service --help' for usage.",
            ),
            (
                "kubectl attach p -q?",
                "error: unknown shorthand flag: '?' in -?\nSee 'kubectl attach --help' for usage.",
            ),
            ("kubectl certificate a b", "help: Modify certificate resources."),
            ("kubectl get pods -l -a=b -o -n", "fine"),
            (
                "kubectl debug p --env=x",
                "error: invalid argument \"x\" for \"--env\" flag: x must be formatted as key=value\nSee 'kubectl debug --help' for usage.",
            ),
            (
                "kubectl create clusterrole r --aggregation-rule=-1",
                "error: invalid argument \"-1\" for \"--aggregation-rule\" flag: malformed pair, expect string=string\nSee 'kubectl create clusterrole --help' for usage.",
            ),
            ("kubectl api-versions --v=-1 -v=300", "fine"),
            ("kubectl kuberc a b", "error: unknown command \"a b\"\nSee 'kubectl kuberc -h' for help and examples"),
            ("kubectl apply x y", "error: Unexpected args: [x y]\nSee 'kubectl apply -h' for help and examples"),
            (
                "kubectl apply x --wait=y",
                "error: invalid argument \"y\" for \"--wait\" flag: strconv.ParseBool: parsing \"y\": invalid syntax\nSee 'kubectl apply --help' for usage.",
            ),
            ("kubectl diff x", "2: error: Unexpected args: [x]\nSee 'kubectl diff -h' for help and examples"),
            ("kubectl diff --foo", "2: error: unknown flag: --foo\nSee 'kubectl diff -h' for help and examples"),
            (
                "kubectl get pods --client-key",
                "error: flag needs an argument: --client-key\nSee 'kubectl get --help' for usage.",
            ),
            ("kubectl create service externalname s --external-name=x --tcp=", "fine"),
            (
                "kubectl logs a --limit-bytes=",
                "error: invalid argument \"\" for \"--limit-bytes\" flag: strconv.ParseInt: parsing \"\": invalid syntax\nSee 'kubectl logs --help' for usage.",
            ),
            ("kubectl create role r --verb=get --resource=pods -- x --y", "fine"),
            (
                "kubectl create role r --verb=\"get",
                "error: invalid argument \"\\\"get\" for \"--verb\" flag: parse error on line 1, column 5: extraneous or missing \" in quoted-field\nSee 'kubectl create role --help' for usage.",
            ),
            ("kubectl create cronjob a b", "error: required flag(s) \"image\", \"schedule\" not set"),
            ("kubectl create cronjob a --schedule=x", "error: required flag(s) \"image\" not set"),
            (
                "kubectl delete pod a --timeout=x",
                "error: invalid argument \"x\" for \"--timeout\" flag: time: invalid duration \"x\"\nSee 'kubectl delete --help' for usage.",
            ),
            ("kubectl get --=x", "error: bad flag syntax: --=x\nSee 'kubectl get --help' for usage."),
            ("kubectl get pods -A=false --watch=false -wA", "fine"),
            ("kubectl get -A -A", "fine"),
            ("kubectl create -s https://x --dry-run=client clusterrole r --verb=get --resource=pods", "fine"),
            ("kubectl create --verb get --context x role r --resource=pods", "fine"),
            (
                "kubectl config --kubeconfig f set a.b ---x",
                "error: bad flag syntax: ---x\nSee 'kubectl config set --help' for usage.",
            ),
            (
                "kubectl create role r --v = -f x",
                "error: invalid argument \"=\" for \"-v, --v\" flag: strconv.ParseInt: parsing \"=\": invalid syntax\nSee 'kubectl create role --help' for usage.",
            ),
            (
                "kubectl rollout pause d -hx",
                "error: unknown shorthand flag: 'x' in -x\nSee 'kubectl rollout pause --help' for usage.",
            ),
            (
                "kubectl get -h --allow-missing-template-keys=cpu pods",
                "error: invalid argument \"cpu\" for \"--allow-missing-template-keys\" flag: strconv.ParseBool: parsing \"cpu\": invalid syntax\nSee 'kubectl get --help' for usage.",
            ),
            ("kubectl get x y -h", "help: Display one or many resources."),
            ("kubectl get pods --all_namespaces --show_labels=true", "fine"),
            ("kubectl get pods --all_names", "error: unknown flag: --all_names\nSee 'kubectl get --help' for usage."),
            (
                "kubectl create --tcp --validate x --dry-run service clusterip q",
                "error: unknown flag: --tcp\nSee 'kubectl create --help' for usage.",
            ),
            ("kubectl list", "error: unknown command \"list\" for \"kubectl\"\n\nDid you mean this?\n\tget"),
        ] {
            assert_eq!(said(line), want, "{line}");
        }
    }

    #[test]
    fn flags_that_are_required_exist() {
        let root = command();
        for (path, flags) in REQUIRED {
            let at = path.iter().try_fold(&root, |at, name| at.find_subcommand(name)).expect("a command");
            for flag in flags {
                assert!(at.get_arguments().any(|arg| arg.get_id() == *flag), "{path:?} {flag}");
            }
        }
    }
}
