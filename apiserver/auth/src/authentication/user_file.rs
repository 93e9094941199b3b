//! Files of users: `secret,user,uid[,"group1,group2"]` a line.
//!
//! Upstream: `apiserver/pkg/authentication/token/tokenfile`.

use super::AUTHENTICATED;
use apiserver_registry::UserInfo;
use std::sync::Arc;

/// A file that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserFileError {
    /// A line has fewer than three columns.
    #[error("line {line}: must have at least 3 columns ({secret}, user name, user uid), found {found}")]
    TooFewColumns {
        /// Line number, from 1.
        line: usize,
        /// What the first column is.
        secret: &'static str,
        /// Columns found.
        found: usize,
    },
    /// A quote is not closed.
    #[error("line {line}: unbalanced quotes")]
    Quotes {
        /// Line number, from 1.
        line: usize,
    },
}

/// A line of the file.
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) secret: String,
    pub(super) user: Arc<UserInfo>,
}

/// Reads the file's text. Blank lines and comments are skipped.
pub(super) fn parse(text: &str, secret: &'static str) -> Result<Vec<Row>, UserFileError> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(n, line)| row(n, line, secret)).collect()
}

fn row(line: usize, text: &str, secret: &'static str) -> Result<Row, UserFileError> {
    let columns = columns(text).ok_or(UserFileError::Quotes { line })?;
    match columns.as_slice() {
        [first, name, uid, rest @ ..] => {
            Ok(Row { line, secret: first.clone(), user: Arc::new(user(name, uid, rest.first())) })
        }
        few => Err(UserFileError::TooFewColumns { line, secret, found: few.len() }),
    }
}

fn user(name: &str, uid: &str, groups: Option<&String>) -> UserInfo {
    let mut groups: Vec<String> =
        groups.iter().flat_map(|g| g.split(',')).map(|g| g.trim().to_owned()).filter(|g| !g.is_empty()).collect();
    groups.push(AUTHENTICATED.into());
    UserInfo { name: name.into(), uid: uid.into(), groups, ..UserInfo::default() }
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
        let text = "# staff\n\nt0,alice,u0,\"system:masters,dev\"\nt1, bob ,u1\n\"a,\"\"b\",c,u2\n";
        let rows = parse(text, "token").expect("well-formed");
        let alice = &rows[0].user;
        assert_eq!((rows[0].secret.as_str(), alice.name.as_str(), alice.uid.as_str()), ("t0", "alice", "u0"));
        assert_eq!(alice.groups, ["system:masters", "dev", AUTHENTICATED]);
        assert_eq!(rows[1].user.groups, [AUTHENTICATED]);
        assert_eq!((rows[2].line, rows[2].secret.as_str()), (5, "a,\"b"));
    }

    #[test]
    fn refuses_malformed_lines() {
        let few = UserFileError::TooFewColumns { line: 1, secret: "token", found: 2 };
        assert_eq!(parse("a,b\n", "token").err(), Some(few));
        assert_eq!(parse("\na,\"b,c\n", "token").err(), Some(UserFileError::Quotes { line: 2 }));
    }
}
