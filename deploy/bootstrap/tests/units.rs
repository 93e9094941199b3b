//! The units in `deploy/systemd`, judged by systemd itself where it is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The units and how exposed each may be, in tenths, by the measure of `systemd-analyze security`.
/// The kubelet mounts for pods, and can be kept from little.
const UNITS: &[(&str, u32)] = &[
    ("etcd", 20),
    ("kube-apiserver", 20),
    ("kube-controller-manager", 20),
    ("kube-scheduler", 20),
    ("kube-proxy", 26),
    ("kubelet", 92),
];

/// Where the system's own units are.
const SYSTEM: &str = "/usr/lib/systemd/system";

fn has_systemd() -> bool {
    let found = Command::new("systemd-analyze").arg("--version").output().is_ok_and(|o| o.status.success());
    if !found {
        println!("skipped: systemd-analyze is absent");
    }
    found
}

/// A machine's root folder with the units, and a program for each.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    let units = root.path().join("etc/systemd/system");
    copy(&ours, &units);
    copy(Path::new(SYSTEM), &root.path().join("usr/lib/systemd/system"));
    fs::create_dir_all(root.path().join("usr/bin")).expect("a folder");
    for name in UNITS.iter().map(|(name, _)| *name).chain(["containerd"]) {
        fs::copy("/bin/true", root.path().join("usr/bin").join(name)).expect("a program");
    }
    for link in ["lib", "bin"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), root.path().join(link)).expect("a link");
    }
    root
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else if path.is_file() {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

/// What `systemd-analyze` says of the units in a root folder: whether it is content, and its words.
fn analyze(root: &Path, words: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(words)
        .arg(format!("--root={}", root.display()))
        .env("SYSTEMD_LOG_LEVEL", "warning")
        .output()
        .expect("systemd-analyze runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn paths(root: &Path) -> Vec<PathBuf> {
    UNITS.iter().map(|(name, _)| root.join(format!("etc/systemd/system/{name}.service"))).collect()
}

fn verify(root: &Path) -> (bool, String) {
    let names: Vec<String> = UNITS.iter().map(|(name, _)| format!("{name}.service")).collect();
    let mut words = vec!["verify", "--man=no", "--recursive-errors=no"];
    words.extend(names.iter().map(String::as_str));
    analyze(root, &words)
}

#[test]
fn systemd_understands_every_line() {
    if !has_systemd() {
        return;
    }
    let root = root();
    assert_eq!(verify(root.path()), (true, String::new()));
    // Unknown settings are a warning to systemd: only its words tell of them.
    let unit = &paths(root.path())[0];
    let text = fs::read_to_string(unit).expect("a unit").replace("NoNewPrivileges=", "NoNewPrivilege=");
    fs::write(unit, text).expect("written");
    assert!(verify(root.path()).1.contains("NoNewPrivilege"));
}

#[test]
fn each_is_kept_from_what_it_does_not_need() {
    if !has_systemd() {
        return;
    }
    let root = root();
    for (name, most) in UNITS {
        let threshold = format!("--threshold={most}");
        let words = ["security", "--offline=true", "--no-pager", &threshold, &format!("{name}.service")];
        let (ok, words) = analyze(root.path(), &words);
        assert!(ok, "{name} is more exposed than {most}: {words}");
    }
}

#[test]
fn every_unit_of_ours_is_judged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    let units = fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path());
    let mut names: Vec<String> = units
        .filter(|p| p.extension().is_some_and(|e| e == "service"))
        .filter_map(|p| Some(p.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort_unstable();
    let mut known: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
}
