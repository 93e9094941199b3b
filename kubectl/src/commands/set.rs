//! `set`: single things of a workload or a binding.
//!
//! Each subcommand says how it changes one object; finding, patching and telling are the same.
//!
//! Upstream: `kubectl/pkg/cmd/set`.

mod env;
mod image;
mod resources;
mod subject;

use super::Session;
use crate::apply::patch_between;
use crate::cli::set::{Set, Setting};
use crate::discovery::Discovery;
use crate::files::Manifest;
use crate::selected::{Query, resolve};
use crate::writing::{DryRun, Failures, Writing, member, record, warn_of_record};
use anyhow::bail;
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::{LabelSelector, Operator, Requirement};
use apimachinery::{Map, Value};

pub(super) async fn run(session: &Session, command: &Set) -> anyhow::Result<()> {
    match command {
        Set::Env(flags) => env::run(session, flags).await,
        Set::Image(flags) => image::run(session, flags).await,
        Set::Resources(flags) => resources::run(session, flags).await,
        Set::Selector(flags) => selector(session, flags).await,
        Set::ServiceAccount(flags) => service_account(session, flags).await,
        Set::Subject(flags) => subject::run(session, flags).await,
    }
}

/// One subcommand at work.
struct Change<'a> {
    setting: &'a Setting,
    words: &'a [String],
    selector: &'a str,
    /// `image`: what messages say was updated.
    what: &'static str,
    /// What messages say of a refused patch, empty if what the server says stands for itself.
    failing: &'static str,
}

/// The server alone knows what has a name.
pub(super) const NOT_LOCAL: &str = "error: you must specify resources by --filename when --local is set.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'";

impl Change<'_> {
    fn check(&self) -> anyhow::Result<()> {
        if self.setting.all && !self.selector.is_empty() {
            bail!("cannot set --all and --selector at the same time");
        }
        let dry_run = DryRun::parse(&self.setting.dry_run.dry_run)?;
        self.check_local(dry_run)
    }

    fn check_local(&self, dry_run: DryRun) -> anyhow::Result<()> {
        if self.setting.local && !self.words.is_empty() {
            bail!(NOT_LOCAL);
        }
        if self.setting.local && dry_run == DryRun::Server {
            bail!("cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
        }
        Ok(())
    }

    async fn objects(&self, session: &Session) -> anyhow::Result<(Vec<Manifest>, Vec<anyhow::Error>)> {
        let setting = self.setting;
        let query = Query::new(self.words, &setting.files)
            .selector(self.selector)
            .all(setting.all)
            .local(setting.local)
            .typed();
        let discovery = match setting.local && setting.files.any() {
            // What can be set is built in; no server is asked.
            true => Discovery::builtin(),
            false => query.discovery(session).await?,
        };
        let selected = resolve(session, &discovery, &query).await?;
        Ok((selected.objects, selected.failures))
    }

    /// What is wrong with a change; upstream has looked for the objects by then, and says so if it found none.
    async fn refuse(&self, session: &Session, why: impl Into<anyhow::Error>) -> anyhow::Result<()> {
        self.check()?;
        let setting = self.setting;
        Writing::new(&setting.dry_run.dry_run, &setting.field_manager, &setting.printing)?;
        let (_, failures) = self.objects(session).await?;
        Failures::outcome(failures)?;
        Err(why.into())
    }

    /// Changes every selected object.
    async fn run(&self, session: &Session, change: impl Fn(&mut Value) -> anyhow::Result<()>) -> anyhow::Result<()> {
        warn_of_record(self.setting.record.record);
        if self.setting.all && !self.selector.is_empty() {
            bail!("cannot set --all and --selector at the same time");
        }
        let writing =
            Writing::new(&self.setting.dry_run.dry_run, &self.setting.field_manager, &self.setting.printing)?.typed();
        self.check_local(writing.dry_run)?;
        let (objects, mut failures) = self.objects(session).await?;
        // All but one of the commands look at everything before they change anything.
        if self.what != "selector" {
            Failures::outcome(std::mem::take(&mut failures))?;
        }
        for manifest in objects {
            failures.extend(self.one(session, &writing, manifest, &change).await.err());
        }
        Failures::outcome(failures)
    }

    async fn one(
        &self,
        session: &Session,
        writing: &Writing<'_>,
        manifest: Manifest,
        change: &impl Fn(&mut Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut object = manifest.object.clone();
        change(&mut object).map_err(|error| {
            // Without a server nobody knows the plural.
            let (resource, name) = (&manifest.resource, manifest.object.name());
            let name = match (self.setting.local, resource.kind.to_ascii_lowercase()) {
                (false, _) => format!("{}/{name}", resource.group_resource()),
                (true, kind) if resource.group.is_empty() => format!("{kind}/{name}"),
                // Upstream ends the line here.
                (true, kind) => format!("{kind}.{}/{name}\n", resource.group),
            };
            match self.what {
                "selector" => error,
                _ if error.to_string().starts_with("error: ") => error,
                // With a line break, which shows where there are several.
                _ => anyhow::anyhow!("error: {name} {error}\n"),
            }
        })?;
        let done = format!("{} updated", self.what);
        // Nothing is told of what stays as it is, unless upstream compares what it has changed already.
        if object == manifest.object && matches!(self.what, "env" | "image" | "resource requirements") {
            return Ok(());
        }
        if self.setting.local || !writing.sends() {
            return writing.done(&manifest, &object, &done);
        }
        if object == manifest.object {
            return if self.what == "serviceaccount" { writing.done(&manifest, &object, &done) } else { Ok(()) };
        }
        record(&mut object, self.setting.record.record);
        let (kind, patch) = patch_between(&manifest.object, &object);
        let patched = writing.patch(session, &manifest.path(), kind, &patch).await;
        let patched = patched.map_err(|error| match self.failing {
            "" => error,
            failing => anyhow::anyhow!("{failing}{error:#}"),
        })?;
        writing.done(&manifest, &patched, &done)
    }
}

/// Resources in front, changes behind.
fn split(words: &[String], is_change: impl Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
    words.iter().cloned().partition(|word| !is_change(word))
}

/// The pod spec of a workload, or of a pod.
fn pod_spec(object: &mut Value) -> anyhow::Result<&mut Value> {
    let path = match object.get("kind").and_then(Value::as_str).unwrap_or_default() {
        "Pod" => "/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            "/spec/template/spec"
        }
        kind => {
            let version = object["apiVersion"].as_str().unwrap_or_default();
            let version = version.rsplit('/').next().unwrap_or_default();
            bail!("the object is not a pod or does not have a pod template: *{version}.{kind}")
        }
    };
    match object.pointer_mut(path) {
        Some(spec) if spec.is_object() => Ok(spec),
        _ => bail!("the object is not a pod or does not have a pod template"),
    }
}

/// Containers and init containers.
fn containers(spec: &mut Value) -> Vec<&mut Value> {
    let Some(members) = spec.as_object_mut() else { return Vec::new() };
    let lists = members.iter_mut().filter(|(key, _)| matches!(key.as_str(), "containers" | "initContainers"));
    lists.filter_map(|(_, list)| list.as_array_mut()).flatten().filter(|container| container.is_object()).collect()
}

/// Whether a name fits a pattern with `*` and `?`.
fn fits(pattern: &str, name: &str) -> bool {
    let mut text = String::from("^");
    for c in pattern.chars() {
        match c {
            '*' => text.push_str(".*"),
            '?' => text.push('.'),
            other => text.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex::Regex::new(&format!("{text}$")).is_ok_and(|r| r.is_match(name))
}

async fn service_account(session: &Session, flags: &crate::cli::set::ServiceAccount) -> anyhow::Result<()> {
    let Some((account, words)) = flags.setting.words.split_last() else { bail!("serviceaccount is required") };
    // Names in front of it are not looked at without a server.
    let words = if flags.setting.local { &[] } else { words };
    let change = Change {
        setting: &flags.setting,
        words,
        selector: "",
        what: "serviceaccount",
        failing: "failed to patch ServiceAccountName ",
    };
    change
        .run(session, |object| {
            let spec = pod_spec(object)?;
            spec["serviceAccountName"] = account.as_str().into();
            if spec.get("serviceAccount").is_some() {
                spec["serviceAccount"] = account.as_str().into();
            }
            Ok(())
        })
        .await
}

async fn selector(session: &Session, flags: &crate::cli::set::Selector) -> anyhow::Result<()> {
    let Some((selector, words)) = flags.setting.words.split_last() else { bail!("one selector is required") };
    let change = Change { setting: &flags.setting, words, selector: "", what: "selector", failing: "" };
    if !words.is_empty() || flags.setting.files.any() {
        LabelSelector::parse(selector)
            .map_err(|why| anyhow::anyhow!("couldn't parse the selector string {selector:?}: {why}"))?;
    }
    let labels = match selector.is_empty() {
        true => Map::new(),
        false => match crate::generate::policy::labels(selector) {
            Ok(labels) => labels,
            Err(_) => match expressions(selector) {
                shown if shown.is_empty() => Map::new(),
                shown => {
                    let why = anyhow::anyhow!("match expression [{shown}] not supported on this object");
                    return change.refuse(session, why).await;
                }
            },
        },
    };
    change
        .run(session, |object| {
            if object["kind"] != "Service" {
                bail!("setting a selector is only supported for Services");
            }
            if !flags.resource_version.is_empty() {
                object.set_meta("resourceVersion", flags.resource_version.as_str());
            }
            *member(&mut object["spec"], "selector") = Value::Object(labels.clone());
            Ok(())
        })
        .await
}

/// What of a selector is more than labels, as Go shows it.
fn expressions(selector: &str) -> String {
    let selector = LabelSelector::parse(selector).unwrap_or_default();
    let shown = |requirement: &Requirement| {
        let (operator, values) = match &requirement.operator {
            Operator::Exists => ("Exists", Vec::new()),
            Operator::DoesNotExist => ("DoesNotExist", Vec::new()),
            Operator::In(values) => ("In", values.clone()),
            Operator::NotIn(values) => ("NotIn", values.clone()),
            _ => return None,
        };
        Some(format!("{{{} {operator} [{}]}}", requirement.key, values.join(" ")))
    };
    selector.requirements.iter().filter_map(shown).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_fit_patterns() {
        assert!(fits("*", "web") && fits("w?b", "web") && fits("web", "web") && fits("w*", "web"));
        assert!(!fits("w", "web") && !fits("w.b", "web"));
    }

    #[test]
    fn finds_pod_specs() {
        let mut cron = json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "b"}]}}}}}});
        assert_eq!(containers(pod_spec(&mut cron).expect("a spec")).len(), 2);
        assert!(pod_spec(&mut json!({"kind": "Service", "spec": {}})).is_err());
    }
}
