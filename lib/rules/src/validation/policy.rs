//! RBAC, networking, autoscaling, disruption budgets, webhooks and custom resources.
//!
//! Upstream: `pkg/apis/{rbac,networking,autoscaling,policy,admissionregistration}/validation`.

use super::check::{At, Report, same};
use super::config::named;
use super::names::{in_range, label, path_segment, subdomain, wildcard};
use super::values::{cidr, count_or_percent, port, selector};
use super::workloads::spec_of;
use crate::tree::Tree;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const SPEC: At<'static> = At::root("spec");
const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn role(role: &Value, out: &mut Report) {
    rules(role, true, out);
}

pub(super) fn cluster_role(role: &Value, out: &mut Report) {
    rules(role, false, out);
    let aggregation = At::root("aggregationRule");
    let at = aggregation.child("clusterRoleSelectors");
    let Some(rule) = role.at("aggregationRule") else { return };
    if rule.items("clusterRoleSelectors").is_empty() {
        out.required(&at, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    for (index, value) in rule.items("clusterRoleSelectors").iter().enumerate() {
        selector(&at.index(index), Some(value), out);
    }
}

fn rules(role: &Value, namespaced: bool, out: &mut Report) {
    let at = At::root("rules");
    for (index, rule) in role.items("rules").iter().enumerate() {
        self::rule(&at.index(index), rule, namespaced, out);
    }
}

fn rule(at: &At<'_>, rule: &Value, namespaced: bool, out: &mut Report) {
    let has = |key: &str| !rule.items(key).is_empty();
    if !has("verbs") {
        out.required(&at.child("verbs"), "verbs must contain at least one value");
    }
    if has("nonResourceURLs") {
        let (at, value) = (at.child("nonResourceURLs"), rule.at("nonResourceURLs").unwrap_or(&Value::Null));
        if namespaced {
            out.invalid(&at, value, "namespaced rules cannot apply to non-resource URLs");
        }
        if has("apiGroups") || has("resources") || has("resourceNames") {
            out.invalid(&at, value, "rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    if !has("apiGroups") {
        out.required(&at.child("apiGroups"), "resource rules must supply at least one api group");
    }
    if !has("resources") {
        out.required(&at.child("resources"), "resource rules must supply at least one resource");
    }
}

pub(super) fn role_binding(binding: &Value, out: &mut Report) {
    bind(binding, &["ClusterRole", "Role"], out);
}

pub(super) fn cluster_role_binding(binding: &Value, out: &mut Report) {
    bind(binding, &["ClusterRole"], out);
}

fn bind(binding: &Value, kinds: &[&str], out: &mut Report) {
    let at = At::root("roleRef");
    let role = binding.at("roleRef").unwrap_or(&Value::Null);
    if role.text("apiGroup") != RBAC {
        out.not_supported(&at.child("apiGroup"), role.text("apiGroup"), &[RBAC]);
    }
    if !kinds.contains(&role.text("kind")) {
        out.not_supported(&at.child("kind"), role.text("kind"), kinds);
    }
    match role.text("name") {
        "" => out.required(&at.child("name"), ""),
        name => out.invalid_each(&at.child("name"), name, path_segment(name)),
    }
    let at = At::root("subjects");
    for (index, subject) in binding.items("subjects").iter().enumerate() {
        self::subject(&at.index(index), subject, out);
    }
}

fn subject(at: &At<'_>, subject: &Value, out: &mut Report) {
    let (name, group) = (subject.text("name"), subject.text("apiGroup"));
    if name.is_empty() {
        out.required(&at.child("name"), "");
    }
    let wanted = match subject.text("kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                out.invalid_each(&at.child("name"), name, subdomain(name));
            }
            if subject.text("namespace").is_empty() {
                out.required(&at.child("namespace"), "");
            }
            ""
        }
        "User" | "Group" => RBAC,
        kind => return out.not_supported(&at.child("kind"), kind, &["ServiceAccount", "User", "Group"]),
    };
    if group != wanted {
        out.not_supported(&at.child("apiGroup"), group, &[wanted]);
    }
}

pub(super) fn binding_update(new: &Value, old: &Value, out: &mut Report) {
    if !same(new.at("roleRef"), old.at("roleRef")) {
        out.invalid(&At::root("roleRef"), new.at("roleRef").unwrap_or(&Value::Null), "cannot change roleRef");
    }
}

pub(super) fn ingress(ingress: &Value, out: &mut Report) {
    let spec = spec_of(ingress);
    if spec.items("rules").is_empty() && !spec.has("defaultBackend") {
        let value = spec.at("rules").unwrap_or(&Value::Null);
        out.invalid(&SPEC, value, "either `defaultBackend` or `rules` must be specified");
    }
    if let Some(backend) = spec.at("defaultBackend") {
        self::backend(&SPEC.child("defaultBackend"), backend, out);
    }
    let at = SPEC.child("rules");
    for (index, rule) in spec.items("rules").iter().enumerate() {
        ingress_rule(&at.index(index), rule, out);
    }
    let class = spec.text("ingressClassName");
    if spec.has("ingressClassName") {
        out.invalid_each(&SPEC.child("ingressClassName"), class, subdomain(class));
    }
}

fn ingress_rule(at: &At<'_>, rule: &Value, out: &mut Report) {
    let host = rule.text("host");
    if !host.is_empty() {
        let findings = match () {
            () if host.parse::<std::net::IpAddr>().is_ok() => vec!["must be a DNS name, not an IP address".into()],
            () if host.contains('*') => wildcard(host),
            () => subdomain(host),
        };
        out.invalid_each(&at.child("host"), host, findings);
    }
    let Some(http) = rule.at("http") else { return };
    let at = at.child("http");
    let at = at.child("paths");
    if http.items("paths").is_empty() {
        out.required(&at, "");
    }
    for (index, path) in http.items("paths").iter().enumerate() {
        ingress_path(&at.index(index), path, out);
    }
}

fn ingress_path(at: &At<'_>, path: &Value, out: &mut Report) {
    let text = path.text("path");
    match path.text("pathType") {
        "" => out.required(&at.child("pathType"), "pathType must be specified"),
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                out.invalid(&at.child("path"), text, "must be an absolute path");
            }
            for bad in ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|bad| text.contains(bad)) {
                out.invalid(&at.child("path"), text, format!("must not contain '{bad}'"));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                out.invalid(&at.child("path"), text, "must be an absolute path");
            }
        }
        kind => out.not_supported(&at.child("pathType"), kind, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    backend(&at.child("backend"), path.at("backend").unwrap_or(&Value::Null), out);
}

fn backend(at: &At<'_>, backend: &Value, out: &mut Report) {
    match (backend.at("service"), backend.at("resource")) {
        (Some(_), Some(_)) => {
            out.invalid(at, "", "cannot set both resource and service backends");
        }
        (None, None) => out.required(at, "port name or number is required"),
        (None, Some(_)) => {}
        (Some(service), None) => {
            let at = at.child("service");
            match service.text("name") {
                "" => out.required(&at.child("name"), ""),
                name => out.invalid_each(&at.child("name"), name, label(name)),
            }
            let given = service.at("port").unwrap_or(&Value::Null);
            let at = at.child("port");
            match (given.text("name"), given.int("number")) {
                ("", 0) => out.required(&at, "port name or number is required"),
                ("", _) => port(&at.child("number"), given.at("number"), out),
                (_, 0) => port(&at.child("name"), given.at("name"), out),
                (_, number) => out.invalid(&at, number, "cannot set both port name & port number"),
            }
        }
    }
}

pub(super) fn network_policy(policy: &Value, out: &mut Report) {
    let spec = spec_of(policy);
    selector(&SPEC.child("podSelector"), spec.at("podSelector"), out);
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        let at = SPEC.child(list);
        for (index, rule) in spec.items(list).iter().enumerate() {
            let at = at.index(index);
            let ports = at.child("ports");
            for (index, port) in rule.items("ports").iter().enumerate() {
                policy_port(&ports.index(index), port, out);
            }
            let at = at.child(peers);
            for (index, peer) in rule.items(peers).iter().enumerate() {
                policy_peer(&at.index(index), peer, out);
            }
        }
    }
    let at = SPEC.child("policyTypes");
    for (index, kind) in spec.texts("policyTypes").enumerate() {
        out.one_of(&at.index(index), kind, &["Egress", "Ingress"]);
    }
}

fn policy_port(at: &At<'_>, policy_port: &Value, out: &mut Report) {
    out.one_of_or_empty(&at.child("protocol"), policy_port.text("protocol"), &["SCTP", "TCP", "UDP"]);
    let number = policy_port.at("port");
    if number.is_some() {
        port(&at.child("port"), number, out);
    }
    if let Some(end) = policy_port.at("endPort").and_then(Value::as_i64) {
        let at = at.child("endPort");
        match number {
            None => out.required(&at, "must be specified when `endPort` is set"),
            Some(Value::String(_)) => out.invalid(&at, end, "may not be specified when `port` is non-numeric"),
            Some(start) if start.as_i64() > Some(end) => {
                out.invalid(&at, end, "must be greater than or equal to `port`");
            }
            Some(_) => {
                if let Some(finding) = in_range(end, 1, 65535) {
                    out.invalid(&at, end, finding);
                }
            }
        }
    }
}

fn policy_peer(at: &At<'_>, peer: &Value, out: &mut Report) {
    let selects = peer.has("podSelector") || peer.has("namespaceSelector");
    for key in ["podSelector", "namespaceSelector"] {
        selector(&at.child(key), peer.at(key), out);
    }
    match peer.at("ipBlock") {
        None if !selects => out.required(at, "must specify a peer"),
        None => {}
        Some(_) if selects => out.forbidden(at, "may not specify both ipBlock and another peer"),
        Some(block) => {
            let at = at.child("ipBlock");
            match block.text("cidr") {
                "" => out.required(&at.child("cidr"), ""),
                range => cidr(&at.child("cidr"), range, out),
            }
            let except = at.child("except");
            for (index, range) in block.texts("except").enumerate() {
                cidr(&except.index(index), range, out);
            }
        }
    }
}

pub(super) fn ingress_class_update(new: &Value, old: &Value, out: &mut Report) {
    let controller = |class| spec_of(class).at("controller");
    out.immutable(&SPEC.child("controller"), controller(new), controller(old));
}

pub(super) fn autoscaler(object: &Value, out: &mut Report) {
    let spec = spec_of(object);
    let min = spec.at("minReplicas").and_then(Value::as_i64);
    let max = spec.int("maxReplicas");
    if let Some(min) = min.filter(|min| *min < 1) {
        out.invalid(&SPEC.child("minReplicas"), min, "must be greater than or equal to 1");
    }
    if max < 1 {
        out.invalid(&SPEC.child("maxReplicas"), max, "must be greater than 0");
    }
    if min.is_some_and(|min| max < min) {
        out.invalid(&SPEC.child("maxReplicas"), max, "must be greater than or equal to `minReplicas`");
    }
    let at = SPEC.child("scaleTargetRef");
    let target = spec.at("scaleTargetRef").unwrap_or(&Value::Null);
    for key in ["kind", "name"] {
        match target.text(key) {
            "" => out.required(&at.child(key), ""),
            text => out.invalid_each(&at.child(key), text, path_segment(text)),
        }
    }
}

pub(super) fn disruption_budget(budget: &Value, out: &mut Report) {
    let spec = spec_of(budget);
    if spec.has("minAvailable") && spec.has("maxUnavailable") {
        out.invalid(&SPEC, spec, "minAvailable and maxUnavailable cannot be both set");
    }
    for key in ["minAvailable", "maxUnavailable"] {
        if let Some(value) = spec.at(key) {
            count_or_percent(&SPEC.child(key), value, out);
        }
    }
    const POLICIES: [&str; 2] = ["AlwaysAllow", "IfHealthyBudget"];
    let policy = spec.text("unhealthyPodEvictionPolicy");
    out.one_of_or_empty(&SPEC.child("unhealthyPodEvictionPolicy"), policy, &POLICIES);
    selector(&SPEC.child("selector"), spec.at("selector"), out);
}

pub(super) fn webhooks(configuration: &Value, out: &mut Report) {
    let at = At::root("webhooks");
    let hooks = configuration.items("webhooks");
    for (index, hook) in hooks.iter().enumerate() {
        let at = at.index(index);
        webhook(&at, hook, out);
        if hooks[..index].iter().any(|h| h.text("name") == hook.text("name")) {
            out.duplicate(&at.child("name"), hook.text("name"));
        }
    }
}

fn webhook(at: &At<'_>, hook: &Value, out: &mut Report) {
    let name = hook.text("name");
    let name_at = at.child("name");
    match name {
        "" => out.required(&name_at, ""),
        name if !subdomain(name).is_empty() => out.invalid(&name_at, name, subdomain(name).join(",")),
        name if name.split('.').count() < 3 => {
            out.invalid(&name_at, name, "should be a domain with at least three segments separated by dots");
        }
        _ => {}
    }
    if hook.items("admissionReviewVersions").is_empty() {
        out.required(&at.child("admissionReviewVersions"), "must specify one of v1, v1beta1");
    } else if !hook.texts("admissionReviewVersions").any(|v| v == "v1" || v == "v1beta1") {
        let value = hook.at("admissionReviewVersions").unwrap_or(&Value::Null);
        out.invalid(&at.child("admissionReviewVersions"), value, "must include at least one of v1, v1beta1");
    }
    match hook.text("sideEffects") {
        "" => out.required(&at.child("sideEffects"), "must specify one of None, NoneOnDryRun"),
        effects => out.one_of(&at.child("sideEffects"), effects, &["None", "NoneOnDryRun"]),
    }
    out.one_of_or_empty(&at.child("failurePolicy"), hook.text("failurePolicy"), &["Fail", "Ignore"]);
    out.one_of_or_empty(&at.child("matchPolicy"), hook.text("matchPolicy"), &["Equivalent", "Exact"]);
    let seconds = hook.at("timeoutSeconds").and_then(Value::as_i64).unwrap_or(10);
    if !(1..=30).contains(&seconds) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        out.invalid(&at.child("timeoutSeconds"), seconds, detail);
    }
    for key in ["namespaceSelector", "objectSelector"] {
        selector(&at.child(key), hook.at(key), out);
    }
    let client = hook.at("clientConfig").unwrap_or(&Value::Null);
    if client.has("url") == client.has("service") {
        out.required(&at.child("clientConfig"), "exactly one of url or service is required");
    }
    let rules = at.child("rules");
    for (index, rule) in hook.items("rules").iter().enumerate() {
        let at = rules.index(index);
        for key in ["operations", "apiGroups", "apiVersions", "resources"] {
            if rule.items(key).is_empty() {
                out.required(&at.child(key), "");
            }
        }
    }
}

/// A custom resource definition in outline; schemas are checked where they are compiled.
pub(super) fn custom_resource_definition(definition: &Value, out: &mut Report) {
    let spec = spec_of(definition);
    let names = spec.at("names").unwrap_or(&Value::Null);
    let expected = format!("{}.{}", names.text("plural"), spec.text("group"));
    if definition.name() != expected {
        let metadata = At::root("metadata");
        out.invalid(&metadata.child("name"), definition.name(), "must be spec.names.plural+\".\"+spec.group");
    }
    match spec.text("group") {
        "" => out.required(&SPEC.child("group"), ""),
        group => {
            out.invalid_each(&SPEC.child("group"), group, subdomain(group));
            if group.split('.').count() < 2 {
                out.invalid(&SPEC.child("group"), group, "should be a domain with at least one dot");
            }
        }
    }
    out.one_of(&SPEC.child("scope"), spec.text("scope"), &["Cluster", "Namespaced"]);
    let at = SPEC.child("names");
    for key in ["plural", "singular", "kind", "listKind"] {
        let text = names.text(key).to_lowercase();
        match text.as_str() {
            "" => out.required(&at.child(key), ""),
            text => out.invalid_each(&at.child(key), text, super::names::label_1035(text)),
        }
    }
    versions(spec, out);
}

fn versions(spec: &Value, out: &mut Report) {
    let at = SPEC.child("versions");
    let versions = spec.items("versions");
    let stored = versions.iter().filter(|v| v.flag("storage")).count();
    let value = spec.at("versions").unwrap_or(&Value::Null);
    if stored != 1 {
        out.invalid(&at, value, "must have exactly one version marked as storage version");
    }
    for (index, version) in versions.iter().enumerate() {
        let at = at.index(index);
        let name = version.text("name");
        out.invalid_each(&at.child("name"), name, super::names::label_1035(name));
        if versions[..index].iter().any(|v| v.text("name") == name) {
            out.invalid(&at.child("name"), name, "must contain unique version names");
        }
        if version.at("schema").is_none_or(|s| !s.has("openAPIV3Schema")) {
            let at = at.child("schema");
            out.required(&at.child("openAPIV3Schema"), "schemas are required");
        }
    }
}

pub(super) fn custom_resource_definition_update(new: &Value, old: &Value, out: &mut Report) {
    let (new, old) = (spec_of(new), spec_of(old));
    for key in ["group", "scope"] {
        out.immutable(&SPEC.child(key), new.at(key), old.at(key));
    }
    let names = |spec: &Value, key: &str| spec.at("names").and_then(|n| n.at(key)).cloned();
    let at = SPEC.child("names");
    for key in ["plural", "kind"] {
        out.immutable(&at.child(key), names(new, key).as_ref(), names(old, key).as_ref());
    }
}

pub(super) fn api_service(service: &Value, out: &mut Report) {
    let spec = spec_of(service);
    let expected = format!("{}.{}", spec.text("version"), spec.text("group"));
    if service.name() != expected {
        let metadata = At::root("metadata");
        let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
        out.invalid(&metadata.child("name"), service.name(), detail);
    }
    let group = spec.text("group");
    if !group.is_empty() {
        out.invalid_each(&SPEC.child("group"), group, subdomain(group));
    }
    named_version(spec, out);
    for (key, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let value = spec.int(key);
        if !(1..=max).contains(&value) {
            out.invalid(&SPEC.child(key), value, format!("must be positive and less than {max}"));
        }
    }
    match spec.at("service") {
        Some(reference) => {
            let at = SPEC.child("service");
            for key in ["namespace", "name"] {
                named(&at.child(key), reference.text(key), out);
            }
            if spec.flag("insecureSkipTLSVerify") && !spec.lacks("caBundle") {
                out.invalid(&SPEC.child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present");
            }
        }
        None if !spec.lacks("caBundle") => {
            out.invalid(&SPEC.child("caBundle"), "<omitted>", "local APIServices may not have a caBundle");
        }
        None => {}
    }
}

fn named_version(spec: &Value, out: &mut Report) {
    let version = spec.text("version");
    match version {
        "" => out.required(&SPEC.child("version"), ""),
        version => out.invalid_each(&SPEC.child("version"), version, super::names::label_1035(version)),
    }
}
