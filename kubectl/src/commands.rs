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
mod session;
mod set;
mod taint;
mod top;
mod undo;
mod version;
mod wait;
mod why;
mod words;

pub use completion::answer as complete;
pub use hint::hint;
pub(crate) use rollout::label_selector;
pub use session::Session;
pub use words::{error_text, is_broken_pipe};

use crate::cli::kuberc::Plugin;
use crate::cli::{Args, Command};
use crate::http::Pauses;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::process::ExitCode;

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
    let session = match Session::of(&args).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        assert_eq!(with_query("/p", &[("c", "1-2"), ("a", "x=y,z"), ("b", "")]), "/p?a=x%3Dy%2Cz&c=1-2");
        assert_eq!(with_query("/p", &[("b", "")]), "/p");
    }
}
