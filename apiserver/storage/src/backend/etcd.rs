//! etcd, over gRPC.

mod channel;
mod ending;
mod failure;

use super::{
    Backend, COMPACTION_KEY, Claim, Events, Kv, Op, Outcome, Page, PastEvent, Range, RawEvent, Write, past_size,
};
use crate::{StorageError, StoreConfig};
use async_trait::async_trait;
use channel::KeepAlive;
use etcd_client::{
    Client, CompactionOptions, Compare, CompareOp, ConnectOptions, EventType, GetOptions, GetResponse, KeyValue,
    KvClient, LeaseClient, PutOptions, ResponseHeader, Txn, TxnOp, TxnOpResponse, WatchClient, WatchOptions,
    WatchResponse, WatchStream,
};
use failure::storage_error;
use std::future::Future;
use std::time::Duration;

/// A call that takes longer has failed: an election takes 1–3 s.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// A page of a bulk read may be large.
const BULK_DEADLINE: Duration = Duration::from_secs(60);
/// Pauses between attempts of a read: the balancer needs a moment to leave a dead member.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(50), Duration::from_millis(200)];
/// As upstream.
const KEEP_ALIVE: KeepAlive = KeepAlive { interval: Duration::from_secs(30), timeout: Duration::from_secs(10) };
const WATCH_KEEP_ALIVE: KeepAlive = KeepAlive { interval: Duration::from_secs(10), timeout: Duration::from_secs(10) };
/// Pages and event batches are bounded by etcd, not here.
const MAX_MESSAGE: usize = i32::MAX as usize;

/// A connection to an etcd cluster. Watches and bulk reads have channels of their own, so that a
/// large answer does not hold up a small one.
pub(crate) struct Etcd {
    kv: KvClient,
    bulk: KvClient,
    watch: WatchClient,
    lease: LeaseClient,
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Etcd")
    }
}

impl Etcd {
    /// Prepares the channels; they connect on first use and again whenever they break.
    pub(crate) async fn new(config: &StoreConfig) -> Result<Self, StorageError> {
        let kv = connect(config, KEEP_ALIVE, false).await?;
        let bulk = connect(config, KEEP_ALIVE, false).await?;
        let watch = connect(config, WATCH_KEEP_ALIVE, true).await?;
        Ok(Self {
            kv: kv.kv_client().max_decoding_message_size(MAX_MESSAGE),
            bulk: bulk.kv_client().max_decoding_message_size(MAX_MESSAGE),
            watch: watch.watch_client().max_decoding_message_size(MAX_MESSAGE),
            lease: kv.lease_client(),
        })
    }
}

async fn connect(config: &StoreConfig, keep_alive: KeepAlive, require_leader: bool) -> Result<Client, StorageError> {
    let options = ConnectOptions::new().with_require_leader(require_leader);
    let channel = channel::channel(config, keep_alive)?;
    Client::from_channel(channel, Some(options)).await.map_err(storage_error)
}

/// Repeats a read while a member of the cluster is gone, within its deadline.
async fn read(
    client: &KvClient,
    deadline: Duration,
    key: &[u8],
    options: Option<GetOptions>,
) -> Result<GetResponse, StorageError> {
    let attempts = async {
        for pause in RETRY_PAUSES {
            match client.clone().get(key, options.clone()).await.map_err(storage_error) {
                Err(StorageError::Unavailable(_)) => tokio::time::sleep(pause).await,
                answer => return answer,
            }
        }
        client.clone().get(key, options).await.map_err(storage_error)
    };
    tokio::time::timeout(deadline, attempts).await.unwrap_or(Err(StorageError::Timeout))
}

/// Bounds a call.
async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, StorageError> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => answer.map_err(storage_error),
        Err(_) => Err(StorageError::Timeout),
    }
}

#[async_trait]
impl Backend for Etcd {
    async fn get(&self, key: &[u8]) -> Result<Option<Kv>, StorageError> {
        let mut answer = read(&self.kv, CALL_DEADLINE, key, None).await?;
        Ok(answer.take_kvs().into_iter().next().map(kv))
    }

    async fn range(&self, range: Range) -> Result<Page, StorageError> {
        let options = GetOptions::new()
            .with_range(range.end)
            .with_limit(signed(range.limit))
            .with_revision(signed(range.revision));
        let answer = read(&self.bulk, BULK_DEADLINE, &range.start, Some(options)).await;
        let mut answer = answer.map_err(|error| with_revision(error, range.revision))?;
        let (count, revision) = (unsigned(answer.count()), revision(answer.header()));
        Ok(Page { kvs: answer.take_kvs().into_iter().map(kv).collect(), count, revision })
    }

    async fn commit(&self, write: Write<'_>) -> Result<Outcome, StorageError> {
        let op = match write.op {
            Op::Put { value, lease: 0 } => TxnOp::put(write.key, value, None),
            Op::Put { value, lease } => TxnOp::put(write.key, value, Some(PutOptions::new().with_lease(lease))),
            Op::Delete => TxnOp::delete(write.key, None),
        };
        let guard = Compare::mod_revision(write.key, CompareOp::Equal, signed(write.expected));
        let txn = Txn::new().when([guard]).and_then([op]).or_else([TxnOp::get(write.key, None)]);
        let answer = within(CALL_DEADLINE, self.kv.clone().txn(txn)).await?;
        if answer.succeeded() {
            return Ok(Outcome::Done(revision(answer.header())));
        }
        Ok(Outcome::Refused(found(answer.op_responses()).map(kv)))
    }

    async fn grant(&self, seconds: u64) -> Result<i64, StorageError> {
        Ok(within(CALL_DEADLINE, self.lease.clone().grant(signed(seconds), None)).await?.id())
    }

    async fn watch(&self, from: u64) -> Result<Box<dyn Events>, StorageError> {
        let options = WatchOptions::new().with_all_keys().with_start_revision(signed(from));
        let stream = within(CALL_DEADLINE, self.watch.clone().watch(Vec::new(), Some(options))).await?;
        Ok(Box::new(EtcdEvents { stream, from }))
    }

    async fn past(&self, from: u64, until: u64, max_bytes: usize) -> Result<Vec<PastEvent>, StorageError> {
        let options = WatchOptions::new().with_all_keys().with_prev_key().with_start_revision(signed(from));
        let stream = within(CALL_DEADLINE, self.watch.clone().watch(Vec::new(), Some(options))).await?;
        let read = read_past(EtcdEvents { stream, from }, from, until, max_bytes);
        tokio::time::timeout(CALL_DEADLINE, read).await.unwrap_or(Err(StorageError::Timeout))
    }

    async fn revision(&self) -> Result<u64, StorageError> {
        let options = GetOptions::new().with_count_only();
        let answer = read(&self.kv, CALL_DEADLINE, COMPACTION_KEY.as_bytes(), Some(options)).await?;
        Ok(revision(answer.header()))
    }

    async fn claim_compaction(&self, version: i64, revision_: u64) -> Result<Claim, StorageError> {
        let txn = Txn::new()
            .when([Compare::version(COMPACTION_KEY, CompareOp::Equal, version)])
            .and_then([TxnOp::put(COMPACTION_KEY, revision_.to_string(), None)])
            .or_else([TxnOp::get(COMPACTION_KEY, None)]);
        let answer = within(CALL_DEADLINE, self.kv.clone().txn(txn)).await?;
        let revision = revision(answer.header());
        if answer.succeeded() {
            return Ok(Claim { won: true, version: version + 1, compacted: 0, revision });
        }
        let found = found(answer.op_responses());
        let text = found.as_ref().and_then(|kv| kv.value_str().ok()).unwrap_or_default();
        let compacted = text.parse().unwrap_or_default();
        Ok(Claim { won: false, version: found.as_ref().map_or(0, KeyValue::version), compacted, revision })
    }

    async fn compact(&self, revision: u64) -> Result<(), StorageError> {
        let options = CompactionOptions::new();
        match within(BULK_DEADLINE, self.bulk.clone().compact(signed(revision), Some(options))).await {
            // Somebody compacted further already.
            Ok(_) | Err(StorageError::Expired { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

struct EtcdEvents {
    stream: WatchStream,
    from: u64,
}

#[async_trait]
impl Events for EtcdEvents {
    async fn next(&mut self) -> Result<Vec<RawEvent>, StorageError> {
        loop {
            let answer = self.answer().await?;
            let events: Vec<RawEvent> = answer.events().iter().filter_map(event).collect();
            if let Some(last) = events.last() {
                self.from = last.revision + 1;
                return Ok(events);
            }
        }
    }
}

impl EtcdEvents {
    async fn answer(&mut self) -> Result<WatchResponse, StorageError> {
        let message = self.stream.message().await.map_err(storage_error)?;
        let answer = message.ok_or_else(|| StorageError::Unavailable("the watch ended".into()))?;
        if answer.compact_revision() > 0 {
            let oldest = unsigned(answer.compact_revision());
            return Err(StorageError::Expired { requested: self.from, oldest });
        }
        if answer.canceled() {
            return Err(StorageError::Unavailable(format!("watch canceled: {}", answer.cancel_reason())));
        }
        Ok(answer)
    }
}

/// Reads a watch with previous values until it has passed `until`, which lies in the past.
async fn read_past(
    mut watch: EtcdEvents,
    from: u64,
    until: u64,
    max_bytes: usize,
) -> Result<Vec<PastEvent>, StorageError> {
    let (mut past, mut bytes) = (Vec::new(), 0);
    loop {
        let answer = watch.answer().await?;
        for found in answer.events() {
            let Some(event) = event(found) else { continue };
            if event.revision > until {
                return Ok(past);
            }
            let is_last = event.revision == until;
            let before = found.prev_kv().map(|before| kv(before.clone()));
            past.push(PastEvent { event, before });
            bytes += past.last().map_or(0, past_size);
            if bytes > max_bytes {
                return Err(StorageError::Expired { requested: from, oldest: until });
            }
            // A revision's events come in one answer.
            watch.from = if is_last { until + 1 } else { watch.from };
        }
        if watch.from > until {
            return Ok(past);
        }
    }
}

fn event(event: &etcd_client::Event) -> Option<RawEvent> {
    let kv = event.kv()?;
    let value = match event.event_type() {
        EventType::Put => Some(kv.value().to_vec()),
        EventType::Delete => None,
    };
    Some(RawEvent { key: kv.key().to_vec(), revision: unsigned(kv.mod_revision()), value })
}

fn found(responses: Vec<TxnOpResponse>) -> Option<KeyValue> {
    match responses.into_iter().next()? {
        TxnOpResponse::Get(mut get) => get.take_kvs().into_iter().next(),
        _ => None,
    }
}

fn kv(kv: KeyValue) -> Kv {
    let mod_revision = unsigned(kv.mod_revision());
    let (key, value) = kv.into_key_value();
    Kv { key, value, mod_revision }
}

/// etcd names no revision in its refusals.
fn with_revision(error: StorageError, revision: u64) -> StorageError {
    match error {
        StorageError::Expired { oldest, .. } => StorageError::Expired { requested: revision, oldest },
        StorageError::TooLarge { current, .. } => StorageError::TooLarge { requested: revision, current },
        other => other,
    }
}

fn revision(header: Option<&ResponseHeader>) -> u64 {
    unsigned(header.map_or(0, ResponseHeader::revision))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
