//! On plain folders: the kernel's part is tested where a node runs.
use super::*;
use crate::resources::requests::tests::{container, pod};

fn burstable() -> Pod {
    let mut p = pod(vec![], vec![container("c", &[("cpu", "250m")], &[])]);
    p.metadata.uid = Some("u1".into());
    p
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

const POLICY: Policy = Policy { per_qos: true, enforce_quota: true, pids: Some(1024) };

#[test]
fn v1_has_one_folder_per_controller() {
    let dir = tempfile::tempdir().unwrap();
    for c in ["cpu", "memory", "cpuset"] {
        std::fs::create_dir(dir.path().join(c)).unwrap();
        std::fs::write(dir.path().join(c).join("cgroup.procs"), "").unwrap();
    }
    // Nothing is mounted here.
    std::fs::create_dir(dir.path().join("pids")).unwrap();
    std::fs::write(dir.path().join("cpuset/cpuset.cpus"), "0-1\n").unwrap();
    std::fs::write(dir.path().join("cpuset/cpuset.mems"), "0\n").unwrap();
    let groups = Cgroups::new(Arc::new(v1::Hierarchies::new(dir.path())), Naming::Folders, "/", POLICY);
    groups.prepare(Amount::whole(2), Some(Amount::whole(1 << 20))).unwrap();
    assert_eq!(read(dir.path().join("cpu/kubepods/cpu.shares")), "2048");
    assert_eq!(read(dir.path().join("memory/kubepods/memory.limit_in_bytes")), "1048576");
    groups.ensure(&burstable(), false).unwrap();
    assert_eq!(read(dir.path().join("cpu/kubepods/burstable/podu1/cpu.shares")), "256");
    assert_eq!(read(dir.path().join("cpuset/kubepods/burstable/podu1/cpuset.cpus")), "0-1");
    assert_eq!(groups.parent(&burstable()), "/kubepods/burstable/podu1");
    assert_eq!(groups.pods(), ["u1"]);
    assert!(!dir.path().join("pids/kubepods").exists());
}

#[test]
fn v2_has_weights() {
    let dir = tempfile::tempdir().unwrap();
    let groups = Cgroups::new(Arc::new(v2::Unified::new(dir.path())), Naming::Folders, "/", POLICY);
    groups.prepare(Amount::whole(1), None).unwrap();
    assert_eq!(read(dir.path().join("kubepods/cpu.weight")), "100");
    groups.ensure(&burstable(), false).unwrap();
    assert!(dir.path().join("kubepods/burstable/podu1/cpu.weight").exists());
    assert_eq!(read(dir.path().join("kubepods/burstable/podu1/pids.max")), "1024");
    groups.balance(&[Arc::new(burstable())]).unwrap();
    assert_eq!(read(dir.path().join("kubepods/burstable/cpu.weight")), weight_of(256));
}

fn weight_of(shares: i64) -> String {
    linux::weight(shares).to_string()
}
