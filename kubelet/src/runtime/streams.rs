//! Where the runtime serves exec, attach and port-forward streams.

use super::{Runtime, RuntimeError};
use proto::cri;

/// Which streams a session has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

impl Runtime {
    /// A single-use URL for a command in a container.
    pub async fn exec_url(&self, id: &str, command: &[String], streams: Streams) -> Result<String, RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::ExecRequest {
            container_id: id.to_owned(),
            cmd: command.to_vec(),
            tty: streams.tty,
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr && !streams.tty,
        };
        Ok(self.call(self.timeout, "Exec", client.exec(request)).await?.url)
    }

    /// A single-use URL for the streams of a container's own process.
    pub async fn attach_url(&self, id: &str, streams: Streams) -> Result<String, RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::AttachRequest {
            container_id: id.to_owned(),
            tty: streams.tty,
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr && !streams.tty,
        };
        Ok(self.call(self.timeout, "Attach", client.attach(request)).await?.url)
    }

    /// A single-use URL for connections to ports in a sandbox.
    pub async fn port_forward_url(&self, sandbox: &str, ports: Vec<i32>) -> Result<String, RuntimeError> {
        let mut client = self.runtime.clone();
        let request = cri::PortForwardRequest { pod_sandbox_id: sandbox.to_owned(), port: ports };
        Ok(self.call(self.timeout, "PortForward", client.port_forward(request)).await?.url)
    }
}
