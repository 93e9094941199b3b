//! `cp`: a tar stream from or to a process in a container.
//!
//! Upstream: `kubectl/pkg/cmd/cp`.

mod spec;
mod unpack;

use super::Session;
use super::exec::exec_path;
use crate::cli::streams::Cp;
use crate::exec::{self, Streams};
use crate::pods;
use crate::progress::Progress;
use anyhow::{Context, bail};
use apimachinery::Value;
use spec::Spec;
use std::io::{PipeReader, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncRead;

pub(super) async fn run(session: &Session, flags: &Cp) -> anyhow::Result<()> {
    let [source, target] = flags.words.as_slice() else { bail!("source and destination are required") };
    match (Spec::parse(source)?, Spec::parse(target)?) {
        (Spec::Remote { pod, path }, Spec::Local(local)) => {
            Copy::new(session, flags, &pod, &mut std::io::stdout()).await?.down(&path, &local).await
        }
        (Spec::Local(local), Spec::Remote { .. }) if !local.exists() => {
            bail!("{} doesn't exist in local filesystem", local.display())
        }
        (Spec::Local(local), Spec::Remote { pod, path }) => {
            Copy::new(session, flags, &pod, &mut std::io::stderr()).await?.up(&local, &path).await
        }
        (Spec::Remote { .. }, Spec::Remote { .. }) => bail!("one of src or dest must be a local file specification"),
        _ => bail!("one of src or dest must be a remote file specification"),
    }
}

struct Copy<'a> {
    session: &'a Session,
    flags: &'a Cp,
    pod: Value,
    container: String,
}

impl<'a> Copy<'a> {
    /// What is to be told of the container goes to `told`, which upstream has differ between the directions.
    async fn new(
        session: &'a Session,
        flags: &'a Cp,
        pod: &spec::Pod,
        told: &mut (dyn Write + Send),
    ) -> anyhow::Result<Self> {
        let namespace = pod.namespace.as_deref().unwrap_or(&session.namespace);
        let path = format!("/api/v1/namespaces/{namespace}/pods/{}", pod.name);
        let pod = session.client.get(&path, "application/json").await?;
        let container = pods::container_told(&pod, &flags.container, told)?;
        Ok(Self { session, flags, pod, container })
    }

    async fn exec(&self, command: &[&str], streams: Streams) -> anyhow::Result<u8> {
        let words: Vec<String> = command.iter().map(|w| (*w).to_owned()).collect();
        let path = exec_path(&self.pod, &self.container, &words, streams.stdin.is_some(), false);
        exec::exit_code(&exec::run(&self.session.client, &path, streams).await?)
    }

    /// Local to remote.
    async fn up(&self, local: &Path, remote: &str) -> anyhow::Result<()> {
        let mut remote = remote.trim_end_matches('/').to_owned();
        if remote.is_empty() || self.is_folder(&remote).await {
            let name = local.canonicalize()?.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            remote = format!("{remote}/{name}");
        }
        let (folder, name) = remote.rsplit_once('/').unwrap_or(("", &remote));
        let mut command = vec!["tar", "-xmf", "-"];
        if self.flags.no_preserve {
            command = vec!["tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-"];
        }
        if !folder.is_empty() {
            command.extend(["-C", folder]);
        }
        let (reader, writer) = std::io::pipe()?;
        let (local, name) = (local.to_owned(), name.to_owned());
        let packing = std::thread::spawn(move || pack(&local, &name, writer));
        let progress = Progress::bytes(format!("copying to {remote}"));
        let streams = Streams {
            stdin: Some(counted(reader, progress)?),
            stdout: Box::new(std::io::stdout()),
            stderr: Box::new(std::io::stderr()),
            tty: false,
            detach: None,
        };
        let code = self.exec(&command, streams).await?;
        match packing.join() {
            // The other tar has seen the archive's end and does not wait for the padding behind it.
            Ok(Err(error)) if code == 0 && super::is_broken_pipe(&error) => Ok(()),
            Ok(packed) if code == 0 => packed.context("packing"),
            Err(_) => bail!("packing failed"),
            _ => bail!("command terminated with exit code {code}"),
        }
    }

    async fn is_folder(&self, path: &str) -> bool {
        let streams = Streams {
            stdin: None,
            stdout: Box::new(std::io::sink()),
            stderr: Box::new(std::io::sink()),
            tty: false,
            detach: None,
        };
        self.exec(&["test", "-d", path], streams).await.is_ok_and(|code| code == 0)
    }

    /// Remote to local; a stream that breaks off goes on where it was.
    async fn down(&self, remote: &str, local: &Path) -> anyhow::Result<()> {
        let mut tries = 0;
        let received = Arc::new(Mutex::new(0_u64));
        let (reader, writer) = std::io::pipe()?;
        let plan = unpack::Plan::new(remote, local, &format!("-n {} {}", namespace(&self.pod), name(&self.pod)));
        let unpacking = std::thread::spawn(move || plan.run(reader));
        let progress = Progress::bytes(format!("copying from {remote}"));
        let sink = Sink { writer, received: received.clone(), progress };
        let sink = Arc::new(Mutex::new(Some(sink)));
        let outcome = loop {
            let done = *received.lock().map_err(|_| anyhow::anyhow!("the copy broke off"))?;
            match self.fetch(remote, done, &sink).await {
                Ok(code) => break Ok(code),
                Err(error) if self.flags.retries >= 0 && tries >= self.flags.retries => break Err(error),
                Err(error) => {
                    tries += 1;
                    let done = *received.lock().map_err(|_| anyhow::anyhow!("the copy broke off"))?;
                    eprintln!("Resuming copy at {done} bytes, retry {tries}/{} - {error:#}", self.flags.retries);
                }
            }
        };
        // Closes the pipe, so that the unpacking ends.
        drop(sink);
        let unpacked = unpacking.join().map_err(|_| anyhow::anyhow!("unpacking failed"))?;
        match outcome? {
            0 => unpacked,
            code => bail!("command terminated with exit code {code}"),
        }
    }

    async fn fetch(&self, remote: &str, done: u64, sink: &Arc<Mutex<Option<Sink>>>) -> anyhow::Result<u8> {
        let streams = Streams {
            stdin: None,
            stdout: Box::new(Shared(sink.clone())),
            stderr: Box::new(std::io::stderr()),
            tty: false,
            detach: None,
        };
        if done == 0 {
            return self.exec(&["tar", "cf", "-", remote], streams).await;
        }
        let quoted = remote.replace('\'', "'\\''");
        let again = format!("tar cf - '{quoted}' | tail -c+{}", done + 1);
        self.exec(&["sh", "-c", &again], streams).await
    }
}

fn namespace(pod: &Value) -> &str {
    apimachinery::meta::ObjectMeta::namespace(pod)
}

fn name(pod: &Value) -> &str {
    apimachinery::meta::ObjectMeta::name(pod)
}

/// Writes an archive of a file or a folder under another name.
fn pack(local: &Path, name: &str, writer: PipeWriter) -> anyhow::Result<()> {
    let mut archive = tar::Builder::new(std::io::BufWriter::new(writer));
    archive.follow_symlinks(false);
    let name = PathBuf::from(name);
    match std::fs::metadata(local)?.is_dir() {
        true => archive.append_dir_all(&name, local)?,
        false => archive.append_path_with_name(local.canonicalize()?, &name)?,
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

/// A pipe as a stream that tells how much went through.
fn counted(reader: PipeReader, progress: Progress) -> anyhow::Result<Box<dyn AsyncRead + Send + Unpin>> {
    let receiver = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())?;
    Ok(Box::new(Counted { receiver, progress }))
}

struct Counted {
    receiver: tokio::net::unix::pipe::Receiver,
    progress: Progress,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = std::pin::Pin::new(&mut self.receiver).poll_read(context, buffer);
        self.progress.advance(buffer.filled().len() - before);
        polled
    }
}

/// Where a download goes to, and how much has come.
struct Sink {
    writer: PipeWriter,
    received: Arc<Mutex<u64>>,
    progress: Progress,
}

struct Shared(Arc<Mutex<Option<Sink>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let broken = || std::io::Error::other("the copy broke off");
        let mut sink = self.0.lock().map_err(|_| broken())?;
        let sink = sink.as_mut().ok_or_else(broken)?;
        sink.writer.write_all(bytes)?;
        *sink.received.lock().map_err(|_| broken())? += bytes.len() as u64;
        sink.progress.advance(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
