//! `delete`, and the deletions of other commands.
//!
//! Upstream: `kubectl/pkg/cmd/delete`, `kubectl/pkg/cmd/wait/delete.go`.

use super::{Session, create, with_query};
use crate::cli::delete::{Delete, Removal};
use crate::discovery::Resource;
use crate::files::{Check, Manifest, Reading};
use crate::selected::{Query, labelled, resolve};
use crate::writing::{DryRun, Failures, code, is_not_found, with_source};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::time;
use http::Method;
use serde_json::json;
use std::time::Duration;

pub(super) async fn run(session: &Session, flags: &Delete) -> anyhow::Result<()> {
    let deletion = deletion(flags)?;
    let deadline = Deadline::new(&flags.removal.timeout)?;
    if !flags.raw.is_empty() {
        check(flags, &deletion)?;
        check_raw(flags)?;
        let file = flags.files.filenames.first().map_or("/dev/null", String::as_str);
        return create::raw(session, Method::DELETE, &flags.raw, file).await;
    }
    let query = query(flags);
    query.all_alone()?;
    let discovery = query.discovery(session).await?;
    let mut deleting = Deleting::new(session, flags, &deletion);
    if flags.files.any() && !flags.interactive {
        // Whoever is not asked need not be shown all of it first.
        let mut reading = Reading::of(&flags.files, &discovery, session, Check::Bare)?;
        check(flags, &deletion)?;
        while let Some(outcome) = reading.next().await {
            match outcome {
                Ok(manifest) if !flags.selector.is_empty() && !labelled(&manifest.object, &flags.selector)? => {}
                Ok(manifest) => deleting.delete(Victim::of(&manifest)).await?,
                Err(error) => deleting.unread.push(error),
            }
        }
        return deleting.end(deadline).await;
    }
    let selected = resolve(session, &discovery, &query).await?;
    check(flags, &deletion)?;
    deleting.unread = selected.failures;
    // Objects are deleted in the order that they were found in.
    let victims: Vec<Victim> = selected.objects.iter().map(Victim::of).collect();
    if flags.interactive && !victims.is_empty() && !confirmed(&victims)? {
        crate::outln!("deletion is cancelled");
        return Ok(());
    }
    for victim in victims {
        deleting.delete(victim).await?;
    }
    deleting.end(deadline).await
}

/// Deletes one object after the other.
struct Deleting<'a> {
    session: &'a Session,
    flags: &'a Delete,
    deletion: &'a Deletion,
    found: usize,
    /// Those that are waited for, with their identifiers.
    deleted: Vec<(Victim, Option<String>)>,
    failures: Vec<anyhow::Error>,
    /// What could not be found out of what there is to delete.
    unread: Vec<anyhow::Error>,
    /// Something was not there, which was to be ignored.
    ignored: bool,
    warned: bool,
}

impl<'a> Deleting<'a> {
    fn new(session: &'a Session, flags: &'a Delete, deletion: &'a Deletion) -> Self {
        let (deleted, failures, unread) = (Vec::new(), Vec::new(), Vec::new());
        Self { session, flags, deletion, found: 0, deleted, failures, unread, ignored: false, warned: false }
    }

    async fn delete(&mut self, victim: Victim) -> anyhow::Result<()> {
        self.found += 1;
        if self.session.namespace_given && !victim.resource.namespaced && !self.warned {
            self.warned = true;
            eprintln!("Warning: deleting cluster-scoped resources, not scoped to the provided namespace");
        }
        match self.deletion.ask(self.session, &victim).await {
            Ok(uid) => {
                crate::outln!("{}", self.deletion.told(&victim));
                if self.waits() {
                    self.deleted.push((victim, uid));
                }
            }
            Err(error) if self.flags.ignore_not_found && is_not_found(&error) => self.ignored = true,
            Err(error) => self.failures.push(with_source(error, "deleting", &victim.source)),
        }
        Ok(())
    }

    fn waits(&self) -> bool {
        self.flags.wait && self.deletion.dry_run == DryRun::None
    }

    /// Waits until all are gone, if all could be deleted.
    async fn end(mut self, deadline: Deadline) -> anyhow::Result<()> {
        if self.flags.ignore_not_found || self.flags.all || !self.flags.selector.is_empty() {
            self.unread.retain(|error| !is_not_found(error));
        }
        if self.found == 0 && self.unread.is_empty() {
            crate::outln!("No resources found");
        }
        // What is behind what cannot be read was not read.
        match self.ignored && self.failures.is_empty() && self.unread.len() == 1 {
            // What is left of several is told as such.
            true => Failures::among_others(self.unread)?,
            false => Failures::with_unread(self.failures, self.unread)?,
        }
        for (victim, uid) in &self.deleted {
            deadline.gone(self.session, victim, uid.as_deref()).await?;
        }
        Ok(())
    }
}

fn deletion(flags: &Delete) -> anyhow::Result<Deletion> {
    let removal = &flags.removal;
    let mut grace = removal.grace_period;
    if flags.now {
        if grace >= 0 {
            bail!("--now and --grace-period cannot be specified together");
        }
        grace = 1;
    }
    if grace == 0 && !removal.force {
        // An object that is killed at once is waited for, so that it does end.
        grace = 1;
    }
    if removal.force && grace < 0 {
        grace = 0;
    }
    let dry_run = DryRun::parse(&flags.dry_run.dry_run)?;
    Ok(Deletion { dry_run, names_only: flags.output == "name", ..Deletion::new(removal, grace)? })
}

/// What upstream looks at once it has found what there is to delete.
fn check(flags: &Delete, deletion: &Deletion) -> anyhow::Result<()> {
    if !matches!(flags.output.as_str(), "" | "name") {
        bail!("unexpected -o output mode: {}. We only support '-o name'", flags.output);
    }
    if flags.all && !flags.selector.is_empty() {
        bail!("setting 'all' parameter but found a non empty selector. ");
    }
    if flags.all && !flags.field_selector.is_empty() {
        bail!("cannot set --all and --field-selector at the same time");
    }
    if flags.removal.force && deletion.grace > 0 {
        bail!("--force and --grace-period greater than 0 cannot be specified together");
    }
    if flags.removal.force {
        eprintln!(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely."
        );
    }
    Ok(())
}

fn check_raw(flags: &Delete) -> anyhow::Result<()> {
    if flags.interactive {
        bail!("--interactive can not be used with --raw");
    }
    match flags.files.filenames.as_slice() {
        [] => {}
        [name] if name.starts_with("http://") || name.starts_with("https://") => bail!("--raw cannot read from a url"),
        [_] => {}
        _ => bail!("--raw can only use a single local file or stdin"),
    }
    if flags.files.recursive {
        bail!("--raw and --recursive are mutually exclusive");
    }
    if !flags.output.is_empty() {
        bail!("--raw and --output are mutually exclusive");
    }
    Ok(())
}

/// Names are deleted unseen: what is asked of the server first is what selectors need.
fn query(flags: &Delete) -> Query<'_> {
    Query {
        selector: &flags.selector,
        field_selector: &flags.field_selector,
        all: flags.all,
        all_namespaces: flags.all_namespaces,
        local: true,
        ..Query::new(&flags.resources, &flags.files)
    }
}

/// Shows what will go and waits for a yes.
pub(super) fn confirmed(victims: &[Victim]) -> anyhow::Result<bool> {
    crate::outln!("You are about to delete the following {} resource(s):", victims.len());
    for victim in victims {
        crate::outln!("{}/{}", victim.kind(), victim.name);
    }
    crate::out!("Do you want to continue? (y/N): ");
    std::io::Write::flush(&mut std::io::stdout())?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

/// One object to delete.
#[derive(Clone, Debug)]
pub(super) struct Victim {
    pub(super) source: String,
    pub(super) resource: Resource,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Victim {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self {
            source: manifest.source.clone(),
            resource: manifest.resource.clone(),
            namespace: manifest.namespace.clone(),
            name: manifest.object.name().to_owned(),
        }
    }

    fn path(&self) -> String {
        format!("{}/{}", self.resource.path(Some(&self.namespace)), self.name)
    }

    /// `deployment.apps`, from the kind.
    fn kind(&self) -> String {
        let kind = self.resource.kind.to_ascii_lowercase();
        if self.resource.group.is_empty() { kind } else { format!("{kind}.{}", self.resource.group) }
    }
}

/// How objects are deleted, and how that is told.
#[derive(Clone, Debug)]
pub(super) struct Deletion {
    pub(super) dry_run: DryRun,
    pub(super) names_only: bool,
    policy: &'static str,
    grace: i64,
}

impl Deletion {
    pub(super) fn new(removal: &Removal, grace: i64) -> anyhow::Result<Self> {
        let policy = match removal.cascade.as_str() {
            "background" => "Background",
            "foreground" => "Foreground",
            "orphan" => "Orphan",
            text @ ("true" | "false") => {
                let (word, policy) = if text == "true" { ("background", "Background") } else { ("orphan", "Orphan") };
                eprintln!(
                    "warning: --cascade={text} is deprecated (boolean value) and can be replaced with --cascade={word}."
                );
                policy
            }
            other => bail!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\""),
        };
        Ok(Self { dry_run: DryRun::None, names_only: false, policy, grace })
    }

    /// The same as a dry run, or for real.
    pub(super) fn dry_run(self, dry_run: DryRun) -> Self {
        Self { dry_run, ..self }
    }

    /// Asks for the deletion; the object's UID, if the server told it. One that tells of an object without a UID says
    /// that whatever has one is another object.
    pub(super) async fn ask(&self, session: &Session, victim: &Victim) -> anyhow::Result<Option<String>> {
        if self.dry_run == DryRun::Client {
            return Ok(None);
        }
        let answer =
            session.client.write_object(Method::DELETE, &victim.path(), "application/json", &self.options()).await?;
        let told = match answer["kind"].as_str() {
            Some("Status") => answer.get("details"),
            _ => answer.get("metadata"),
        };
        let uid = |told: &Value| told.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(told.filter(|told| told.is_object()).map(uid))
    }

    /// All options stand in the body: a server that finds one there does not look at the query.
    fn options(&self) -> Value {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": self.policy});
        if self.grace >= 0 {
            options["gracePeriodSeconds"] = self.grace.into();
        }
        if self.dry_run == DryRun::Server {
            options["dryRun"] = json!(["All"]);
        }
        options
    }

    pub(super) fn told(&self, victim: &Victim) -> String {
        if self.names_only {
            return format!("{}/{}", victim.kind(), victim.name);
        }
        let what = if self.grace == 0 { "force deleted" } else { "deleted" };
        let place =
            if victim.resource.namespaced { format!(" from {} namespace", victim.namespace) } else { String::new() };
        format!("{} \"{}\" {what}{place}{}", victim.kind(), victim.name, self.dry_run.suffix())
    }
}

/// How long to wait for objects to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(tokio::time::Instant);

impl Deadline {
    /// Zero waits for a week.
    pub(super) fn new(timeout: &str) -> anyhow::Result<Self> {
        let timeout = time::parse_go_duration(timeout).with_context(|| {
            format!("invalid argument {timeout:?} for \"--timeout\" flag: time: invalid duration {timeout:?}")
        })?;
        let timeout = if timeout.is_zero() { Duration::from_secs(7 * 24 * 3600) } else { timeout };
        Ok(Self(tokio::time::Instant::now() + timeout))
    }

    /// Waits until the object is gone, or another one has its name.
    pub(super) async fn gone(&self, session: &Session, victim: &Victim, uid: Option<&str>) -> anyhow::Result<()> {
        crate::interrupt::heed();
        match tokio::time::timeout_at(self.0, gone(session, victim, uid)).await {
            Ok(Err(error)) if matches!(code(&error), Some(403 | 405)) => Ok(()),
            Ok(outcome) => outcome,
            Err(_) => bail!("timed out waiting for the condition on {}/{}", victim.resource.plural, victim.name),
        }
    }
}

async fn gone(session: &Session, victim: &Victim, uid: Option<&str>) -> anyhow::Result<()> {
    const END: &[u8] = b"\"DELETED\",";
    let mut pauses = crate::http::Pauses::new();
    loop {
        let object = match session.client.get(&victim.path(), "application/json").await {
            Err(error) if is_not_found(&error) => return Ok(()),
            object => object?,
        };
        if uid.is_some_and(|uid| object.uid() != uid) {
            return Ok(());
        }
        let selector = format!("metadata.name={}", victim.name);
        let path = with_query(
            &victim.resource.path(Some(&victim.namespace)),
            &[("watch", "true"), ("fieldSelector", &selector), ("resourceVersion", object.resource_version())],
        );
        let mut body = session.client.stream(&path, "application/json", crate::http::Patience::Reads).await?;
        let mut seen = Vec::new();
        while let Ok(Some(data)) = body.next().await {
            seen.extend_from_slice(&data);
            if seen.windows(END.len()).any(|w| w == END) {
                return Ok(());
            }
            seen.drain(..seen.len().saturating_sub(END.len() - 1));
        }
        // A server that ends each watch at once is not asked as fast as it answers.
        pauses.pass().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Args;
    use crate::discovery::tests::sample;
    use clap::Parser;

    fn made(line: &str) -> Result<Deletion, String> {
        let args = Args::try_parse_from(line.split(' ')).expect("parses");
        let crate::cli::Command::Delete(flags) = args.command else { panic!("delete") };
        let made = deletion(&flags).and_then(|deletion| check(&flags, &deletion).map(|()| deletion));
        made.map_err(|e| e.to_string())
    }

    #[test]
    fn deletions_are_told() {
        let pod = sample().find("pods").cloned().expect("pods");
        let node = sample().find("nodes").cloned().expect("nodes");
        let victim = |resource| Victim { source: String::new(), resource, namespace: "ns".into(), name: "a".into() };
        for (line, resource, want) in [
            ("k delete pod a", &pod, "pod \"a\" deleted from ns namespace"),
            ("k delete pod a --force", &pod, "pod \"a\" force deleted from ns namespace"),
            ("k delete node a --dry-run=server", &node, "node \"a\" deleted (server dry run)"),
            ("k delete pod a -o name", &pod, "pod/a"),
        ] {
            assert_eq!(made(line).expect("fine").told(&victim(resource.clone())), want, "{line}");
        }
    }

    #[test]
    fn options_stand_in_the_body() {
        let options = made("k delete pod a --dry-run=server --grace-period=3").expect("fine").options();
        assert_eq!((&options["dryRun"], &options["gracePeriodSeconds"]), (&json!(["All"]), &json!(3)));
        assert!(made("k delete pod a").expect("fine").options().get("dryRun").is_none());
    }

    #[test]
    fn odd_flags_are_refused() {
        for (line, want) in [
            (
                "k delete pod a --force --grace-period=5",
                "--force and --grace-period greater than 0 cannot be specified together",
            ),
            ("k delete pod a --now --grace-period=5", "--now and --grace-period cannot be specified together"),
            ("k delete pod --all -l a=b", "setting 'all' parameter but found a non empty selector. "),
            ("k delete pod a -o yaml", "unexpected -o output mode: yaml. We only support '-o name'"),
            (
                "k delete pod a --cascade=x",
                "invalid cascade value (x). Must be \"background\", \"foreground\", or \"orphan\"",
            ),
        ] {
            assert_eq!(made(line).map(drop), Err(want.to_owned()), "{line}");
        }
        assert_eq!(made("k delete pod a --grace-period=0").map(|d| d.grace), Ok(1));
    }
}
