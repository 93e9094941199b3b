//! The frames of SPDY/3.1 as a codec.
//!
//! Header blocks travel in one zlib stream per direction. Ours are stored in it as they are, which
//! every inflater reads; those of the peer say nothing that a client of Kubernetes asks for, and
//! are skipped.
//!
//! Upstream: `moby/spdystream/spdy`; the protocol is `draft-mbelshe-httpbis-spdy-00`.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io;
use tokio_util::codec::{Decoder, Encoder};

/// Version and the bit of control frames.
const CONTROL: u16 = 0x8003;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GO_AWAY: u16 = 7;
/// The only flag that matters: nothing comes behind this frame.
const FIN: u8 = 1;
const HEAD: usize = 8;
/// Lengths have 24 bits.
pub(super) const LONGEST: usize = (1 << 24) - 1;
/// Deflate with a window of 32 KiB, no preset dictionary.
const ZLIB_HEAD: [u8; 2] = [0x78, 0x01];
/// An empty block, which makes the peer's inflater hand out what it has.
const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// A frame, as far as it means something here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Opens a stream. The headers of the peer's are left out.
    Open { stream: u32, headers: Vec<(&'static str, String)> },
    /// Takes a stream.
    Opened { stream: u32, last: bool },
    /// Bytes of a stream.
    Data { stream: u32, bytes: Bytes, last: bool },
    /// Ends a stream in both directions.
    Reset { stream: u32, status: u32 },
    /// To be sent back by the side that did not number it.
    Ping { number: u32 },
    /// No new streams are taken.
    GoAway,
    /// Something about settings, windows or headers.
    Other,
}

/// Reads and writes frames of one connection.
#[derive(Debug, Default)]
pub(super) struct Codec {
    /// Whether a header block was written: the zlib stream has begun.
    compressing: bool,
}

impl Decoder for Codec {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Frame>> {
        let Some(head) = buffer.get(..HEAD) else { return Ok(None) };
        let (word, flags) = (u32::from_be_bytes([head[0], head[1], head[2], head[3]]), head[4]);
        let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
        if buffer.len() < HEAD + length {
            buffer.reserve(HEAD + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(HEAD);
        let payload = buffer.split_to(length).freeze();
        let last = flags & FIN != 0;
        if word & 0x8000_0000 == 0 {
            return Ok(Some(Frame::Data { stream: word, bytes: payload, last }));
        }
        let [version, kind] = [(word >> 16) as u16, word as u16];
        if version != CONTROL {
            return Err(malformed("a frame of another version"));
        }
        control(kind, last, &payload).map(Some)
    }
}

fn control(kind: u16, last: bool, payload: &[u8]) -> io::Result<Frame> {
    let number = |at: usize| match payload.get(at..at + 4) {
        Some(bytes) => Ok(bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))),
        None => Err(malformed("a frame that is too short")),
    };
    let stream = |at: usize| number(at).map(|number| number & 0x7fff_ffff);
    Ok(match kind {
        SYN_STREAM => Frame::Open { stream: stream(0)?, headers: Vec::new() },
        SYN_REPLY => Frame::Opened { stream: stream(0)?, last },
        RST_STREAM => Frame::Reset { stream: stream(0)?, status: number(4)? },
        PING => Frame::Ping { number: number(0)? },
        GO_AWAY => Frame::GoAway,
        _ => Frame::Other,
    })
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Encoder<Frame> for Codec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame, buffer: &mut BytesMut) -> io::Result<()> {
        match frame {
            Frame::Open { stream, headers } => {
                let block = self.block(&headers)?;
                // Stream, the stream that it belongs to, priority and slot.
                head(buffer, SYN_STREAM, 0, 10 + block.len())?;
                buffer.put_u32(stream);
                buffer.put_u32(0);
                buffer.put_u16(0);
                buffer.put_slice(&block);
            }
            Frame::Opened { stream, last } => {
                let block = self.block(&[])?;
                head(buffer, SYN_REPLY, u8::from(last) * FIN, 4 + block.len())?;
                buffer.put_u32(stream);
                buffer.put_slice(&block);
            }
            Frame::Data { stream, bytes, last } => {
                buffer.reserve(HEAD + bytes.len());
                buffer.put_u32(stream);
                length(buffer, u8::from(last) * FIN, bytes.len())?;
                buffer.put_slice(&bytes);
            }
            Frame::Reset { stream, status } => {
                head(buffer, RST_STREAM, 0, 8)?;
                buffer.put_u32(stream);
                buffer.put_u32(status);
            }
            Frame::Ping { number } => {
                head(buffer, PING, 0, 4)?;
                buffer.put_u32(number);
            }
            Frame::GoAway => {
                head(buffer, GO_AWAY, 0, 8)?;
                buffer.put_u64(0);
            }
            Frame::Other => {}
        }
        Ok(())
    }
}

impl Codec {
    /// Headers as the next part of the zlib stream.
    fn block(&mut self, headers: &[(&'static str, String)]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        plain.put_u32(size(headers.len())?);
        for text in headers.iter().flat_map(|(name, value)| [*name, value.as_str()]) {
            plain.put_u32(size(text.len())?);
            plain.put_slice(text.as_bytes());
        }
        let mut block = Vec::new();
        if !std::mem::replace(&mut self.compressing, true) {
            block.put_slice(&ZLIB_HEAD);
        }
        for part in plain.chunks(usize::from(u16::MAX)) {
            let length = part.len() as u16;
            block.put_u8(0);
            block.put_u16_le(length);
            block.put_u16_le(!length);
            block.put_slice(part);
        }
        block.put_slice(&FLUSH);
        Ok(block)
    }
}

fn head(buffer: &mut BytesMut, kind: u16, flags: u8, bytes: usize) -> io::Result<()> {
    buffer.put_u16(CONTROL);
    buffer.put_u16(kind);
    length(buffer, flags, bytes)
}

fn length(buffer: &mut BytesMut, flags: u8, bytes: usize) -> io::Result<()> {
    if bytes > LONGEST {
        return Err(malformed("a frame that is too long"));
    }
    buffer.put_u32(u32::from(flags) << 24 | size(bytes)?);
    Ok(())
}

fn size(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| malformed("a frame that is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn encoded(codec: &mut Codec, frame: Frame) -> BytesMut {
        let mut buffer = BytesMut::new();
        codec.encode(frame, &mut buffer).expect("encodes");
        buffer
    }

    #[test]
    fn frames_read_back() {
        for frame in [
            Frame::Opened { stream: 1, last: true },
            Frame::Data { stream: 3, bytes: Bytes::from_static(b"hello"), last: false },
            Frame::Data { stream: 3, bytes: Bytes::new(), last: true },
            Frame::Reset { stream: 5, status: 3 },
            Frame::Ping { number: 2 },
            Frame::GoAway,
            Frame::Open { stream: 7, headers: Vec::new() },
        ] {
            let whole = encoded(&mut Codec::default(), frame.clone());
            let mut arriving = BytesMut::new();
            for byte in &whole[..whole.len() - 1] {
                arriving.put_u8(*byte);
                assert_eq!(Codec::default().decode(&mut arriving).expect("fine so far"), None);
            }
            arriving.put_u8(whole[whole.len() - 1]);
            assert_eq!(Codec::default().decode(&mut arriving).expect("decodes"), Some(frame));
            assert!(arriving.is_empty());
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bytes in [&[0x80, 2, 0, 1, 0, 0, 0, 0][..], &[0x80, 3, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1][..]] {
            assert!(Codec::default().decode(&mut BytesMut::from(bytes)).is_err(), "{bytes:?}");
        }
        let unknown = Codec::default().decode(&mut BytesMut::from(&[0x80, 3, 0, 4, 0, 0, 0, 0][..]));
        assert_eq!(unknown.expect("settings"), Some(Frame::Other));
    }

    #[test]
    fn headers_are_one_zlib_stream() {
        let mut codec = Codec::default();
        let mut stream = Vec::new();
        for value in ["stdin", "stdout"] {
            let headers = vec![("streamtype", value.to_owned())];
            stream.extend_from_slice(&encoded(&mut codec, Frame::Open { stream: 1, headers })[HEAD + 10..]);
        }
        let mut plain = [0; 64];
        let mut reader = flate2::read::ZlibDecoder::new(&stream[..]);
        reader.read_exact(&mut plain[..27 + 28]).expect("inflates");
        assert_eq!(&plain[..27], b"\0\0\0\x01\0\0\0\x0astreamtype\0\0\0\x05stdin");
        assert_eq!(&plain[27..55], b"\0\0\0\x01\0\0\0\x0astreamtype\0\0\0\x06stdout");
    }
}
