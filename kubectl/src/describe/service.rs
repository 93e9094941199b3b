//! Services.

use super::endpoints::listed;
use super::sections::{Sections, joined, or_none, shown};
use super::source::{Chosen, Source};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

/// The endpoint slices of a service.
pub(super) async fn slices(source: &Source<'_>, namespace: &str, service: &str) -> anyhow::Result<Vec<Value>> {
    let labels = format!("kubernetes.io/service-name={service}");
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    source.list(&path, Chosen { labels: &labels, ..Chosen::default() }).await
}

pub(super) fn write(out: &mut Sections, service: &Value, slices: &[Value]) {
    let spec = &service["spec"];
    out.field(0, "Name", service.name());
    out.field(0, "Namespace", service.namespace());
    out.labels("Labels", service.labels());
    out.annotations("Annotations", service.annotations());
    out.field(0, "Selector", joined(spec.object("selector")));
    out.field(0, "Type", spec.text("type"));
    out.field_if(0, "IP Family Policy", spec.text("ipFamilyPolicy"));
    out.field(0, "IP Families", or_none(list(spec, "ipFamilies")));
    out.field(0, "IP", spec.text("clusterIP"));
    out.field(0, "IPs", or_none(list(spec, "clusterIPs")));
    out.field_if(0, "External IPs", &list(spec, "externalIPs"));
    out.field_if(0, "Desired LoadBalancer IP", spec.text("loadBalancerIP"));
    out.field_if(0, "External Name", spec.text("externalName"));
    let balancer = &service["status"]["loadBalancer"];
    let places: Vec<String> = balancer.items("ingress").iter().map(place).collect();
    if !places.is_empty() {
        out.field(0, "LoadBalancer Ingress", places.join(", "));
    }
    spec.items("ports").iter().for_each(|port| write_port(out, port, slices));
    out.field(0, "Session Affinity", spec.text("sessionAffinity"));
    out.field_if(0, "External Traffic Policy", spec.text("externalTrafficPolicy"));
    out.field_if(0, "Internal Traffic Policy", spec.text("internalTrafficPolicy"));
    if spec.int("healthCheckNodePort") != 0 {
        out.field(0, "HealthCheck NodePort", spec.int("healthCheckNodePort"));
    }
    out.field_if(0, "LoadBalancer Source Ranges", &list(spec, "loadBalancerSourceRanges"));
    out.field_if(0, "Traffic Distribution", spec.text("trafficDistribution"));
}

fn list(spec: &Value, key: &str) -> String {
    spec.texts(key).collect::<Vec<_>>().join(",")
}

/// Where a load balancer answers.
fn place(ingress: &Value) -> String {
    match (ingress.text("ip"), ingress.text("ipMode")) {
        ("", _) => ingress.text("hostname").to_owned(),
        (ip, "") => ip.to_owned(),
        (ip, mode) => format!("{ip} ({mode})"),
    }
}

fn write_port(out: &mut Sections, port: &Value, slices: &[Value]) {
    let name = if port.text("name").is_empty() { "<unset>" } else { port.text("name") };
    let protocol = port.text("protocol");
    out.field(0, "Port", format_args!("{name}\t{}/{protocol}", port.int("port")));
    let target = port.at("targetPort").map_or_else(|| "0".into(), shown);
    out.field(0, "TargetPort", format_args!("{target}/{protocol}"));
    if port.has("appProtocol") {
        out.field(0, "AppProtocol", port.text("appProtocol"));
    }
    if port.int("nodePort") != 0 {
        out.field(0, "NodePort", format_args!("{name}\t{}/{protocol}", port.int("nodePort")));
    }
    out.field(0, "Endpoints", listed(slices, port.text("name")));
}
