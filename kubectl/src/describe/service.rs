//! Services.

use super::{at, line, pairs};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(super) fn describe(out: &mut String, service: &Value) {
    line(out, "Name", service.name());
    line(out, "Namespace", service.namespace());
    pairs(out, "Labels", service.labels());
    pairs(out, "Annotations", service.annotations());
    let selector = service.pointer("/spec/selector").and_then(Value::as_object).into_iter().flatten();
    let selector: Vec<String> = selector.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    line(out, "Selector", if selector.is_empty() { "<none>".into() } else { selector.join(",") }.as_str());
    line(out, "Type", at(service, "/spec/type"));
    line(out, "IP Family Policy", at(service, "/spec/ipFamilyPolicy"));
    line(out, "IP", at(service, "/spec/clusterIP"));
    for port in service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten() {
        let name = port.get("name").and_then(Value::as_str).unwrap_or("<unset>");
        line(out, "Port", &format!("{name}  {}/{}", port["port"], at(port, "/protocol")));
        line(
            out,
            "TargetPort",
            &format!("{}/{}", port["targetPort"].to_string().trim_matches('"'), at(port, "/protocol")),
        );
        if let Some(node_port) = port.get("nodePort") {
            line(out, "NodePort", &format!("{name}  {node_port}/{}", at(port, "/protocol")));
        }
    }
    line(out, "Session Affinity", at(service, "/spec/sessionAffinity"));
    for (title, pointer) in [
        ("External Traffic Policy", "/spec/externalTrafficPolicy"),
        ("Internal Traffic Policy", "/spec/internalTrafficPolicy"),
    ] {
        if at(service, pointer) != "<none>" {
            line(out, title, at(service, pointer));
        }
    }
}
