//! A running watch as a stream of frames.
//!
//! A watcher is a cursor into the store's shared history and one timer; frames of events that
//! are ready together go out together.
//!
//! Upstream: `apiserver/pkg/endpoints/handlers/watch.go`.

use crate::encode::events::Encoder;
use crate::lifecycle::Watch;
use apiserver_registry::Watching;
use bytes::Bytes;
use futures::Stream;
use futures::future::{BoxFuture, select};
use std::pin::{Pin, pin};
use std::time::Duration;

/// Frames are gathered up to this many bytes while events are ready.
const BATCH: usize = 32 * 1024;

struct Running {
    watch: Watching,
    encoder: Encoder,
    /// Resolves when the watch must end.
    end: BoxFuture<'static, ()>,
    over: bool,
    _guard: Box<dyn Send>,
}

/// Runs until the client goes away, `lifetime` is over, its turn at the server's end comes, or the history breaks.
pub fn stream(
    watch: Watching,
    encoder: Encoder,
    lifetime: Duration,
    ending: Watch,
    guard: Box<dyn Send>,
) -> Pin<Box<dyn Stream<Item = Bytes> + Send>> {
    let end = Box::pin(async move {
        select(pin!(tokio::time::sleep(lifetime)), pin!(ending.ended())).await;
    });
    let running = Running { watch, encoder, end, over: false, _guard: guard };
    Box::pin(futures::stream::unfold(running, next))
}

async fn next(mut running: Running) -> Option<(Bytes, Running)> {
    if running.over {
        return None;
    }
    let event = tokio::select! {
        event = running.watch.next() => event,
        () = &mut running.end => return None,
    };
    let mut frames = Vec::new();
    running.over = running.encoder.push(event, &mut frames);
    while !running.over && frames.len() < BATCH {
        let Some(event) = running.watch.try_next() else { break };
        running.over = running.encoder.push(event, &mut frames);
    }
    Some((frames.into(), running))
}
