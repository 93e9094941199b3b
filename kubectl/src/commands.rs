//! One file per verb. Each takes what was typed and a session.

mod api_resources;
mod api_versions;
mod apply;
mod auth;
mod autoscale;
mod certificate;
mod cluster_info;
mod completion;
mod config;
mod cp;
mod create;
mod debug;
mod delete;
mod describe;
mod diff;
mod drain;
mod edit;
mod events;
mod exec;
mod explain;
mod expose;
mod get;
mod hint;
mod kuberc;
mod kustomize;
mod label;
mod logs;
pub(crate) mod patch;
mod plugin;
mod port_forward;
mod proxy;
mod replace;
mod rollout;
mod run;
mod scale;
mod set;
mod taint;
mod top;
mod undo;
mod version;
mod wait;
mod why;

pub use completion::answer as complete;
pub use hint::hint;
pub(crate) use rollout::label_selector;

use crate::cli::Files;
use crate::cli::kuberc::Plugin;
use crate::cli::{Args, Command};
use crate::config::{Asking, Wants};
use crate::discovery::Discovery;
use crate::files::{self, Check};
use crate::generate::GenerateError;
use crate::http::{Client, Pauses, Refused, Unanswered};
use crate::print::OutputError;
use crate::writing::{Failures, Fatal};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::process::ExitCode;

/// The form in which upstream takes the older document of a server's types.
const OLDER_DOCUMENT: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// A connection with what the server told about itself.
pub struct Session {
    /// The connection.
    pub client: Client,
    /// The namespace of the command line or the context.
    pub namespace: String,
    /// Whether the command line names the namespace.
    pub namespace_given: bool,
}

impl Session {
    /// What the server serves.
    pub async fn discovery(&self) -> anyhow::Result<Discovery> {
        Discovery::fetch(&self.client).await
    }

    /// The same for a command that reads manifests: without it none of them is known.
    pub async fn discovery_for(&self, files: &Files, check: Check) -> anyhow::Result<Discovery> {
        files.one_kind()?;
        let sources = files::all_named_exist(files)?;
        if check == Check::Validated && !sources.is_empty() {
            self.ask_how_to_validate(&sources).await?;
        }
        match self.discovery().await {
            Err(error) if !sources.is_empty() => {
                let unknown = |source| anyhow::anyhow!("unable to recognize \"{source}\": {error:#}");
                Err(Failures::outcome(sources.iter().map(unknown).collect()).err().unwrap_or(error))
            }
            outcome => outcome,
        }
    }

    /// Upstream validates before it looks for types, and asks first whether the server does: in its newer documents,
    /// and if they cannot be had, in the older one.
    async fn ask_how_to_validate(&self, sources: &[String]) -> anyhow::Result<()> {
        let Err(why) = self.asked_how_to_validate().await else { return Ok(()) };
        let failed = |source| files::not_validated(source, &why);
        Failures::outcome(sources.iter().map(failed).collect())
    }

    /// The same for what is in no file.
    async fn asked_how_to_validate(&self) -> anyhow::Result<()> {
        if self.client.get("/openapi/v3", "application/json").await.is_ok() {
            return Ok(());
        }
        match self.client.get_bytes("/openapi/v2", OLDER_DOCUMENT).await {
            Ok(document) if is_message(&document) => Ok(()),
            Ok(_) => anyhow::bail!("failed to download openapi: proto: cannot parse invalid wire-format data"),
            Err(why) => anyhow::bail!("failed to download openapi: {why:#}"),
        }
    }
}

/// Whether bytes are the fields of a protobuf message.
fn is_message(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let number = |rest: &mut &[u8]| -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, behind) = rest.split_first()?;
            *rest = behind;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    while !rest.is_empty() {
        let Some(tag) = number(&mut rest).filter(|tag| tag >> 3 > 0) else { return false };
        let length = match tag & 7 {
            0 => number(&mut rest).map(|_| 0),
            1 => Some(8),
            2 => number(&mut rest),
            5 => Some(4),
            _ => None,
        };
        let length = length.and_then(|length| usize::try_from(length).ok());
        match length.and_then(|length| rest.get(length..)) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    true
}

/// Runs a command line; the exit code is the command's.
pub async fn run(mut args: Args) -> anyhow::Result<ExitCode> {
    // A debugging profile is none of the program.
    if !matches!(args.command, Command::Debug(_)) {
        args.global.check().map_err(|why| anyhow::anyhow!(why))?;
    }
    if let Some(outcome) = without_server(&args) {
        return outcome;
    }
    if names_subjects(&args.command) {
        args.global.user = None;
    }
    let namespace_given = args.global.namespace.as_ref().is_some_and(|n| !n.is_empty());
    let session = match session(&args, namespace_given).await {
        // What needs no server is told even so.
        Err(error)
            if let Command::Version(flags) = &args.command
                && error_text(&error).starts_with("Unable to connect") =>
        {
            version::client_only(flags)?;
            return Err(error);
        }
        Err(error) if matches!(args.command, Command::Diff(_)) => return Ok(diff::failed(&error)),
        session => session?,
    };
    if args.global.match_server_version {
        version::require_match(&session).await?;
    }
    let done = match args.command {
        Command::Get(get) => get::run(&session, &get).await,
        Command::Describe(describe) => describe::run(&session, &describe).await,
        Command::Create(create) => create::run(&session, &create).await,
        Command::Apply(apply) => apply::run(&session, &apply).await,
        Command::Delete(delete) => delete::run(&session, &delete).await,
        Command::Logs(logs) => logs::run(&session, &logs).await,
        Command::Exec(exec) => return exec::run(&session, &exec).await,
        Command::Run(flags) => return run::run(&session, &flags).await,
        Command::Attach(flags) => return exec::attach(&session, &flags).await,
        Command::Diff(flags) => return diff::run(&session, &flags).await,
        Command::Proxy(flags) => return proxy::run(session, &flags).await,
        Command::Cp(flags) => cp::run(&session, &flags).await,
        Command::PortForward(flags) => port_forward::run(&session, &flags).await,
        Command::Undo(flags) => undo::run(&session, &flags).await,
        Command::Kustomize(flags) => kustomize::run(&flags),
        Command::Scale(scale) => scale::run(&session, &scale).await,
        Command::Autoscale(flags) => autoscale::run(&session, &flags).await,
        Command::Expose(flags) => expose::run(&session, &flags).await,
        Command::Edit(flags) => match edit::run(&session, &flags).await? {
            code if code == ExitCode::SUCCESS => Ok(()),
            code => return Ok(code),
        },
        Command::Replace(flags) => replace::run(&session, &flags).await,
        Command::Patch(flags) => patch::run(&session, &flags).await,
        Command::Label(flags) => label::run(&session, label::Kind::Label, &flags.marking, &flags.field_manager).await,
        Command::Annotate(flags) => {
            label::run(&session, label::Kind::Annotation, &flags.marking, &flags.field_manager).await
        }
        Command::Set(command) => set::run(&session, &command).await,
        Command::Rollout(command) => rollout::run(&session, &command).await,
        Command::Certificate(command) => certificate::run(&session, &command).await,
        Command::Cordon(flags) => drain::cordon(&session, &flags, drain::Mark::Cordoned).await,
        Command::Uncordon(flags) => drain::cordon(&session, &flags, drain::Mark::Uncordoned).await,
        Command::Drain(flags) => drain::run(&session, &flags).await,
        Command::Taint(flags) => taint::run(&session, &flags).await,
        Command::Version(version) => version::run(&session, &version).await,
        Command::ApiResources(resources) => api_resources::run(&session, &resources).await,
        Command::ApiVersions(flags) => api_versions::run(&session, &flags).await,
        Command::ClusterInfo(flags) => cluster_info::run(&session, &flags).await,
        Command::Auth(command) => return auth::run(&session, &command).await,
        Command::Wait(flags) => wait::run(&session, &flags).await,
        Command::Events(flags) => events::run(&session, &flags).await,
        Command::Debug(flags) => debug::run(&session, &flags).await,
        Command::Why(flags) => why::run(&session, &flags).await,
        Command::Explain(flags) => explain::run(&session, &flags).await,
        Command::Top(command) => top::run(&session, &command).await,
        Command::Config(_)
        | Command::Options(_)
        | Command::Kuberc(_)
        | Command::Plugin(_)
        | Command::Completion(_)
        | Command::Alpha(_) => Ok(()),
    };
    done?;
    match session.client.warnings_that_count() {
        0 => Ok(ExitCode::SUCCESS),
        1 => anyhow::bail!("1 warning received"),
        count => anyhow::bail!("{count} warnings received"),
    }
}

async fn session(args: &Args, namespace_given: bool) -> anyhow::Result<Session> {
    let connection = match crate::config::connect(&args.global, wants(&args.command), Asking::IfUnknown).await {
        // Who asks no server need not know one.
        Err(_) if namespace_given && is_local(&args.command) => crate::config::nowhere(&args.global),
        connection => connection?,
    };
    let namespace = connection.namespace.clone();
    Ok(Session { client: Client::new(connection)?, namespace, namespace_given })
}

/// Whether a command does with manifests what it does, and asks no server.
fn is_local(command: &Command) -> bool {
    use crate::cli::set::Set;
    match command {
        Command::Label(flags) => flags.marking.local,
        Command::Annotate(flags) => flags.marking.local,
        Command::Patch(flags) => flags.local,
        Command::Set(set) => match set {
            Set::Env(flags) => flags.setting.local,
            Set::Image(flags) => flags.setting.local,
            Set::Resources(flags) => flags.setting.local,
            Set::Selector(flags) => flags.setting.local,
            Set::ServiceAccount(flags) => flags.setting.local,
            Set::Subject(flags) => flags.setting.local,
        },
        _ => false,
    }
}

/// What upstream's command asks of the kubeconfig first.
fn wants(command: &Command) -> Wants {
    use crate::cli::apply::LastApplied;
    use crate::cli::auth::Auth;
    use crate::cli::generators::Generator;
    use crate::cli::set::Set;
    use crate::cli::top::Top;
    match command {
        Command::Create(create) if !matches!(create.generator, Some(Generator::Token(_))) => Wants::Server,
        Command::Apply(apply) => match apply.command {
            None => Wants::Server,
            Some(LastApplied::SetLastApplied(_)) => Wants::Namespace,
            Some(_) => Wants::Objects,
        },
        Command::Get(get) if !get.raw.is_empty() => Wants::Server,
        Command::Delete(delete) if !delete.raw.is_empty() => Wants::Namespace,
        Command::Set(set) => match set {
            Set::Env(_) => Wants::Server,
            Set::Image(_) | Set::Resources(_) => Wants::Namespace,
            Set::Selector(_) | Set::ServiceAccount(_) | Set::Subject(_) => Wants::Objects,
        },
        Command::Auth(auth) if !matches!(auth, Auth::Reconcile(_)) => Wants::Server,
        Command::Top(Top::Node(_)) => Wants::Server,
        Command::Run(_)
        | Command::Proxy(_)
        | Command::Autoscale(_)
        | Command::Expose(_)
        | Command::Replace(_)
        | Command::Certificate(_)
        | Command::Cordon(_)
        | Command::Uncordon(_)
        | Command::Drain(_)
        | Command::Version(_)
        | Command::ApiResources(_)
        | Command::ApiVersions(_)
        | Command::ClusterInfo(_)
        | Command::Wait(_)
        | Command::Explain(_)
        | Command::Diff(_) => Wants::Server,
        Command::Get(_)
        | Command::Describe(_)
        | Command::Delete(_)
        | Command::Edit(_)
        | Command::Patch(_)
        | Command::Label(_)
        | Command::Annotate(_) => Wants::Objects,
        _ => Wants::Namespace,
    }
}

/// The commands that need no server, and so no kubeconfig that makes sense.
fn without_server(args: &Args) -> Option<anyhow::Result<ExitCode>> {
    let outcome = match &args.command {
        Command::Version(flags) if flags.client => return Some(version::client_only(flags)),
        Command::Kustomize(flags) => kustomize::run(flags),
        Command::Config(command) => config::run(command, &args.global),
        Command::Kuberc(command) => kuberc::run(command, &args.global),
        Command::Plugin(Plugin::List(flags)) => plugin::list(flags),
        Command::Completion(flags) => completion::run(flags),
        Command::Options(_) => print(&crate::cli::options()),
        Command::Alpha(_) => {
            eprintln!("No alpha commands are available in this version of kubectl");
            Ok(())
        }
        _ => return None,
    };
    Some(outcome.map(|()| ExitCode::SUCCESS))
}

fn print(text: &str) -> anyhow::Result<()> {
    crate::out!("{text}");
    Ok(())
}

/// Whether `--user` names subjects, which hides the global flag of that name.
fn names_subjects(command: &Command) -> bool {
    use crate::cli::generators::Generator;
    use crate::cli::set::Set;
    match command {
        Command::Create(create) => {
            matches!(create.generator, Some(Generator::RoleBinding(_) | Generator::ClusterRoleBinding(_)))
        }
        Command::Set(set) => matches!(set, Set::Subject(_)),
        _ => false,
    }
}

/// Follows one object until `done` says so. A server that refuses or goes away is asked again.
///
/// Upstream: `client-go/tools/watch/until.go` (`UntilWithSync`).
pub(crate) async fn watch_one(
    session: &Session,
    manifest: &crate::files::Manifest,
    mut done: impl FnMut(&apimachinery::Value) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let selector = format!("metadata.name={}", manifest.object.name());
    let mut version = manifest.object.resource_version().to_owned();
    let mut pauses = Pauses::new();
    crate::interrupt::heed();
    loop {
        let path = with_query(
            &manifest.collection(),
            &[("watch", "true"), ("fieldSelector", &selector), ("resourceVersion", &version)],
        );
        match session.client.watch(&path, "application/json").await {
            Err(error) => pauses.after(&error).await,
            Ok(mut events) => {
                while let Some(event) = events.next().await {
                    match event["type"].as_str().unwrap_or_default() {
                        "DELETED" => anyhow::bail!("object has been deleted"),
                        // Too old to go on from: look again from now.
                        "ERROR" => break,
                        _ if is_another_kind(&event["object"], manifest) => continue,
                        _ => pauses.reset(),
                    }
                    if done(&event["object"])? {
                        return Ok(());
                    }
                }
                pauses.pass().await;
            }
        }
        match session.client.get(&manifest.path(), "application/json").await {
            Ok(current) => {
                current.resource_version().clone_into(&mut version);
                if done(&current)? {
                    return Ok(());
                }
            }
            Err(error) if crate::writing::is_not_found(&error) => anyhow::bail!("object has been deleted"),
            Err(error) => pauses.after(&error).await,
        }
    }
}

/// Whether a watch tells of something else than what is followed.
pub(crate) fn is_another_kind(object: &Value, manifest: &crate::files::Manifest) -> bool {
    object["kind"].as_str().is_some_and(|kind| kind != manifest.resource.kind)
}

/// Whether the reader of standard output is gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    let written = matches!(error.downcast_ref(), Some(OutputError::Write(error)) if broken(error));
    written || error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}

/// An error as kubectl words it.
pub fn error_text(error: &anyhow::Error) -> String {
    if let Some(Failures(list)) = error.downcast_ref::<Failures>() {
        return list.iter().map(one_of_several).collect::<Vec<_>>().join("\n");
    }
    if let Some(fatal) = error.downcast_ref::<Fatal>() {
        return fatal.to_string();
    }
    match standard(error) {
        Some(_) if let Some(refused) = error.downcast_ref::<Refused>().filter(|r| r.is_invalid()) => invalid(refused),
        Some(text) => text,
        None => {
            let text = format!("{error:#}");
            let known = [
                "The connection to the server",
                "Unable to connect",
                "Error in configuration",
                "Warning",
                "error: ",
                "Server-side apply",
            ];
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let bare = matches!(error.downcast_ref(), Some(GenerateError::NoSuchType(..)));
            if bare || known.iter().any(|k| text.starts_with(k)) { text.to_owned() } else { format!("error: {text}") }
        }
    }
}

/// An error among others: they stand for themselves.
///
/// Upstream: `kubectl/pkg/cmd/util/helpers.go` (`messageForError`).
fn one_of_several(error: &anyhow::Error) -> String {
    if let Some(Failures(list)) = error.downcast_ref::<Failures>() {
        return list.iter().map(one_of_several).collect::<Vec<_>>().join("\n");
    }
    standard(error).unwrap_or_else(|| format!("{error:#}"))
}

/// The words for errors that upstream knows.
///
/// Upstream: `kubectl/pkg/cmd/util/helpers.go` (`StandardErrorMessage`).
fn standard(error: &anyhow::Error) -> Option<String> {
    // With words around it, it is no longer what upstream knows.
    if error.chain().len() > 1 {
        return None;
    }
    if let Some(refused) = error.downcast_ref::<Refused>() {
        let Refused { reason, message, .. } = refused;
        return Some(match reason.as_str() {
            "Unauthorized" => format!("error: You must be logged in to the server ({message})"),
            "" => format!("Error from server: {message}"),
            reason => format!("Error from server ({reason}): {message}"),
        });
    }
    error.downcast_ref::<Unanswered>().map(Unanswered::told)
}

/// What is wrong with an object, cause by cause.
fn invalid(refused: &Refused) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, name) = (text(&refused.details, "kind"), text(&refused.details, "name"));
    let is_unnamed = kind.is_empty() && name.is_empty();
    let head = match is_unnamed {
        true => "The request is invalid".to_owned(),
        false => format!("The {kind} {name:?} is invalid"),
    };
    let mut causes: Vec<String> = Vec::new();
    for cause in refused.details.get("causes").and_then(Value::as_array).into_iter().flatten() {
        let told = format!("{}: {}", text(cause, "field"), text(cause, "message"));
        if !causes.contains(&told) {
            causes.push(told);
        }
    }
    match causes.as_slice() {
        [] if is_unnamed && !refused.message.is_empty() => format!("{head}: {}", refused.message),
        [] => head,
        [one] => format!("{head}: {one}"),
        several => {
            let lines: String = several.iter().map(|cause| format!("\n* {cause}")).collect();
            format!("{head}: {lines}")
        }
    }
}

/// What Go's `url.QueryEscape` escapes.
const ESCAPED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes a query value.
pub(crate) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, ESCAPED).to_string()
}

/// A path with query parameters in the order of their names; those without a value are left out.
pub(crate) fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut parameters: Vec<&(&str, &str)> = parameters.iter().filter(|(_, value)| !value.is_empty()).collect();
    parameters.sort_by_key(|(name, _)| *name);
    let given: Vec<String> = parameters.iter().map(|(k, v)| format!("{k}={}", encode(v))).collect();
    if given.is_empty() { path.to_owned() } else { format!("{path}?{}", given.join("&")) }
}

/// The command line for `kubernetes.io/change-cause`.
pub(crate) fn command_line() -> String {
    let words: Vec<String> = std::env::args().collect();
    let program = words.first().map(|w| w.rsplit('/').next().unwrap_or(w).to_owned());
    program.into_iter().chain(words.into_iter().skip(1)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_errors_as_kubectl_does() {
        let refused = Refused {
            code: 404,
            reason: "NotFound".into(),
            message: "pods \"x\" not found".into(),
            details: Value::Null,
        };
        assert_eq!(error_text(&refused.into()), "Error from server (NotFound): pods \"x\" not found");
        assert_eq!(error_text(&anyhow::anyhow!("no")), "error: no");
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(with_query("/p", &[("c", "1-2"), ("a", "x=y,z"), ("b", "")]), "/p?a=x%3Dy%2Cz&c=1-2");
        assert_eq!(with_query("/p", &[("b", "")]), "/p");
    }
}
