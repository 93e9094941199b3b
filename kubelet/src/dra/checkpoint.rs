//! The file that says which claims are prepared for which pods, as upstream's kubelet reads and
//! writes it.
//!
//! Upstream: `pkg/kubelet/cm/dra/state`.

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

/// The file's name below `--root-dir`.
pub const FILE: &str = "dra_manager_state";
const KIND: &str = "DRACheckpoint";
const VERSION: &str = "checkpoint.dra.kubelet.k8s.io/v1";
/// More than a node full of pods with claims needs.
const LONGEST: u64 = 64 << 20;

/// Why the file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot read or write the checkpoint")]
    Io(#[from] io::Error),
    #[error("the checkpoint has more than {LONGEST} bytes")]
    TooLong,
    #[error("the checkpoint is no JSON of its form")]
    Json(#[from] serde_json::Error),
    #[error("checkpoint is corrupted: its checksum is {expected}, that of its data {actual}")]
    Checksum { expected: u32, actual: u32 },
}

/// A claim that is prepared, or about to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Claim {
    /// Its UID.
    #[serde(rename = "ClaimUID")]
    pub uid: String,
    /// Its name.
    #[serde(rename = "ClaimName")]
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The UIDs of the pods that use it.
    #[serde(rename = "PodUIDs", serialize_with = "set", deserialize_with = "keys")]
    pub pods: BTreeSet<String>,
    /// The drivers of its devices, whether or not they have said something about them.
    #[serde(rename = "DriverState", deserialize_with = "nullable")]
    pub drivers: BTreeMap<String, Driver>,
}

/// What a driver has prepared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Driver {
    /// The devices.
    pub devices: Option<Vec<Device>>,
}

/// A device as its driver describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Device {
    /// Its pool.
    pub pool_name: String,
    /// Its name there.
    pub device_name: String,
    /// Which part of the device it is, if several claims have one.
    #[serde(rename = "ShareID")]
    pub share: Option<String>,
    /// The requests that it is for; all, if there are none.
    pub request_names: Option<Vec<String>>,
    /// What the runtime is told.
    #[serde(rename = "CDIDeviceIDs")]
    pub cdi_ids: Option<Vec<String>>,
}

/// Go's sets are maps to nothing.
fn set<S: serde::Serializer>(keys: &BTreeSet<String>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(keys.iter().map(|key| (key, BTreeMap::<String, String>::new())))
}

fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<String>, D::Error> {
    let map: Option<BTreeMap<String, serde::de::IgnoredAny>> = Deserialize::deserialize(from)?;
    Ok(map.unwrap_or_default().into_keys().collect())
}

fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Checkpoint {
    /// JSON in JSON, so that the checksum is of a text.
    data: String,
    checksum: u32,
}

#[derive(Serialize, Deserialize)]
struct Data {
    #[serde(default)]
    kind: String,
    #[serde(default, rename = "apiVersion")]
    api_version: String,
    #[serde(rename = "ClaimInfoStateList")]
    claims: Option<Vec<Claim>>,
}

/// Reads the file; nothing, if there is none.
///
/// # Errors
/// It cannot be read or trusted.
pub fn read(file: &Path) -> Result<Vec<Claim>, CheckpointError> {
    let opened = match std::fs::File::open(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut text = Vec::new();
    opened.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(CheckpointError::TooLong);
    }
    let read: Checkpoint = serde_json::from_slice(&text)?;
    let actual = checksum(read.data.as_bytes());
    if actual != read.checksum {
        return Err(CheckpointError::Checksum { expected: read.checksum, actual });
    }
    Ok(serde_json::from_str::<Data>(&read.data)?.claims.unwrap_or_default())
}

/// Writes the file: it is there as a whole, or as it was.
///
/// # Errors
/// The folder cannot be written.
pub fn write(file: &Path, claims: Vec<Claim>) -> Result<(), CheckpointError> {
    let claims = Some(claims).filter(|claims| !claims.is_empty());
    let data = serde_json::to_string(&Data { kind: KIND.into(), api_version: VERSION.into(), claims })?;
    let checksum = checksum(data.as_bytes());
    // A name that upstream's kubelet, too, takes for an unfinished file.
    let temporary = file.with_file_name(format!(".{FILE}"));
    std::fs::write(&temporary, serde_json::to_vec(&Checkpoint { data, checksum })?)?;
    Ok(std::fs::rename(temporary, file)?)
}

/// CRC-32 as IEEE has it.
fn checksum(data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What upstream's kubelet writes for this claim.
    const UPSTREAMS: &str = r#"{"Data":"{\"kind\":\"DRACheckpoint\",\"apiVersion\":\"checkpoint.dra.kubelet.k8s.io/v1\",\"ClaimInfoStateList\":[{\"ClaimUID\":\"067798be-454e-4be4-9047-1aa06aea63f7\",\"ClaimName\":\"example\",\"Namespace\":\"default\",\"PodUIDs\":{\"139cdb46-f989-4f17-9561-ca10cfb509a6\":{}},\"DriverState\":{\"test-driver.cdi.k8s.io\":{\"Devices\":[{\"PoolName\":\"worker-1\",\"DeviceName\":\"dev-1\",\"ShareID\":null,\"RequestNames\":[\"test request\"],\"CDIDeviceIDs\":[\"example.com/example=cdi-example\"]}]}}}]}","Checksum":2570581864}"#;

    #[test]
    fn what_is_written_is_what_upstream_writes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(read(&file).unwrap(), []);
        let device = Device {
            pool_name: "worker-1".into(),
            device_name: "dev-1".into(),
            share: None,
            request_names: Some(vec!["test request".into()]),
            cdi_ids: Some(vec!["example.com/example=cdi-example".into()]),
        };
        let claim = Claim {
            uid: "067798be-454e-4be4-9047-1aa06aea63f7".into(),
            name: "example".into(),
            namespace: "default".into(),
            pods: ["139cdb46-f989-4f17-9561-ca10cfb509a6".to_owned()].into(),
            drivers: [("test-driver.cdi.k8s.io".to_owned(), Driver { devices: Some(vec![device]) })].into(),
        };
        write(&file, vec![claim.clone()]).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, UPSTREAMS);
        assert_eq!(read(&file).unwrap(), [claim]);
        std::fs::write(&file, text.replace("worker-1", "worker-2")).unwrap();
        assert!(matches!(read(&file), Err(CheckpointError::Checksum { .. })));
    }
}
