//! What a command works with: a client, a namespace, and what its kind of command asks of the kubeconfig first.

use super::{cluster_info, error_text, version};
use crate::cli::{Args, Command, Files};
use crate::config::{Asking, Connection, Wants};
use crate::discovery::{Asks, Discovery};
use crate::files::objects::Unrecognized;
use crate::files::{self, Check};
use crate::http::Client;
use crate::writing::Failures;
use apimachinery::Value;

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
    /// Who is to be asked, as the command line and the kubeconfig say.
    async fn connection(args: &Args, namespace_given: bool) -> anyhow::Result<Connection> {
        match crate::config::connect(&args.global, wants(&args.command), Asking::IfUnknown).await {
            // Who asks no server need not know one.
            Err(_) if namespace_given && is_local(&args.command) => Ok(crate::config::nowhere(&args.global)),
            connection => Ok(connection?),
        }
    }

    /// A session for a command. Nothing is sent to the server yet.
    pub(super) async fn of(args: &Args) -> anyhow::Result<Self> {
        let namespace_given = args.global.namespace.as_ref().is_some_and(|n| !n.is_empty());
        let connection = match Self::connection(args, namespace_given).await {
            // What needs no server is told even so.
            Err(error)
                if let Command::Version(flags) = &args.command
                    && error_text(&error).starts_with("Unable to connect") =>
            {
                version::client_only(flags)?;
                return Err(error);
            }
            connection => connection?,
        };
        let namespace = connection.namespace.clone();
        match (Client::new(connection), &args.command) {
            (Ok(client), _) => Ok(Session { client, namespace, namespace_given }),
            // Upstream tells how to go on after all but what is wrong with the kubeconfig.
            (Err(error), Command::ClusterInfo(flags)) if flags.command.is_none() => {
                cluster_info::tell_more()?;
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// What the server serves.
    pub async fn discovery(&self, asks: Asks) -> anyhow::Result<Discovery> {
        Discovery::fetch(&self.client, asks).await
    }

    /// The same for a command that reads manifests, or else goes by words: without it none of them is known.
    pub async fn discovery_for(&self, files: &Files, asks: Asks, check: Check) -> anyhow::Result<Discovery> {
        files.one_kind()?;
        let sources = files::all_named_exist(files)?;
        if check.validates() && !sources.is_empty() {
            self.ask_how_to_validate(&sources).await?;
        }
        if sources.is_empty() {
            return self.discovery(asks).await;
        }
        match self.discovery(Asks::ONCE).await {
            Ok(discovery) => Ok(discovery),
            Err(error) => {
                let unknown = Discovery::unknown(format!("{error:#}"));
                let failures = files::read_checked(files, &unknown, self, check).await?.failures;
                // Every other object has upstream ask again.
                for _ in failures.iter().filter(|failure| failure.is::<Unrecognized>()).skip(1) {
                    if files.names().all(|name| name != "-")
                        && let Ok(discovery) = self.discovery(Asks::ONCE).await
                    {
                        return Ok(discovery);
                    }
                }
                Err(Failures::outcome(failures).err().unwrap_or(error))
            }
        }
    }

    /// Upstream validates before it looks for types, and asks first whether the server does: in its newer documents,
    /// and if they cannot be had, in the older one.
    async fn ask_how_to_validate(&self, sources: &[String]) -> anyhow::Result<()> {
        let Err(why) = self.asked_how_to_validate().await else { return Ok(()) };
        let failed = |source| files::not_validated(source, &why);
        Failures::outcome(sources.iter().map(failed).collect())
    }

    /// What the server publishes of its types, as upstream's validation reads it.
    pub(crate) async fn published(&self) -> anyhow::Result<Value> {
        let published = self.client.get("/openapi/v2", "application/json").await;
        published.map_err(|why| anyhow::anyhow!("failed to download openapi: {why:#}"))
    }

    /// The same for what is in no file.
    pub(super) async fn asked_how_to_validate(&self) -> anyhow::Result<()> {
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
