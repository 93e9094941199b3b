//! One file per verb. Each takes what was typed and a session.

mod api_resources;
mod apply;
mod create;
mod delete;
mod describe;
mod exec;
mod get;
mod logs;
mod scale;
mod version;

use crate::cli::{Args, Command};
use crate::config;
use crate::discovery::Discovery;
use crate::http::{Client, Refused};
use std::process::ExitCode;

/// A connection with what the server told about itself.
pub struct Session {
    /// The connection.
    pub client: Client,
    /// The namespace of the command line or the context.
    pub namespace: String,
}

impl Session {
    /// What the server serves.
    pub async fn discovery(&self) -> anyhow::Result<Discovery> {
        Discovery::fetch(&self.client).await
    }
}

/// Runs a command line; the exit code is the command's.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Command::Version(version) = &args.command
        && version.client
    {
        return version::client_only(version);
    }
    let connection = config::load(&args.global)?;
    let namespace = connection.namespace.clone();
    let session = Session { client: Client::new(connection)?, namespace };
    let done = match args.command {
        Command::Get(get) => get::run(&session, &get).await,
        Command::Describe(describe) => describe::run(&session, &describe).await,
        Command::Create(create) => create::run(&session, &create).await,
        Command::Apply(apply) => apply::run(&session, &apply).await,
        Command::Delete(delete) => delete::run(&session, &delete).await,
        Command::Logs(logs) => logs::run(&session, &logs).await,
        Command::Exec(exec) => return exec::run(&session, &exec).await,
        Command::Scale(scale) => scale::run(&session, &scale).await,
        Command::Version(version) => version::run(&session, &version).await,
        Command::ApiResources(resources) => api_resources::run(&session, &resources).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Whether the reader of standard output is gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// An error as kubectl words it.
pub fn error_text(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Refused>() {
        Some(refused) if !refused.reason.is_empty() => {
            format!("Error from server ({}): {}", refused.reason, refused.message)
        }
        Some(refused) => format!("Error from server: {}", refused.message),
        None => {
            let text = format!("{error:#}");
            let known = ["The connection to the server", "Unable to connect", "You must specify", "Warning"];
            if known.iter().any(|k| text.starts_with(k)) { text } else { format!("error: {text}") }
        }
    }
}

/// Percent-encodes a query value.
pub(crate) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A path with query parameters; those without a value are left out.
pub(crate) fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let given: Vec<String> =
        parameters.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k}={}", encode(v))).collect();
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
        let refused = Refused { code: 404, reason: "NotFound".into(), message: "pods \"x\" not found".into() };
        assert_eq!(error_text(&refused.into()), "Error from server (NotFound): pods \"x\" not found");
        assert_eq!(error_text(&anyhow::anyhow!("no")), "error: no");
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(with_query("/p", &[("a", "x=y,z"), ("b", "")]), "/p?a=x%3Dy%2Cz");
        assert_eq!(with_query("/p", &[("b", "")]), "/p");
    }
}
