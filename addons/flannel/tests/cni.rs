//! The plugin as a runtime runs it, with a script in the other plugin's place.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Writes what it is told into a file of the command's name, and answers.
const OTHER: &str = r#"#!/bin/sh
cat > "$(dirname "$0")/told-$CNI_COMMAND"
if [ -e "$(dirname "$0")/refuse" ]; then
    echo '{"code": 11, "msg": "no room", "details": "try later"}'
    exit 1
fi
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion": "0.3.1", "ips": [{"address": "10.244.3.2/24"}]}'
exit 0
"#;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.plugin("bridge");
        let file =
            "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
        fs::write(place.path("subnet.env"), file).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plugin(&self, name: &str) {
        fs::write(self.path(name), OTHER).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn conf(&self, more: &Value) -> Value {
        let mut conf = json!({
            "cniVersion": "0.4.0", "name": "cbr0", "type": "flannel",
            "subnetFile": self.path("subnet.env"), "dataDir": self.path("data"),
        });
        conf.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        conf
    }

    fn run(&self, command: &str, container: &str, conf: &str) -> Output {
        let mut plugin = Command::new(env!("CARGO_BIN_EXE_flannel"))
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", container)
            .env("CNI_NETNS", "/var/run/netns/x")
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        plugin.stdin.take().unwrap().write_all(conf.as_bytes()).unwrap();
        plugin.wait_with_output().unwrap()
    }

    /// The answer of a command that succeeds.
    fn good(&self, command: &str, conf: &Value) -> String {
        let output = self.run(command, "c1", &conf.to_string());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}: {text}");
        text
    }

    /// Code and message of a command that fails.
    fn bad(&self, command: &str, container: &str, conf: &str) -> (u64, String) {
        let output = self.run(command, container, conf);
        assert!(!output.status.success(), "{command} succeeds");
        let error: Value = serde_json::from_slice(&output.stdout).unwrap();
        (error["code"].as_u64().unwrap(), error["msg"].as_str().unwrap().to_owned())
    }

    fn told(&self, command: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(&format!("told-{command}"))).unwrap()).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_container_comes_and_goes() {
    let place = Place::new();
    let conf = place.conf(&json!({"delegate": {"hairpinMode": true}}));
    let answer: Value = serde_json::from_str(&place.good("ADD", &conf)).unwrap();
    assert_eq!(answer["ips"][0]["address"], "10.244.3.2/24");
    let told = place.told("ADD");
    assert_eq!((&told["type"], &told["mtu"], &told["hairpinMode"]), (&json!("bridge"), &json!(1450), &json!(true)));
    assert_eq!(told["ipam"]["ranges"], json!([[{"subnet": "10.244.3.0/24"}]]));
    assert_eq!((mode(&place.path("data")), mode(&place.path("data/c1"))), (0o700, 0o600));

    let previous = json!({"ips": [{"address": "10.244.3.2/24"}]});
    place.good("CHECK", &place.conf(&json!({"prevResult": previous})));
    let checked = place.told("CHECK");
    assert_eq!((&checked["prevResult"], &checked["ipam"]), (&previous, &told["ipam"]));

    // What was added is taken away as it was added, whatever the file says by now.
    fs::remove_file(place.path("subnet.env")).unwrap();
    assert_eq!(place.good("DEL", &conf), "");
    assert_eq!(place.told("DEL"), told);
    assert!(!place.path("data/c1").exists());
    assert_eq!(place.good("DEL", &conf), "", "a second time");
}

#[test]
fn what_a_runtime_asks_first() {
    let place = Place::new();
    let answer: Value = serde_json::from_str(&place.good("VERSION", &json!({"cniVersion": "1.0.0"}))).unwrap();
    assert_eq!(answer["cniVersion"], "1.0.0");
    assert!(answer["supportedVersions"].as_array().unwrap().contains(&json!("0.3.1")));
    let newest = place.conf(&json!({"cniVersion": "1.1.0"}));
    place.good("STATUS", &newest);
    fs::remove_file(place.path("subnet.env")).unwrap();
    let (code, message) = place.bad("STATUS", "c1", &newest.to_string());
    assert_eq!(code, 50);
    assert!(message.ends_with("Check the flannel pod log for this node."), "{message}");
    assert_eq!(place.bad("ADD", "c1", &newest.to_string()).0, 999);
    assert!(!place.path("data").exists());
}

#[test]
fn what_fails_says_why() {
    let place = Place::new();
    let conf = place.conf(&json!({})).to_string();
    let with = |more: Value| place.conf(&more).to_string();
    let cases = [
        ("ADD", "../x", conf.clone(), 4, "CNI_CONTAINERID"),
        ("ADD", "", conf.clone(), 4, "CNI_CONTAINERID"),
        ("FLY", "c1", conf.clone(), 4, "unknown CNI_COMMAND: FLY"),
        ("ADD", "c1", "{".into(), 6, "failed to load netconf"),
        ("ADD", "c1", with(json!({"cniVersion": "9.0.0"})), 1, "incompatible CNI versions"),
        ("CHECK", "c1", with(json!({"cniVersion": "0.3.1"})), 1, "config version 0.3.1 does not allow CHECK"),
        ("CHECK", "c1", conf.clone(), 999, "container c1 was not added"),
        ("ADD", "c1", with(json!({"delegate": {"name": "x"}})), 7, "must not have 'name' field"),
        ("ADD", "c1", with(json!({"delegate": {"type": "none"}})), 999, "failed to find plugin \"none\""),
        ("ADD", "c1", with(json!({"delegate": {"type": "../bridge"}})), 999, "failed to find plugin"),
    ];
    for (command, container, conf, code, wanted) in cases {
        let (found, message) = place.bad(command, container, &conf);
        assert_eq!(found, code, "{command} {conf}: {message}");
        assert!(message.contains(wanted), "{command} {conf}: {message}");
    }
    fs::write(place.path("refuse"), "").unwrap();
    assert_eq!(place.bad("ADD", "c1", &conf), (11, "failed to delegate add: no room; try later".to_owned()));
    // What could not be taken away can be tried again.
    assert_eq!(place.bad("DEL", "c1", &conf).0, 11);
    assert!(place.path("data/c1").exists());
}

#[test]
fn what_is_kept_of_lost_containers_is_collected() {
    let place = Place::new();
    place.good("ADD", &place.conf(&json!({})));
    fs::write(place.path("data/other"), r#"{"name": "another network", "type": "bridge"}"#).unwrap();
    let here = json!([{"containerID": "c1", "ifname": "eth0"}]);
    place.good("GC", &place.conf(&json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": here})));
    assert!(place.path("data/c1").exists());
    assert_eq!(place.told("GC")["cni.dev/valid-attachments"], here);
    place.good("GC", &place.conf(&json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": []})));
    assert!(!place.path("data/c1").exists());
    assert!(place.path("data/other").exists(), "of another network");
}
