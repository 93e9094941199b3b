//! Policies and the bindings that put them in force.
//!
//! Upstream: `apiserver/pkg/admission/plugin/policy/generic/policy_source.go`.

use super::binding::Binding;
use super::policy::Policy;
use crate::dynamic::compiled::Compiled;
use apimachinery::Value;
use apiserver_storage::Store;
use parking_lot::Mutex;
use std::sync::Arc;

/// A policy in force.
#[derive(Debug)]
pub(super) struct Hook<P> {
    pub(super) policy: Arc<P>,
    /// Never empty.
    pub(super) bindings: Vec<Arc<Binding>>,
}

/// All policies of a kind that are in force. It follows the watch cache: what was written is in
/// force as soon as it can be read. A policy is compiled once for each of its revisions.
pub(super) struct Source<P> {
    policies: Compiled<P>,
    bindings: Compiled<Binding>,
    current: Mutex<Joined<P>>,
}

/// Policies with their bindings, and what they were made of.
struct Joined<P> {
    policies: Vec<Arc<P>>,
    bindings: Vec<Arc<Binding>>,
    hooks: Arc<[Hook<P>]>,
}

impl<P: Policy> Source<P> {
    pub(super) fn new(
        store: &Store,
        policies: &str,
        bindings: &str,
        compile: impl Fn(&Value) -> P + Send + Sync + 'static,
    ) -> Self {
        Self {
            policies: Compiled::new(store.clone(), policies, compile),
            bindings: Compiled::new(store.clone(), bindings, Binding::parse),
            current: Mutex::new(Joined { policies: Vec::new(), bindings: Vec::new(), hooks: Arc::new([]) }),
        }
    }

    /// Whether no policy can be in force: the usual case, and a cheap question.
    pub(super) fn is_empty(&self) -> bool {
        self.bindings.is_empty() || self.policies.is_empty()
    }

    /// The policies in force, in the order of their names.
    pub(super) fn hooks(&self) -> Arc<[Hook<P>]> {
        let (policies, bindings) = (self.policies.all(), self.bindings.all());
        let mut current = self.current.lock();
        if !same(&current.policies, &policies) || !same(&current.bindings, &bindings) {
            let hooks = join(&policies, &bindings);
            *current = Joined { policies, bindings, hooks };
        }
        current.hooks.clone()
    }
}

fn same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

fn join<P: Policy>(policies: &[Arc<P>], bindings: &[Arc<Binding>]) -> Arc<[Hook<P>]> {
    let hooks = policies.iter().map(|policy| {
        let own = bindings.iter().filter(|binding| binding.policy == policy.head().name).cloned();
        Hook { policy: policy.clone(), bindings: own.collect() }
    });
    hooks.filter(|hook| !hook.bindings.is_empty()).collect()
}
