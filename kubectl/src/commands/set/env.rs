//! `set env`: set, remove, import and list environment variables.

use super::{Change, containers, fits, pod_spec};
use crate::cli::set::Env;
use crate::commands::Session;
use crate::discovery::Asks;
use crate::files::Manifest;
use crate::generate::data::env_name_error;
use crate::selected::{had, named};
use crate::targets;
use crate::writing::Failures;
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::codec::base64;
use apimachinery::meta::ObjectMeta;
use serde_json::json;
use std::io::Read;

pub(super) async fn run(session: &Session, flags: &Env) -> anyhow::Result<()> {
    if flags.setting.all && !flags.selector.is_empty() {
        bail!("cannot set --all and --selector at the same time");
    }
    let is_change = |word: &String| word.find('=').is_some_and(|place| place > 0) || word.ends_with('-');
    let first = flags.setting.words.iter().position(is_change).unwrap_or(flags.setting.words.len());
    let (words, changes) = flags.setting.words.split_at(first);
    if !changes.iter().all(is_change) {
        let all = flags.setting.words.join(" ");
        bail!("all resources must be specified before environment changes: {all}");
    }
    check(flags, words)?;
    let changes: Vec<String> = flags.env.iter().chain(changes).cloned().collect();
    let manifests = &flags.setting.files.filenames;
    if changes.iter().any(|change| change == "-") && manifests.iter().any(|name| name == "-") {
        bail!(crate::files::STDIN_TWICE);
    }
    let mut edit = Edit::parse(&changes)?;
    let change = Change {
        setting: &flags.setting,
        words,
        selector: &flags.selector,
        what: "env",
        failing: "failed to patch env update to pod template: ",
    };
    if !flags.from.is_empty() {
        edit.set.extend(imported(session, flags).await?);
    }
    if flags.list {
        return list(session, flags, &change, &edit).await;
    }
    if edit.is_empty() {
        let why = anyhow::anyhow!("at least one environment variable must be provided");
        return change.refuse(session, why).await;
    }
    change.run(session, |object| set(object, flags, &edit)).await
}

fn check(flags: &Env, words: &[String]) -> anyhow::Result<()> {
    if words.is_empty() && !flags.setting.files.any() {
        bail!("one or more resources must be specified as <resource> <name> or <resource>/<name>");
    }
    if flags.list && !flags.setting.printing.output.is_empty() {
        bail!("--list and --output may not be specified together");
    }
    if flags.keys.iter().any(|key| !key.is_empty()) && flags.from.is_empty() {
        bail!("when specifying --keys, a configmap or secret must be provided with --from");
    }
    Ok(())
}

/// Variables to set and names to remove.
#[derive(Debug, Default, PartialEq)]
struct Edit {
    set: Vec<Value>,
    removed: Vec<String>,
}

impl Edit {
    fn parse(changes: &[String]) -> anyhow::Result<Self> {
        let mut edit = Edit::default();
        for change in changes {
            match change.split_once('=') {
                Some((name, value)) => {
                    check_name(name)?;
                    edit.set.push(json!({"name": name, "value": value}));
                }
                None if change == "-" => edit.read_stdin()?,
                None => match change.strip_suffix('-') {
                    Some(name) => edit.removed.push(name.to_owned()),
                    None => bail!("unknown environment variable: {change}"),
                },
            }
        }
        if edit.set.iter().any(|new| edit.removed.iter().any(|name| new["name"] == *name)) {
            bail!("can not both modify and remove the same environment variable in the same command");
        }
        Ok(edit)
    }

    /// `-`: lines of `KEY=value` from standard input.
    fn read_stdin(&mut self) -> anyhow::Result<()> {
        let mut text = String::new();
        std::io::stdin().take(1 << 20).read_to_string(&mut text)?;
        let pairs =
            text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')).filter_map(|l| l.split_once('='));
        self.set.extend(pairs.map(|(name, value)| json!({"name": name, "value": value})));
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }
}

fn check_name(name: &str) -> anyhow::Result<()> {
    match env_name_error(name) {
        Some(why) => bail!("{name:?} is not a valid key name: {why}"),
        None => Ok(()),
    }
}

/// References to the keys of a config map or a secret.
async fn imported(session: &Session, flags: &Env) -> anyhow::Result<Vec<Value>> {
    let from = std::slice::from_ref(&flags.from);
    // What makes no sense is told without asking the server.
    targets::Words::read("set env", from)?;
    if flags.setting.local {
        // Only the manifests could have it.
        bail!("unsupported resource specified in --from");
    }
    let discovery = session.discovery(Asks::of(from)).await?;
    let target = targets::parse(&discovery, "set env", from)?.pop();
    let target = target.context("unsupported resource specified in --from")?;
    let Some(name) = &target.name else { bail!("resource(s) were provided, but no name was specified") };
    let reference = match target.resource.plural.as_str() {
        "configmaps" => "configMapKeyRef",
        "secrets" => "secretKeyRef",
        _ => bail!("unsupported resource specified in --from"),
    };
    let object = had(session, &named(session, target.resource.clone(), name)).await?;
    let keys = object["data"].as_object().into_iter().flatten().map(|(key, _)| key);
    let wanted = keys.filter(|key| flags.keys.is_empty() || flags.keys.contains(key));
    Ok(wanted
        .map(|key| {
            let upper = variable_name(key);
            if upper != *key {
                eprintln!("Warning: key {key} transferred to {upper}");
            }
            let name_of_variable = format!("{}{upper}", flags.prefix);
            json!({"name": name_of_variable, "valueFrom": {reference: {"name": name, "key": key}}})
        })
        .collect())
}

/// `my.key-name` → `MY_KEY_NAME`.
fn variable_name(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_uppercase() } else { '_' }).collect()
}

fn set(object: &mut Value, flags: &Env, edit: &Edit) -> anyhow::Result<()> {
    let what = format!("{}/{}", object["kind"].as_str().unwrap_or_default(), object.name());
    let mut found = false;
    for container in containers(pod_spec(object)?) {
        if !fits(&flags.containers, container["name"].as_str().unwrap_or_default()) {
            continue;
        }
        found = true;
        let before = container["env"].as_array().cloned().unwrap_or_default();
        if !flags.overwrite {
            check_overwrites(&before, edit)?;
        }
        let after = updated(before, edit);
        match (after.is_empty(), container.as_object_mut()) {
            (true, Some(members)) => drop(members.remove("env")),
            _ => container["env"] = after.into(),
        }
    }
    if !found {
        crate::http::warn(&format!("{what} does not have any containers matching {:?}", flags.containers));
    }
    Ok(())
}

fn check_overwrites(before: &[Value], edit: &Edit) -> anyhow::Result<()> {
    for old in before {
        if edit.set.iter().any(|new| new["name"] == old["name"] && new != old) {
            let text = |key: &str| old[key].as_str().unwrap_or_default();
            bail!("'{}' already has a value ({}), and --overwrite is false", text("name"), text("value"));
        }
    }
    Ok(())
}

fn updated(mut list: Vec<Value>, edit: &Edit) -> Vec<Value> {
    for new in &edit.set {
        match list.iter_mut().find(|old| old["name"] == new["name"]) {
            Some(old) => *old = new.clone(),
            None => list.push(new.clone()),
        }
    }
    list.retain(|variable| !edit.removed.iter().any(|name| variable["name"] == *name));
    list
}

async fn list(session: &Session, flags: &Env, change: &Change<'_>, edit: &Edit) -> anyhow::Result<()> {
    change.check()?;
    let (objects, mut failures) = change.objects(session).await?;
    for mut manifest in objects {
        if let Err(error) = set(&mut manifest.object, flags, edit) {
            failures.push(error);
            continue;
        }
        show(session, flags, manifest).await?;
    }
    Failures::outcome(failures)
}

async fn show(session: &Session, flags: &Env, mut manifest: Manifest) -> anyhow::Result<()> {
    let (kind, name) = (manifest.resource.kind.clone(), manifest.object.name().to_owned());
    for container in containers(pod_spec(&mut manifest.object)?) {
        let container_name = container["name"].as_str().unwrap_or_default();
        if !fits(&flags.containers, container_name) {
            continue;
        }
        crate::outln!("# {kind} {name}, container {container_name}");
        for variable in container["env"].as_array().into_iter().flatten() {
            let key = variable["name"].as_str().unwrap_or_default();
            let Some(from) = variable.get("valueFrom") else {
                crate::outln!("{key}={}", variable["value"].as_str().unwrap_or_default());
                continue;
            };
            match flags.resolve {
                true => crate::outln!("{key}={}", resolved(session, &manifest.namespace, from).await?),
                false => crate::outln!("# {key} from {}", reference(from)),
            }
        }
    }
    Ok(())
}

fn reference(from: &Value) -> String {
    let text = |path: &str| from.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if from.get("configMapKeyRef").is_some() {
        return format!("configmap {}, key {}", text("/configMapKeyRef/name"), text("/configMapKeyRef/key"));
    }
    if from.get("secretKeyRef").is_some() {
        return format!("secret {}, key {}", text("/secretKeyRef/name"), text("/secretKeyRef/key"));
    }
    if from.get("fieldRef").is_some() {
        return format!("field path {}", text("/fieldRef/fieldPath"));
    }
    let container = text("/resourceFieldRef/containerName");
    let place = if container.is_empty() { String::new() } else { format!("{container}/") };
    format!("resource field {place}{}", text("/resourceFieldRef/resource"))
}

async fn resolved(session: &Session, namespace: &str, from: &Value) -> anyhow::Result<String> {
    let (plural, source) = match (from.get("configMapKeyRef"), from.get("secretKeyRef")) {
        (Some(source), _) => ("configmaps", source),
        (_, Some(source)) => ("secrets", source),
        _ => return Ok(reference(from)),
    };
    let text = |key: &str| source[key].as_str().unwrap_or_default();
    let path = format!("/api/v1/namespaces/{namespace}/{plural}/{}", text("name"));
    let object = session.client.get(&path, "application/json").await?;
    let value = object["data"][text("key")].as_str();
    let Some(value) = value else { bail!("key {} not found in {}", text("key"), plural.trim_end_matches('s')) };
    match plural {
        "secrets" => Ok(String::from_utf8_lossy(&base64::decode(value)?).into_owned()),
        _ => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(line: &str) -> Edit {
        Edit::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).expect("an edit")
    }

    #[test]
    fn variables_are_set_and_removed() {
        let before = vec![json!({"name": "A", "value": "1"}), json!({"name": "B", "value": "2"})];
        let after = updated(before.clone(), &edit("A=3 C=x=y B-"));
        assert_eq!(after, [json!({"name": "A", "value": "3"}), json!({"name": "C", "value": "x=y"})]);
        assert!(check_overwrites(&before, &edit("A=3")).is_err());
        assert!(check_overwrites(&before, &edit("A=1")).is_ok());
    }

    #[test]
    fn changes_that_make_no_sense_are_refused() {
        for (line, want) in [
            ("1a=b", "\"1a\" is not a valid key name: a valid environment variable name must consist of"),
            ("=b", "\"\" is not a valid key name: a valid environment variable name must consist of"),
            ("..=b", "\"..\" is not a valid key name: must not be '..'"),
            ("..a=b", "\"..a\" is not a valid key name: must not start with '..'"),
            ("a", "unknown environment variable: a"),
            ("a=b a-", "can not both modify and remove the same environment variable in the same command"),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let told = Edit::parse(&words).expect_err(line).to_string();
            assert!(told.starts_with(want), "{line}: {told}");
        }
    }

    #[test]
    fn names_and_references() {
        assert_eq!(variable_name("my.key-name"), "MY_KEY_NAME");
        assert_eq!(reference(&json!({"secretKeyRef": {"name": "s", "key": "k"}})), "secret s, key k");
        assert_eq!(reference(&json!({"fieldRef": {"fieldPath": "p"}})), "field path p");
    }
}
