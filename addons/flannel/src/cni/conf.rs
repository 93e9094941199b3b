//! The plugin's configuration, and the one that it makes of it for another plugin. Pure.

use crate::subnet_file::SubnetFile;
use ipnet::IpNet;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The plugin's configuration.
#[derive(Clone, Debug)]
pub(super) struct NetConf {
    fields: Map<String, Value>,
}

impl NetConf {
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let fields: Map<String, Value> =
            serde_json::from_slice(text).map_err(|error| format!("failed to load netconf: {error}"))?;
        for (name, is_text) in [("cniVersion", true), ("name", true), ("subnetFile", true), ("dataDir", true)]
            .into_iter()
            .chain([("delegate", false), ("ipam", false), ("runtimeConfig", false)])
        {
            let fits = |value: &Value| value.is_null() || if is_text { value.is_string() } else { value.is_object() };
            if !fields.get(name).is_none_or(fits) {
                let kind = if is_text { "a string" } else { "an object" };
                return Err(format!("failed to load netconf: {name} is not {kind}"));
            }
        }
        Ok(Self { fields })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// The protocol's version.
    pub(super) fn version(&self) -> &str {
        self.text("cniVersion").unwrap_or("0.1.0")
    }

    /// The network's name.
    pub(super) fn name(&self) -> Option<&Value> {
        self.fields.get("name")
    }

    pub(super) fn subnet_file(&self) -> &Path {
        Path::new(self.text("subnetFile").unwrap_or("/run/flannel/subnet.env"))
    }

    /// Where the configurations of added containers are kept.
    pub(super) fn data_dir(&self) -> &Path {
        Path::new(self.text("dataDir").unwrap_or("/var/lib/cni/flannel"))
    }

    pub(super) fn previous_result(&self) -> Option<&Value> {
        self.fields.get("prevResult")
    }

    /// The containers that are still there, for garbage collection.
    pub(super) fn valid_containers(&self) -> Vec<&str> {
        let all = self.fields.get(ATTACHMENTS).and_then(Value::as_array);
        all.into_iter().flatten().filter_map(|attachment| attachment.get("containerID")?.as_str()).collect()
    }

    pub(super) fn pass_attachments(&self, delegate: &mut Value) {
        if let Some(attachments) = self.fields.get(ATTACHMENTS) {
            delegate[ATTACHMENTS] = attachments.clone();
        }
    }

    /// The configuration of the plugin that does the work.
    pub(super) fn delegate(&self, file: &SubnetFile) -> Result<Value, String> {
        let mut delegate = self.fields.get("delegate").and_then(Value::as_object).cloned().unwrap_or_default();
        if delegate.get("type").is_some_and(|kind| !kind.is_string()) {
            return Err("'delegate' dictionary, if present, must have (string) 'type' field".into());
        }
        for field in ["name", "ipam"] {
            if delegate.contains_key(field) {
                return Err(format!("'delegate' dictionary must not have '{field}' field, it'll be set by flannel"));
            }
        }
        let mut default = |name: &str, value: Value| {
            delegate.entry(name).or_insert(value);
        };
        default("type", "bridge".into());
        // One of both masquerades.
        default("ipMasq", (!file.ip_masq).into());
        default("mtu", file.mtu.into());
        if delegate["type"] == "bridge" {
            delegate.entry("isGateway").or_insert(true.into());
        }
        let given = |name: &str| self.fields.get(name).filter(|value| !value.is_null()).cloned();
        let set = [
            ("name", Some(given("name").unwrap_or_default())),
            ("cniVersion", self.text("cniVersion").map(Value::from)),
            ("runtimeConfig", given("runtimeConfig")),
            ("ipam", Some(self.ipam(file)?)),
        ];
        delegate.extend(set.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Ok(Value::Object(delegate))
    }

    /// The node's part is where addresses come from; the network of all pods is routed.
    fn ipam(&self, file: &SubnetFile) -> Result<Value, String> {
        let mut ipam = self.fields.get("ipam").and_then(Value::as_object).cloned().unwrap_or_default();
        ipam.entry("type").or_insert("host-local".into());
        let ranges: Vec<Value> =
            file.subnets.iter().map(|(_, subnet)| json!([{"subnet": subnet.to_string()}])).collect();
        ipam.insert("ranges".into(), ranges.into());
        let given = match ipam.get("routes") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(routes)) => routes.clone(),
            Some(_) => return Err("failed to parse ipam.routes: not a list".into()),
        };
        let is_route = |route: &Value| route["dst"].as_str().is_some_and(|dst| dst.parse::<IpNet>().is_ok());
        if let Some(bad) = given.iter().find(|route| !is_route(route)) {
            return Err(format!("failed to parse ipam.routes: {bad}"));
        }
        let networks = file.subnets.iter().map(|(network, _)| json!({"dst": network.to_string()}));
        ipam.insert("routes".into(), given.into_iter().chain(networks).collect());
        Ok(Value::Object(ipam))
    }
}

/// What the runtime says about the containers that are there.
const ATTACHMENTS: &str = "cni.dev/valid-attachments";

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> SubnetFile {
        let nets = ("10.244.0.0/16".parse().unwrap(), "10.244.3.0/24".parse().unwrap());
        SubnetFile { subnets: vec![nets], mtu: 1450, ip_masq: true }
    }

    fn delegate(conf: &Value) -> Result<Value, String> {
        NetConf::parse(conf.to_string().as_bytes())?.delegate(&file())
    }

    #[test]
    fn what_the_other_plugin_is_told() {
        let ranges = json!([[{"subnet": "10.244.3.0/24"}]]);
        let ipam = json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "10.244.0.0/16"}]});
        let cases = [
            (
                json!({"name": "cbr0", "type": "flannel"}),
                json!({"name": "cbr0", "type": "bridge", "ipMasq": false, "mtu": 1450, "isGateway": true, "ipam": ipam}),
            ),
            (
                json!({"name": "cbr0", "cniVersion": "0.3.1", "type": "flannel",
                       "delegate": {"hairpinMode": true, "isDefaultGateway": true, "mtu": 1400},
                       "runtimeConfig": {"portMappings": []}}),
                json!({"name": "cbr0", "cniVersion": "0.3.1", "type": "bridge", "ipMasq": false, "mtu": 1400,
                       "isGateway": true, "hairpinMode": true, "isDefaultGateway": true,
                       "runtimeConfig": {"portMappings": []}, "ipam": ipam}),
            ),
            (
                json!({"name": "n", "delegate": {"type": "ptp", "ipMasq": true},
                       "ipam": {"type": "x", "dataDir": "/d", "routes": [{"dst": "192.0.2.0/24"}]}}),
                json!({"name": "n", "type": "ptp", "ipMasq": true, "mtu": 1450,
                       "ipam": {"type": "x", "dataDir": "/d", "ranges": ranges,
                                "routes": [{"dst": "192.0.2.0/24"}, {"dst": "10.244.0.0/16"}]}}),
            ),
        ];
        for (conf, wanted) in cases {
            assert_eq!(delegate(&conf).unwrap(), wanted, "{conf}");
        }
    }

    #[test]
    fn what_is_refused() {
        let cases = [
            (json!({"delegate": {"name": "x"}}), "must not have 'name' field"),
            (json!({"delegate": {"ipam": {}}}), "must not have 'ipam' field"),
            (json!({"delegate": {"type": 3}}), "must have (string) 'type' field"),
            (json!({"delegate": []}), "delegate is not an object"),
            (json!({"dataDir": 1}), "dataDir is not a string"),
            (json!({"ipam": {"routes": {}}}), "ipam.routes: not a list"),
            (json!({"ipam": {"routes": [{"dst": "x"}]}}), "ipam.routes: {\"dst\":\"x\"}"),
            (json!([]), "failed to load netconf"),
        ];
        for (conf, wanted) in cases {
            let error = delegate(&conf).expect_err("an error");
            assert!(error.contains(wanted), "{conf}: {error}");
        }
    }
}
