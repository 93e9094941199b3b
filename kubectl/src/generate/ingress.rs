//! Ingresses from rules in one line each.
//!
//! Upstream: `kubectl/pkg/cmd/create/create_ingress.go`.

use super::{GenerateError, int_or_string};
use crate::cli::generators::Ingress;
use apimachinery::{Map, Value};
use regex::Regex;
use serde_json::json;

const RULE: &str = r"^(?P<host>[\w\*\-\.]*)(?P<path>/.*)=(?P<svcname>[\w\-]+):(?P<svcport>[\w\-]+)(,(?P<istls>tls)=?(?P<secretname>[\w\-]+)?)?";

/// An ingress.
pub fn ingress(name: &str, flags: &Ingress) -> Result<Value, GenerateError> {
    check(flags)?;
    let mut spec = Map::new();
    if !flags.class.is_empty() {
        spec.insert("ingressClassName".into(), flags.class.as_str().into());
    }
    if !flags.default_backend.is_empty() {
        spec.insert("defaultBackend".into(), backend(&flags.default_backend));
    }
    for (member, list) in [("tls", tls(&flags.rules)), ("rules", rules(&flags.rules))] {
        if !list.is_empty() {
            spec.insert(member.into(), list.into());
        }
    }
    let mut object =
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": spec});
    for (key, value) in flags.annotations.iter().filter_map(|a| a.split_once('=')) {
        object["metadata"]["annotations"][key] = value.into();
    }
    Ok(object)
}

fn check(flags: &Ingress) -> Result<(), GenerateError> {
    if flags.default_backend.is_empty() && flags.rules.is_empty() {
        return Err(GenerateError::Flags(
            "not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)",
        ));
    }
    let form = Regex::new(RULE).map_err(|_| GenerateError::Flags("failed to compile the regex"))?;
    if let Some(rule) = flags.rules.iter().find(|rule| !form.is_match(rule)) {
        return Err(GenerateError::Value(format!(
            "rule {rule} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"
        )));
    }
    if let Some(annotation) = flags.annotations.iter().find(|a| !a.contains('=')) {
        return Err(GenerateError::Value(format!(
            "annotation {annotation} is invalid and should be in format key=[value]"
        )));
    }
    if !flags.default_backend.is_empty() && flags.default_backend.split(':').count() != 2 {
        return Err(GenerateError::Flags("default-backend should be in format servicename:serviceport"));
    }
    Ok(())
}

fn backend(text: &str) -> Value {
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    let port = match int_or_string(port.split(':').next().unwrap_or_default()) {
        Value::String(name) => json!({"name": name}),
        number => json!({"number": number}),
    };
    json!({"service": {"name": name, "port": port}})
}

/// Hosts of one secret share an entry.
fn tls(rules: &[String]) -> Vec<Value> {
    let mut list: Vec<(String, Vec<&str>)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for rule in rules {
        let [_, tls] = rule.split(',').collect::<Vec<_>>()[..] else { continue };
        let host = rule.split('/').next().unwrap_or_default();
        let secret = tls.split_once('=').map_or("", |(_, secret)| secret.split('=').next().unwrap_or_default());
        if seen.contains(&host) {
            continue;
        }
        seen.push(host);
        match list.iter_mut().find(|(s, _)| s == secret) {
            Some((_, hosts)) => hosts.push(host),
            None if host.is_empty() && secret.is_empty() => {}
            None => list.push((secret.to_owned(), if host.is_empty() { vec![] } else { vec![host] })),
        }
    }
    let entry = |(secret, hosts): (String, Vec<&str>)| {
        let mut entry = Map::new();
        if !hosts.is_empty() {
            entry.insert("hosts".into(), hosts.into());
        }
        if !secret.is_empty() {
            entry.insert("secretName".into(), secret.into());
        }
        Value::Object(entry)
    };
    list.into_iter().map(entry).collect()
}

/// Paths of one host share a rule.
fn rules(rules: &[String]) -> Vec<Value> {
    let mut list: Vec<(&str, Vec<Value>)> = Vec::new();
    for rule in rules {
        let plain = rule.split(',').next().unwrap_or_default();
        let Some((host, rest)) = plain.split_once('/') else { continue };
        let mut parts = rest.split('=');
        let (path, service) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let path = format!("/{path}");
        let (path, kind) = path.strip_suffix('*').map_or((path.as_str(), "Exact"), |path| (path, "Prefix"));
        let entry = json!({"path": path, "pathType": kind, "backend": backend(service)});
        match list.iter_mut().find(|(h, _)| *h == host) {
            Some((_, paths)) => paths.push(entry),
            None => list.push((host, vec![entry])),
        }
    }
    let rule = |(host, paths): (&str, Vec<Value>)| {
        let mut rule = json!({"http": {"paths": paths}});
        if !host.is_empty() {
            rule["host"] = host.into();
        }
        rule
    };
    list.into_iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn paths_of_a_host_share_a_rule() {
        let list = rules(&texts(&["a.com/x*=svc:80", "a.com/y=svc:http,tls=s", "/z=other:1"]));
        assert_eq!(list.len(), 2);
        assert_eq!(list[0]["http"]["paths"][0]["pathType"], "Prefix");
        assert_eq!(list[0]["http"]["paths"][1]["backend"]["service"]["port"], json!({"name": "http"}));
        assert!(list[1].get("host").is_none());
    }

    #[test]
    fn hosts_of_a_secret_share_an_entry() {
        let list = tls(&texts(&["a.com/=s:80,tls=one", "b.com/=s:80,tls=one", "c.com/=s:80,tls", "d.com/=s:80"]));
        assert_eq!(list, [json!({"hosts": ["a.com", "b.com"], "secretName": "one"}), json!({"hosts": ["c.com"]})]);
    }
}
