//! Netlink: how requests and answers are framed, and a socket that asks the kernel.
//!
//! The kernel's side: `linux/netlink.h`.

use rustix::fd::OwnedFd;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::time::Duration;

/// Interfaces and addresses; its number is 0.
pub(super) const ROUTE: Option<Protocol> = None;
/// Everything that has no protocol of its own.
pub(super) const GENERIC: Option<Protocol> = Some(rustix::net::netlink::GENERIC);

/// Asks for an acknowledgement.
pub(super) const ACK: u16 = 0x4;
/// Asks for all there is.
pub(super) const DUMP: u16 = 0x300;
/// Makes what must not be there yet.
pub(super) const CREATE: u16 = 0x400 | 0x200 | ACK;

const REQUEST: u16 = 0x1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Length of `nlmsghdr`.
const HEADER: usize = 16;
/// The kernel's largest piece of a list.
const PIECE: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(5);

/// A socket of one protocol, in the network namespace of who opened it.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    pub(super) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self(socket))
    }

    /// Sends a request and gives the bodies of the answers, up to the last one. `flags` must ask for an
    /// acknowledgement or for everything: both say where answers end.
    pub(super) fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        rustix::net::send(&self.0, &message(kind, REQUEST | flags, body), SendFlags::empty())?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; PIECE];
        loop {
            let (length, _) = rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty())?;
            for (kind, body) in messages(&buffer[..length]) {
                match kind {
                    ERROR => return outcome(body).map(|()| answers),
                    DONE => return Ok(answers),
                    _ => answers.push(body.to_vec()),
                }
            }
        }
    }
}

fn outcome(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = HEADER + body.len();
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence and port: one request is under way at a time, and the kernel knows who asks.
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// The messages in a piece, as far as they make sense.
fn messages(mut piece: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*piece.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(piece.get(4..6)?.try_into().ok()?);
        let body = piece.get(HEADER..length)?;
        piece = piece.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// Attributes of a request.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    #[must_use]
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend((4 + value.len() as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    #[must_use]
    pub(super) fn with_text(self, kind: u16, text: &str) -> Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.with(kind, &bytes)
    }

    #[must_use]
    pub(super) fn nest(self, kind: u16, inner: &Self) -> Self {
        const NESTED: u16 = 1 << 15;
        self.with(kind | NESTED, &inner.0)
    }

    /// A body that begins with the header of its protocol.
    pub(super) fn after(&self, header: &[u8]) -> Vec<u8> {
        [header, &self.0].concat()
    }
}

/// The attributes of an answer, as far as they make sense.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of one attribute.
pub(super) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let inner = Attributes::default().with(1, &[7]).with_text(6, "rr");
        let body = Attributes::default().nest(1, &inner).with(2, &[1, 2, 3, 4]).after(&[9; 4]);
        let sent = [message(20, ACK, &body), message(DONE, 0, &[0; 4])].concat();
        let read: Vec<_> = messages(&sent).collect();
        assert_eq!(read, [(20, &body[..]), (DONE, &[0; 4][..])]);
        let nested = find(&body[4..], 1).expect("the nested ones");
        assert_eq!(attributes(nested).collect::<Vec<_>>(), [(1, &[7][..]), (6, b"rr\0")]);
        assert_eq!(find(&body[4..], 2), Some(&[1, 2, 3, 4][..]));
    }

    #[test]
    fn nonsense_ends_the_reading() {
        for broken in [&[][..], &[0; 64], &[255; 64], &[20, 0, 0, 0, 1, 0]] {
            assert_eq!(messages(broken).count(), 0);
            assert_eq!(attributes(broken).count(), 0);
        }
        let cut = message(20, 0, &[0; 8]);
        assert_eq!(messages(&cut[..20]).count(), 0);
        assert_eq!(outcome(&(-17_i32).to_ne_bytes()).expect_err("an error").kind(), io::ErrorKind::AlreadyExists);
        assert!(outcome(&[0; 4]).is_ok() && outcome(&[]).is_err() && outcome(&i32::MIN.to_ne_bytes()).is_err());
    }
}
