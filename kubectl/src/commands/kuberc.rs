//! `kuberc view` and `kuberc set`.
//!
//! Upstream: `kubectl/pkg/cmd/kuberc`.

use crate::cli::kuberc::{Kuberc, Set, View};
use crate::cli::{Global, PrintFlags};
use crate::preferences::{Place, place};
use crate::print::{self, Printer, json};
use crate::writing::Failures;
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::codec::yaml;
use serde_json::json;
use std::io::Write;
use std::path::Path;

/// The order of members in JSON.
const ORDER: [&str; 12] = [
    "kind",
    "apiVersion",
    "defaults",
    "aliases",
    "credentialPluginPolicy",
    "credentialPluginAllowlist",
    "name",
    "command",
    "prependArgs",
    "appendArgs",
    "options",
    "default",
];

pub(super) fn run(command: &Kuberc, global: &Global) -> anyhow::Result<()> {
    let Some(place) = place(global.kuberc.as_deref())? else {
        bail!("KUBERC is disabled via KUBERC=off environment variable");
    };
    match command {
        Kuberc::View(flags) => view(flags, &place),
        Kuberc::Set(flags) => set(flags, &place.path),
    }
}

fn view(flags: &View, place: &Place) -> anyhow::Result<()> {
    let path = place.path.display();
    let text = match std::fs::read(&place.path) {
        Ok(text) => text,
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("error reading kuberc file: open {path}: {}", crate::http::io_words(&error))
        }
        Err(_) if place.explicit => bail!("kuberc file not found at {path}"),
        Err(_) => return offer(&place.path),
    };
    let mut value = yaml::to_value(&text).context("error parsing kuberc file: error converting YAML to JSON")?;
    for key in ["aliases", "defaults"] {
        if value[key].is_null() {
            value[key] = json!([]);
        }
    }
    let output = if flags.print.output.is_empty() { "yaml".to_owned() } else { flags.print.output.clone() };
    let print = PrintFlags { output, ..flags.print.clone() };
    let Some(mut printer) = Printer::of(&print, print::Set::Objects, false)? else { bail!("no output format") };
    let mut out = std::io::stdout().lock();
    match printer {
        Printer::Json => out.write_all(json::ordered(&value, &ORDER, 4).as_bytes())?,
        _ => printer.print(&mut out, &value)?,
    }
    Ok(())
}

/// Offers to write the recommended defaults.
fn offer(path: &Path) -> anyhow::Result<()> {
    crate::outln!("kuberc file not found at {}", path.display());
    crate::out!("Would you like to generate a default kuberc file with recommended options? (y/N): ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if !answer.trim().eq_ignore_ascii_case("y") {
        return Ok(());
    }
    let option = |name: &str| json!([{"name": name, "default": "true"}]);
    let mut fresh = empty();
    fresh["defaults"] = json!([{"command": "apply", "options": option("server-side")},
        {"command": "delete", "options": option("interactive")}]);
    save(&fresh, path)
}

fn empty() -> Value {
    json!({"apiVersion": "kubectl.config.k8s.io/v1beta1", "kind": "Preference", "aliases": null, "defaults": null})
}

fn save(value: &Value, path: &Path) -> anyhow::Result<()> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to create directory {}", folder.display()))?;
    }
    std::fs::write(path, print::yaml(value)).context("failed to write kuberc file")?;
    crate::outln!("Updated {}", path.display());
    Ok(())
}

fn set(flags: &Set, path: &Path) -> anyhow::Result<()> {
    check(flags)?;
    let mut value = match std::fs::read(path) {
        Ok(text) if !text.is_empty() => {
            yaml::to_value(&text).context("error parsing kuberc file: error converting YAML to JSON")?
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("error reading kuberc file: open {}: {}", path.display(), crate::http::io_words(&error))
        }
        _ => empty(),
    };
    let options = options(&flags.option)?;
    match flags.section.as_str() {
        "defaults" => set_defaults(&mut value, flags, options)?,
        "aliases" => set_alias(&mut value, flags, options)?,
        _ => set_policy(&mut value, flags)?,
    }
    save(&value, path)
}

fn check(flags: &Set) -> anyhow::Result<()> {
    let section = flags.section.as_str();
    if !matches!(section, "defaults" | "aliases" | "credentialplugin") {
        bail!("--section must be \"defaults\", \"aliases\", or \"credentialplugin\", got: {section}");
    }
    if section == "aliases" && flags.name.is_empty() {
        bail!("--name is required when --section=aliases");
    }
    if section == "defaults" && !flags.name.is_empty() {
        bail!("--name should not be specified when --section=defaults");
    }
    if section == "defaults" && !(flags.prependarg.is_empty() && flags.appendarg.is_empty()) {
        bail!("--prependarg and --appendarg are only valid for --section=aliases");
    }
    if section != "credentialplugin" {
        return match flags.command.is_empty() {
            true => bail!("--command is required when --section=aliases or --section=defaults"),
            false => Ok(()),
        };
    }
    match (flags.policy.as_str(), flags.allowlist_entry.is_empty()) {
        ("", _) => bail!("--policy is required when --section=credentialplugin"),
        ("AllowAll" | "DenyAll", false) => {
            bail!("--allowlist-entry may only be used when --section=credentialplugin and --policy=Allowlist")
        }
        ("Allowlist", true) => {
            bail!("--allowlist-entry is required when --section=credentialplugin and --policy=Allowlist")
        }
        ("AllowAll" | "DenyAll" | "Allowlist", _) => Ok(()),
        (other, _) => bail!(" --policy must be  \"AllowAll\", \"DenyAll\", or \"Allowlist\", got: {other}"),
    }
}

fn options(words: &[String]) -> anyhow::Result<Vec<Value>> {
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) => Ok(json!({"name": name.trim_start_matches('-'), "default": value})),
            None => bail!("invalid option format {word:?}, expected flag=value"),
        })
        .collect()
}

/// The list of a section, made if it is not there.
fn section<'a>(value: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    if !value[key].is_array() {
        value[key] = json!([]);
    }
    match &mut value[key] {
        Value::Array(list) => list,
        _ => unreachable!("made a list just now"),
    }
}

fn set_defaults(value: &mut Value, flags: &Set, options: Vec<Value>) -> anyhow::Result<()> {
    let list = section(value, "defaults");
    match list.iter_mut().find(|d| d["command"] == flags.command.as_str()) {
        Some(_) if !flags.overwrite => {
            bail!("defaults for command {:?} already exist, use --overwrite to replace", flags.command)
        }
        // What is not said stays.
        Some(_) if options.is_empty() => {}
        Some(defaults) => defaults["options"] = options.into(),
        None => {
            let options = if options.is_empty() { Value::Null } else { options.into() };
            list.push(json!({"command": flags.command, "options": options}));
        }
    }
    Ok(())
}

fn set_alias(value: &mut Value, flags: &Set, options: Vec<Value>) -> anyhow::Result<()> {
    let list = section(value, "aliases");
    let found = list.iter().position(|a| a["name"] == flags.name.as_str());
    if found.is_some() && !flags.overwrite {
        bail!("alias {:?} already exists, use --overwrite to replace", flags.name);
    }
    let mut alias = found.map_or_else(|| json!({}), |at| list[at].clone());
    alias["name"] = flags.name.as_str().into();
    alias["command"] = flags.command.as_str().into();
    let lists =
        [("options", options), ("prependArgs", texts(&flags.prependarg)), ("appendArgs", texts(&flags.appendarg))];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        alias[key] = list.into();
    }
    match found {
        Some(at) => list[at] = alias,
        None => list.push(alias),
    }
    Ok(())
}

fn texts(words: &[String]) -> Vec<Value> {
    words.iter().map(|w| w.as_str().into()).collect()
}

fn set_policy(value: &mut Value, flags: &Set) -> anyhow::Result<()> {
    if flags.policy == "Allowlist" {
        let (mut entries, mut failures) = (Vec::new(), Vec::new());
        for pair in flags.allowlist_entry.iter().flat_map(|e| e.split(',')) {
            match pair.split_once('=') {
                None => failures.push(anyhow::anyhow!("improperly formatted allowlist entry: {pair:?}")),
                Some(("name", _)) => failures
                    .push(anyhow::anyhow!("allowlist entry field \"name\" is deprecated, use \"command\" instead")),
                Some(("command", text)) if text.trim().is_empty() => {
                    failures.push(anyhow::anyhow!("empty value in allowlist entry for field \"command\""));
                }
                Some(("command", text)) => entries.push(json!({"command": text})),
                Some((field, _)) => failures.push(anyhow::anyhow!("unrecognized allowlist entry field: {field:?}")),
            }
        }
        Failures::outcome(failures)?;
        value["credentialPluginAllowlist"] = entries.into();
    }
    value["credentialPluginPolicy"] = flags.policy.as_str().into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Set {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let args = crate::cli::parse(&words).expect("parses");
        let crate::cli::Command::Kuberc(Kuberc::Set(flags)) = args.command else { panic!("kuberc set") };
        flags
    }

    #[test]
    fn sets_what_is_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sub/kuberc");
        set(&flags("k kuberc set --section defaults --command get --option output=wide"), &path).expect("sets");
        set(&flags("k kuberc set --section aliases --name getn --command get --prependarg nodes"), &path)
            .expect("sets");
        let again = set(&flags("k kuberc set --section defaults --command get --option output=json"), &path);
        assert_eq!(
            again.expect_err("there").to_string(),
            "defaults for command \"get\" already exist, use --overwrite to replace"
        );
        let want = "aliases:\n- command: get\n  name: getn\n  prependArgs:\n  - nodes\napiVersion: kubectl.config.k8s.io/v1beta1\ndefaults:\n- command: get\n  options:\n  - default: wide\n    name: output\nkind: Preference\n";
        assert_eq!(std::fs::read_to_string(&path).expect("there"), want);
        assert!(set(&flags("k kuberc set --section aliases --command get"), &path).is_err());
        set(&flags("k kuberc set --section credentialplugin --policy Allowlist --allowlist-entry command=x"), &path)
            .expect("sets");
        assert!(std::fs::read_to_string(&path).expect("there").contains("credentialPluginAllowlist:\n- command: x\n"));
    }
}
