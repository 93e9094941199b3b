//! Several byte streams over one connection: the client's side of SPDY/3.1, which servers speak
//! that know no WebSocket, and port forwarding speaks in any case.
//!
//! There are no tasks: whoever uses a connection polls its [`Connection::drive`] beside its
//! streams. Nothing is buffered without bounds; a stream whose reader rests holds up the others,
//! as it does in upstream's library.
//!
//! Upstream: `streaming/pkg/httpstream/spdy`, `moby/spdystream`.

mod frame;

use crate::http::Stream;
use bytes::Bytes;
use frame::{Codec, Frame};
use futures::{SinkExt, StreamExt};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::codec::{FramedRead, FramedWrite};

/// How long the server may take to take a stream.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the server hears of us, so that nobody between takes the connection for dead.
const PING_PERIOD: Duration = Duration::from_secs(5);
/// Frames on their way, in each direction.
const DEPTH: usize = 4;
/// A stream that we do not take.
const REFUSED: u32 = 3;
/// A stream that we do not want any more.
const CANCEL: u32 = 5;

/// What goes wrong with a stream.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection ended before the stream did.
    #[error("the connection to the server is lost")]
    Lost,
    /// The server does not take the stream.
    #[error("the server reset the stream (status {0})")]
    Reset(u32),
    /// The server said nothing about a new stream.
    #[error("the server did not take the stream within {PATIENCE:?}")]
    Unanswered,
    /// Bytes that are no frames.
    #[error("the stream broke off: {0}")]
    Broken(#[from] std::io::Error),
}

/// What the peer says about a stream.
#[derive(Debug)]
enum Event {
    Opened,
    Data(Bytes),
    End,
    Reset(u32),
}

/// One side of a connection; cheap to share.
#[derive(Clone, Debug)]
pub struct Connection {
    outgoing: Sender<Frame>,
    streams: Arc<Mutex<HashMap<u32, Sender<Event>>>>,
    next: Arc<AtomicU32>,
}

/// The other side: what must be polled.
pub struct Driver {
    io: Box<dyn Stream>,
    connection: Connection,
    queue: Receiver<Frame>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// Begins a connection on a stream that was upgraded to one.
pub fn begin(io: Box<dyn Stream>) -> (Connection, Driver) {
    let (outgoing, queue) = channel(DEPTH);
    let connection = Connection { outgoing, streams: Arc::default(), next: Arc::new(AtomicU32::new(1)) };
    (connection.clone(), Driver { io, connection, queue })
}

impl Connection {
    /// Opens a stream; waits until the server takes it.
    pub async fn open(&self, headers: Vec<(&'static str, String)>) -> Result<(Writer, Reader), StreamError> {
        // The client's streams have odd numbers.
        let stream = self.next.fetch_add(2, Ordering::Relaxed);
        let (sender, events) = channel(DEPTH);
        self.streams().insert(stream, sender);
        let mut reader = Reader { stream, events, connection: self.clone(), ended: false };
        self.send(Frame::Open { stream, headers }).await?;
        match tokio::time::timeout(PATIENCE, reader.events.recv()).await {
            Err(_) => Err(StreamError::Unanswered),
            Ok(None) => Err(StreamError::Lost),
            Ok(Some(Event::Reset(status))) => Err(StreamError::Reset(status)),
            Ok(Some(_)) => Ok((Writer { stream, connection: self.clone() }, reader)),
        }
    }

    async fn send(&self, frame: Frame) -> Result<(), StreamError> {
        self.outgoing.send(frame).await.map_err(|_| StreamError::Lost)
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<u32, Sender<Event>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what a stream is told; whoever does not listen any more need not hear it.
    async fn tell(&self, stream: u32, event: Event) {
        let sender = self.streams().get(&stream).cloned();
        if let Some(sender) = sender {
            let _ = sender.send(event).await;
        }
    }
}

impl Driver {
    /// Moves frames until the server ends the connection. All streams have heard of it then.
    pub async fn drive(self) -> Result<(), StreamError> {
        let (reading, writing) = tokio::io::split(self.io);
        let connection = self.connection.clone();
        let outcome = tokio::select! {
            read = read(FramedRead::new(reading, Codec::default()), self.connection) => read,
            written = write(FramedWrite::new(writing, Codec::default()), self.queue) => written,
        };
        connection.streams().clear();
        outcome
    }
}

async fn read(
    mut frames: FramedRead<ReadHalf<Box<dyn Stream>>, Codec>,
    connection: Connection,
) -> Result<(), StreamError> {
    while let Some(frame) = frames.next().await {
        match frame? {
            Frame::Open { stream, .. } => connection.send(Frame::Reset { stream, status: REFUSED }).await?,
            Frame::Opened { stream, last } => {
                connection.tell(stream, Event::Opened).await;
                if last {
                    connection.tell(stream, Event::End).await;
                }
            }
            Frame::Data { stream, bytes, last } => {
                if !bytes.is_empty() {
                    connection.tell(stream, Event::Data(bytes)).await;
                }
                if last {
                    connection.tell(stream, Event::End).await;
                }
            }
            Frame::Reset { stream, status } => connection.tell(stream, Event::Reset(status)).await,
            // The server's pings have even numbers.
            Frame::Ping { number } if number % 2 == 0 => connection.send(Frame::Ping { number }).await?,
            Frame::Ping { .. } | Frame::GoAway | Frame::Other => {}
        }
    }
    Ok(())
}

async fn write(
    mut frames: FramedWrite<WriteHalf<Box<dyn Stream>>, Codec>,
    mut queue: Receiver<Frame>,
) -> Result<(), StreamError> {
    let mut pings = tokio::time::interval(PING_PERIOD);
    let mut number = 1_u32;
    loop {
        let frame = tokio::select! {
            frame = queue.recv() => match frame {
                Some(frame) => frame,
                // The driver itself holds a sender: this does not come.
                None => return Ok(()),
            },
            _ = pings.tick() => {
                number = number.wrapping_add(2);
                Frame::Ping { number }
            }
        };
        if frames.send(frame).await.is_err() {
            // Nobody may write any more; what the server said before is still to be read.
            drop(queue);
            return std::future::pending().await;
        }
    }
}

/// Our direction of a stream.
#[derive(Debug)]
pub struct Writer {
    stream: u32,
    connection: Connection,
}

impl Writer {
    /// Sends bytes; waits while many are on their way.
    pub async fn write(&self, bytes: Bytes) -> Result<(), StreamError> {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(frame::LONGEST));
            self.connection.send(Frame::Data { stream: self.stream, bytes: part, last: false }).await?;
        }
        Ok(())
    }

    /// Tells that nothing more comes; the other direction stays open.
    pub async fn finish(&self) -> Result<(), StreamError> {
        self.connection.send(Frame::Data { stream: self.stream, bytes: Bytes::new(), last: true }).await
    }

    /// Ends the stream in both directions.
    pub async fn reset(&self) -> Result<(), StreamError> {
        self.connection.send(Frame::Reset { stream: self.stream, status: CANCEL }).await
    }
}

/// The server's direction of a stream; what comes after it is dropped is passed over.
#[derive(Debug)]
pub struct Reader {
    stream: u32,
    events: Receiver<Event>,
    connection: Connection,
    ended: bool,
}

impl Reader {
    /// The next bytes; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StreamError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            match self.events.recv().await {
                Some(Event::Data(bytes)) => return Ok(Some(bytes)),
                // Servers reset the streams that they are done with, behind all that they said.
                Some(Event::End | Event::Reset(_)) => {
                    self.ended = true;
                    return Ok(None);
                }
                Some(Event::Opened) => {}
                None => return Err(StreamError::Lost),
            }
        }
    }

    /// All bytes up to the end.
    pub async fn collect(&mut self) -> Result<Vec<u8>, StreamError> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.connection.streams().remove(&self.stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Peer =
        (FramedRead<ReadHalf<tokio::io::DuplexStream>, Codec>, FramedWrite<WriteHalf<tokio::io::DuplexStream>, Codec>);

    fn pair() -> (Connection, Driver, Peer) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (connection, driver) = begin(Box::new(ours));
        let (reading, writing) = tokio::io::split(theirs);
        (connection, driver, (FramedRead::new(reading, Codec::default()), FramedWrite::new(writing, Codec::default())))
    }

    /// The next frame that is no ping of the client.
    async fn heard(peer: &mut Peer) -> Frame {
        loop {
            match peer.0.next().await.expect("a frame").expect("a good one") {
                Frame::Ping { number } if number % 2 == 1 => {}
                frame => return frame,
            }
        }
    }

    #[tokio::test]
    async fn streams_are_half_closed() {
        let (connection, driver, mut peer) = pair();
        let server = async {
            assert_eq!(heard(&mut peer).await, Frame::Open { stream: 1, headers: Vec::new() });
            peer.1.send(Frame::Opened { stream: 1, last: false }).await.expect("sends");
            let mut said = Vec::new();
            while let Frame::Data { bytes, last: false, .. } = heard(&mut peer).await {
                said.extend_from_slice(&bytes);
            }
            for (bytes, last) in [(Bytes::from(said), false), (Bytes::new(), true)] {
                peer.1.send(Frame::Data { stream: 1, bytes, last }).await.expect("sends");
            }
        };
        let client = async {
            let (writer, mut reader) = connection.open(vec![("streamtype", "data".into())]).await.expect("opens");
            writer.write(Bytes::from_static(b"hello ")).await.expect("writes");
            writer.write(Bytes::from_static(b"there")).await.expect("writes");
            writer.finish().await.expect("ends");
            assert_eq!(reader.collect().await.expect("reads"), b"hello there");
            assert_eq!(reader.next().await.expect("still at the end"), None);
        };
        tokio::select! {
            _ = futures::future::join(server, client) => {}
            ended = driver.drive() => panic!("{ended:?}"),
        }
    }

    #[tokio::test]
    async fn pings_are_answered_and_foreign_streams_refused() {
        let (_connection, driver, mut peer) = pair();
        let server = async {
            peer.1.send(Frame::Ping { number: 2 }).await.expect("sends");
            assert_eq!(heard(&mut peer).await, Frame::Ping { number: 2 });
            peer.1.send(Frame::Open { stream: 2, headers: Vec::new() }).await.expect("sends");
            assert_eq!(heard(&mut peer).await, Frame::Reset { stream: 2, status: REFUSED });
        };
        tokio::select! {
            () = server => {}
            ended = driver.drive() => panic!("{ended:?}"),
        }
    }

    #[tokio::test]
    async fn a_reset_ends_a_stream_behind_its_bytes() {
        let (connection, driver, mut peer) = pair();
        let server = async {
            heard(&mut peer).await;
            let bytes = Bytes::from_static(b"all");
            for frame in [
                Frame::Opened { stream: 1, last: false },
                Frame::Data { stream: 1, bytes, last: false },
                Frame::Reset { stream: 1, status: CANCEL },
            ] {
                peer.1.send(frame).await.expect("sends");
            }
        };
        let client = async {
            let (_writer, mut reader) = connection.open(Vec::new()).await.expect("opens");
            assert_eq!(reader.collect().await.expect("reads"), b"all");
        };
        tokio::select! {
            _ = futures::future::join(server, client) => {}
            ended = driver.drive() => panic!("{ended:?}"),
        }
    }

    #[tokio::test]
    async fn a_lost_connection_is_no_end() {
        let (connection, driver, mut peer) = pair();
        let server = async {
            heard(&mut peer).await;
            peer.1.send(Frame::Opened { stream: 1, last: false }).await.expect("sends");
            heard(&mut peer).await;
            peer.1.send(Frame::Reset { stream: 3, status: 9 }).await.expect("sends");
            drop(peer);
        };
        let client = async {
            let (_writer, mut reader) = connection.open(Vec::new()).await.expect("opens");
            assert!(matches!(connection.open(Vec::new()).await, Err(StreamError::Reset(9))));
            assert!(matches!(reader.next().await, Err(StreamError::Lost)));
        };
        let (_, _, ended) = futures::join!(server, client, driver.drive());
        assert!(ended.is_ok(), "{ended:?}");
    }
}
