//! HTTP basic authentication from a file: `password,user,uid[,"group1,group2"]` a line, as
//! Kubernetes had it until v1.18. Off unless the file is given.
//!
//! Upstream: `plugin/pkg/auth/authenticator/{request/basicauth,password/passwordfile}` of v1.18.

use super::Verdict;
use super::user_file::{self, UserFileError};
use apiserver_registry::UserInfo;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Users by name, with digests of their passwords salted for this process.
pub struct BasicFile {
    salt: uuid::Uuid,
    users: HashMap<String, ([u8; 32], Arc<UserInfo>)>,
}

impl std::fmt::Debug for BasicFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BasicFile({} users)", self.users.len())
    }
}

impl BasicFile {
    /// Reads the file's text; of equal users the last counts.
    pub fn parse(text: &str) -> Result<Self, UserFileError> {
        let salt = uuid::Uuid::new_v4();
        let rows = user_file::parse(text, "password")?.into_iter();
        let users = rows.map(|row| (row.user.name.clone(), (digest(salt, &row.secret), row.user))).collect();
        Ok(Self { salt, users })
    }

    /// The user of an `Authorization: Basic` header.
    pub fn authenticate(&self, headers: &HeaderMap) -> Verdict {
        let Some((name, password)) = credentials(headers) else { return Verdict::NotMine };
        let given = digest(self.salt, &password);
        // Unknown users take as long as known ones.
        let (known, user) = match self.users.get(&name) {
            Some((digest, user)) => (*digest, Some(user)),
            None => ([0; 32], None),
        };
        match (bool::from(given.ct_eq(&known)), user) {
            (true, Some(user)) => Verdict::User(user.clone()),
            _ => Verdict::Invalid("invalid username/password combination".into()),
        }
    }
}

fn digest(salt: uuid::Uuid, password: &str) -> [u8; 32] {
    Sha256::new().chain_update(salt.as_bytes()).chain_update(password.as_bytes()).finalize().into()
}

/// Name and password of the header, if it is one of this scheme.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let header = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_checked() {
        let file = BasicFile::parse("secret:1,alice,u0,\"dev,ops\"\n").expect("well-formed");
        for (credentials, want) in [
            ("alice:secret:1", Some(true)),
            ("alice:secret", Some(false)),
            ("bob:secret:1", Some(false)),
            ("alice", None),
        ] {
            let mut headers = HeaderMap::new();
            let value = format!("Basic {}", STANDARD.encode(credentials));
            headers.insert("authorization", value.parse().expect("a header"));
            match (file.authenticate(&headers), want) {
                (Verdict::User(user), Some(true)) => assert_eq!(user.groups[..2], ["dev", "ops"]),
                (Verdict::Invalid(why), Some(false)) => assert_eq!(why, "invalid username/password combination"),
                (Verdict::NotMine, None) => {}
                (verdict, _) => panic!("{credentials}: {verdict:?}"),
            }
        }
    }

    #[test]
    fn other_schemes_are_not_its_business() {
        let file = BasicFile::parse("p,alice,u0\n").expect("well-formed");
        let mut headers = HeaderMap::new();
        assert!(matches!(file.authenticate(&headers), Verdict::NotMine));
        headers.insert("authorization", "Bearer x".parse().expect("a header"));
        assert!(matches!(file.authenticate(&headers), Verdict::NotMine));
        assert!(!format!("{file:?}").contains("alice"));
    }
}
