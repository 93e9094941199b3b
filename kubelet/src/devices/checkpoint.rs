//! The file that says which devices pods have, as upstream's kubelet reads and writes it.
//!
//! Upstream: `pkg/kubelet/cm/devicemanager/checkpoint`.

pub use crate::checkpoint::CheckpointError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::checkpoint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// The file's name beside the kubelet's socket.
pub const FILE: &str = "kubelet_internal_checkpoint";

/// The devices of one resource in one container; null and empty differ in the checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(rename = "PodUID")]
    pub pod: String,
    #[serde(rename = "ContainerName")]
    pub container: String,
    #[serde(rename = "ResourceName")]
    pub resource: String,
    /// By NUMA node, -1 for none.
    #[serde(rename = "DeviceIDs")]
    pub devices: Option<BTreeMap<i64, Option<Vec<String>>>>,
    /// The plugin's answer in protobuf, in base64.
    #[serde(rename = "AllocResp")]
    response: Option<String>,
}

impl Entry {
    pub fn new(pod: &str, container: &str, resource: &str, devices: &BTreeMap<i64, Vec<String>>, bytes: &[u8]) -> Self {
        Self {
            pod: pod.to_owned(),
            container: container.to_owned(),
            resource: resource.to_owned(),
            devices: Some(devices.iter().map(|(node, ids)| (*node, Some(ids.clone()))).collect()),
            response: Some(BASE64_STANDARD.encode(bytes)),
        }
    }

    /// The plugin's answer; `None` where it is no base64.
    pub fn response(&self) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(self.response.as_deref().unwrap_or_default()).ok()
    }
}

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    #[serde(rename = "PodDeviceEntries")]
    pub entries: Option<Vec<Entry>>,
    /// The healthy devices of each resource that has a plugin.
    #[serde(rename = "RegisteredDevices")]
    pub registered: Option<BTreeMap<String, Option<Vec<String>>>>,
}

#[derive(Serialize, Deserialize)]
struct Checkpoint {
    #[serde(rename = "Data")]
    data: Data,
    #[serde(rename = "Checksum")]
    checksum: u64,
}

/// Reads the file; `None` if there is none.
///
/// # Errors
/// It cannot be read or trusted.
pub fn read(file: &Path) -> Result<Option<Data>, CheckpointError> {
    let Some(text) = checkpoint::read(file)? else { return Ok(None) };
    parse(&text).map(Some)
}

fn parse(text: &[u8]) -> Result<Data, CheckpointError> {
    let read: Checkpoint = serde_json::from_slice(text)?;
    CheckpointError::check(read.checksum, checksum(&read.data))?;
    Ok(read.data)
}

/// Writes the file: it is there as a whole, or as it was.
///
/// # Errors
/// The folder cannot be written.
pub fn write(file: &Path, data: Data) -> Result<(), CheckpointError> {
    let checksum = checksum(&data);
    checkpoint::write(file, &Checkpoint { data, checksum })
}

fn checksum(data: &Data) -> u64 {
    checkpoint::checksum(&dump(data))
}

fn dump(data: &Data) -> String {
    let entries = list(data.entries.as_deref(), |entry| {
        let devices = map(entry.devices.as_ref(), |ids| list(ids.as_deref(), String::clone));
        let bytes = entry.response.as_ref().and_then(|_| entry.response());
        let bytes = list(bytes.as_deref(), u8::to_string);
        format!(
            "{{PodUID:(string){} ContainerName:(string){} ResourceName:(string){} \
             DeviceIDs:(checkpoint.DevicesPerNUMA){devices} AllocResp:([]uint8){bytes}}}",
            entry.pod, entry.container, entry.resource
        )
    });
    let registered = map(data.registered.as_ref(), |ids| list(ids.as_deref(), String::clone));
    format!(
        "(checkpoint.checkpointData){{PodDeviceEntries:([]checkpoint.PodDevicesEntry){entries} \
         RegisteredDevices:(map[string][]string){registered}}}"
    )
}

fn list<T>(items: Option<&[T]>, show: impl Fn(&T) -> String) -> String {
    items.map_or_else(|| "<nil>".to_owned(), |all| format!("[{}]", all.iter().map(show).collect::<Vec<_>>().join(" ")))
}

fn map<K: std::fmt::Display, V>(items: Option<&BTreeMap<K, V>>, show: impl Fn(&V) -> String) -> String {
    let Some(items) = items else { return "<nil>".to_owned() };
    let mut out = String::from("map[");
    for (at, (key, value)) in items.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(out, "{}{key}:{}", if at == 0 { "" } else { " " }, show(value));
    }
    out + "]"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by upstream's checkpoint package.
    const UPSTREAMS: [&str; 2] = [
        r#"{"Data":{"PodDeviceEntries":null,"RegisteredDevices":{}},"Checksum":3467439661}"#,
        r#"{"Data":{"PodDeviceEntries":[{"PodUID":"u-1","ContainerName":"c","ResourceName":"example.com/gpu","DeviceIDs":{"-1":["d1","d2"],"0":["a"],"10":["z"],"2":["q\"\u003c"]},"AllocResp":"CgD/"},{"PodUID":"u-2","ContainerName":"c","ResourceName":"r","DeviceIDs":{},"AllocResp":""}],"RegisteredDevices":{"a.b/c":[],"a.b/d":null,"example.com/gpu":["d1","d2"]}},"Checksum":2190508097}"#,
    ];

    #[test]
    fn upstreams_files_are_read_and_written_with_the_same_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert!(read(&file).unwrap().is_none());
        for text in UPSTREAMS {
            std::fs::write(&file, text).unwrap();
            let data = read(&file).unwrap().unwrap();
            write(&file, data.clone()).unwrap();
            let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
            assert_eq!(value(&std::fs::read(&file).unwrap()), value(text.as_bytes()));
            assert_eq!(read(&file).unwrap().unwrap(), data);
        }
        let entry = read(&file).unwrap().unwrap().entries.unwrap().remove(0);
        assert_eq!(entry.response().unwrap(), [10, 0, 255]);
    }

    #[test]
    fn a_changed_file_is_not_believed() {
        assert!(matches!(
            parse(&UPSTREAMS[1].replace("u-1", "u-9").into_bytes()),
            Err(CheckpointError::Checksum { .. })
        ));
        assert!(matches!(parse(b"{"), Err(CheckpointError::Json(_))));
    }
}
