//! Threads' CPU times as a profile: `profile.proto` of `google/pprof`, packed by gzip.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use procfs::ProcError;
use procfs::process::Process;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Ticks of CPU time by thread.
type Times = BTreeMap<i32, (String, u64)>;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProfileError {
    /// The kernel does not say how long threads ran.
    #[error("reading the threads' times: {0}")]
    Read(#[from] ProcError),
    /// It could not be packed.
    #[error("packing: {0}")]
    Pack(#[from] std::io::Error),
}

/// How long each thread runs from now on, for some time.
pub(super) async fn of_cpu(length: Duration) -> Result<Bytes, ProfileError> {
    let started = SystemTime::now();
    let before = times()?;
    tokio::time::sleep(length).await;
    let spent = spent(&before, times()?);
    let profile = encode(&spent, started, length, procfs::ticks_per_second());
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&profile)?;
    Ok(packed.finish()?.into())
}

fn times() -> Result<Times, ProcError> {
    let mut times = Times::new();
    for task in Process::myself()?.tasks()? {
        // A thread may end while it is looked at.
        let Ok(stat) = task.and_then(|task| task.stat()) else { continue };
        times.insert(stat.pid, (stat.comm, stat.utime + stat.stime));
    }
    Ok(times)
}

/// What threads of each name took since `before`.
fn spent(before: &Times, after: Times) -> BTreeMap<String, u64> {
    let mut spent = BTreeMap::new();
    for (id, (name, ticks)) in after {
        let earlier = before.get(&id).map_or(0, |(_, ticks)| *ticks);
        *spent.entry(name).or_default() += ticks.saturating_sub(earlier);
    }
    spent.retain(|_, ticks| *ticks > 0);
    spent
}

/// The strings that every profile has, after the empty one.
const STRINGS: &[&str] = &["", "samples", "count", "cpu", "nanoseconds"];

fn encode(spent: &BTreeMap<String, u64>, started: SystemTime, length: Duration, ticks_per_second: u64) -> Vec<u8> {
    let nanos_per_tick = 1_000_000_000 / ticks_per_second.max(1);
    let mut profile = Message::default();
    profile.message(1, Message::default().number(1, 1).number(2, 2));
    profile.message(1, Message::default().number(1, 3).number(2, 4));
    for (id, ticks) in (1..).zip(spent.values()) {
        profile.message(2, Message::default().number(1, id).number(2, *ticks).number(2, ticks * nanos_per_tick));
    }
    for (id, _) in (1..).zip(spent) {
        let line = Message::default().number(1, id).clone();
        profile.message(4, Message::default().number(1, id).message(4, &line));
    }
    for (id, _) in (1..).zip(spent) {
        let name = id + STRINGS.len() as u64 - 1;
        profile.message(5, Message::default().number(1, id).number(2, name).number(3, name));
    }
    for text in STRINGS.iter().copied().chain(spent.keys().map(String::as_str)) {
        profile.bytes(6, text.as_bytes());
    }
    let started = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    profile.number(9, nanos(started)).number(10, nanos(length));
    profile.message(11, Message::default().number(1, 3).number(2, 4)).number(12, nanos_per_tick);
    profile.0
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A protobuf message in the making.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, field: u64, value: u64) -> &mut Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn message(&mut self, field: u64, message: &Self) -> &mut Self {
        self.bytes(field, &message.0)
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_one_name_are_one() {
        let before = Times::from([(1, ("main".into(), 5)), (2, ("worker".into(), 7))]);
        let after = Times::from([(1, ("main".into(), 5)), (2, ("worker".into(), 10)), (3, ("worker".into(), 4))]);
        assert_eq!(spent(&before, after), BTreeMap::from([("worker".into(), 7)]));
    }

    #[test]
    fn is_encoded_as_the_format_has_it() {
        let spent = BTreeMap::from([("w".to_owned(), 3)]);
        let bytes = encode(&spent, UNIX_EPOCH, Duration::from_nanos(1), 1_000_000_000);
        let want: &[&[u8]] = &[
            &[0x0a, 4, 8, 1, 16, 2],
            &[0x0a, 4, 8, 3, 16, 4],
            &[0x12, 6, 8, 1, 16, 3, 16, 3],
            &[0x22, 6, 8, 1, 0x22, 2, 8, 1],
            &[0x2a, 6, 8, 1, 16, 5, 24, 5],
            b"\x32\x00\x32\x07samples\x32\x05count\x32\x03cpu\x32\x0bnanoseconds\x32\x01w",
            &[0x48, 0, 0x50, 1, 0x5a, 4, 8, 3, 16, 4, 0x60, 1],
        ];
        assert_eq!(bytes, want.concat());
    }

    #[tokio::test]
    async fn reads_this_process() {
        let packed = of_cpu(Duration::from_millis(1)).await.expect("a profile");
        assert_eq!(packed[..2], [0x1f, 0x8b]);
        assert!(!times().expect("times").is_empty());
    }
}
