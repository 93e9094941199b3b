//! `exec`.

use super::{Session, encode, logs};
use crate::cli::Exec;
use crate::exec::{self, Plan};
use std::process::ExitCode;

pub(super) async fn run(session: &Session, flags: &Exec) -> anyhow::Result<ExitCode> {
    let pod = logs::pod_name(session, &flags.target).await?;
    let tty = flags.tty && flags.stdin && exec::is_terminal();
    if flags.tty && !tty {
        eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    let mut query: Vec<String> = flags.command.iter().map(|word| format!("command={}", encode(word))).collect();
    query.extend(flags.container.iter().map(|c| format!("container={}", encode(c))));
    query.push("stdout=true".into());
    for (name, set) in [("stdin", flags.stdin), ("stderr", !tty), ("tty", tty)] {
        if set {
            query.push(format!("{name}=true"));
        }
    }
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/exec?{}", session.namespace, query.join("&"));
    exec::run(&session.client, Plan { path, stdin: flags.stdin, tty }).await
}
