//! Preferences of the user: defaults of flags, aliases of commands, and which credential programs
//! may run; the `kuberc` file.
//!
//! Upstream: `kubectl/pkg/kuberc`, `kubectl/pkg/config`.

use crate::cli::{self, Walk};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::codec::yaml;
use std::path::{Path, PathBuf};

/// The group of its kinds.
const GROUP: &str = "kubectl.config.k8s.io";

/// Which credential programs may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PluginPolicy {
    /// All.
    #[default]
    AllowAll,
    /// None.
    DenyAll,
    /// These, by name or path.
    Allowlist(Vec<String>),
}

/// `--name=default`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FlagDefault {
    name: String,
    default: String,
}

/// What a file says.
#[derive(Clone, Debug, Default)]
pub struct Preferences {
    defaults: Vec<(String, Vec<FlagDefault>)>,
    aliases: Vec<Alias>,
    /// Which credential programs may run.
    pub plugins: PluginPolicy,
}

#[derive(Clone, Debug)]
struct Alias {
    name: String,
    command: String,
    prepend: Vec<String>,
    append: Vec<String>,
    options: Vec<FlagDefault>,
}

/// Where the preferences are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Whether it was named, and so must be there.
    pub explicit: bool,
}

/// The file of the flag, of the environment, or in the user's folder; nothing if it is turned off.
pub fn place(flag: Option<&Path>) -> anyhow::Result<Option<Place>> {
    let variable = std::env::var_os("KUBERC").unwrap_or_default();
    let flag = flag.filter(|p| !p.as_os_str().is_empty());
    if variable == "off" {
        return match flag {
            Some(_) => {
                bail!("kuberc error disabling kuberc via KUBERC=off and passing kuberc flag are mutually exclusive")
            }
            None => Ok(None),
        };
    }
    if let Some(path) = flag {
        return Ok(Some(Place { path: path.to_owned(), explicit: true }));
    }
    if !variable.is_empty() {
        return Ok(Some(Place { path: variable.into(), explicit: true }));
    }
    Ok(Some(Place { path: crate::config::home().join(".kube/kuberc"), explicit: false }))
}

/// The preferences for a command line.
pub fn load(words: &[String]) -> anyhow::Result<Preferences> {
    let disabled = std::env::var("KUBECTL_KUBERC").is_ok_and(|v| v == "false");
    if words.len() <= 1 || disabled {
        return Ok(Preferences::default());
    }
    let Some(place) = place(flag(words)?.as_deref())? else { return Ok(Preferences::default()) };
    let text = match std::fs::read_to_string(&place.path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !place.explicit => {
            return Ok(Preferences::default());
        }
        Err(error) => {
            let why = format!("open {}: {}", place.path.display(), crate::http::io_words(&error));
            return unusable(&place, &why);
        }
    };
    match read(&text) {
        Ok(Some(value)) => {
            let unknown = unknown_fields(&value);
            if !unknown.is_empty() {
                let path = place.path.display();
                let what = unknown.join(", ");
                eprint!("kuberc: ignoring strict decoding error in {path}: strict decoding error: {what}");
            }
            parse(&value)
        }
        Ok(None) => {
            if verbosity(words) >= 5 {
                eprintln!("kuberc: no preferences found in {}", place.path.display());
            }
            Ok(Preferences::default())
        }
        Err(NoPreferences) => {
            let why = format!("no valid preferences found in {}, use --v=5 to see details", place.path.display());
            unusable(&place, &why)
        }
    }
}

/// A file that was named must be good; another one is passed over with a word.
fn unusable(place: &Place, why: &str) -> anyhow::Result<Preferences> {
    if place.explicit {
        bail!("kuberc error kuberc: {why}");
    }
    eprint!("kuberc: no preferences loaded from {}: {why}", place.path.display());
    Ok(Preferences::default())
}

/// `--kuberc FILE`, before flags are read.
fn flag(words: &[String]) -> anyhow::Result<Option<PathBuf>> {
    let mut words = words.iter().take_while(|w| *w != "--");
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--kuberc") {
            Some("") => words.next().map(String::as_str),
            Some(rest) if rest.starts_with('=') => Some(&rest[1..]),
            _ => continue,
        };
        return match value.filter(|v| !v.is_empty()) {
            Some(path) => Ok(Some(path.into())),
            None => bail!("kuberc file is not found"),
        };
    }
    Ok(None)
}

/// `-v N`, before flags are read.
fn verbosity(words: &[String]) -> u8 {
    let mut words = words.iter().take_while(|w| *w != "--");
    let mut level = 0;
    while let Some(word) = words.next() {
        let rest = word.strip_prefix("--v").filter(|r| r.is_empty() || r.starts_with('='));
        let value = match rest.or_else(|| word.strip_prefix("-v")) {
            Some("") => words.next().map(String::as_str),
            Some(value) => Some(value.trim_start_matches('=')),
            None => None,
        };
        level = value.and_then(|value| value.parse().ok()).unwrap_or(level);
    }
    level
}

/// Documents, but none that holds preferences.
#[derive(Debug)]
struct NoPreferences;

/// The first document that holds preferences.
fn read(text: &str) -> Result<Option<Value>, NoPreferences> {
    let documents = crate::files::documents(text);
    for document in &documents {
        let Ok(value) = yaml::to_value(document.as_bytes()) else { continue };
        let version = value["apiVersion"].as_str().unwrap_or_default().strip_prefix(GROUP);
        if value["kind"] == "Preference" && matches!(version, Some("/v1beta1" | "/v1alpha1")) {
            return Ok(Some(value));
        }
    }
    if documents.is_empty() { Ok(None) } else { Err(NoPreferences) }
}

/// What a document says that preferences have no field for.
fn unknown_fields(value: &Value) -> Vec<String> {
    let older = value["apiVersion"].as_str().is_some_and(|v| v.ends_with("v1alpha1"));
    let (defaults, options) = if older { ("overrides", "flags") } else { ("defaults", "options") };
    let mut top = vec!["apiVersion", "kind", "aliases", defaults];
    if !older {
        top.extend(["credentialPluginPolicy", "credentialPluginAllowlist"]);
    }
    let mut unknown = Vec::new();
    let mut check = |value: &Value, path: &str, known: &[&str]| {
        let fields = value.as_object().into_iter().flatten().map(|(field, _)| field);
        let others = fields.filter(|field| !known.contains(&field.as_str()));
        unknown.extend(others.map(|field| format!("unknown field \"{path}{field}\"")));
    };
    check(value, "", &top);
    for (list, known) in
        [("aliases", &["name", "command", "prependArgs", "appendArgs", options][..]), (defaults, &["command", options])]
    {
        for (place, entry) in value[list].as_array().into_iter().flatten().enumerate() {
            check(entry, &format!("{list}[{place}]."), known);
            for (inner, option) in entry[options].as_array().into_iter().flatten().enumerate() {
                check(option, &format!("{list}[{place}].{options}[{inner}]."), &["name", "default"]);
            }
        }
    }
    unknown
}

fn parse(value: &Value) -> anyhow::Result<Preferences> {
    // The older version has other names for the same things.
    let older = value["apiVersion"].as_str().is_some_and(|v| v.ends_with("v1alpha1"));
    let (defaults_key, options_key) = if older { ("overrides", "flags") } else { ("defaults", "options") };
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let options = |value: &Value| -> Vec<FlagDefault> {
        let one = |o: &Value| FlagDefault { name: text(o, "name"), default: text(o, "default") };
        list(value, options_key).iter().map(one).collect()
    };
    let words = |value: &Value, key: &str| -> Vec<String> {
        list(value, key).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let alias = |a: &Value| Alias {
        name: text(a, "name"),
        command: text(a, "command"),
        prepend: words(a, "prependArgs"),
        append: words(a, "appendArgs"),
        options: options(a),
    };
    let preferences = Preferences {
        defaults: list(value, defaults_key).iter().map(|d| (text(d, "command"), options(d))).collect(),
        aliases: list(value, "aliases").iter().map(alias).collect(),
        plugins: policy(value)?,
    };
    check(&preferences)?;
    Ok(preferences)
}

fn policy(value: &Value) -> anyhow::Result<PluginPolicy> {
    let name = value["credentialPluginPolicy"].as_str().unwrap_or_default();
    let list = value["credentialPluginAllowlist"].as_array();
    let command = |e: &Value| e["command"].as_str().or(e["name"].as_str()).map(str::to_owned);
    match (name, list) {
        ("" | "AllowAll" | "DenyAll", Some(_)) => {
            bail!("misconfigured credential plugin allowlist: plugin policy is {name:?} but allowlist is non-nil")
        }
        ("" | "AllowAll", None) => Ok(PluginPolicy::AllowAll),
        ("DenyAll", None) => Ok(PluginPolicy::DenyAll),
        ("Allowlist", list) => Ok(PluginPolicy::Allowlist(list.into_iter().flatten().filter_map(command).collect())),
        (other, _) => bail!("unknown plugin policy: {other:?}"),
    }
}

fn check(preferences: &Preferences) -> anyhow::Result<()> {
    let mut names: Vec<&str> = Vec::new();
    let of_aliases = preferences.aliases.iter().flat_map(|a| &a.options);
    for option in of_aliases.chain(preferences.defaults.iter().flat_map(|(_, options)| options)) {
        if option.name.starts_with('-') {
            bail!("flag name {} should be in long form without dashes", option.name);
        }
    }
    for alias in &preferences.aliases {
        if alias.name.is_empty() || !alias.name.chars().all(|c| c.is_ascii_alphabetic()) {
            bail!("invalid alias name, can only include alphabetical characters");
        }
        if names.contains(&alias.name.as_str()) {
            bail!("duplicate alias name {}", alias.name);
        }
        names.push(&alias.name);
    }
    Ok(())
}

impl Preferences {
    /// The command line with aliases resolved and defaults put in.
    pub fn apply(&self, words: Vec<String>) -> anyhow::Result<Vec<String>> {
        if self.aliases.is_empty() && self.defaults.is_empty() {
            return Ok(words);
        }
        let root = cli::command();
        let walk = cli::walk(&root, &words);
        match walk.path.is_empty() {
            true => self.resolve(&root, &walk, words.clone()),
            false => self.complete(&root, &walk, words.clone()),
        }
    }

    fn resolve(&self, root: &clap::Command, walk: &Walk<'_>, mut words: Vec<String>) -> anyhow::Result<Vec<String>> {
        let Some(place) = walk.rest.first().copied() else { return Ok(words) };
        let Some(alias) = self.aliases.iter().find(|a| a.name == words[place]) else { return Ok(words) };
        let mut target: Vec<String> = vec!["kubectl".into()];
        target.extend(alias.command.split_whitespace().map(str::to_owned));
        let of_target = cli::walk(root, &target);
        if of_target.path.is_empty() || !of_target.rest.is_empty() {
            bail!("command {:?} not found to set alias {:?}: []", alias.command, alias.name);
        }
        let mut inserted: Vec<String> = of_target.path.clone();
        for option in &alias.options {
            let Some(flag) = cli::flag(root, of_target.command, &option.name) else {
                bail!("invalid alias flag {} in alias {}", option.name, words[0]);
            };
            if !cli::given(flag, &words) {
                inserted.push(format!("--{}={}", option.name, option.default));
            }
        }
        inserted.extend(alias.prepend.iter().cloned());
        words.splice(place..=place, inserted);
        words.extend(alias.append.iter().cloned());
        Ok(words)
    }

    fn complete(&self, root: &clap::Command, walk: &Walk<'_>, mut words: Vec<String>) -> anyhow::Result<Vec<String>> {
        let mut inserted = Vec::new();
        for (command, options) in &self.defaults {
            let mut target: Vec<String> = vec!["kubectl".into()];
            target.extend(command.split_whitespace().map(str::to_owned));
            let of_target = cli::walk(root, &target);
            if of_target.path.is_empty() {
                eprintln!("Warning: command {command:?} not found to set kuberc override");
                continue;
            }
            if of_target.path.last() != walk.path.last() {
                continue;
            }
            for option in options {
                let Some(flag) = cli::flag(root, walk.command, &option.name) else {
                    bail!("invalid flag {} for command {command}", option.name);
                };
                if !cli::given(flag, &words) {
                    inserted.push(format!("--{}={}", option.name, option.default));
                }
            }
        }
        let behind = walk.commands.last().map_or(words.len(), |place| place + 1);
        words.splice(behind..behind, inserted);
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn applied(line: &str) -> Result<String, String> {
        let value = json!({"apiVersion": "kubectl.config.k8s.io/v1beta1", "kind": "Preference",
            "defaults": [{"command": "get", "options": [{"name": "output", "default": "wide"}]},
                         {"command": "delete", "options": [{"name": "interactive", "default": "true"}]}],
            "aliases": [{"name": "getn", "command": "get", "prependArgs": ["nodes"], "options": [{"name": "output", "default": "name"}]},
                        {"name": "runx", "command": "run", "options": [{"name": "image", "default": "nginx"}], "appendArgs": ["--", "sh"]},
                        {"name": "bad", "command": "get", "options": [{"name": "nothing", "default": ""}]}]});
        let words = line.split(' ').map(str::to_owned).collect();
        let applied = parse(&value).and_then(|p| p.apply(words));
        applied.map(|w| w.join(" ")).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_and_aliases() {
        for (line, want) in [
            ("k get pods", Ok("k get --output=wide pods")),
            ("k get pods -oyaml", Ok("k get pods -oyaml")),
            ("k -n x get pods", Ok("k -n x get --output=wide pods")),
            ("k getn", Ok("k get --output=name nodes")),
            ("k getn a --output json", Ok("k get nodes a --output json")),
            ("k runx p", Ok("k run --image=nginx p -- sh")),
            ("k logs p", Ok("k logs p")),
            ("k unknown p", Ok("k unknown p")),
            ("k bad", Err("invalid alias flag nothing in alias k")),
        ] {
            assert_eq!(applied(line), want.map(str::to_owned).map_err(str::to_owned), "{line}");
        }
    }

    #[test]
    fn fields_that_are_not_known_are_named() {
        let value = json!({"apiVersion": "kubectl.config.k8s.io/v1beta1", "kind": "Preference", "odd": 1,
            "defaults": [{"command": "get", "flags": [], "options": [{"name": "output", "default": "wide", "x": 1}]}]});
        let want = ["odd", "defaults[0].flags", "defaults[0].options[0].x"].map(|f| format!("unknown field {f:?}"));
        assert_eq!(unknown_fields(&value), want);
    }

    #[test]
    fn the_level_of_the_log_is_found_in_all_forms() {
        for (line, want) in
            [("k get --v=5", 5), ("k -v 6 get", 6), ("k get -v7", 7), ("k get -- -v 8", 0), ("k version", 0)]
        {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(verbosity(&words), want, "{line}");
        }
    }

    #[test]
    fn reads_both_versions() {
        let older = "apiVersion: kubectl.config.k8s.io/v1alpha1\nkind: Preference\noverrides:\n- command: get\n  flags:\n  - {name: output, default: wide}\n";
        let value = read(&format!("# nothing\n---\nkind: Other\n---\n{older}")).expect("reads").expect("there");
        assert_eq!(parse(&value).expect("parses").defaults.len(), 1);
        assert!(read("kind: Other").is_err() && read("").expect("empty").is_none());
    }

    #[test]
    fn bad_preferences_are_refused() {
        for (value, want) in [
            (json!({"aliases": [{"name": "a1"}]}), "invalid alias name, can only include alphabetical characters"),
            (json!({"aliases": [{"name": "a"}, {"name": "a"}]}), "duplicate alias name a"),
            (
                json!({"defaults": [{"command": "get", "options": [{"name": "-o"}]}]}),
                "flag name -o should be in long form without dashes",
            ),
            (json!({"credentialPluginPolicy": "Some"}), "unknown plugin policy: \"Some\""),
        ] {
            assert_eq!(parse(&value).expect_err("bad").to_string(), want);
        }
    }

    #[test]
    fn finds_the_flag() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(flag(&words("k get --kuberc x")).expect("fine"), Some("x".into()));
        assert_eq!(flag(&words("k --kuberc=x get")).expect("fine"), Some("x".into()));
        assert_eq!(flag(&words("k get -- --kuberc=x")).expect("fine"), None);
        assert!(flag(&words("k get --kuberc")).is_err());
    }
}
