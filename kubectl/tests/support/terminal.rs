//! A terminal of the test's own.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};

/// The side that a person sits at.
pub(crate) struct Terminal {
    master: File,
    name: String,
    /// What was shown and not yet expected.
    seen: Vec<u8>,
}

impl Terminal {
    pub(crate) fn new(rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
        let terminal = Self { master: File::from(master), name, seen: Vec::new() };
        terminal.resize(rows, columns);
        terminal
    }

    /// Starts a program in it, as the leader of its session.
    pub(crate) fn start(&self, program: &Command) -> Child {
        let slave = || File::options().read(true).write(true).open(&self.name).expect("opens");
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("starts")
    }

    /// Changes its size; whoever is in it hears of that.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("a size");
    }

    pub(crate) fn press(&mut self, keys: &[u8]) {
        self.master.write_all(keys).expect("writes");
    }

    /// Waits until something was shown; all up to it, which is forgotten.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let mut buffer = [0; 1024];
        loop {
            if let Some(place) = self.seen.windows(text.len()).position(|window| window == text.as_bytes()) {
                let shown: Vec<u8> = self.seen.drain(..place + text.len()).collect();
                return String::from_utf8_lossy(&shown).into_owned();
            }
            match self.master.read(&mut buffer) {
                Ok(length) => self.seen.extend_from_slice(&buffer[..length]),
                Err(error) => {
                    panic!("{text:?} never came: {error}; there was {:?}", String::from_utf8_lossy(&self.seen))
                }
            }
        }
    }
}
