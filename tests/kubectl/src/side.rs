//! One side: an etcd, an apiserver, and a kubectl that talks to it.

use crate::HOME;
use anyhow::{Context as _, bail};
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::etcd::Etcd;

const TOKEN: &str = "side-by-side";
const START: Duration = Duration::from_secs(30);
/// Seconds that a command line may take.
const PATIENCE: &str = "20";

/// What a command line came to.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A server with a kubectl.
pub(crate) struct Side {
    /// Dropped with the side.
    _etcd: Etcd,
    apiserver: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Side {
    /// Starts the servers and waits until they answer.
    pub(crate) fn start(binaries: &Path, kubectl: &Path) -> anyhow::Result<Self> {
        let etcd = Etcd::start()?;
        let folder = tempfile::tempdir()?;
        // Under the same name on both sides, since messages have it.
        std::fs::create_dir(folder.path().join("bin"))?;
        std::os::unix::fs::symlink(std::path::absolute(kubectl)?, folder.path().join("bin/kubectl"))?;
        let tokens = folder.path().join("tokens");
        std::fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\nnobody,nobody,nobody\n"))?;
        let mut apiserver = Command::new(binaries.join("kube-apiserver"))
            .args(["--etcd-servers", &etcd.endpoint(), "--secure-port", "0", "--bind-address", "127.0.0.1"])
            // Addresses of one length keep columns as they are.
            .args(["--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.111.111.128/25"])
            // Nobody makes service accounts here.
            .args(["--disable-admission-plugins", "ServiceAccount"])
            .arg("--token-auth-file")
            .arg(&tokens)
            .arg("--cert-dir")
            .arg(folder.path().join("certs"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("kube-apiserver")?;
        let port = port(&mut apiserver);
        let mut side = Self { _etcd: etcd, apiserver, folder, port: 0 };
        side.port = port.context("kube-apiserver ended")?;
        side.enter("default")?;
        side.wait()?;
        Ok(side)
    }

    fn wait(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        while self.run("kubectl get --raw /readyz")?.code != Some(0) {
            if begin.elapsed() > START {
                bail!("kube-apiserver is not ready within {START:?}");
            }
        }
        Ok(())
    }

    /// Goes on in a namespace of its own.
    pub(crate) fn enter(&mut self, namespace: &str) -> anyhow::Result<()> {
        let authority = self.folder.path().join("certs/apiserver.crt");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port), "certificate-authority": authority}}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}, {"name": "nobody", "user": {"token": "nobody"}}],
            "contexts": [
                {"name": "here", "context": {"cluster": "here", "user": "admin", "namespace": namespace}},
                {"name": "nobody", "context": {"cluster": "here", "user": "nobody", "namespace": namespace}}],
        });
        std::fs::write(self.config(), config.to_string())?;
        if namespace == "default" {
            return Ok(());
        }
        let made = self.run(&format!("kubectl create namespace {namespace}"))?;
        match made.code {
            Some(0) => Ok(()),
            _ => bail!("cannot make the namespace {namespace}: {}", made.stderr),
        }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Runs a command line in a shell, among the objects.
    pub(crate) fn run(&self, line: &str) -> anyhow::Result<Outcome> {
        let programs = self.folder.path().join("bin");
        let output = Command::new("timeout")
            .args([PATIENCE, "bash", "-c", line])
            .current_dir(Path::new(HOME).join("objects"))
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", self.config())
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .context(line.to_owned())?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.apiserver.kill();
        let _ = self.apiserver.wait();
    }
}

/// The port that the server tells; its output is read to its end, so that the pipe never fills.
fn port(apiserver: &mut Child) -> Option<u16> {
    let mut lines = BufReader::new(apiserver.stdout.take()?).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        let rest = line.split_once("address=127.0.0.1:")?.1;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    std::thread::spawn(move || lines.for_each(drop));
    port
}
