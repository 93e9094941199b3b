//! The key-value store with encryption in front of it.

use super::kms::{self, FetchError};
use super::{Encryption, Plain, SEALED, STALE};
use crate::StorageError;
use crate::backend::{Backend, Claim, Events, Kv, Op, Outcome, Page, PastEvent, Range, RawEvent, Write};
use async_trait::async_trait;
use std::sync::Arc;

/// Encrypts what is written to a store, and decrypts what is read from it.
#[derive(Debug)]
pub(crate) struct Encrypting {
    inner: Arc<dyn Backend>,
    eyes: Eyes,
}

/// Reads stored values.
#[derive(Clone, Debug)]
struct Eyes {
    encryption: Arc<Encryption>,
    /// Prefix of all keys with slashes.
    prefix: Vec<u8>,
}

impl Encrypting {
    /// In front of `inner`, whose keys start with `prefix`.
    pub(crate) fn new(inner: Arc<dyn Backend>, encryption: Arc<Encryption>, prefix: &str) -> Self {
        let prefix = format!("/{}/", prefix.trim_matches('/')).replace("//", "/").into_bytes();
        Self { inner, eyes: Eyes { encryption, prefix } }
    }
}

impl Eyes {
    fn below<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(key.strip_prefix(&self.prefix[..])?).ok()
    }

    /// The value in clear. What cannot be decrypted stays as it is, and is found corrupt by who
    /// reads it; what cannot be decrypted at present is [`SEALED`].
    async fn read(&self, path: &[u8], value: Vec<u8>) -> Vec<u8> {
        let Some(key) = self.below(path) else { return value };
        if value.starts_with(kms::PREFIX) {
            match self.encryption.fetch(key, &value).await {
                Ok(()) => {}
                Err(FetchError::Refused(why)) => tracing::error!(why, key, "cannot decrypt the key of a value"),
                Err(error) => return [SEALED, error.to_string().as_bytes()].concat(),
            }
        }
        match self.encryption.decrypt(key, path, &value) {
            Ok(Plain::AsItIs) => value,
            Ok(Plain::Current(plain)) => plain,
            Ok(Plain::Stale(plain)) => [STALE, &plain].concat(),
            Err(error) => {
                tracing::error!(%error, key, "cannot decrypt a value");
                value
            }
        }
    }

    async fn kv(&self, mut kv: Kv) -> Kv {
        kv.value = self.read(&kv.key, kv.value).await;
        kv
    }
}

#[async_trait]
impl Backend for Encrypting {
    async fn get(&self, key: &[u8]) -> Result<Option<Kv>, StorageError> {
        match self.inner.get(key).await? {
            Some(kv) => Ok(Some(self.eyes.kv(kv).await)),
            None => Ok(None),
        }
    }

    async fn range(&self, range: Range) -> Result<Page, StorageError> {
        let mut page = self.inner.range(range).await?;
        for kv in &mut page.kvs {
            kv.value = self.eyes.read(&kv.key, std::mem::take(&mut kv.value)).await;
        }
        Ok(page)
    }

    async fn commit(&self, write: Write<'_>) -> Result<Outcome, StorageError> {
        let Write { key, expected, op } = write;
        let sealed = match &op {
            Op::Put { value, .. } => self.seal(key, value)?,
            Op::Delete => None,
        };
        let op = match (op, &sealed) {
            (Op::Put { lease, .. }, Some(value)) => Op::Put { value, lease },
            (op, _) => op,
        };
        Ok(match self.inner.commit(Write { key, expected, op }).await? {
            Outcome::Refused(Some(kv)) => Outcome::Refused(Some(self.eyes.kv(kv).await)),
            done => done,
        })
    }

    async fn grant(&self, seconds: u64) -> Result<i64, StorageError> {
        self.inner.grant(seconds).await
    }

    async fn watch(&self, from: u64) -> Result<Box<dyn Events>, StorageError> {
        let inner = self.inner.watch(from).await?;
        Ok(Box::new(Decrypted { inner, eyes: self.eyes.clone() }))
    }

    async fn past(&self, from: u64, until: u64, max_bytes: usize) -> Result<Vec<PastEvent>, StorageError> {
        let mut past = self.inner.past(from, until, max_bytes).await?;
        for PastEvent { event, before } in &mut past {
            if let Some(value) = event.value.take() {
                event.value = Some(self.eyes.read(&event.key, value).await);
            }
            if let Some(before) = before {
                before.value = self.eyes.read(&before.key, std::mem::take(&mut before.value)).await;
            }
        }
        Ok(past)
    }

    async fn revision(&self) -> Result<u64, StorageError> {
        self.inner.revision().await
    }

    async fn claim_compaction(&self, version: i64, revision: u64) -> Result<Claim, StorageError> {
        self.inner.claim_compaction(version, revision).await
    }

    async fn compact(&self, revision: u64) -> Result<(), StorageError> {
        self.inner.compact(revision).await
    }
}

impl Encrypting {
    fn seal(&self, path: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(key) = self.eyes.below(path) else { return Ok(None) };
        let sealed = self.eyes.encryption.encrypt(key, path, value);
        sealed.map_err(|error| StorageError::Corrupt { key: key.to_owned(), why: error.to_string() })
    }
}

/// A watch in clear.
struct Decrypted {
    inner: Box<dyn Events>,
    eyes: Eyes,
}

#[async_trait]
impl Events for Decrypted {
    async fn next(&mut self) -> Result<Vec<RawEvent>, StorageError> {
        let mut events = self.inner.next().await?;
        for event in &mut events {
            if let Some(value) = event.value.take() {
                event.value = Some(self.eyes.read(&event.key, value).await);
            }
        }
        Ok(events)
    }
}
