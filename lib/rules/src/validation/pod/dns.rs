//! Names: the resolver's configuration, aliases, and the names of the pod itself.

use super::super::check::{At, Report};
use super::super::names::{label, subdomain, subdomain_with_underscore};
use super::super::values::ip;
use crate::tree::Tree;
use apimachinery::Value;

const MAX_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_LETTERS: usize = 2048;
const MAX_HOSTNAME: usize = 64;

pub(super) fn config(at: &At<'_>, spec: &Value, out: &mut Report) {
    let at = at.child("dnsConfig");
    let servers_at = at.child("nameservers");
    let config = spec.at("dnsConfig");
    if spec.text("dnsPolicy") == "None" {
        let Some(config) = config else {
            return out.required(&at, "must provide `dnsConfig` when `dnsPolicy` is None");
        };
        if config.items("nameservers").is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return out.required(&servers_at, detail);
        }
    }
    let Some(config) = config else { return };
    if config.items("nameservers").len() > MAX_SERVERS {
        let list = config.at("nameservers").unwrap_or(&Value::Null);
        out.invalid(&servers_at, list, format!("must not have more than {MAX_SERVERS} nameservers"));
    }
    for (index, server) in config.texts("nameservers").enumerate() {
        ip(&servers_at.index(index), server, out);
    }
    searches(&at.child("searches"), config, out);
    let options = at.child("options");
    for (index, _) in config.items("options").iter().enumerate().filter(|(_, o)| o.text("name").is_empty()) {
        out.required(&options.index(index), "must not be empty");
    }
}

fn searches(at: &At<'_>, config: &Value, out: &mut Report) {
    let list = config.at("searches").unwrap_or(&Value::Null);
    let count = config.items("searches").len();
    if count > MAX_SEARCHES {
        out.invalid(at, list, format!("must not have more than {MAX_SEARCHES} search paths"));
    }
    // The spaces between them count.
    let letters = config.texts("searches").map(str::len).sum::<usize>() + count.saturating_sub(1);
    if letters > MAX_SEARCH_LETTERS {
        let detail =
            format!("must not have more than {MAX_SEARCH_LETTERS} characters (including spaces) in the search list");
        out.invalid(at, list, detail);
    }
    for (index, search) in config.texts("searches").enumerate().filter(|(_, s)| *s != ".") {
        let name = search.strip_suffix('.').unwrap_or(search);
        out.invalid_each(&at.index(index), name, subdomain_with_underscore(name));
    }
}

pub(super) fn host_aliases(at: &At<'_>, spec: &Value, out: &mut Report) {
    for (index, alias) in spec.items("hostAliases").iter().enumerate() {
        let at = at.index(index);
        ip(&at.child("ip"), alias.text("ip"), out);
        let hostnames = at.child("hostnames");
        for (index, name) in alias.texts("hostnames").enumerate() {
            out.invalid_each(&hostnames.index(index), name, subdomain(name));
        }
    }
}

/// A host name in place of the pod's.
pub(super) fn hostname_override(at: &At<'_>, spec: &Value, out: &mut Report) {
    let Some(name) = spec.at("hostnameOverride").and_then(Value::as_str) else { return };
    let at = at.child("hostnameOverride");
    if spec.flag("setHostnameAsFQDN") {
        out.forbidden(&at, "may not be specified when setHostnameAsFQDN is true");
    }
    if spec.flag("hostNetwork") {
        out.forbidden(&at, "may not be specified when hostNetwork is true");
    }
    if name.len() > MAX_HOSTNAME {
        out.too_long(&at, MAX_HOSTNAME);
    }
    out.invalid_each(&at, name, subdomain(name));
}

/// The pod's name and domain among others.
pub(super) fn hostname(at: &At<'_>, spec: &Value, out: &mut Report) {
    for key in ["hostname", "subdomain"] {
        let name = spec.text(key);
        if !name.is_empty() {
            out.invalid_each(&at.child(key), name, label(name));
        }
    }
}
