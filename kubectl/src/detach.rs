//! Keys that end a session and leave the process running.
//!
//! Upstream: `kubectl/pkg/cmd/attach` (`--detach-keys`).

/// A sequence of keys in a stream of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detach {
    keys: Vec<u8>,
    /// How many of them came just now.
    seen: usize,
}

/// A sequence that is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown detach key: {0:?}")]
pub struct UnknownKey(String);

impl Detach {
    /// Reads `ctrl-p,ctrl-q`; nothing if there are no keys.
    pub fn parse(text: &str) -> Result<Option<Self>, UnknownKey> {
        if text.is_empty() {
            return Ok(None);
        }
        let keys: Result<Vec<u8>, UnknownKey> = text.split(',').map(key).collect();
        Ok(Some(Self { keys: keys?, seen: 0 }))
    }

    /// Takes the keys out of the bytes; whether the whole sequence has come.
    pub fn feed(&mut self, bytes: &mut Vec<u8>) -> bool {
        let mut passed = Vec::with_capacity(bytes.len());
        for byte in bytes.drain(..) {
            if self.keys.get(self.seen) == Some(&byte) {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    return true;
                }
                continue;
            }
            // What looked like the sequence belongs to the process after all.
            passed.extend_from_slice(&self.keys[..self.seen]);
            self.seen = usize::from(self.keys.first() == Some(&byte));
            if self.seen == 0 {
                passed.push(byte);
            }
        }
        *bytes = passed;
        false
    }
}

fn key(text: &str) -> Result<u8, UnknownKey> {
    let unknown = || UnknownKey(text.to_owned());
    match text.strip_prefix("ctrl-") {
        Some(name) => match name.as_bytes() {
            [letter @ b'a'..=b'z'] => Ok(letter - b'a' + 1),
            [symbol @ b'@'..=b'_'] => Ok(symbol - b'@'),
            _ => Err(unknown()),
        },
        None => match text.as_bytes() {
            [one] => Ok(*one),
            _ => Err(unknown()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_across_reads() {
        let mut detach = Detach::parse("ctrl-p,ctrl-q").expect("keys").expect("some");
        let mut feed = |text: &[u8]| {
            let mut bytes = text.to_vec();
            (detach.feed(&mut bytes), bytes)
        };
        assert_eq!(feed(b"ab"), (false, b"ab".to_vec()));
        assert_eq!(feed(b"a\x10"), (false, b"a".to_vec()));
        assert_eq!(feed(b"b"), (false, b"\x10b".to_vec()));
        assert_eq!(feed(b"\x10"), (false, vec![]));
        assert!(feed(b"\x11").0);
        assert!(Detach::parse("ctrl-").is_err() && Detach::parse("ab").is_err());
        assert_eq!(Detach::parse(""), Ok(None));
    }
}
