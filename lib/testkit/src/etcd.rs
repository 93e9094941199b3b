//! A real etcd of its own for one test, of one member or several: free ports, data in memory where
//! there is a `/dev/shm`, killed on drop.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
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
    /// Names and peer URLs of all members, as `--initial-cluster` has them.
    members: String,
    timing: Timing,
    child: Option<Child>,
}

/// How soon a leader is missed.
#[derive(Clone, Copy, Debug)]
struct Timing {
    /// Milliseconds.
    heartbeat: u32,
    /// Milliseconds.
    election: u32,
}

/// One member: an election is a formality that a restart waits for.
const ALONE: Timing = Timing { heartbeat: 20, election: 200 };
/// Several members on a busy machine must not miss a leader that is only slow.
const TOGETHER: Timing = Timing { heartbeat: 50, election: 500 };

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
            let mut etcd = Self::prepared(ALONE)?;
            etcd.members = etcd.member();
            match etcd.launch() {
                Ok(()) => return Ok(etcd),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("the loop ran")).context("etcd does not start")
    }

    fn prepared(timing: Timing) -> anyhow::Result<Self> {
        let (client_port, peer_port) = (free_port()?, free_port()?);
        Ok(Self { data: data_dir()?, client_port, peer_port, members: String::new(), timing, child: None })
    }

    fn name(&self) -> String {
        format!("member-{}", self.peer_port)
    }

    fn peer(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    fn member(&self) -> String {
        format!("{}={}", self.name(), self.peer())
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
        wait_until_ready(self.spawn()?)
    }

    /// Starts the process; its log tells when it serves.
    fn spawn(&mut self) -> anyhow::Result<std::process::ChildStderr> {
        self.kill();
        let (client, peer) = (self.endpoint(), self.peer());
        let mut child = Command::new("etcd")
            .args(["--name", &self.name(), "--log-level", "info", "--logger", "zap", "--log-outputs", "stderr"])
            .arg("--data-dir")
            .arg(self.data.path().join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &self.members])
            .args(["--heartbeat-interval", &self.timing.heartbeat.to_string()])
            .args(["--election-timeout", &self.timing.election.to_string()])
            .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("etcd cannot be run")?;
        let log = child.stderr.take().context("etcd has no stderr")?;
        self.child = Some(child);
        Ok(log)
    }

    /// Whether this member leads its cluster, as its metrics say.
    pub fn is_leader(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.client_port))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        ask().is_ok_and(|text| text.lines().any(|line| line == "etcd_server_is_leader 1"))
    }

    /// Stops its execution with SIGSTOP: connections stay and nothing answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        // Until its last thread has stopped, it may still answer.
        if let Some(pid) = self.pid() {
            let _ = waitpid(Some(pid), WaitOptions::UNTRACED);
        }
    }

    /// Undoes [`Self::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, signal);
        }
    }

    fn pid(&self) -> Option<Pid> {
        self.child.as_ref().and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?))
    }
}

/// Several members of one etcd.
#[derive(Debug)]
pub struct Cluster {
    /// The members.
    pub members: Vec<Etcd>,
}

impl Cluster {
    /// Starts an empty cluster of so many members and waits until it serves.
    pub fn start(size: usize) -> anyhow::Result<Self> {
        let mut members: Vec<Etcd> = (0..size).map(|_| Etcd::prepared(TOGETHER)).collect::<Result<_, _>>()?;
        let all = members.iter().map(Etcd::member).collect::<Vec<_>>().join(",");
        let mut logs = Vec::new();
        for member in &mut members {
            member.members.clone_from(&all);
            logs.push(member.spawn()?);
        }
        // None of them serves before most of them run.
        logs.into_iter().try_for_each(wait_until_ready)?;
        Ok(Self { members })
    }

    /// The URLs that clients use, as `--etcd-servers` has them.
    pub fn endpoints(&self) -> String {
        self.members.iter().map(Etcd::endpoint).collect::<Vec<_>>().join(",")
    }

    /// The member that leads, if one does right now.
    pub fn leader(&mut self) -> Option<&mut Etcd> {
        self.members.iter_mut().find(|member| member.child.is_some() && member.is_leader())
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

    #[test]
    fn one_member_leads() {
        if !Etcd::is_installed() {
            println!("skipped: no etcd");
            return;
        }
        let mut cluster = Cluster::start(3).expect("starts");
        let leaders = cluster.members.iter().filter(|member| member.is_leader()).count();
        assert_eq!((leaders, cluster.endpoints().matches("http://").count()), (1, 3));
        let leader = cluster.leader().expect("one of them");
        leader.kill();
        leader.launch().expect("joins again");
    }

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
