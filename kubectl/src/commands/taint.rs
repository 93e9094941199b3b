//! `taint`.
//!
//! Upstream: `kubectl/pkg/cmd/taint`.

use super::Session;
use crate::apply::merge_patch;
use crate::cli::node::Taint as Flags;
use crate::discovery::Asks;
use crate::files::Manifest;
use crate::generate::GenerateError;
use crate::selected::{Query, resolve};
use crate::writing::{Failures, PatchKind, Writing, member, usage};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::{label_key_errors, label_value_errors};
use serde_json::json;

pub(super) async fn run(session: &Session, flags: &Flags) -> anyhow::Result<()> {
    let writing = Writing::late(&flags.dry_run.dry_run, &flags.field_manager, &flags.printing)?
        .validating(&flags.validate.validate)?
        .typed();
    let (words, specs) = split(&flags.words)?;
    let edit = Edit::parse(&specs).map_err(|error| usage("taint", error))?;
    check(flags, &words, &edit)?;
    let files = crate::cli::Files::default();
    let query = Query::new(&words, &files).selector(&flags.selector).all(flags.all).typed();
    let discovery = query.discovery_asking(session, Asks::TYPE).await?;
    if let Some(word) = words.first() {
        match discovery.find(word.split('/').next().unwrap_or_default()) {
            None => return Err(GenerateError::NoSuchType(word.clone(), String::new()).into()),
            Some(resource) if resource.plural != "nodes" => {
                bail!("invalid resource type {word}, only node types are supported")
            }
            Some(_) => {}
        }
    }
    let selected = resolve(session, &discovery, &query).await?;
    let mut failures = Vec::new();
    for node in &selected.objects {
        failures.extend(one(session, &writing, flags, &edit, node).await.err());
    }
    Failures::with_unread(failures, selected.failures)
}

fn split(words: &[String]) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let is_spec = |word: &String| word.contains('=') || word.contains(':') || word.ends_with('-');
    let (mut names, mut specs) = (Vec::new(), Vec::new());
    for word in words {
        match (is_spec(word), specs.is_empty()) {
            (true, _) => specs.push(word.clone()),
            (false, true) => names.push(word.clone()),
            (false, false) => bail!("all resources must be specified before taint changes: {word}"),
        }
    }
    if names.is_empty() {
        bail!("one or more resources must be specified as <resource> <name>");
    }
    if specs.is_empty() {
        bail!("at least one taint update is required");
    }
    Ok((names, specs))
}

fn check(flags: &Flags, words: &[String], edit: &Edit) -> anyhow::Result<()> {
    if flags.all && !flags.selector.is_empty() {
        bail!("setting 'all' parameter with a non empty selector is prohibited");
    }
    if !flags.all && flags.selector.is_empty() && words.len() < 2 && !words[0].contains('/') {
        bail!("at least one resource name must be specified since 'all' parameter is not set");
    }
    let both = |removed: &&Spec| edit.added.iter().any(|a| a.key == removed.key && removed.covers(a));
    let conflicts: Vec<String> = edit.removed.iter().filter(both).map(|r| format!("{}={}", r.key, r.effect)).collect();
    if !conflicts.is_empty() {
        bail!("can not both modify and remove the following taint(s) in the same command: {}", conflicts.join(", "));
    }
    Ok(())
}

async fn one(
    session: &Session,
    writing: &Writing<'_>,
    flags: &Flags,
    edit: &Edit,
    node: &Manifest,
) -> anyhow::Result<()> {
    let before = node.object.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
    if !flags.overwrite {
        let taken: Vec<String> = edit.taken(&before);
        if !taken.is_empty() {
            bail!(
                "node {} already has {} taint(s) with same effect(s) and --overwrite is false",
                node.object.name(),
                taken.join(",")
            );
        }
    }
    let (after, done) = edit.apply(&before)?;
    // Whatever was overwritten counts as modified.
    let done = if flags.overwrite { "modified" } else { done };
    let mut object = node.object.clone();
    *member(&mut object["spec"], "taints") = match after.is_empty() {
        true => Value::Null,
        false => after.into(),
    };
    if writing.sends() {
        let patch = merge_patch(&node.object, &object);
        object = writing.patch(session, &node.path(), PatchKind::Merge, &patch).await?;
    }
    writing.done(node, &object, done)
}

/// `key[=value]:effect`, or `key[:effect]-`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spec {
    key: String,
    value: String,
    effect: String,
}

impl Spec {
    fn parse(text: &str) -> Result<Self, String> {
        let malformed = |why: &[String]| format!("invalid taint spec: {text}, {}", why.join("; "));
        // Without an effect there is no value either.
        let (key, value, effect) = match text.split(':').collect::<Vec<_>>().as_slice() {
            [key] => (*key, "", ""),
            [pair, effect] => {
                if !matches!(*effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
                    return Err(format!("invalid taint effect: {effect}, unsupported taint effect"));
                }
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                if value.contains('=') {
                    return Err(format!("invalid taint spec: {text}"));
                }
                let errors = label_value_errors(value);
                if !errors.is_empty() {
                    return Err(malformed(&errors));
                }
                (key, value, *effect)
            }
            _ => return Err(format!("invalid taint spec: {text}")),
        };
        let errors = label_key_errors(key);
        if !errors.is_empty() {
            return Err(malformed(&errors));
        }
        Ok(Spec { key: key.into(), value: value.into(), effect: effect.into() })
    }

    fn of(taint: &Value) -> Self {
        let text = |key: &str| taint.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Spec { key: text("key"), value: text("value"), effect: text("effect") }
    }

    /// Whether it removes the other.
    fn covers(&self, other: &Spec) -> bool {
        self.key == other.key && (self.effect.is_empty() || self.effect == other.effect)
    }

    fn same(&self, other: &Spec) -> bool {
        self.key == other.key && self.effect == other.effect
    }

    /// As Go prints one that was never there.
    fn as_go(&self) -> String {
        format!("{{{} {} {} <nil>}}", self.key, self.value, self.effect)
    }

    fn text(&self) -> String {
        match (self.value.as_str(), self.effect.as_str()) {
            ("", "") => self.key.clone(),
            ("", effect) => format!("{}:{effect}", self.key),
            (value, "") => format!("{}={value}", self.key),
            (value, effect) => format!("{}={value}:{effect}", self.key),
        }
    }

    fn taint(&self) -> Value {
        let mut taint = json!({"key": self.key, "effect": self.effect});
        if !self.value.is_empty() {
            taint["value"] = self.value.as_str().into();
        }
        taint
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Edit {
    added: Vec<Spec>,
    removed: Vec<Spec>,
}

impl Edit {
    fn parse(specs: &[String]) -> Result<Self, String> {
        let mut edit = Edit::default();
        for text in specs {
            if let Some(removed) = text.strip_suffix('-') {
                edit.removed.push(Spec::parse(removed)?);
                continue;
            }
            let spec = Spec::parse(text)?;
            if spec.effect.is_empty() {
                return Err(format!("invalid taint spec: {text}"));
            }
            if edit.added.iter().any(|other| other.same(&spec)) {
                return Err(format!("duplicated taints with the same key and effect: {}", spec.as_go()));
            }
            edit.added.push(spec);
        }
        Ok(edit)
    }

    fn taken(&self, before: &[Value]) -> Vec<String> {
        let there = |spec: &&Spec| before.iter().map(Spec::of).any(|old| old.same(spec));
        self.added.iter().filter(there).map(|spec| spec.key.clone()).collect()
    }

    /// The new taints, and what to say.
    fn apply(&self, before: &[Value]) -> anyhow::Result<(Vec<Value>, &'static str)> {
        let mut taints: Vec<Value> = self.added.iter().map(Spec::taint).collect();
        taints.extend(before.iter().filter(|old| !self.added.iter().any(|spec| spec.same(&Spec::of(old)))).cloned());
        let mut failures = Vec::new();
        for removed in &self.removed {
            let count = taints.len();
            taints.retain(|taint| !removed.covers(&Spec::of(taint)));
            if taints.len() == count {
                failures.push(anyhow::anyhow!("taint {:?} not found", removed.text()));
            }
        }
        Failures::outcome(failures)?;
        let done = match (self.added.is_empty(), self.removed.is_empty()) {
            (false, false) => "modified",
            (false, true) => "tainted",
            _ => "untainted",
        };
        Ok((taints, done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(line: &str) -> Result<Edit, String> {
        Edit::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn reads_taints() {
        let spec = Spec::parse("a/b=c:NoSchedule").expect("fine");
        assert_eq!((spec.key.as_str(), spec.value.as_str(), spec.effect.as_str()), ("a/b", "c", "NoSchedule"));
        for (line, want) in [
            ("a=b", "invalid taint spec: a=b, name part must consist of"),
            ("-", "invalid taint spec: , name part must be non-empty; name part must consist of"),
            ("a/b/c:NoSchedule", "invalid taint spec: a/b/c:NoSchedule, a valid label key must consist of"),
            ("a=?:NoSchedule", "invalid taint spec: a=?:NoSchedule, a valid label must be an empty string"),
            ("a=b=c:NoSchedule", "invalid taint spec: a=b=c:NoSchedule"),
            ("a:b:c", "invalid taint spec: a:b:c"),
            ("a:-", "invalid taint effect: , unsupported taint effect"),
            ("a:NoSchedule a=x:NoSchedule", "duplicated taints with the same key and effect: {a x NoSchedule <nil>}"),
        ] {
            let told = edit(line).expect_err(line);
            assert!(told.starts_with(want), "{line}: {told}");
        }
        assert_eq!(edit("a=b:X"), Err("invalid taint effect: X, unsupported taint effect".into()));
        assert!(edit("a=b:NoExecute a=c:NoExecute").is_err());
        assert!(edit("a- b:NoExecute-").is_ok());
    }

    #[test]
    fn changes_taints() {
        let before =
            [json!({"key": "old", "effect": "NoSchedule", "value": "v"}), json!({"key": "two", "effect": "NoExecute"})];
        let (after, done) = edit("new=x:NoExecute old-").expect("fine").apply(&before).expect("applies");
        assert_eq!(done, "modified");
        assert_eq!(after, [json!({"key": "new", "value": "x", "effect": "NoExecute"}), before[1].clone()]);
        assert!(edit("other-").expect("fine").apply(&before).is_err());
        assert_eq!(edit("two:NoExecute").expect("fine").taken(&before), ["two"]);
    }
}
