//! Network policies.

use super::sections::{Sections, or_none, shown};
use super::{selector, times};
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use rules::tree::Tree;

const INDENT: &str = "    ";

/// One of the two ways that traffic goes.
struct Direction {
    policy_type: &'static str,
    word: &'static str,
    rules: &'static str,
    peers: &'static str,
    title: &'static str,
    other_end: &'static str,
}

const DIRECTIONS: [Direction; 2] = [
    Direction {
        policy_type: "Ingress",
        word: "ingress",
        rules: "ingress",
        peers: "from",
        title: "From",
        other_end: "source",
    },
    Direction {
        policy_type: "Egress",
        word: "egress",
        rules: "egress",
        peers: "to",
        title: "To",
        other_end: "destination",
    },
];

pub(super) fn write(out: &mut Sections, policy: &Value) {
    let spec = &policy["spec"];
    out.field(0, "Name", policy.name());
    out.field(0, "Namespace", policy.namespace());
    out.field(0, "Created on", times::plain(policy.meta_str("creationTimestamp")));
    out.labels("Labels", policy.labels());
    out.annotations("Annotations", policy.annotations());
    out.line(0, "Spec:");
    out.write(1, "PodSelector: ");
    match selector::text(spec.at("podSelector")) {
        all if all.is_empty() => {
            out.line(2, "<none> (Allowing the specific traffic to all pods in this namespace)");
        }
        some => out.line(2, some),
    }
    for direction in &DIRECTIONS {
        direction.write(out, spec);
    }
    let types: Vec<&str> = spec.texts("policyTypes").collect();
    out.line(1, format_args!("Policy Types: {}", or_none(types.join(", "))));
}

impl Direction {
    fn write(&self, out: &mut Sections, spec: &Value) {
        let word = self.word;
        if !spec.texts("policyTypes").any(|t| t == self.policy_type) {
            out.line(1, format_args!("Not affecting {word} traffic"));
            return;
        }
        out.line(1, format_args!("Allowing {word} traffic:"));
        let rules = spec.items(self.rules);
        if rules.is_empty() {
            out.line(0, format_args!("{INDENT}<none> (Selected pods are isolated for {word} connectivity)"));
        }
        for (i, rule) in rules.iter().enumerate() {
            if i > 0 {
                out.line(0, format_args!("{INDENT}----------"));
            }
            ports(out, rule.items("ports"));
            self.peers(out, rule.items(self.peers));
        }
    }

    fn peers(&self, out: &mut Sections, peers: &[Value]) {
        let Self { title, other_end, .. } = self;
        if peers.is_empty() {
            out.line(0, format_args!("{INDENT}{title}: <any> (traffic not restricted by {other_end})"));
        }
        for peer in peers {
            out.line(0, format_args!("{INDENT}{title}:"));
            let selectors = [("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")];
            for (title, member) in selectors {
                if let Some(selector) = peer.at(member) {
                    out.line(1, format_args!("{INDENT}{title}: {}", selector::shown(Some(selector))));
                }
            }
            let selected = selectors.iter().any(|(_, member)| peer.has(member));
            if let Some(block) = peer.at("ipBlock").filter(|_| !selected) {
                out.line(1, format_args!("{INDENT}IPBlock:"));
                out.line(2, format_args!("{INDENT}CIDR: {}", block.text("cidr")));
                let except: Vec<&str> = block.texts("except").collect();
                out.line(2, format_args!("{INDENT}Except: {}", except.join(", ")));
            }
        }
    }
}

fn ports(out: &mut Sections, ports: &[Value]) {
    if ports.is_empty() {
        out.line(0, format_args!("{INDENT}To Port: <any> (traffic allowed to all ports)"));
    }
    for port in ports {
        let protocol = if port.text("protocol").is_empty() { "TCP" } else { port.text("protocol") };
        let number = port.at("port").map_or_else(|| "<nil>".into(), shown);
        match port.at("endPort") {
            None => out.line(0, format_args!("{INDENT}To Port: {number}/{protocol}")),
            Some(end) => out.line(0, format_args!("{INDENT}To Port Range: {number}-{end}/{protocol}")),
        }
    }
}
