//! Files in which the kubelet keeps what it has given to whom, with a checksum, as upstream's kubelet reads and writes them.
//!
//! Upstream: `pkg/kubelet/checkpointmanager`.

use serde::Serialize;
use std::io::{self, Read};
use std::path::Path;

/// More than a node full of pods needs.
const LONGEST: u64 = 64 << 20;

/// Why a file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot read or write the checkpoint")]
    Io(#[from] io::Error),
    #[error("the checkpoint has more than {LONGEST} bytes")]
    TooLong,
    #[error("the checkpoint is no JSON of its form")]
    Json(#[from] serde_json::Error),
    #[error("checkpoint is corrupted: its checksum is {expected}, that of its data {actual}")]
    Checksum { expected: u64, actual: u64 },
}

impl CheckpointError {
    /// Nothing, if the checksum that the file gives is that of its data.
    pub(crate) fn check(expected: u64, actual: u64) -> Result<(), Self> {
        if expected == actual { Ok(()) } else { Err(Self::Checksum { expected, actual }) }
    }
}

/// What the file holds; `None` if there is none.
pub(crate) fn read(file: &Path) -> Result<Option<Vec<u8>>, CheckpointError> {
    let opened = match std::fs::File::open(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = Vec::new();
    opened.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST { Err(CheckpointError::TooLong) } else { Ok(Some(text)) }
}

/// Writes the file: it is there as a whole, or as it was.
pub(crate) fn write(file: &Path, checkpoint: &impl Serialize) -> Result<(), CheckpointError> {
    // A name that upstream's kubelet, too, takes for an unfinished file.
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let temporary = file.with_file_name(format!(".{name}"));
    std::fs::write(&temporary, serde_json::to_vec(checkpoint)?)?;
    Ok(std::fs::rename(temporary, file)?)
}

/// FNV-1a over data as upstream's dumps print it.
pub(crate) fn checksum(dump: &str) -> u64 {
    let hash = dump.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    u64::from(hash)
}
