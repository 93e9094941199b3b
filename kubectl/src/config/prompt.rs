//! Asking a person who they are.
//!
//! Upstream: `client-go/tools/clientcmd/auth_loaders.go` (`PromptingAuthLoader`).

use super::{ConfigError, Connection, credentials};
use rustix::termios::{self, LocalModes, OptionalActions};
use std::io::{Read, Write};

/// Asks for a name and a password where a server with TLS would not know who we are.
pub(super) fn ask_if_unknown(connection: &mut Connection) -> Result<(), ConfigError> {
    let known = connection.identity.is_some() || connection.authorization.is_some() || connection.login.is_some();
    if known || !connection.is_secure() {
        return Ok(());
    }
    let name = name().map_err(ConfigError::NotAnswered)?;
    let password = password().map_err(ConfigError::NotAnswered)?;
    connection.authorization = Some(credentials::basic(&name, &password));
    Ok(())
}

fn prompt(field: &str) {
    let mut out = std::io::stdout();
    // If nobody can read it, nobody answers.
    drop(write!(out, "Please enter {field}: ").and_then(|()| out.flush()));
}

/// The next word, of which nothing more is read than itself.
fn name() -> Result<String, String> {
    prompt("Username");
    let (mut word, mut byte) = (Vec::new(), [0]);
    loop {
        // Not through a buffer: what follows may be a manifest.
        match rustix::io::read(rustix::stdio::stdin(), &mut byte) {
            Ok(0) if word.is_empty() => return Err("EOF".into()),
            Ok(0) => break,
            Ok(_) if byte[0].is_ascii_whitespace() && word.is_empty() => {}
            Ok(_) if byte[0].is_ascii_whitespace() => break,
            Ok(_) => word.push(byte[0]),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(crate::http::io_words(&error.into())),
        }
    }
    Ok(String::from_utf8_lossy(&word).into_owned())
}

/// A line that is not shown.
fn password() -> Result<String, String> {
    let stdin = rustix::stdio::stdin();
    let Ok(before) = termios::tcgetattr(stdin) else {
        prompt("Password");
        return Err("error reading input for Password".into());
    };
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
    let set = |state| termios::tcsetattr(stdin, OptionalActions::Now, state).map_err(|error| error.to_string());
    set(&silent)?;
    // Only now: whoever answers at once must not be shown either.
    prompt("Password");
    let line = line(&mut std::io::stdin().lock());
    set(&before)?;
    line
}

fn line(input: &mut impl Read) -> Result<String, String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        match input.read(&mut byte) {
            Ok(0) if line.is_empty() => return Err("EOF".into()),
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => line.push(byte[0]),
            Err(error) => return Err(crate::http::io_words(&error)),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines() {
        for (typed, want) in [("a b\nc", Ok("a b")), ("x\r\n", Ok("x")), ("y", Ok("y")), ("", Err("EOF"))] {
            assert_eq!(line(&mut typed.as_bytes()).as_deref().map_err(String::as_str), want, "{typed:?}");
        }
    }

    #[test]
    fn nobody_is_asked_in_vain() {
        let known = |connection: Connection| {
            let mut connection = connection;
            ask_if_unknown(&mut connection).map_err(|error| error.to_string())
        };
        let server = |server: &str| Connection { server: server.into(), ..Connection::default() };
        assert_eq!(known(server("http://h")), Ok(()));
        assert_eq!(known(Connection { authorization: Some("Bearer t".into()), ..server("https://h") }), Ok(()));
    }
}
