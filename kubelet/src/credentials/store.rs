//! Certificates with their keys in one file each, and a link to the one that counts; as upstream's kubelet keeps them,
//! so that either goes on with what the other has left.
//!
//! Upstream: `client-go/util/certificate/certificate_store.go`.

use super::CredentialsError;
use k8s_openapi::jiff::Timestamp;
use pki::Validity;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The files of one purpose in a folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    /// What their names begin with.
    name: &'static str,
}

impl Store {
    /// Files that begin with `name`.
    pub fn new(folder: &Path, name: &'static str) -> Self {
        Self { folder: folder.to_owned(), name }
    }

    /// The file that counts, whether there is one or not.
    pub fn current(&self) -> PathBuf {
        self.folder.join(format!("{}-current.pem", self.name))
    }

    /// How long the current certificate is valid.
    pub fn validity(&self) -> Result<Validity, CredentialsError> {
        Ok(Validity::of_file(&self.current())?)
    }

    /// Keeps a certificate (a chain, PEM) and its key, and makes them those that count.
    pub fn update(&self, certificate: &str, key: &str, now: Timestamp) -> Result<PathBuf, CredentialsError> {
        pki::pair::check(certificate.as_bytes(), key.as_bytes()).map_err(|error| CredentialsError::File {
            path: self.current().display().to_string(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
        })?;
        let file = self.folder.join(format!("{}-{}.pem", self.name, now.strftime("%Y-%m-%d-%H-%M-%S")));
        pki::files::write_private(&file, format!("{}\n{key}", certificate.trim_end()).as_bytes())?;
        // The link changes at once: there is never none.
        let updated = self.folder.join(format!("{}-updated.pem", self.name));
        match std::fs::remove_file(&updated) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(CredentialsError::file(&updated)(error));
            }
            _ => {}
        }
        symlink(std::path::absolute(&file).map_err(CredentialsError::file(&file))?, &updated)
            .map_err(CredentialsError::file(&updated))?;
        std::fs::rename(&updated, self.current()).map_err(CredentialsError::file(&updated))?;
        Ok(file)
    }

    /// A key for a certificate that was asked for and not received yet: the same one after a restart.
    pub fn pending_key(&self) -> Result<pki::Key, CredentialsError> {
        let file = self.pending();
        if let Ok(text) = std::fs::read(&file)
            && let Ok(key) = pki::Key::from_pem(&text, &file.display().to_string())
        {
            return Ok(key);
        }
        let key = pki::Key::generate(pki::Algorithm::EcdsaP256)?;
        pki::files::write_private(&file, key.to_pem().as_bytes())?;
        Ok(key)
    }

    /// Forgets the key: it has its certificate.
    pub fn forget_pending(&self) {
        // It would only be used again.
        let _ = std::fs::remove_file(self.pending());
    }

    fn pending(&self) -> PathBuf {
        self.folder.join(format!("{}.key.tmp", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pki::{Algorithm, Authority, Key, Profile};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    #[test]
    fn the_newest_counts_and_keys_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path(), "kubelet-client");
        assert!(store.validity().is_err());
        let authority = Authority::create("ca", Duration::from_secs(3600)).unwrap();
        let key = store.pending_key().unwrap();
        assert_eq!(key.to_pem(), store.pending_key().unwrap().to_pem());
        let issue = |key: &Key, hours: u64| {
            let profile = Profile::client("u", None, Duration::from_secs(3600 * hours));
            authority.issue(&profile, key).unwrap()
        };
        for (hours, second) in [(1_u64, 0), (2, 1)] {
            let now = Timestamp::from_second(second).unwrap();
            let file = store.update(&issue(&key, hours), &key.to_pem(), now).unwrap();
            assert_eq!(std::fs::read_link(store.current()).unwrap(), file);
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(folder.path().join("kubelet-client-1970-01-01-00-00-01.pem").exists());
        let validity = store.validity().unwrap();
        assert!(validity.not_after.duration_since(validity.not_before).as_hours() >= 2);
        store.forget_pending();
        assert_ne!(key.to_pem(), store.pending_key().unwrap().to_pem());
        let other = Key::generate(Algorithm::EcdsaP256).unwrap();
        let unfit = store.update(&issue(&key, 1), &other.to_pem(), Timestamp::now());
        assert!(unfit.is_err(), "the key of another certificate");
    }
}
