//! The built apiserver on an etcd of its own, for tests of the components that talk to it.

use crate::daemon;
use crate::etcd::Etcd;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio::process::{Child, Command};

/// Who may do everything: the token.
pub const ADMIN: &str = "admin-token";

/// A running apiserver with RBAC and service accounts, killed when dropped.
#[derive(Debug)]
pub struct Apiserver {
    _process: Child,
    _etcd: Etcd,
    folder: tempfile::TempDir,
    port: u16,
}

/// The binary of this name beside the one under test, `CARGO_BIN_EXE_…`.
pub fn beside(tested: &str, name: &str) -> PathBuf {
    Path::new(tested).with_file_name(name)
}

/// Whether there is all that an apiserver needs; tests skip without.
pub fn is_possible(tested: &str) -> bool {
    let possible = Etcd::is_installed() && beside(tested, "kube-apiserver").exists();
    if !possible {
        eprintln!("skipped: needs etcd and a built kube-apiserver");
    }
    possible
}

#[expect(clippy::expect_used, reason = "a test without its apiserver has failed")]
impl Apiserver {
    /// Starts the one beside the binary under test. `prepare` writes files into its folder, and names more arguments and
    /// more users: token, name, group.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(tested: &str, users: &[(&str, &str, &str)], prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let etcd = Etcd::start().expect("etcd");
        let folder = tempfile::tempdir().expect("a folder");
        let more = prepare(folder.path());
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        let users = [(ADMIN, "admin", "system:masters")].iter().chain(users);
        let tokens: String = users.map(|(token, name, group)| format!("{token},{name},u-{name},{group}\n")).collect();
        let tokens = write("tokens.csv", &tokens);
        let key = pki::Key::generate(pki::Algorithm::EcdsaP256).expect("a key");
        let key = write("sa.key", &key.to_pem());
        let mut command = Command::new(beside(tested, "kube-apiserver"));
        command
            .args(["--etcd-servers", &etcd.endpoint(), "--secure-port", "0", "--bind-address", "127.0.0.1"])
            .args(["--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.96.0.0/16"])
            .args(["--service-account-issuer", "https://issuer.example", "--token-auth-file", &tokens])
            .args(["--service-account-signing-key-file", &key, "--service-account-key-file", &key])
            .arg("--cert-dir")
            .arg(folder.path().join("certs"))
            .args(more);
        let (process, port) = daemon::serving(&mut command).await;
        Self { _process: process, _etcd: etcd, folder, port }
    }

    /// Its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One of its files as kubeconfigs hold them.
    pub fn encoded(&self, name: &str) -> String {
        use base64::Engine as _;
        base64::prelude::BASE64_STANDARD.encode(std::fs::read(self.folder.path().join(name)).expect("a file"))
    }

    /// A kubeconfig for it that needs no other file, with a user of these members.
    pub fn kubeconfig(&self, user: &Value) -> String {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("https://localhost:{}", self.port),
                "certificate-authority-data": self.encoded("certs/apiserver.crt")}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        config.to_string()
    }

    /// The administrator's kubeconfig, as a file.
    pub fn admin(&self) -> PathBuf {
        let path = self.folder.path().join("admin.conf");
        std::fs::write(&path, self.kubeconfig(&json!({"token": ADMIN}))).expect("a kubeconfig");
        path
    }
}
