//! Ingresses and network policies.
//!
//! Upstream: `pkg/registry/networking/{ingress,networkpolicy}/strategy.go`.

use super::Sink;
use super::addresses::range;
use crate::tree::Tree;
use crate::validation::check::At;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

const SPEC: At<'static> = At::root("spec");
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(super) fn ingress(ingress: &Value, warn: &mut Sink<'_>) {
    let is_set = ingress.annotations().is_some_and(|all| all.contains_key(CLASS_ANNOTATION));
    if is_set && !ingress.at("spec").is_some_and(|spec| spec.has("ingressClassName")) {
        warn(format!("annotation {CLASS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead"));
    }
}

pub(super) fn policy(policy: &Value, warn: &mut Sink<'_>) {
    let Some(spec) = policy.at("spec") else { return };
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        let at = SPEC.child(list);
        for (index, rule) in spec.items(list).iter().enumerate() {
            let at = at.index(index);
            let at = at.child(peers);
            for (index, peer) in rule.items(peers).iter().enumerate() {
                let Some(block) = peer.at("ipBlock") else { continue };
                let at = at.index(index);
                let at = at.child("ipBlock");
                range(&at.child("cidr"), block.text("cidr"), warn);
                let except = at.child("except");
                for (index, text) in block.texts("except").enumerate() {
                    range(&except.index(index), text, warn);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn classes_have_a_member_of_their_own() {
        for (spec, want) in [(json!({}), 1), (json!({"ingressClassName": "x"}), 0)] {
            let mut said = Vec::new();
            let object = json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "x"}}, "spec": spec});
            ingress(&object, &mut |text| said.push(text));
            assert_eq!(said.len(), want);
        }
    }

    #[test]
    fn blocks_are_unambiguous() {
        let mut said = Vec::new();
        let block = json!({"cidr": "10.0.0.1/8", "except": ["10.1.0.0/16"]});
        policy(&json!({"spec": {"egress": [{"to": [{}, {"ipBlock": block}]}]}}), &mut |text| said.push(text));
        assert!(said[0].starts_with("spec.egress[0].to[1].ipBlock.cidr: CIDR value"), "{said:?}");
        assert_eq!(said.len(), 1);
    }
}
