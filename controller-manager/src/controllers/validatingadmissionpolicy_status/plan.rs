//! What is wrong with a policy's expressions, given the types of what they are about.

use cel::Type;
use k8s_openapi::api::admissionregistration::v1::{
    ExpressionWarning, NamedRuleWithOperations, ValidatingAdmissionPolicy, ValidatingAdmissionPolicySpec,
};
use rules::expressions::Compiler;
use std::fmt;

/// Most kinds that a policy is checked against.
pub(super) const MAX_KINDS: usize = 10;

/// A resource that a policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
}

/// A kind, in upstream's order and form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}, Kind={}", self.group, self.version, self.kind)
    }
}

/// What expressions are checked against.
#[derive(Debug, Default)]
pub(super) struct Types {
    /// The kinds of `object`, sorted.
    pub(super) objects: Vec<(Kind, Type)>,
    /// The type of `params`, if it is known.
    pub(super) params: Option<Type>,
}

/// Whether the policy has changed since its status was written.
pub(super) fn is_due(policy: &ValidatingAdmissionPolicy) -> bool {
    let observed = policy.status.as_ref().and_then(|status| status.observed_generation).unwrap_or_default();
    policy.metadata.generation.unwrap_or_default() > observed
}

/// The resources that a policy names one by one: rules with stars say nothing of types.
pub(super) fn resources(spec: &ValidatingAdmissionPolicySpec) -> Vec<Resource> {
    let rules = spec.match_constraints.as_ref().and_then(|constraints| constraints.resource_rules.as_ref());
    rules.into_iter().flatten().flat_map(named).collect()
}

fn named(rule: &NamedRuleWithOperations) -> Vec<Resource> {
    let sorted = |list: &Option<Vec<String>>| {
        let mut list = list.clone().unwrap_or_default();
        list.sort();
        list
    };
    let (groups, versions) = (sorted(&rule.api_groups), sorted(&rule.api_versions));
    if groups.iter().chain(&versions).any(|text| text.contains('*')) {
        return Vec::new();
    }
    let mut plurals = sorted(&rule.resources);
    plurals.retain(|plural| !plural.contains(['*', '/']));
    let mut all = Vec::new();
    for group in &groups {
        for version in &versions {
            let resource =
                |plural: &String| Resource { group: group.clone(), version: version.clone(), plural: plural.clone() };
            all.extend(plurals.iter().map(resource));
        }
    }
    all
}

/// The kind of a policy's parameters.
pub(super) fn params(spec: &ValidatingAdmissionPolicySpec) -> Option<Kind> {
    let kind = spec.param_kind.as_ref()?;
    let api_version = kind.api_version.as_deref()?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Some(Kind { group: group.to_owned(), version: version.to_owned(), kind: kind.kind.clone()? })
}

/// What would go wrong in the policy's validations and their messages.
pub(super) fn warnings(spec: &ValidatingAdmissionPolicySpec, types: &Types) -> Vec<ExpressionWarning> {
    let compilers: Vec<(&Kind, Compiler)> =
        types.objects.iter().map(|(kind, of)| (kind, compiler(spec, of, types.params.as_ref()))).collect();
    let mut warnings = Vec::new();
    for (index, validation) in spec.validations.iter().flatten().enumerate() {
        let message = validation.message_expression.as_deref().unwrap_or_default();
        for (member, source) in [("expression", validation.expression.as_str()), ("messageExpression", message)] {
            if source.is_empty() {
                continue;
            }
            let found = compilers
                .iter()
                .filter_map(|(kind, compiler)| compiler.any(source).err().map(|error| format!("{kind}: {error}\n")));
            let found: Vec<String> = found.collect();
            if !found.is_empty() {
                let field_ref = format!("spec.validations[{index}].{member}");
                warnings.push(ExpressionWarning { field_ref, warning: found.join("\n") });
            }
        }
    }
    warnings
}

fn compiler(spec: &ValidatingAdmissionPolicySpec, object: &Type, params: Option<&Type>) -> Compiler {
    let mut types = vec![("object", object.clone()), ("oldObject", object.clone())];
    types.extend(params.map(|of| ("params", of.clone())));
    let mut compiler = Compiler::composed(spec.param_kind.is_some()).with_types(types);
    for variable in spec.variables.iter().flatten() {
        // A variable that does not fit is dynamic; what uses it may still fail.
        let _ = compiler.variable(&variable.name, &variable.expression);
    }
    compiler
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn policy(spec: Value) -> ValidatingAdmissionPolicy {
        serde_json::from_value(json!({"metadata": {"name": "p", "generation": 2}, "spec": spec})).unwrap()
    }

    fn spec(spec: Value) -> ValidatingAdmissionPolicySpec {
        policy(spec).spec.unwrap()
    }

    fn rules(groups: &[&str], versions: &[&str], plurals: &[&str]) -> ValidatingAdmissionPolicySpec {
        spec(json!({"matchConstraints": {"resourceRules": [
            {"operations": ["*"], "apiGroups": groups, "apiVersions": versions, "resources": plurals}]}}))
    }

    #[test]
    fn only_what_is_named_has_a_type() {
        let named = |spec: ValidatingAdmissionPolicySpec| -> Vec<String> {
            resources(&spec).iter().map(|r| format!("{}/{}/{}", r.group, r.version, r.plural)).collect()
        };
        assert_eq!(
            named(rules(&["apps"], &["v1", "v1beta1"], &["deployments", "deployments/scale", "daemonsets"])),
            ["apps/v1/daemonsets", "apps/v1/deployments", "apps/v1beta1/daemonsets", "apps/v1beta1/deployments"]
        );
        assert!(named(rules(&["*"], &["v1"], &["pods"])).is_empty());
        assert!(named(rules(&[""], &["*"], &["pods"])).is_empty());
        assert!(named(rules(&[""], &["v1"], &["*", "*/*"])).is_empty());
        assert!(named(spec(json!({}))).is_empty());
    }

    #[test]
    fn a_policy_is_due_once_for_each_generation() {
        let mut policy = policy(json!({}));
        assert!(is_due(&policy));
        for (observed, due) in [(1, true), (2, false)] {
            policy.status.get_or_insert_default().observed_generation = Some(observed);
            assert_eq!(is_due(&policy), due, "{observed}");
        }
    }

    #[test]
    fn confusions_are_warned_about() {
        let object = Type::record("Deployment", [("spec", Type::record("Spec", [("replicas", Type::Int)]))]);
        let kind = |name: &str| Kind { group: "apps".into(), version: "v1".into(), kind: name.into() };
        let types = Types { objects: vec![(kind("Deployment"), object)], params: None };
        let spec = spec(json!({
            "variables": [{"name": "replicas", "expression": "object.spec.replicas"}],
            "validations": [
                {"expression": "object.spec.replicas > 1"},
                {"expression": "object.spec.replicas > '1'", "messageExpression": "'got ' + object.spec.replicas"},
                {"expression": "variables.replicas > 'a'"},
                {"expression": "authorizer.path('/').check('get').allowed()"}]}));
        let found = warnings(&spec, &types);
        let fields: Vec<&str> = found.iter().map(|warning| warning.field_ref.as_str()).collect();
        assert_eq!(
            fields,
            [
                "spec.validations[1].expression",
                "spec.validations[1].messageExpression",
                "spec.validations[2].expression"
            ]
        );
        assert_eq!(
            found[0].warning,
            "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, \
             string)'\n | object.spec.replicas > '1'\n | .....................^\n"
        );
        assert!(found[1].warning.contains("found no matching overload for '_+_' applied to '(string, int)'"));
    }

    #[test]
    fn parameters_have_a_kind() {
        let with = |version: &str| spec(json!({"paramKind": {"apiVersion": version, "kind": "A"}}));
        assert_eq!(params(&with("v1")).map(|kind| kind.to_string()).as_deref(), Some("/v1, Kind=A"));
        assert_eq!(params(&with("g/v1")).map(|kind| kind.to_string()).as_deref(), Some("g/v1, Kind=A"));
        assert_eq!(params(&spec(json!({}))), None);
    }
}
