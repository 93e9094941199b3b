//! A real etcd of its own for one test: free ports, data in memory where there is a `/dev/shm`,
//! killed on drop.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What etcd 3.4 (first) and newer print once they serve clients.
const READY: [&str; 2] = ["serving client traffic", "ready to serve client requests"];
const START_DEADLINE: Duration = Duration::from_secs(30);

/// A running etcd.
#[derive(Debug)]
pub struct Etcd {
    data: tempfile::TempDir,
    client_port: u16,
    peer_port: u16,
    child: Option<Child>,
}

impl Etcd {
    /// Whether an etcd is installed; tests that need one skip without.
    pub fn is_installed() -> bool {
        let version = Command::new("etcd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    }

    /// Starts an empty etcd and waits until it serves.
    pub fn start() -> anyhow::Result<Self> {
        // Another process can take a port between its choice and its use.
        let mut last = None;
        for _ in 0..5 {
            let mut etcd = Self { data: data_dir()?, client_port: free_port()?, peer_port: free_port()?, child: None };
            match etcd.launch() {
                Ok(()) => return Ok(etcd),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("the loop ran")).context("etcd does not start")
    }

    /// The URL that clients use.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    /// Kills it with SIGKILL; the data stays.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same data and ports.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        self.kill();
        let client = self.endpoint();
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let mut child = Command::new("etcd")
            .args(["--name", "test", "--log-level", "info", "--logger", "zap", "--log-outputs", "stderr"])
            .arg("--data-dir")
            .arg(self.data.path().join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("test={peer}")])
            // One member: an election is a formality that a restart waits for.
            .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
            .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("etcd cannot be run")?;
        let log = child.stderr.take().context("etcd has no stderr")?;
        self.child = Some(child);
        wait_until_ready(log)
    }

    /// Stops its execution with SIGSTOP: connections stay and nothing answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Undoes [`Self::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?));
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn data_dir() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Reads the log until etcd serves, and on to its end so that the pipe never fills.
fn wait_until_ready(log: impl std::io::Read + Send + 'static) -> anyhow::Result<()> {
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if READY.iter().any(|text| line.contains(text)) {
                let _ = ready.send(());
            }
        }
    });
    if is_ready.recv_timeout(START_DEADLINE).is_err() {
        bail!("etcd ended or did not serve within {START_DEADLINE:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn serves_and_dies() {
        if !Etcd::is_installed() {
            println!("skipped: no etcd");
            return;
        }
        let mut etcd = Etcd::start().expect("starts");
        let address = etcd.endpoint().replace("http://", "");
        assert!(TcpStream::connect(&address).is_ok());
        etcd.kill();
        assert!(TcpStream::connect(&address).is_err());
        etcd.launch().expect("starts again on the same port");
        assert!(TcpStream::connect(&address).is_ok());
    }
}
