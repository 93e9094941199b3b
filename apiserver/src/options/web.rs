//! Flags about what browsers are told, and by which name this server goes.
//!
//! Upstream: `apiserver/pkg/server/options/server_run_options.go`.

use super::OptionError;
use apiserver_server::browsers::Origins;

/// Flags about what browsers are told, and by which name this server goes.
#[derive(Clone, Debug, clap::Args)]
pub struct Web {
    /// List of allowed origins for CORS, comma separated: regular expressions that pin the start and the end of the host.
    #[arg(long, value_delimiter = ',')]
    pub cors_allowed_origins: Vec<String>,
    /// List of directives for HSTS, comma separated; without any the header is not sent.
    #[arg(long, value_delimiter = ',')]
    pub strict_transport_security_directives: Vec<String>,
    /// The hostname to use when generating externalized URLs for this server, as in OpenID discovery.
    #[arg(long, default_value = "")]
    pub external_hostname: String,
}

impl Web {
    pub(super) fn validate(&self) -> Result<(), OptionError> {
        for directive in &self.strict_transport_security_directives {
            let is_age = directive.strip_prefix("max-age=").is_some_and(|age| !age.contains('='));
            match directive.as_str() {
                "includeSubDomains" | "preload" => {}
                directive if directive.trim().is_empty() => return Err(OptionError::NoDirective),
                _ if is_age => {}
                _ => return Err(OptionError::Directive),
            }
        }
        self.origins().map(drop)
    }

    /// `--cors-allowed-origins`, compiled; `None` if there are none.
    pub fn origins(&self) -> Result<Option<Origins>, OptionError> {
        Origins::compile(&self.cors_allowed_origins).map_err(|error| OptionError::Origins(error.to_string()))
    }

    /// What the header about strict transport security says, if it is sent.
    pub fn strict_transport(&self) -> Option<String> {
        let directives = &self.strict_transport_security_directives;
        (!directives.is_empty()).then(|| directives.join("; "))
    }
}
