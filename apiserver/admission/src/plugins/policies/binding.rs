//! A binding: which requests a policy is enforced on, with which parameters, and how.

use crate::dynamic::constraints::Constraints;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::selector::LabelSelector;

/// A `ValidatingAdmissionPolicyBinding` or `MutatingAdmissionPolicyBinding`.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) name: String,
    /// The policy that it binds.
    pub(super) policy: String,
    pub(super) params: Option<ParamRef>,
    /// `None` means all requests that the policy is about.
    pub(super) constraints: Option<Constraints>,
    /// What becomes of violations; mutating policies have none.
    pub(super) actions: Vec<Action>,
}

/// What becomes of a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The request is refused.
    Deny,
    /// The client is warned.
    Warn,
    /// The audit event says so.
    Audit,
}

/// Which objects are the parameters.
#[derive(Debug)]
pub(super) struct ParamRef {
    /// Empty for the namespace of the request.
    pub(super) namespace: String,
    pub(super) choice: Choice,
    pub(super) missing: Missing,
}

/// How parameters are chosen.
#[derive(Debug)]
pub(super) enum Choice {
    Name(String),
    Labels(LabelSelector),
    /// Neither is given, or the selector makes no sense: the binding cannot be used.
    Nothing(String),
}

/// What it means that there are no such objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The binding is not enforced.
    Allow,
    /// It fails.
    Deny,
}

impl Action {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Action::Deny => "Deny",
            Action::Warn => "Warn",
            Action::Audit => "Audit",
        }
    }
}

impl Binding {
    pub(super) fn parse(value: &Value) -> Self {
        let spec = value.get("spec").unwrap_or(&Value::Null);
        let actions = spec.get("validationActions").and_then(Value::as_array).into_iter().flatten();
        Self {
            name: value.name().to_owned(),
            policy: spec.get("policyName").and_then(Value::as_str).unwrap_or_default().to_owned(),
            params: spec.get("paramRef").map(ParamRef::parse),
            constraints: spec.get("matchResources").map(Constraints::parse),
            actions: actions
                .filter_map(|action| match action.as_str()? {
                    "Deny" => Some(Action::Deny),
                    "Warn" => Some(Action::Warn),
                    "Audit" => Some(Action::Audit),
                    _ => None,
                })
                .collect(),
        }
    }
}

impl ParamRef {
    fn parse(value: &Value) -> Self {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let choice = match (text("name"), value.get("selector")) {
            ("", None) => Choice::Nothing("one of name or selector must be provided".into()),
            ("", Some(selector)) => match LabelSelector::from_value(selector) {
                Ok(selector) => Choice::Labels(selector.unwrap_or_default()),
                Err(error) => Choice::Nothing(error.to_string()),
            },
            (name, None) => Choice::Name(name.to_owned()),
            (_, Some(_)) => Choice::Nothing("paramRef.name and paramRef.selector are mutually exclusive".into()),
        };
        let missing = if text("parameterNotFoundAction") == "Deny" { Missing::Deny } else { Missing::Allow };
        Self { namespace: text("namespace").to_owned(), choice, missing }
    }
}
