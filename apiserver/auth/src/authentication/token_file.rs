//! The static token file: `token,user,uid[,"group1,group2"]` a line.
//!
//! Upstream: `apiserver/pkg/authentication/token/tokenfile`.

use super::user_file::{self, UserFileError};
use apiserver_registry::UserInfo;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// Users by token. Tokens are kept as digests, so that a look-up's time tells nothing about them.
#[derive(Default)]
pub struct TokenFile {
    users: HashMap<[u8; 32], Arc<UserInfo>>,
}

impl std::fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenFile({} tokens)", self.users.len())
    }
}

impl TokenFile {
    /// Reads the file's text; of equal tokens the last counts.
    pub fn parse(text: &str) -> Result<Self, UserFileError> {
        let mut users = HashMap::new();
        for row in user_file::parse(text, "token")? {
            match row.secret.is_empty() {
                true => tracing::warn!(line = row.line, "empty token in the token file, skipped"),
                false => drop(users.insert(digest(&row.secret), row.user)),
            }
        }
        Ok(Self { users })
    }

    /// The user of this token.
    pub fn lookup(&self, token: &str) -> Option<Arc<UserInfo>> {
        self.users.get(&digest(token)).cloned()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_users_by_token() {
        let file = TokenFile::parse("t0,alice,u0\n,nobody,u1\nt0,bob,u2\n").expect("well-formed");
        assert_eq!(file.lookup("t0").expect("a user").name, "bob");
        assert!(file.lookup("").is_none() && file.lookup("t1").is_none());
        assert!(TokenFile::parse("a,b").is_err());
    }
}
