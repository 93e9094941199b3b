//! The static token file: `token,user,uid[,"group1,group2"]` a line.
//!
//! Upstream: `apiserver/pkg/authentication/token/tokenfile`.

use super::AUTHENTICATED;
use apiserver_registry::UserInfo;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// A token file that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFileError {
    /// A line has fewer than three columns.
    #[error("token file line {line}: must have at least 3 columns (token, user name, user uid), found {found}")]
    TooFewColumns {
        /// Line number, from 1.
        line: usize,
        /// Columns found.
        found: usize,
    },
    /// A quote is not closed.
    #[error("token file line {line}: unbalanced quotes")]
    Quotes {
        /// Line number, from 1.
        line: usize,
    },
}

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
    /// Reads the file's text. Blank lines and comments are skipped; of equal tokens the last counts.
    pub fn parse(text: &str) -> Result<Self, TokenFileError> {
        let mut users = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let (line, number) = (line.trim(), number + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let columns = columns(line).ok_or(TokenFileError::Quotes { line: number })?;
            let [token, name, uid, rest @ ..] = columns.as_slice() else {
                return Err(TokenFileError::TooFewColumns { line: number, found: columns.len() });
            };
            if token.is_empty() {
                tracing::warn!(line = number, "empty token in the token file, skipped");
                continue;
            }
            users.insert(digest(token), Arc::new(user(name, uid, rest.first())));
        }
        Ok(Self { users })
    }

    /// The user of this token.
    pub fn lookup(&self, token: &str) -> Option<Arc<UserInfo>> {
        self.users.get(&digest(token)).cloned()
    }
}

fn user(name: &str, uid: &str, groups: Option<&String>) -> UserInfo {
    let mut groups: Vec<String> =
        groups.iter().flat_map(|g| g.split(',')).map(|g| g.trim().to_owned()).filter(|g| !g.is_empty()).collect();
    groups.push(AUTHENTICATED.into());
    UserInfo { name: name.into(), uid: uid.into(), groups, ..UserInfo::default() }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Splits a CSV line with double quotes; `None` if a quote is left open.
fn columns(line: &str) -> Option<Vec<String>> {
    let (mut out, mut quoted) = (vec![String::new()], false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                out.last_mut()?.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            c => out.last_mut()?.push(c),
        }
    }
    (!quoted).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_users_and_groups() {
        let file =
            TokenFile::parse("# staff\n\nt0,alice,u0,\"system:masters,dev\"\nt1, bob ,u1\n").expect("well-formed");
        let alice = file.lookup("t0").expect("alice");
        assert_eq!((alice.name.as_str(), alice.uid.as_str()), ("alice", "u0"));
        assert_eq!(alice.groups, ["system:masters", "dev", AUTHENTICATED]);
        assert_eq!(file.lookup("t1").expect("bob").groups, [AUTHENTICATED]);
        assert!(file.lookup("t2").is_none());
    }

    #[test]
    fn refuses_malformed_lines() {
        assert_eq!(TokenFile::parse("a,b\n").err(), Some(TokenFileError::TooFewColumns { line: 1, found: 2 }));
        assert_eq!(TokenFile::parse("\na,\"b,c\n").err(), Some(TokenFileError::Quotes { line: 2 }));
    }
}
