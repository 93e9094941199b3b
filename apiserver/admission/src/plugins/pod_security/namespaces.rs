//! Labels of namespaces: that they can be read, and what they mean for the pods that are there.
//!
//! Upstream: `pod-security-admission/admission/admission.go` (`ValidateNamespace`, `EvaluatePodsInNamespace`).

use super::checks;
use super::level::{AUDIT, ENFORCE, Labels, Level, Policy, Standard, WARN};
use super::{PodSecurity, controller};
use crate::lookup::list;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::Status;
use apiserver_registry::admission::{Attributes, Operation};
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

/// Of so many pods of a namespace at most it is told that they violate what is enforced from now on.
const MAX_PODS: usize = 3000;
/// How long looking at them may take.
const TIME_FOR_PODS: Duration = Duration::from_secs(1);

impl PodSecurity {
    /// Refuses labels that cannot be read, unless they were as bad before; warns of pods that would not be let in again.
    pub(super) fn judge_namespace(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let of = |namespace: &Value| Policy::of(|key| label(namespace, key), &self.configuration.defaults);
        let (policy, errors) = of(attributes.object);
        let resource = &attributes.context.resource;
        let invalid = || Err(Status::invalid(&resource.gvk(), attributes.object.name(), &errors));
        if attributes.operation == Operation::Create {
            if !errors.is_empty() {
                return invalid();
            }
            self.warn_if_exempt(attributes, &policy);
            return Ok(());
        }
        let (old_policy, old_errors) = of(attributes.old_object);
        if !errors.is_empty() && errors != old_errors {
            return invalid();
        }
        let (new, old) = (policy.enforce, old_policy.enforce);
        let is_relaxed = new.version == old.version && new.level <= old.level;
        if new == old || new.level == Level::Privileged || is_relaxed {
            return Ok(());
        }
        if self.warn_if_exempt(attributes, &policy) {
            return Ok(());
        }
        for warning in self.violations_in(attributes.object.name(), new) {
            attributes.context.warn(warning);
        }
        Ok(())
    }

    /// Whether the namespace is exempt, so that its labels have no effect; says so if they ask for something.
    fn warn_if_exempt(&self, attributes: &Attributes<'_>, policy: &Policy) -> bool {
        let name = attributes.object.name();
        if !self.configuration.exemptions.namespaces.iter().any(|exempt| exempt == name) {
            return false;
        }
        if policy.is_privileged() || policy.is_as_good_as(&self.configuration.defaults) {
            return true;
        }
        let is_asked =
            |labels: Labels| [labels.level, labels.version].iter().any(|key| label(attributes.object, key).is_some());
        let modes = [("enforce", ENFORCE, policy.enforce), ("audit", AUDIT, policy.audit), ("warn", WARN, policy.warn)];
        let asked: Vec<String> = modes
            .into_iter()
            .filter(|(_, labels, standard)| standard.level != Level::Privileged && is_asked(*labels))
            .map(|(mode, _, standard)| format!("{mode}={standard}"))
            .collect();
        attributes.context.warn(format!(
            "namespace {name:?} is exempt from Pod Security, and the policy ({}) will be ignored",
            asked.join(", ")
        ));
        true
    }

    /// What is to be told of pods that are there and violate the standard.
    fn violations_in(&self, namespace: &str, standard: Standard) -> Vec<String> {
        let pods: Vec<Value> =
            list(&self.store, ("", "v1", "pods"), Some(namespace)).iter().map(|pod| pod.value()).collect();
        let pods: Vec<&Value> = pods.iter().filter(|pod| !self.is_exempt_class(pod)).collect();
        let (started, mut checked) = (Instant::now(), 0);
        let mut violators: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for pod in one_of_each_controller_first(&pods).into_iter().take(MAX_PODS) {
            checked += 1;
            let findings = checks::run(standard, pod);
            if !findings.is_empty() {
                violators.entry(checks::reasons(&findings)).or_default().push(pod.name());
            }
            if started.elapsed() > TIME_FOR_PODS {
                break;
            }
        }
        let mut warnings = Vec::new();
        if checked < pods.len() {
            warnings.push(format!(
                "new PodSecurity enforce level only checked against the first {checked} of {} existing pods",
                pods.len()
            ));
        }
        if !violators.is_empty() {
            warnings.push(format!(
                "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{standard}\""
            ));
        }
        let mut told: Vec<String> = violators.iter().map(|(reasons, names)| told(reasons, names)).collect();
        told.sort();
        warnings.extend(told);
        warnings
    }
}

/// `pod-a (and 2 other pods): host namespaces`.
fn told(reasons: &str, names: &[&str]) -> String {
    let first = names.iter().min().copied().unwrap_or_default();
    match names.len() {
        1 => format!("{first}: {reasons}"),
        2 => format!("{first} (and 1 other pod): {reasons}"),
        count => format!("{first} (and {} other pods): {reasons}", count - 1),
    }
}

/// Pods of one controller are alike: the first of each goes before the others.
fn one_of_each_controller_first<'p>(pods: &[&'p Value]) -> Vec<&'p Value> {
    let mut seen = HashSet::new();
    let (first, others): (Vec<&Value>, Vec<&Value>) =
        pods.iter().copied().partition(|pod| controller(pod).is_none_or(|uid| seen.insert(uid.to_owned())));
    first.into_iter().chain(others).collect()
}

fn label<'v>(object: &'v Value, key: &str) -> Option<&'v str> {
    object.labels()?.get(key)?.as_str()
}
