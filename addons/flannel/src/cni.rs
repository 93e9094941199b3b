//! The CNI plugin `flannel`: adds what `flanneld` wrote about this node to its configuration, and lets
//! another plugin, `bridge` unless told otherwise, do the work.
//!
//! Upstream: `flannel-io/cni-plugin`; the protocol is <https://www.cni.dev/docs/spec/>.

mod conf;
mod delegate;
mod install;

use crate::subnet_file::{SubnetFile, SubnetFileError};
use conf::NetConf;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Versions of the protocol.
const VERSIONS: &[&str] = &["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
/// Most bytes that are read from the runtime, or from another plugin.
const LONGEST: u64 = 4 << 20;

/// The protocol's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// A version that the plugin does not speak.
    Version = 1,
    /// An environment variable is missing or wrong.
    Environment = 4,
    /// A file cannot be read or written.
    Io = 5,
    /// The input is no JSON.
    Decode = 6,
    /// The configuration is wrong.
    Configuration = 7,
    /// The node cannot take pods now.
    Unavailable = 50,
    /// Anything else.
    Internal = 999,
}

/// What the runtime is told when something fails.
#[derive(Debug)]
struct CniError {
    code: u64,
    message: String,
}

impl CniError {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code as u64, message: message.into() }
    }
}

/// Runs the plugin, as the environment says.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Ok(command) = std::env::var("CNI_COMMAND") else { return alone(&arguments) };
    let (answer, code) = match run(&command) {
        Ok(answer) => (answer, ExitCode::SUCCESS),
        Err(error) => (json!({"code": error.code, "msg": error.message}).to_string().into_bytes(), ExitCode::FAILURE),
    };
    let mut output = std::io::stdout();
    match output.write_all(&answer).and_then(|()| output.flush()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Without a runtime: installs itself, or says what it is.
fn alone(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["install", conf, conf_to, plugin_to] = words[..] {
        let done = install::conf(Path::new(conf), Path::new(conf_to))
            .and_then(|()| install::plugin(Path::new("/proc/self/exe"), Path::new(plugin_to)));
        return match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("Error: {error}");
                ExitCode::FAILURE
            }
        };
    }
    eprintln!("CNI Plugin flannel version {} (linux)", component::version::git_version());
    eprintln!("CNI protocol versions supported: {}", VERSIONS.join(", "));
    eprintln!("usage without a runtime: flannel install CONFLIST CONFLIST-TO PLUGIN-TO");
    if words.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(command: &str) -> Result<Vec<u8>, CniError> {
    let mut input = Vec::new();
    let read = std::io::stdin().take(LONGEST).read_to_end(&mut input);
    read.map_err(|error| CniError::new(Code::Io, format!("reading the configuration: {error}")))?;
    if command == "VERSION" {
        let asked: Option<Value> = serde_json::from_slice(&input).ok();
        let version = asked.as_ref().and_then(|v| v.get("cniVersion")?.as_str()).unwrap_or("1.1.0");
        return Ok(json!({"cniVersion": version, "supportedVersions": VERSIONS}).to_string().into_bytes());
    }
    let conf = NetConf::parse(&input).map_err(|error| CniError::new(Code::Decode, error))?;
    let version = conf.version();
    if !VERSIONS.contains(&version) {
        let message = format!("incompatible CNI versions: config is {version:?}, plugin supports {VERSIONS:?}");
        return Err(CniError::new(Code::Version, message));
    }
    let since = |first: &str| {
        let known = VERSIONS.iter().position(|v| *v == version) >= VERSIONS.iter().position(|v| *v == first);
        known
            .then_some(())
            .ok_or_else(|| CniError::new(Code::Version, format!("config version {version} does not allow {command}")))
    };
    match command {
        "ADD" => add(&conf),
        "DEL" => del(&conf),
        "CHECK" => since("0.4.0").and_then(|()| check(&conf)),
        "STATUS" => since("1.1.0").and_then(|()| status(&conf)),
        "GC" => since("1.1.0").and_then(|()| collect(&conf)),
        other => Err(CniError::new(Code::Environment, format!("unknown CNI_COMMAND: {other}"))),
    }
}

/// The other plugin does the work; what it was told is kept for the deletion.
fn add(conf: &NetConf) -> Result<Vec<u8>, CniError> {
    let container = container()?;
    let file = subnet_file(conf).map_err(|message| CniError::new(Code::Internal, message))?;
    let delegate = conf.delegate(&file).map_err(|error| CniError::new(Code::Configuration, error))?;
    let told = delegate.to_string();
    save(conf.data_dir(), &container, told.as_bytes())
        .map_err(|error| CniError::new(Code::Io, format!("keeping the configuration: {error}")))?;
    run_delegate("ADD", &delegate)
}

/// Nothing was added for a container that is not known.
fn del(conf: &NetConf) -> Result<Vec<u8>, CniError> {
    let path = conf.data_dir().join(container()?);
    let Some(saved) = read_saved(&path)? else { return Ok(Vec::new()) };
    // What was kept and cannot be read any more helps nobody.
    if let Ok(delegate) = serde_json::from_slice(&saved) {
        run_delegate("DEL", &delegate)?;
    }
    std::fs::remove_file(&path).ok();
    Ok(Vec::new())
}

fn check(conf: &NetConf) -> Result<Vec<u8>, CniError> {
    let container = container()?;
    let saved = read_saved(&conf.data_dir().join(&container))?;
    let saved = saved.ok_or_else(|| CniError::new(Code::Internal, format!("container {container} was not added")))?;
    let mut delegate: serde_json::Map<String, Value> = serde_json::from_slice(&saved)
        .map_err(|error| CniError::new(Code::Decode, format!("the kept configuration: {error}")))?;
    delegate.extend(conf.previous_result().map(|result| ("prevResult".to_owned(), result.clone())));
    run_delegate("CHECK", &delegate.into())
}

fn status(conf: &NetConf) -> Result<Vec<u8>, CniError> {
    let file = subnet_file(conf).map_err(|message| CniError::new(Code::Unavailable, message))?;
    let delegate = conf.delegate(&file).map_err(|error| CniError::new(Code::Configuration, error))?;
    run_delegate("STATUS", &delegate)
}

/// Forgets what was kept for containers of this network that are gone.
fn collect(conf: &NetConf) -> Result<Vec<u8>, CniError> {
    let valid = conf.valid_containers();
    for entry in std::fs::read_dir(conf.data_dir()).into_iter().flatten().flatten() {
        let is_valid = entry.file_name().to_str().is_some_and(|name| valid.contains(&name));
        let saved = read_saved(&entry.path()).ok().flatten();
        let saved: Option<Value> = saved.and_then(|saved| serde_json::from_slice(&saved).ok());
        if !is_valid && saved.is_some_and(|saved| saved.get("name") == conf.name()) {
            std::fs::remove_file(entry.path()).ok();
        }
    }
    let file = subnet_file(conf).map_err(|message| CniError::new(Code::Internal, message))?;
    let mut delegate = conf.delegate(&file).map_err(|error| CniError::new(Code::Configuration, error))?;
    conf.pass_attachments(&mut delegate);
    run_delegate("GC", &delegate)
}

fn run_delegate(command: &str, conf: &Value) -> Result<Vec<u8>, CniError> {
    delegate::run(command, conf).map_err(|error| match error {
        delegate::DelegateError::Refused { code, message } => {
            CniError { code, message: format!("failed to delegate {}: {message}", command.to_lowercase()) }
        }
        other => CniError::new(Code::Internal, format!("failed to delegate {}: {other}", command.to_lowercase())),
    })
}

fn subnet_file(conf: &NetConf) -> Result<SubnetFile, String> {
    let path = conf.subnet_file();
    SubnetFile::read(path).map_err(|error| {
        let what = match &error {
            SubnetFileError::Io(error) => format!("open {}: {error}", path.display()),
            other => format!("{}: {other}", path.display()),
        };
        format!("failed to load flannel 'subnet.env' file: {what}. Check the flannel pod log for this node.")
    })
}

/// The container's identifier, which becomes a file's name.
fn container() -> Result<String, CniError> {
    let id = std::env::var("CNI_CONTAINERID").unwrap_or_default();
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let begins = id.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if begins && id.len() <= 255 && id.bytes().all(fits) {
        return Ok(id);
    }
    Err(CniError::new(Code::Environment, "CNI_CONTAINERID is missing or has invalid characters"))
}

/// Keeps a configuration; what stands in it may be secret.
fn save(folder: &Path, name: &str, text: &[u8]) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut options = std::fs::File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(folder.join(name))?;
    file.write_all(text)?;
    file.sync_all()
}

fn read_saved(path: &Path) -> Result<Option<Vec<u8>>, CniError> {
    let mut saved = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut saved));
    match read {
        Ok(_) => Ok(Some(saved)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CniError::new(Code::Io, format!("reading {}: {error}", path.display()))),
    }
}

/// Where a plugin lies, by the runtime's path.
fn find_plugin(name: &str, path: &str) -> Option<PathBuf> {
    let is_name = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    let folders = path.split(':').filter(|folder| is_name && !folder.is_empty());
    folders.map(|folder| Path::new(folder).join(name)).find(|plugin| plugin.is_file())
}
