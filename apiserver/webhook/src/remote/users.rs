//! The users of a kubeconfig, each by the host that it is for: whom this server is to which admission webhook.
//!
//! Upstream: `apiserver/pkg/util/webhook/authentication.go`.

use super::kubeconfig::{self, KubeconfigError};
use crate::Identity;
use http::header::HeaderValue;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The port that a user's name may leave out.
const HTTPS: u16 = 443;

/// The users of a kubeconfig.
#[derive(Debug)]
pub struct Users {
    kubeconfig: Value,
    file: PathBuf,
}

/// How this server proves who it is.
#[derive(Debug, Default)]
pub struct Credentials {
    /// A certificate.
    pub identity: Option<Identity>,
    /// A token or a password, as a header has it.
    pub authorization: Option<HeaderValue>,
}

impl Users {
    /// Reads a kubeconfig. The files that it names are read when they are needed.
    ///
    /// # Errors
    /// A file that is none, and users whose impersonation is not built.
    pub fn read(file: &Path) -> Result<Self, KubeconfigError> {
        let kubeconfig = kubeconfig::parse(file)?;
        let users = kubeconfig.get("users").and_then(Value::as_array).into_iter().flatten();
        for user in users.filter_map(|entry| entry.get("user")) {
            for key in ["as", "exec", "auth-provider"] {
                if user.get(key).is_some_and(|value| !value.is_null()) {
                    return Err(KubeconfigError::Value {
                        file: file.display().to_string(),
                        why: format!("users: {key} is known but not built"),
                    });
                }
            }
        }
        Ok(Self { kubeconfig, file: file.to_owned() })
    }

    /// The credentials for a server; none if no user is for it.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn credentials(&self, host: &str, port: u16) -> Result<Credentials, KubeconfigError> {
        match self.user(host, port) {
            Some(user) => Ok(Credentials {
                identity: kubeconfig::identity(user, &self.file)?,
                authorization: kubeconfig::authorization(user, &self.file)?,
            }),
            None => Ok(Credentials::default()),
        }
    }

    /// The user named like the server, or `*.` and the end of its name, or `*`, or that of the current context.
    fn user(&self, host: &str, port: u16) -> Option<&Value> {
        let named = |name: &str| kubeconfig::entry(&self.kubeconfig, "users", name, "user");
        let by_host = |target: &str| {
            let ends = target.match_indices('.').map(|(dot, _)| format!("*{}", &target[dot..]));
            std::iter::once(target.to_owned()).chain(ends).find_map(|name| named(&name))
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        by_host(&format!("{host}:{port}"))
            .or_else(|| by_host(host.trim_matches(['[', ']'])).filter(|_| port == HTTPS))
            .or_else(|| named("*"))
            .or_else(|| {
                let context = self.kubeconfig.get("current-context")?.as_str()?;
                let context = kubeconfig::entry(&self.kubeconfig, "contexts", context, "context")?;
                named(context.get("user")?.as_str()?)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(text: &str) -> Result<Users, KubeconfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, format!("apiVersion: v1\nkind: Config\n{text}")).expect("a file");
        Users::read(&file)
    }

    #[test]
    fn the_closest_name_counts() {
        let users = users(
            "users:\n- {name: 'a.ns.svc:443', user: {token: exact}}\n- {name: '*.ns.svc', user: {token: star}}\n\
             - {name: '*.other:8443', user: {username: u, password: p}}\n- {name: '*', user: {token: all}}\n",
        );
        let users = users.expect("users");
        for (host, port, want) in [
            ("a.ns.svc", 443, "Bearer exact"),
            ("b.ns.svc", 443, "Bearer star"),
            ("b.ns.svc", 444, "Bearer all"),
            ("x.other", 8443, "Basic dTpw"),
        ] {
            let credentials = users.credentials(host, port).expect("credentials");
            let header = credentials.authorization.expect("a header");
            assert_eq!(header.to_str().expect("text"), want, "{host}:{port}");
        }
    }

    #[test]
    fn the_context_counts_last() {
        let text = "users: [{name: u, user: {token: t}}]\ncontexts: [{name: c, context: {user: u}}]\n";
        let with = users(&format!("{text}current-context: c\n")).expect("users");
        assert!(with.credentials("a", 443).expect("credentials").authorization.is_some());
        let without = users(text).expect("users");
        assert!(without.credentials("a", 443).expect("credentials").authorization.is_none());
    }

    #[test]
    fn what_is_not_built_is_refused() {
        assert!(users("users: [{name: u, user: {as: other}}]\n").is_err());
    }
}
