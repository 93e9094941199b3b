//! What lies in etcd: the encrypted value beside the encrypted source of its key.
//!
//! Upstream: `apiserver/pkg/storage/value/encrypt/envelope/kmsv2/{envelope.go,v2/api.proto}`.

use aws_lc_rs::digest;
use prost::Message as _;
use proto::kms::{EncryptedDekSourceType, EncryptedObject};
use std::collections::{BTreeMap, HashMap};

/// Largest encrypted source, and largest name of a key.
const SMALL: usize = 1024;
/// Most bytes of all annotations.
const ANNOTATIONS: usize = 32 * 1024;

/// How the decrypted source leads to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceKind {
    /// It is the key.
    Key,
    /// Keys are derived from it.
    Seed,
}

/// The encrypted source of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) kind: SourceKind,
    pub(super) ciphertext: Vec<u8>,
    pub(super) key_id: String,
    pub(super) annotations: HashMap<String, Vec<u8>>,
}

/// A stored value.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) data: Vec<u8>,
    pub(super) source: Source,
}

impl Envelope {
    pub(super) fn encode(self) -> Vec<u8> {
        let Source { kind, ciphertext, key_id, annotations } = self.source;
        let kind = match kind {
            SourceKind::Key => EncryptedDekSourceType::AesGcmKey,
            SourceKind::Seed => EncryptedDekSourceType::HkdfSha256XnonceAesGcmSeed,
        };
        let object = EncryptedObject {
            encrypted_data: self.data,
            key_id,
            encrypted_dek_source: ciphertext,
            annotations,
            encrypted_dek_source_type: kind.into(),
        };
        object.encode_to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let object = EncryptedObject::decode(bytes).map_err(|error| error.to_string())?;
        let kind = match object.encrypted_dek_source_type() {
            EncryptedDekSourceType::AesGcmKey if object.encrypted_dek_source_type == 0 => SourceKind::Key,
            EncryptedDekSourceType::HkdfSha256XnonceAesGcmSeed => SourceKind::Seed,
            EncryptedDekSourceType::AesGcmKey => {
                return Err(format!("unknown encryptedDEKSourceType: {}", object.encrypted_dek_source_type));
            }
        };
        if object.encrypted_data.is_empty() {
            return Err("encrypted data is empty".to_owned());
        }
        let source = Source {
            kind,
            ciphertext: object.encrypted_dek_source,
            key_id: object.key_id,
            annotations: object.annotations,
        };
        source.check()?;
        Ok(Self { data: object.encrypted_data, source })
    }
}

impl Source {
    pub(super) fn of_seed(ciphertext: Vec<u8>, key_id: String, annotations: HashMap<String, Vec<u8>>) -> Self {
        Self { kind: SourceKind::Seed, ciphertext, key_id, annotations }
    }

    /// Whether it is within the contract's limits.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.ciphertext.len() {
            0 => return Err("failed to validate encrypted DEK source: encrypted DEK source is empty".into()),
            size @ 1025.. => {
                return Err(format!(
                    "failed to validate encrypted DEK source: encrypted DEK source is {size} bytes, which exceeds the max size of {SMALL}"
                ));
            }
            _ => {}
        }
        check_key_id(&self.key_id).map_err(|why| format!("failed to validate key id: {why}"))?;
        let size: usize = self.annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
        if size > ANNOTATIONS {
            return Err(format!(
                "failed to validate annotations: total size of annotations is {size}, which exceeds the max size of {ANNOTATIONS}"
            ));
        }
        match self.annotations.keys().find(|key| !is_domain(key)) {
            Some(key) => Err(format!("failed to validate annotations: {key:?} is no fully qualified domain name")),
            None => Ok(()),
        }
    }

    /// Whether what this source encrypts need not be written again because of the other.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.key_id == other.key_id && self.kind == other.kind
    }

    /// Of everything in it, each part with its length.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        let sorted: BTreeMap<_, _> = self.annotations.iter().collect();
        let mut parts: Vec<&[u8]> = vec![&self.ciphertext, self.key_id.as_bytes()];
        parts.extend(sorted.iter().flat_map(|(key, value)| [key.as_bytes(), value.as_slice()]));
        context.update(&[u8::from(self.kind == SourceKind::Seed)]);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

/// Whether a key's name is within the contract's limits.
pub(super) fn check_key_id(id: &str) -> Result<(), String> {
    match id.len() {
        0 => Err("keyID is empty".to_owned()),
        size if size > SMALL => Err(format!("keyID is {size} bytes, which exceeds the max size of {SMALL}")),
        _ => Ok(()),
    }
}

/// A DNS name of two labels or more.
fn is_domain(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source::of_seed(b"sealed".to_vec(), "key-1".to_owned(), HashMap::from([("a.example.com".into(), vec![1])]))
    }

    #[test]
    fn envelopes_are_read_as_they_were_written() {
        let envelope = Envelope { data: b"data".to_vec(), source: source() };
        let bytes = envelope.encode();
        // The fields' numbers are the contract: data, key, source, annotations, kind.
        assert_eq!(&bytes[..6], b"\x0a\x04data");
        assert_eq!(&bytes[6..13], b"\x12\x05key-1");
        assert_eq!(&bytes[13..21], b"\x1a\x06sealed");
        assert_eq!(bytes.last_chunk(), Some(b"\x28\x01"));
        let read = Envelope::decode(&bytes).expect("an envelope");
        assert_eq!((read.data, read.source), (b"data".to_vec(), source()));
    }

    #[test]
    fn limits_are_kept() {
        let with = |change: fn(&mut Source)| {
            let mut source = source();
            change(&mut source);
            source.check().err().unwrap_or_default()
        };
        for (change, want) in [
            ((|_| {}) as fn(&mut Source), ""),
            (|s| s.ciphertext.clear(), "encrypted DEK source is empty"),
            (|s| s.ciphertext = vec![0; 1025], "encrypted DEK source is 1025 bytes"),
            (|s| s.key_id.clear(), "keyID is empty"),
            (|s| s.key_id = "k".repeat(1025), "keyID is 1025 bytes"),
            (|s| drop(s.annotations.insert("b.example.com".into(), vec![0; 32 * 1024])), "total size of annotations"),
            (|s| drop(s.annotations.insert("plain".into(), Vec::new())), "no fully qualified domain name"),
        ] {
            let why = with(change);
            assert!(why.contains(want) && why.is_empty() == want.is_empty(), "{why:?} {want:?}");
        }
        assert!(Envelope::decode(b"\xff").is_err());
    }

    #[test]
    fn every_part_counts() {
        let first = source();
        for change in [
            (|s| s.ciphertext.push(0)) as fn(&mut Source),
            |s| s.key_id.push('x'),
            |s| s.kind = SourceKind::Key,
            |s| drop(s.annotations.insert("a.example.com".into(), vec![2])),
        ] {
            let mut other = source();
            change(&mut other);
            assert_ne!(first.digest(), other.digest());
        }
        assert_eq!(first.digest(), source().digest());
    }
}
