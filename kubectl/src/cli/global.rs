//! Flags of every command.

use crate::preferences::PluginPolicy;
use clap::Args;
use std::path::PathBuf;

/// Flags of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Global {
    /// Path to the kubeconfig file to use for CLI requests.
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Path to the kuberc file to use for preferences.
    #[arg(long, global = true)]
    pub kuberc: Option<PathBuf>,
    /// Default cache directory.
    #[arg(long, global = true)]
    pub cache_dir: Option<PathBuf>,
    /// The name of the kubeconfig context to use.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The name of the kubeconfig cluster to use.
    #[arg(long, global = true)]
    pub cluster: Option<String>,
    /// The name of the kubeconfig user to use.
    #[arg(long, global = true)]
    pub user: Option<String>,
    /// If present, the namespace scope for this CLI request.
    #[arg(long, short = 'n', global = true)]
    pub namespace: Option<String>,
    /// The address and port of the Kubernetes API server.
    #[arg(long, short = 's', global = true)]
    pub server: Option<String>,
    /// Bearer token for authentication to the API server.
    #[arg(long, global = true)]
    pub token: Option<String>,
    /// Username for basic authentication to the API server.
    #[arg(long, global = true)]
    pub username: Option<String>,
    /// Password for basic authentication to the API server.
    #[arg(long, global = true)]
    pub password: Option<String>,
    /// Path to a cert file for the certificate authority.
    #[arg(long, global = true)]
    pub certificate_authority: Option<PathBuf>,
    /// Path to a client certificate file for TLS.
    #[arg(long, global = true)]
    pub client_certificate: Option<PathBuf>,
    /// Path to a client key file for TLS.
    #[arg(long, global = true)]
    pub client_key: Option<PathBuf>,
    /// Server name to use for server certificate validation.
    #[arg(long, global = true)]
    pub tls_server_name: Option<String>,
    /// If true, the server's certificate will not be checked for validity.
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub insecure_skip_tls_verify: Option<bool>,
    /// If true, opt-out of response compression for all requests to the server.
    #[arg(long, global = true)]
    pub disable_compression: bool,
    /// Username to impersonate for the operation.
    #[arg(long = "as", global = true)]
    pub impersonate: Option<String>,
    /// Group to impersonate for the operation, this flag can be repeated to specify multiple groups.
    #[arg(long = "as-group", global = true)]
    pub impersonate_groups: Vec<String>,
    /// UID to impersonate for the operation.
    #[arg(long = "as-uid", global = true)]
    pub impersonate_uid: Option<String>,
    /// User extras to impersonate for the operation, key=value; this flag can be repeated.
    #[arg(long = "as-user-extra", global = true)]
    pub impersonate_extra: Vec<String>,
    /// The length of time to wait before giving up on a single server request.
    #[arg(long, global = true, default_value = "0")]
    pub request_timeout: String,
    /// Require server version to match client version.
    #[arg(long, global = true)]
    pub match_server_version: bool,
    /// Treat warnings received from the server as errors and exit with a non-zero exit code.
    #[arg(long, global = true)]
    pub warnings_as_errors: bool,
    /// Number for the log level verbosity.
    #[arg(long = "v", short = 'v', global = true, default_value_t = 0, value_parser = level)]
    pub verbosity: u8,
    /// Name of profile to capture.
    #[arg(long, global = true, default_value = "none", hide = true)]
    pub profile: String,
    /// Name of the file to write the profile to.
    #[arg(long, global = true, default_value = "profile.pprof", hide = true)]
    pub profile_output: String,
    /// Comma-separated list of pattern=N settings for file-filtered logging.
    #[arg(long, global = true, default_value = "", hide = true, value_parser = levels)]
    pub vmodule: String,
    /// Maximum number of seconds between log flushes.
    #[arg(long, global = true, default_value = "5s", hide = true, value_parser = frequency)]
    pub log_flush_frequency: String,
    /// Whether a manifest is read from standard input.
    #[arg(skip)]
    pub stdin_in_use: bool,
    /// Which credential programs may run, by the preferences.
    #[arg(skip)]
    pub plugins: PluginPolicy,
}

/// What upstream can write a profile of.
const PROFILES: [&str; 7] = ["cpu", "heap", "goroutine", "threadcreate", "block", "mutex", "trace"];

/// `--vmodule`, if it is one.
fn levels(text: &str) -> Result<String, String> {
    let level =
        |entry: &str| entry.split_once('=').is_some_and(|(module, n)| !module.is_empty() && n.parse::<u32>().is_ok());
    match text.split(',').filter(|entry| !entry.is_empty()).all(level) {
        true => Ok(text.to_owned()),
        false => Err("syntax error: expect comma-separated list of filename=N".to_owned()),
    }
}

/// `--log-flush-frequency`, if it is one; it is a flag of Go's own library, which says no more than that.
fn frequency(text: &str) -> Result<String, String> {
    apimachinery::time::parse_go_duration(text).map(|_| text.to_owned()).ok_or_else(|| "parse error".to_owned())
}

impl Global {
    /// Takes empty paths for none, as upstream's flags do.
    pub fn without_empty_paths(mut self) -> Self {
        for path in [
            &mut self.kubeconfig,
            &mut self.kuberc,
            &mut self.cache_dir,
            &mut self.certificate_authority,
            &mut self.client_certificate,
            &mut self.client_key,
        ] {
            path.take_if(|path| path.as_os_str().is_empty());
        }
        self
    }

    /// Checks the flags about the program itself; says which of them have no effect here.
    pub fn check(&self) -> Result<(), String> {
        match self.profile.as_str() {
            "none" => Ok(()),
            name if PROFILES.contains(&name) => {
                eprintln!("Warning: --profile={name} has no effect: this program writes no profiles");
                Ok(())
            }
            name => Err(format!("unknown profile '{name}'")),
        }
    }
}

/// A level of the log; below the least there is nothing less to say.
fn level(text: &str) -> Result<u8, std::num::ParseIntError> {
    text.parse::<i32>().map(|level| u8::try_from(level.max(0)).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_about_the_program_are_checked() {
        let with = |profile: &str| Global { profile: profile.into(), ..Global::default() };
        assert_eq!(with("none").check(), Ok(()));
        assert_eq!(with("x").check(), Err("unknown profile 'x'".to_owned()));
        assert!(levels("a=1,b/c=2").is_ok() && levels("").is_ok() && levels("a").is_err());
        assert!(frequency("1s").is_ok() && frequency("soon").is_err() && frequency("").is_err());
    }

    #[test]
    fn empty_paths_are_none() {
        let empty = Global { kubeconfig: Some(PathBuf::new()), client_key: Some("k".into()), ..Global::default() };
        let read = empty.without_empty_paths();
        assert_eq!((read.kubeconfig, read.client_key), (None, Some("k".into())));
    }
}
