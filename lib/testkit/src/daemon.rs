//! Binaries of this workspace as processes of a test.

use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Starts a daemon, killed when dropped, and waits until its log says on which port of 127.0.0.1 it
/// listens.
///
/// # Panics
/// If it does not start, or ends before it listens.
#[expect(clippy::expect_used, clippy::disallowed_methods, reason = "a test without its daemon has failed")]
pub async fn serving(command: &mut Command) -> (Child, u16) {
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("the binary");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let port = loop {
        let line = lines.next_line().await.expect("a line").expect("an address before the end");
        if let Some(port) = port_of(&line) {
            break port;
        }
    };
    // Its output must be read, or it would block.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, port)
}

fn port_of(line: &str) -> Option<u16> {
    let rest = line.split("address=127.0.0.1:").nth(1)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
