//! `matchConstraints` of a policy, `matchResources` of a binding.
//!
//! Upstream: `apiserver/pkg/admission/plugin/policy/matching/matching.go`.

use super::request::Target;
use super::rules::{self, MatchPolicy, Rule};
use super::selectors::Selectors;
use apimachinery::Value;
use apimachinery::status::Status;
use apiserver_registry::admission::Attributes;
use apiserver_storage::Store;

/// Which requests a policy or a binding is about.
#[derive(Debug)]
pub(crate) struct Constraints {
    selectors: Selectors,
    /// None mean all resources.
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    policy: MatchPolicy,
}

impl Constraints {
    pub(crate) fn parse(value: &Value) -> Self {
        Self {
            selectors: Selectors::parse(value),
            rules: rules::parse(value.get("resourceRules")),
            excluded: rules::parse(value.get("excludeResourceRules")),
            policy: MatchPolicy::parse(value.get("matchPolicy")),
        }
    }

    /// As what the request is meant; `None` if it is not. What is cheap to tell is asked first.
    pub(crate) async fn target(&self, store: &Store, attributes: &Attributes<'_>) -> Result<Option<Target>, Status> {
        let target = match self.rules.is_empty() {
            true => Target::of(attributes.context),
            false => match rules::target(&self.rules, self.policy, attributes) {
                Some(target) => target,
                None => return Ok(None),
            },
        };
        let is_excluded = !self.excluded.is_empty() && rules::target(&self.excluded, self.policy, attributes).is_some();
        if is_excluded || !self.selectors.select(store, attributes).await? {
            return Ok(None);
        }
        Ok(Some(target))
    }
}
