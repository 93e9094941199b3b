//! Ingresses with what stands behind their backends.

use super::endpoints::listed;
use super::sections::Sections;
use super::service::slices;
use super::source::Source;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;
use std::collections::BTreeSet;

/// An ingress whose backends are known in words.
pub(super) struct Described<'a> {
    ingress: &'a Value,
    default: String,
    /// Per rule with paths: its host, and each path with its backend.
    rules: Vec<(&'a str, Vec<(&'a str, String)>)>,
}

impl<'a> Described<'a> {
    /// Looks the backends up.
    pub(super) async fn of(source: &Source<'_>, ingress: &'a Value) -> Self {
        let (spec, namespace) = (&ingress["spec"], ingress.namespace());
        let default = match spec.at("defaultBackend") {
            Some(of) => backend(source, namespace, of).await,
            None => "<default>".into(),
        };
        let mut rules = Vec::new();
        for rule in spec.items("rules") {
            let Some(http) = rule.at("http") else { continue };
            let mut paths = Vec::new();
            for path in http.items("paths") {
                paths.push((path.text("path"), backend(source, namespace, &path["backend"]).await));
            }
            let host = rule.text("host");
            rules.push((if host.is_empty() { "*" } else { host }, paths));
        }
        Self { ingress, default, rules }
    }

    pub(super) fn write(&self, out: &mut Sections) {
        let (ingress, spec) = (self.ingress, &self.ingress["spec"]);
        out.field(0, "Name", ingress.name());
        out.labels("Labels", ingress.labels());
        out.field(0, "Namespace", ingress.namespace());
        out.field(0, "Address", addresses(ingress));
        let class = spec.at("ingressClassName").and_then(Value::as_str);
        out.field(0, "Ingress Class", class.unwrap_or("<none>"));
        out.field(0, "Default backend", &self.default);
        tls(out, spec.items("tls"));
        out.line(0, "Rules:");
        out.head(1, &["Host", "Path", "Backends"]);
        for (host, paths) in &self.rules {
            out.line(1, format_args!("{host}\t"));
            for (path, backend) in paths {
                out.line(2, format_args!("\t{path} \t{backend}"));
            }
        }
        if self.rules.is_empty() {
            out.line(1, format_args!("*\t*\t{}", self.default));
        }
        out.annotations("Annotations", ingress.annotations());
    }
}

fn addresses(ingress: &Value) -> String {
    let places = ingress["status"]["loadBalancer"].items("ingress").iter();
    let places = places.map(|i| if i.text("ip").is_empty() { i.text("hostname") } else { i.text("ip") });
    places.filter(|p| !p.is_empty()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
}

fn tls(out: &mut Sections, parts: &[Value]) {
    if parts.is_empty() {
        return;
    }
    out.line(0, "TLS:");
    for part in parts {
        let hosts = part.texts("hosts").collect::<Vec<_>>().join(",");
        match part.text("secretName") {
            "" => out.line(1, format_args!("SNI routes {hosts}")),
            secret => out.line(1, format_args!("{secret} terminates {hosts}")),
        }
    }
}

async fn backend(source: &Source<'_>, namespace: &str, backend: &Value) -> String {
    if let Some(service) = backend.at("service") {
        let port = &service["port"];
        let number = match port.int("number") {
            0 => port.text("name").to_owned(),
            number => number.to_string(),
        };
        let behind = match behind(source, namespace, service).await {
            Ok(endpoints) => endpoints,
            Err(error) => format!("<error: {error}>"),
        };
        return format!("{}:{number} ({behind})", service.text("name"));
    }
    let Some(resource) = backend.at("resource") else { return String::new() };
    let group = resource.at("apiGroup").and_then(Value::as_str).unwrap_or("<none>");
    format!("APIGroup: {group}, Kind: {}, Name: {}", resource.text("kind"), resource.text("name"))
}

/// The endpoints of a backend's port.
async fn behind(source: &Source<'_>, namespace: &str, backend: &Value) -> anyhow::Result<String> {
    let name = backend.text("name");
    let slices = slices(source, namespace, name).await?;
    let service = source.get(&format!("/api/v1/namespaces/{namespace}/services/{name}")).await?;
    let port = &backend["port"];
    let is_meant = |p: &&Value| match port.int("number") {
        0 => !port.text("name").is_empty() && port.text("name") == p.text("name"),
        number => number == p.int("port"),
    };
    let found = service["spec"].items("ports").iter().rfind(is_meant);
    Ok(listed(&slices, found.map(|p| p.text("name")).unwrap_or_default()))
}
