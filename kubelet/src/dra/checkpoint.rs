//! The file that says which claims are prepared for which pods, as upstream's kubelet reads and
//! writes it.
//!
//! Upstream: `pkg/kubelet/cm/dra/state`.

pub use crate::checkpoint::CheckpointError;

use crate::checkpoint;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The file's name below `--root-dir`.
pub const FILE: &str = "dra_manager_state";
const KIND: &str = "DRACheckpoint";
const VERSION: &str = "checkpoint.dra.kubelet.k8s.io/v1";

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
    let Some(text) = checkpoint::read(file)? else { return Ok(Vec::new()) };
    let read: Checkpoint = serde_json::from_slice(&text)?;
    CheckpointError::check(read.checksum.into(), checksum(read.data.as_bytes()).into())?;
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
    checkpoint::write(file, &Checkpoint { data, checksum })
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

    fn claims() -> Vec<Claim> {
        let device = |share: Option<&str>, requests: &[&str]| Device {
            pool_name: "rack-7".into(),
            device_name: "card-3".into(),
            share: share.map(str::to_owned),
            request_names: Some(requests.iter().map(|request| (*request).to_owned()).collect()),
            cdi_ids: Some(vec!["cards.test/card=three".into()]),
        };
        let drivers = [
            (
                "cards.test".to_owned(),
                Driver { devices: Some(vec![device(None, &["fast"]), device(Some("half"), &[])]) },
            ),
            ("silent.test".to_owned(), Driver::default()),
        ];
        let pods = ["pod-b", "pod-a"].map(str::to_owned);
        let (uid, name, namespace) = ("uid-of-training".into(), "training".into(), "lab".into());
        vec![
            Claim { uid, name, namespace, pods: pods.into(), drivers: drivers.into() },
            Claim { uid: "uid-of-idle".into(), name: "idle".into(), namespace: "lab".into(), ..Claim::default() },
        ]
    }

    /// The file's two parts.
    fn parts(file: &Path) -> (String, serde_json::Value) {
        let whole: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let keys: Vec<&String> = whole.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["Checksum", "Data"]);
        (whole["Data"].as_str().unwrap().to_owned(), whole["Checksum"].clone())
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(read(&file).unwrap(), [], "there is no file");
        write(&file, claims()).unwrap();
        assert_eq!(read(&file).unwrap(), claims());
        write(&file, Vec::new()).unwrap();
        assert_eq!(read(&file).unwrap(), []);
    }

    #[test]
    fn fields_have_the_names_and_the_order_of_upstream() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        write(&file, claims()).unwrap();
        let expected = concat!(
            r#"{"kind":"DRACheckpoint","apiVersion":"checkpoint.dra.kubelet.k8s.io/v1","ClaimInfoStateList":["#,
            r#"{"ClaimUID":"uid-of-training","ClaimName":"training","Namespace":"lab","#,
            r#""PodUIDs":{"pod-a":{},"pod-b":{}},"DriverState":{"cards.test":{"Devices":["#,
            r#"{"PoolName":"rack-7","DeviceName":"card-3","ShareID":null,"RequestNames":["fast"],"#,
            r#""CDIDeviceIDs":["cards.test/card=three"]},"#,
            r#"{"PoolName":"rack-7","DeviceName":"card-3","ShareID":"half","RequestNames":[],"#,
            r#""CDIDeviceIDs":["cards.test/card=three"]}]},"silent.test":{"Devices":null}}},"#,
            r#"{"ClaimUID":"uid-of-idle","ClaimName":"idle","Namespace":"lab","PodUIDs":{},"DriverState":{}}]}"#,
        );
        assert_eq!(parts(&file).0, expected);
        write(&file, Vec::new()).unwrap();
        let empty =
            r#"{"kind":"DRACheckpoint","apiVersion":"checkpoint.dra.kubelet.k8s.io/v1","ClaimInfoStateList":null}"#;
        assert_eq!(parts(&file).0, empty);
    }

    /// The check value that is published with the parameters of CRC-32/ISO-HDLC.
    #[test]
    fn the_checksum_is_the_one_of_ieee() {
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_checksum_is_of_the_text_within_and_a_wrong_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        write(&file, claims()).unwrap();
        let (data, sum) = parts(&file);
        assert_eq!(sum, checksum(data.as_bytes()));
        let put = |data: &str, sum: u32| {
            let whole = serde_json::json!({"Data": data, "Checksum": sum});
            std::fs::write(&file, whole.to_string()).unwrap();
            read(&file)
        };
        let right = checksum(data.as_bytes());
        assert_eq!(put(&data, right).unwrap(), claims());
        assert!(matches!(put(&data, right ^ 1), Err(CheckpointError::Checksum { expected, actual })
            if expected == u64::from(right ^ 1) && actual == u64::from(right)));
        let other = data.replace("rack-7", "rack-8");
        assert!(
            matches!(put(&other, right), Err(CheckpointError::Checksum { expected, .. }) if expected == u64::from(right))
        );
        assert!(matches!(put("{", checksum(b"{")), Err(CheckpointError::Json(_))));
    }
}
