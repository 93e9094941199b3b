//! Help in upstream's layout: what it does, its commands, its flags, how it is called.
//!
//! Upstream: `kubectl/pkg/util/templates`.

use super::language::Language;
use super::manual;
use super::usage::command;
use clap::{Arg, ArgAction, Command};
use std::any::TypeId;
use std::fmt::Write as _;

/// Where to find the flags that all commands have.
const SEE_OPTIONS: &str =
    "Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n";

/// Least width of the names of commands.
const NARROWEST: usize = 11;
/// Width of the names of the program's own commands.
const WIDEST: usize = 13;
/// The heading before which plugins stand.
const LAST_GROUP: &str = "Other Commands";

/// The help of a command, named by the words that lead to it.
pub fn help_of(path: &[&str]) -> String {
    help_in(Language::of_environment(), path)
}

fn help_in(language: Option<Language>, path: &[&str]) -> String {
    let root = command();
    let (mut at, mut names) = (&root, vec![root.get_name().to_owned()]);
    for word in path {
        let Some(next) = at.find_subcommand(word) else { break };
        names.push(next.get_name().to_owned());
        at = next;
    }
    help(language, &root, at, &names.join(" "))
}

/// What a command does in English.
fn english(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// What a command does as a sentence, in the language if it has words for it.
fn first_sentence(language: Option<Language>, command: &Command, path: &str) -> String {
    let told = language.and_then(|language| Some(format!("{}{}", language.about(path)?, language.full_stop())));
    told.unwrap_or_else(|| sentence(&english(command)))
}

fn help(language: Option<Language>, root: &Command, command: &Command, path: &str) -> String {
    let inner = path.split_once(' ').map(|(_, inner)| inner);
    let entry = inner.map(manual::entry).unwrap_or_default();
    let mut text = format!("{}\n\n", first_sentence(language, command, inner.unwrap_or_default()));
    for paragraph in &entry.paragraphs {
        let _ = write!(text, " {paragraph}\n\n");
    }
    if inner.is_none() {
        let _ = write!(text, " Find more information at: https://kubernetes.io/docs/reference/kubectl/\n\n");
    }
    let aliases: Vec<&str> = command.get_all_aliases().collect();
    if !aliases.is_empty() {
        let _ = write!(text, "Aliases:\n{}, {}\n\n", command.get_name(), aliases.join(", "));
    }
    if !entry.examples.is_empty() {
        text.push_str("Examples:\n");
        entry.examples.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        text.push('\n');
    }
    let has_commands = command.get_subcommands().next().is_some();
    match inner {
        None => groups(&mut text, language, root),
        Some(_) if has_commands => {
            let shown = command.get_subcommands().filter(|c| !c.is_hide_set()).collect();
            let parent = inner.map(|inner| format!("{inner} ")).unwrap_or_default();
            heading(&mut text, language, "Available Commands", &parent, shown);
        }
        Some(_) => {}
    }
    let own = command.get_arguments().filter(|arg| !arg.is_global_set() && is_shown(path, arg));
    let flags = flags(path, own.chain(root.get_arguments().filter(|arg| is_own(path, arg))));
    if !flags.is_empty() {
        let _ = write!(text, "Options:\n{flags}");
    }
    let call = match entry.usage.unwrap_or("[flags]") {
        "" => format!("{path} [options]"),
        usage if usage.contains("[options]") => format!("{path} {usage}"),
        usage => format!("{path} {usage} [options]"),
    };
    let _ = write!(text, "Usage:\n  {call}\n\n");
    if has_commands {
        let _ = writeln!(text, "Use \"{path} <command> --help\" for more information about a given command.");
    }
    text.push_str(SEE_OPTIONS);
    text
}

/// The program's commands under their headings; plugins, which are not known here, have one, too.
fn groups(text: &mut String, language: Option<Language>, root: &Command) {
    for (title, names) in manual::GROUPS {
        if title == LAST_GROUP {
            text.push_str("Subcommands provided by plugins:\n\n");
        }
        heading(text, language, title, "", names.iter().filter_map(|name| root.find_subcommand(name)).collect());
    }
}

/// Commands with what they do, in upstream's order: groups as they are listed, others by name.
fn heading(text: &mut String, language: Option<Language>, title: &str, parent: &str, mut commands: Vec<&Command>) {
    if title == "Available Commands" {
        commands.sort_by_key(|c| c.get_name());
    }
    let least = if parent.is_empty() { WIDEST } else { NARROWEST };
    let width = commands.iter().map(|c| c.get_name().len()).max().unwrap_or(0).max(least);
    let _ = writeln!(text, "{title}:");
    for sub in commands {
        let told = language.and_then(|language| language.about(&format!("{parent}{}", sub.get_name())));
        let about = told.map_or_else(|| english(sub), str::to_owned);
        let _ = writeln!(text, "  {:<width$}   {}", sub.get_name(), about.trim_end_matches('.'));
    }
    text.push('\n');
}

/// Flags that are taken, but are not upstream's.
fn is_shown(path: &str, arg: &Arg) -> bool {
    let hidden: &[&str] = match path {
        "kubectl api-resources" => &["allow-missing-template-keys", "template"],
        "kubectl apply set-last-applied" => &["kustomize", "recursive"],
        "kubectl create clusterrolebinding" => &["role"],
        "kubectl set selector" => &["kustomize"],
        _ => &[],
    };
    !arg.get_long().is_some_and(|long| hidden.contains(&long))
}

/// Flags of all commands that some commands of `config` take for what they write.
fn is_own(path: &str, arg: &Arg) -> bool {
    let names: &[&str] = match path {
        "kubectl config set-cluster" => {
            &["certificate-authority", "insecure-skip-tls-verify", "server", "tls-server-name"]
        }
        "kubectl config set-context" => &["cluster", "namespace", "user"],
        "kubectl config set-credentials" => &["client-certificate", "client-key", "password", "token", "username"],
        "kubectl kuberc set" | "kubectl kuberc view" => &["kuberc"],
        _ => &[],
    };
    arg.get_long().is_some_and(|long| names.contains(&long))
}

/// The flags that every command has.
pub fn options() -> String {
    let root = command();
    let flags = flags("", root.get_arguments().filter(|a| a.is_global_set()));
    format!("The following options can be passed to any command:\n\n{flags}")
}

fn flags<'a>(path: &str, arguments: impl Iterator<Item = &'a Arg>) -> String {
    let mut shown: Vec<&Arg> = arguments.filter(|a| a.get_long().is_some_and(|l| l != "help")).collect();
    shown.retain(|a| !a.is_hide_set() || a.is_global_set());
    shown.sort_by_key(|a| a.get_long());
    let mut text = String::new();
    for arg in shown {
        let letter = arg.get_short().map_or_else(String::new, |short| format!("-{short}, "));
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let long = arg.get_long().unwrap_or_default();
        let _ = write!(text, "    {letter}--{long}={}:\n\t{}\n\n", default(path, arg), sentence(&help));
    }
    text
}

/// Defaults that are none for us: whether the flag was given makes a difference here, or the
/// default is only what happens without it.
const DEFAULTS: [(&str, &str, &str); 9] = [
    ("kubectl api-resources", "namespaced", "true"),
    ("kubectl cluster-info dump", "output", "'json'"),
    ("kubectl config view", "merge", "true"),
    ("kubectl config view", "output", "'yaml'"),
    ("kubectl create clusterrole", "aggregation-rule", ""),
    ("kubectl debug", "share-processes", "true"),
    ("kubectl describe", "show-events", "true"),
    ("kubectl kuberc view", "output", "'yaml'"),
    ("kubectl scale", "replicas", "0"),
];

/// A flag's default as upstream shows it: text in quotes, lists in brackets.
fn default(path: &str, arg: &Arg) -> String {
    let shown = DEFAULTS.iter().find(|(of, flag, _)| *of == path && arg.get_long() == Some(flag));
    if let Some((_, _, shown)) = shown {
        return (*shown).to_owned();
    }
    let values: Vec<String> = arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
    let value = values.join(",");
    if matches!(arg.get_action(), ArgAction::Append) {
        return format!("[{value}]");
    }
    if values.is_empty() && arg.is_require_equals_set() {
        return "false".into();
    }
    let is_duration = value.ends_with('s') && apimachinery::time::parse_go_duration(&value).is_some();
    match value.as_str() {
        "true" | "false" => value,
        _ if is_number(arg) || is_duration => value,
        _ => format!("'{value}'"),
    }
}

fn is_number(arg: &Arg) -> bool {
    let parsed = arg.get_value_parser().type_id();
    let signed = [TypeId::of::<i64>(), TypeId::of::<i32>()];
    let unsigned =
        [TypeId::of::<usize>(), TypeId::of::<u64>(), TypeId::of::<u32>(), TypeId::of::<u16>(), TypeId::of::<u8>()];
    signed.iter().chain(&unsigned).any(|number| parsed == *number)
}

/// Clap takes the full stop off a doc comment.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', ':', ')']) { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::{Language, help_in};

    #[test]
    fn help_has_upstreams_layout() {
        let text = help_in(None, &["config", "get-contexts"]);
        assert!(
            text.starts_with(
                "Describe one or many contexts.\n\nExamples:\n  # All of them\n  kubectl config get-contexts\n  \n  # "
            ),
            "{text}"
        );
        assert!(text.contains("\n\nOptions:\n    --no-headers=false:\n\t"), "{text}");
        assert!(text.contains("Usage:\n  kubectl config get-contexts [(-o|--output=)name)] [options]\n\n"), "{text}");
        assert!(text.contains("    -o, --output='':\n"), "{text}");
        assert!(text.ends_with("(applies to all commands).\n"), "{text}");
        assert!(help_in(None, &["config"]).contains("  current-context   Display the current-context\n"));
        assert!(super::options().contains("    --as-group=[]:\n") && super::options().contains("--v=0:\n"));
        let whole = help_in(None, &[]);
        assert!(whole.contains("\nDeploy Commands:\n  rollout         Manage the rollout of a resource\n"), "{whole}");
        assert!(whole.contains("\nSubcommands provided by plugins:\n\nOther Commands:\n"), "{whole}");
    }

    #[test]
    fn help_speaks_the_language_it_knows() {
        for (locale, path, want) in [
            ("de_DE.UTF-8", &[][..], "\n  config          Verändere kubeconfig Dateien\n"),
            ("ja_JP.UTF-8", &[], "kubeconfigを変更する"),
            ("pt_BR.UTF-8", &[], "Edita o arquivo kubeconfig"),
            ("zh_CN.UTF-8", &["uncordon"], "标记节点为可调度。\n"),
            ("it_IT.UTF-8", &["uncordon"], "Contrassegna il nodo come programmabile.\n"),
            ("fr_FR.UTF-8", &["uncordon"], "Mark node as schedulable.\n"),
            (
                "de_DE.UTF-8",
                &["config"],
                "\n  unset             Entferne einen einzelnen Wert aus einer kubeconfig Datei\n",
            ),
        ] {
            let text = help_in(Language::of(locale), path);
            assert!(text.contains(want), "{locale}: {want} in {text}");
        }
    }

    #[test]
    fn defaults_are_shown_as_go_does() {
        for (path, want) in [
            (&["port-forward"][..], "--address=[localhost]:"),
            (&["logs"], "--limit-bytes=0:"),
            (&["scale"], "--replicas=0:"),
            (&["describe"], "--show-events=true:"),
            (&["get"], "--chunk-size=500:"),
            (&["delete"], "--timeout=0s:"),
            (&["config", "set-context"], "-n, --namespace='':"),
        ] {
            let text = help_in(None, path);
            assert!(text.contains(want), "{want} in {text}");
        }
    }
}
