//! `cluster-info` and `cluster-info dump`.
//!
//! Upstream: `kubectl/pkg/cmd/clusterinfo`.

use super::{Session, encode, with_query};
use crate::cli::PrintFlags;
use crate::cli::cluster_info::{ClusterInfo, Dump, More};
use crate::discovery::Asks;
use crate::print::{Printer, Set};
use crate::{selected, targets};
use anyhow::{Context, bail};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use std::io::Write;
use std::path::Path;

pub(super) async fn run(session: &Session, flags: &ClusterInfo) -> anyhow::Result<()> {
    match &flags.command {
        Some(More::Dump(flags)) => dump(session, flags).await,
        None => addresses(session).await,
    }
}

async fn addresses(session: &Session) -> anyhow::Result<()> {
    let namespace = if session.namespace_given { session.namespace.as_str() } else { "kube-system" };
    let path = format!("/api/v1/namespaces/{namespace}/services");
    let selector = "kubernetes.io/cluster-service=true";
    let path = with_query(&path, &[("labelSelector", selector), ("limit", "500")]);
    let services = async {
        let discovery = session.discovery(Asks::of(&["services".to_owned()])).await?;
        targets::parse(&discovery, "get", &["services".to_owned()])?;
        session.client.get(&path, "application/json").await.map_err(|error| {
            let what = "\"/v1, Resource=services\"";
            let doing = format!("Unable to find {what} that match label selector \"{selector}\", field selector \"\"");
            selected::while_listing(error, &doing)
        })
    }
    .await;
    if let Ok(list) = &services {
        crate::outln!("Kubernetes control plane is running at {}", session.client.server());
        for service in list["items"].as_array().into_iter().flatten() {
            let label = service.labels().and_then(|l| l.get("kubernetes.io/name")?.as_str()).unwrap_or_default();
            let name = if label.is_empty() { service.name() } else { label };
            crate::outln!("{name} is running at {}", link(service, session.client.server()));
        }
    }
    tell_more()?;
    services.map(drop)
}

/// Where more is told.
pub(super) fn tell_more() -> anyhow::Result<()> {
    crate::outln!("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.");
    Ok(())
}

/// The balancer's address, or the way through the server's proxy.
fn link(service: &Value, server: &str) -> String {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    if let Some(ingress) = service.pointer("/status/loadBalancer/ingress/0") {
        let text = |key: &str| ingress[key].as_str().filter(|s| !s.is_empty());
        let host = text("ip").or(text("hostname")).unwrap_or_default();
        return ports.map(|p| format!("http://{host}:{} ", p["port"])).collect();
    }
    let name = ports.clone().next().map_or_else(
        || service.name().to_owned(),
        |port| {
            let name = port["name"].as_str().unwrap_or_default();
            let secure = name == "https" || port["port"] == 443;
            match (secure, name) {
                (true, name) => format!("https:{}:{name}", service.name()),
                (false, "") => service.name().to_owned(),
                (false, name) => format!("{}:{name}", service.name()),
            }
        },
    );
    format!("{server}/api/v1/namespaces/{}/services/{name}/proxy", service.namespace())
}

/// The types that are dumped of each namespace: file name, path of the group, plural.
const DUMPED: [(&str, &str, &str); 7] = [
    ("events", "/api/v1", "events"),
    ("replication-controllers", "/api/v1", "replicationcontrollers"),
    ("services", "/api/v1", "services"),
    ("daemonsets", "/apis/apps/v1", "daemonsets"),
    ("deployments", "/apis/apps/v1", "deployments"),
    ("replicasets", "/apis/apps/v1", "replicasets"),
    ("pods", "/api/v1", "pods"),
];

/// An empty list as Go writes it.
fn empty_as_null(mut list: Value) -> Value {
    if list["items"].as_array().is_some_and(Vec::is_empty) {
        list["items"] = Value::Null;
    }
    list
}

async fn dump(session: &Session, flags: &Dump) -> anyhow::Result<()> {
    if apimachinery::time::parse_go_duration(&flags.pod_running_timeout).is_none_or(|t| t.is_zero()) {
        bail!("--pod-running-timeout must be higher than zero");
    }
    let mut print = flags.print.clone();
    if print.output.is_empty() && print.template.is_empty() {
        print.output = "json".to_owned();
    }
    Printer::of(&print, Set::Objects, false)?;
    let mut dumper = Dumper { folder: &flags.output_directory, extension: extension(&print.output), print: &print };
    dumper.list(session, "nodes", "/api/v1/nodes").await?;
    for namespace in namespaces(session, flags).await? {
        for (name, root, plural) in DUMPED {
            let path = format!("{root}/namespaces/{namespace}/{plural}");
            let list = dumper.list(session, &format!("{namespace}/{name}"), &path).await?;
            if plural == "pods" {
                for pod in list["items"].as_array().into_iter().flatten() {
                    dumper.logs(session, &namespace, pod).await?;
                }
            }
        }
    }
    if dumper.to_files() {
        crate::outln!("Cluster info dumped to {}", flags.output_directory);
    }
    Ok(())
}

fn extension(output: &str) -> &'static str {
    match output {
        "" | "json" => ".json",
        "yaml" => ".yaml",
        _ => ".txt",
    }
}

async fn namespaces(session: &Session, flags: &Dump) -> anyhow::Result<Vec<String>> {
    if flags.all_namespaces {
        let resource = crate::discovery::Resource {
            plural: "namespaces".into(),
            singular: "namespace".into(),
            kind: "Namespace".into(),
            namespaced: false,
            ..crate::pods::resource()
        };
        let found = selected::list(session, &resource, None, "", "").await?;
        return Ok(found.iter().map(|n| n.name().to_owned()).collect());
    }
    match flags.namespaces.is_empty() {
        true => Ok(vec!["kube-system".into(), session.namespace.clone()]),
        false => Ok(flags.namespaces.clone()),
    }
}

/// Where what is dumped goes.
struct Dumper<'a> {
    folder: &'a str,
    extension: &'static str,
    print: &'a PrintFlags,
}

impl Dumper<'_> {
    fn to_files(&self) -> bool {
        !matches!(self.folder, "" | "-")
    }

    fn writer(&self, name: &str, extension: &str) -> anyhow::Result<Box<dyn Write>> {
        if !self.to_files() {
            return Ok(Box::new(std::io::stdout()));
        }
        let path = Path::new(self.folder).join(format!("{name}{extension}"));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("mkdir {}", folder.display()))?;
        }
        Ok(Box::new(std::fs::File::create(&path).with_context(|| format!("open {}", path.display()))?))
    }

    async fn list(&mut self, session: &Session, name: &str, path: &str) -> anyhow::Result<Value> {
        let list = session.client.get(path, "application/json").await?;
        // A printer of its own for each file, so that none begins with a separator.
        let printer = Printer::of(self.print, Set::Objects, false)?;
        let Some(mut printer) = printer.map(Printer::typed) else { bail!("no output format") };
        let shown = match self.print.show_managed_fields {
            true => list.clone(),
            false => crate::print::without_managed_fields(list.clone()),
        };
        let mut out = self.writer(name, self.extension)?;
        printer.print(&mut out, &empty_as_null(shown))?;
        out.flush()?;
        Ok(list)
    }

    async fn logs(&self, session: &Session, namespace: &str, pod: &Value) -> anyhow::Result<()> {
        let name = pod.name();
        let mut out = self.writer(&format!("{namespace}/{name}/logs"), ".txt")?;
        let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array().cloned());
        for container in lists.into_iter().flatten().flatten() {
            let container = container["name"].as_str().unwrap_or_default().to_owned();
            writeln!(out, "==== START logs for container {container} of pod {namespace}/{name} ====")?;
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?container={}", encode(&container));
            match session.client.get_bytes(&path, "*/*").await {
                Ok(text) => out.write_all(&text)?,
                Err(error) => writeln!(out, "Request log error: {error:#}")?,
            }
            writeln!(out, "==== END logs for container {container} of pod {namespace}/{name} ====")?;
        }
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn links_to_services() {
        let service = |spec: Value, status: Value| json!({"metadata": {"name": "dns", "namespace": "kube-system"}, "spec": spec, "status": status});
        for (spec, status, want) in [
            (
                json!({"ports": [{"name": "dns", "port": 53}]}),
                json!({}),
                "http://h/api/v1/namespaces/kube-system/services/dns:dns/proxy",
            ),
            (
                json!({"ports": [{"port": 443}]}),
                json!({}),
                "http://h/api/v1/namespaces/kube-system/services/https:dns:/proxy",
            ),
            (json!({}), json!({}), "http://h/api/v1/namespaces/kube-system/services/dns/proxy"),
            (
                json!({"ports": [{"port": 80}]}),
                json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}),
                "http://1.2.3.4:80 ",
            ),
        ] {
            assert_eq!(link(&service(spec, status), "http://h"), want);
        }
    }
}
