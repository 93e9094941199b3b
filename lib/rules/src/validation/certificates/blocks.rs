//! PEM blocks in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A block: its label, and what stands between the two lines.
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    has_headers: bool,
    der: Vec<u8>,
}

/// The first block of a base64 text.
pub(super) fn first(encoded: &str) -> Option<Owned> {
    let text = decode(encoded)?;
    let (block, _) = next(&text)?;
    Some(Owned { label: block.label.to_owned() })
}

/// What is left of a block whose text is gone.
pub(super) struct Owned {
    pub(super) label: String,
}

/// Whether a base64 text is certificates; no text is right, too.
pub(super) fn certificates(encoded: &str) -> Result<(), String> {
    if encoded.is_empty() {
        return Ok(());
    }
    let text = decode(encoded).unwrap_or_default();
    let mut rest = &*text;
    let mut count = 0;
    while let Some((block, after)) = next(rest) {
        if block.label != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {:?}", block.label));
        }
        if block.has_headers {
            return Err("no PEM block headers are permitted".into());
        }
        sequence(&block.der)?;
        (rest, count) = (after, count + 1);
    }
    match count {
        0 => Err("must contain at least one CERTIFICATE PEM block".into()),
        _ => Ok(()),
    }
}

/// Line breaks may stand in base64 that a client has wrapped.
fn decode(encoded: &str) -> Option<String> {
    let bytes = match encoded.contains(['\n', '\r']) {
        true => STANDARD.decode(encoded.replace(['\n', '\r'], "")),
        false => STANDARD.decode(encoded),
    };
    // Blocks are ASCII; what stands around them need not be.
    bytes.ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The next whole block, and what follows it. Lines that look like a beginning and are none are skipped.
fn next(text: &str) -> Option<(Block<'_>, &str)> {
    const BEGIN: &str = "-----BEGIN ";
    const DASHES: &str = "-----";
    let mut rest = text;
    loop {
        let at = rest.match_indices(BEGIN).map(|(at, _)| at).find(|at| *at == 0 || rest[..*at].ends_with('\n'))?;
        let after = &rest[at + BEGIN.len()..];
        rest = after;
        let Some((label, body)) = after.split_once(DASHES).filter(|(label, _)| !label.contains('\n')) else { continue };
        let Some((body, after)) = body.split_once(&format!("-----END {label}-----")) else { continue };
        let (headers, body) = headers(body);
        let lines: String = body.split_ascii_whitespace().collect();
        let Ok(der) = STANDARD.decode(lines) else { continue };
        return Some((Block { label, has_headers: headers, der }, after));
    }
}

/// Whether there are headers, and the body after them.
fn headers(body: &str) -> (bool, &str) {
    match body.trim_start().split_once("\n\n") {
        Some((headers, body)) if headers.lines().all(|line| line.contains(':')) => (true, body),
        _ => (false, body),
    }
}

/// Whether bytes are one DER sequence, as a certificate is.
fn sequence(der: &[u8]) -> Result<(), String> {
    let length = match *der {
        [0x30, short, ..] if short < 0x80 => Some(2 + usize::from(short)),
        [0x30, 0x81, a, ..] => Some(3 + usize::from(a)),
        [0x30, 0x82, a, b, ..] => Some(4 + usize::from(u16::from_be_bytes([a, b]))),
        [0x30, 0x83, a, b, c, ..] => Some(5 + u32::from_be_bytes([0, a, b, c]) as usize),
        _ => None,
    };
    match length {
        Some(length) if length == der.len() => Ok(()),
        _ => Err("x509: malformed certificate".into()),
    }
}
