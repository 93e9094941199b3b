//! The server's side of SPDY/3.1, as far as the tests need it.

use std::collections::HashMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What the client sends.
#[derive(Debug)]
pub(crate) enum Frame {
    Open { stream: u32, headers: HashMap<String, String> },
    Data { stream: u32, bytes: Vec<u8>, last: bool },
    Reset { stream: u32 },
    Other,
}

/// Reads frames.
pub(crate) struct Frames<R> {
    reader: R,
    inflater: flate2::Decompress,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, inflater: flate2::Decompress::new(true) }
    }

    /// The next frame; nothing once the client is gone.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 8];
        self.reader.read_exact(&mut head).await.ok()?;
        let word = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
        let mut payload = vec![0; length];
        self.reader.read_exact(&mut payload).await.ok()?;
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four bytes"));
        Some(match word {
            0x8003_0001 => {
                let headers = self.headers(&payload[10..]);
                Frame::Open { stream: number(0), headers }
            }
            0x8003_0003 => Frame::Reset { stream: number(0) },
            word if word >> 31 == 0 => Frame::Data { stream: word, bytes: payload, last: head[4] & 1 == 1 },
            _ => Frame::Other,
        })
    }

    fn headers(&mut self, block: &[u8]) -> HashMap<String, String> {
        let mut plain = Vec::with_capacity(4096);
        self.inflater.decompress_vec(block, &mut plain, flate2::FlushDecompress::Sync).expect("a zlib stream");
        let mut rest = plain.as_slice();
        let number = |rest: &mut &[u8]| {
            let (bytes, behind) = rest.split_first_chunk::<4>().expect("a number");
            *rest = behind;
            u32::from_be_bytes(*bytes) as usize
        };
        let count = number(&mut rest);
        let mut texts = Vec::new();
        for _ in 0..2 * count {
            let length = number(&mut rest);
            let (text, behind) = rest.split_at(length);
            texts.push(String::from_utf8(text.to_vec()).expect("text"));
            rest = behind;
        }
        assert!(rest.is_empty(), "more than headers");
        texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }
}

/// Takes a stream.
pub(crate) async fn take(writer: &mut (impl AsyncWrite + Unpin), stream: u32) {
    let head = [&[0x80, 3, 0, 2, 0, 0, 0, 4], &stream.to_be_bytes()[..]].concat();
    // The client may be gone, here and below.
    let _ = writer.write_all(&head).await;
}

/// Says something on a stream, or that there is nothing more.
pub(crate) async fn say(writer: &mut (impl AsyncWrite + Unpin), stream: u32, bytes: &[u8], last: bool) {
    let length = u32::from(last) << 24 | bytes.len() as u32;
    let head = [stream.to_be_bytes(), length.to_be_bytes()].concat();
    let _ = writer.write_all(&head).await;
    let _ = writer.write_all(bytes).await;
    let _ = writer.flush().await;
}
