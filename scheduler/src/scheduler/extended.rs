//! A decision in which extenders take part: the cache is not locked while they are asked, so that
//! what they said is looked at anew before the pod is assumed.

use super::{Choice, Scheduler};
use crate::cache::Cache;
use crate::decide::{self, Feasible, Infeasible};
use crate::diagnosis::Diagnosis;
use crate::extender::{self, Extender, ExtenderError, Filtered, Question};
use crate::framework::{Rejected, Rejection};
use crate::model::{NodeId, Pod};
use crate::preempt::{self, Candidate, Preemption, Search};
use crate::profile::Profile;
use crate::trace::Trace;
use k8s_openapi::api::core::v1 as core;
use std::collections::HashMap;
use std::sync::Arc;

/// Objects as the API has them.
pub trait Objects: Send + Sync {
    /// A pod.
    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<core::Pod>>;
    /// A node.
    fn node(&self, name: &str) -> Option<Arc<core::Node>>;
}

/// Extenders, and the objects that they are told about.
pub struct Extenders {
    /// In the order in which they are asked.
    pub list: Vec<Extender>,
    /// Where objects come from.
    pub objects: Arc<dyn Objects>,
}

impl std::fmt::Debug for Extenders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extenders").field("list", &self.list).finish_non_exhaustive()
    }
}

/// Nodes by name: numbers may be others after the cache was unlocked.
struct Named {
    nodes: Vec<Arc<str>>,
    rejected: Vec<Rejected>,
    of: usize,
}

impl Scheduler {
    /// The extenders that have a say about the pod.
    pub(super) fn extenders_of(&self, pod: &Pod) -> Vec<Extender> {
        let all = self.extenders.get().into_iter().flat_map(|extenders| &extenders.list);
        all.filter(|extender| extender.is_interested(pod)).cloned().collect()
    }

    /// As [`Scheduler::choose`], with extenders.
    pub(super) async fn choose_with(
        &self,
        extenders: &[Extender],
        profile: &Profile,
        pod: &Arc<Pod>,
        trace: &mut Trace,
    ) -> Choice {
        let Some(objects) = self.extenders.get().map(|extenders| Arc::clone(&extenders.objects)) else {
            return self.choose(profile, pod, trace);
        };
        let Some(whole) = objects.pod(&pod.namespace, &pod.name) else {
            return Choice::Failed { why: format!("pods {:?} not found", &*pod.name) };
        };
        let first = self.with_cache(|cache| {
            let feasible =
                cache.with_nominated(pod, |cluster| decide::feasible(profile, self.percentage, cluster, pod, trace));
            feasible.map(|Feasible { nodes, rejected, of }| {
                let nodes = nodes.iter().map(|&node| Arc::clone(cache.cluster.nodes.name(node))).collect();
                Named { nodes, rejected, of }
            })
        });
        let named = match first {
            Err(Infeasible::Nowhere(diagnosis)) => {
                return self.make_room(extenders, &*objects, &whole, profile, pod, diagnosis).await;
            }
            Err(Infeasible::Failed { why }) => return Choice::Failed { why },
            Ok(named) => named,
        };
        let nodes = |name: &str| objects.node(name);
        let remaining = match self.filter(extenders, &whole, &nodes, named).await {
            Err(error) => return Choice::Failed { why: error.to_string() },
            Ok(Ok(remaining)) => remaining,
            Ok(Err(diagnosis)) => return self.make_room(extenders, &*objects, &whole, profile, pod, diagnosis).await,
        };
        let node = match remaining.as_slice() {
            [only] => Arc::clone(only),
            several => {
                let mut totals = self.totals(profile, pod, several, trace);
                for added in prioritize(extenders, &whole, &nodes, several).await {
                    for (name, total) in several.iter().zip(&mut totals) {
                        *total = total.saturating_add(added.get(&**name).copied().unwrap_or(0));
                    }
                }
                let indices: Vec<usize> = (0..several.len()).collect();
                Arc::clone(&several[decide::pick(&indices, &totals)])
            }
        };
        self.with_cache(|cache| match cache.cluster.nodes.number(&node) {
            None => Choice::Failed { why: format!("node {:?} not found", &*node) },
            Some(number) => super::assume(profile, cache, pod, number),
        })
    }

    fn with_cache<T>(&self, act: impl FnOnce(&mut Cache) -> T) -> T {
        act(&mut self.cache.lock())
    }

    fn totals(&self, profile: &Profile, pod: &Pod, names: &[Arc<str>], trace: &mut Trace) -> Vec<i64> {
        let mut cache = self.cache.lock();
        cache.with_nominated(pod, |cluster| {
            let numbers: Vec<Option<NodeId>> = names.iter().map(|name| cluster.nodes.number(name)).collect();
            let known: Vec<NodeId> = numbers.iter().flatten().copied().collect();
            let mut totals = decide::totals(profile, cluster, pod, &known, trace).into_iter();
            // A node that went meanwhile is nobody's choice.
            numbers.iter().map(|number| number.and_then(|_| totals.next()).unwrap_or(i64::MIN / 2)).collect()
        })
    }

    /// The nodes that all extenders leave, or why there is none.
    async fn filter(
        &self,
        extenders: &[Extender],
        pod: &core::Pod,
        nodes: &(dyn Fn(&str) -> Option<Arc<core::Node>> + Sync),
        named: Named,
    ) -> Result<Result<Vec<Arc<str>>, Diagnosis>, ExtenderError> {
        let Named { nodes: mut names, mut rejected, of } = named;
        for extender in extenders.iter().filter(|extender| extender.filters()) {
            if names.is_empty() {
                break;
            }
            match extender.filter(&Question { pod, names: &names, nodes }).await {
                Ok(Filtered { nodes: left, failed, hopeless }) => {
                    self.note(&mut rejected, failed, &hopeless, Rejection::resolvable);
                    self.note(&mut rejected, hopeless, &HashMap::new(), Rejection::unresolvable);
                    names = left;
                }
                Err(error) if extender.is_ignorable() => {
                    tracing::info!(extender = extender.name(), %error, "extender skipped, as it may be ignored");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(if names.is_empty() { Err(Diagnosis::extended(of, rejected)) } else { Ok(names) })
    }

    fn note(
        &self,
        rejected: &mut Vec<Rejected>,
        failed: HashMap<String, String>,
        but: &HashMap<String, String>,
        rejection: impl Fn(String) -> Rejection,
    ) {
        let cache = self.cache.lock();
        for (name, reason) in failed.into_iter().filter(|(name, _)| !but.contains_key(name)) {
            if let Some(node) = cache.cluster.nodes.number(&name) {
                rejected.push(Rejected { node, plugin: extender::NAME, rejection: rejection(reason) });
            }
        }
    }

    /// Looks for room; extenders have a say about where and whom.
    async fn make_room(
        &self,
        extenders: &[Extender],
        objects: &dyn Objects,
        whole: &core::Pod,
        profile: &Profile,
        pod: &Arc<Pod>,
        diagnosis: Diagnosis,
    ) -> Choice {
        let (relief, search) = self.with_cache(|cache| {
            let relief = super::relief(profile, cache, pod, &diagnosis);
            (relief, preempt::search(profile, &mut cache.cluster, pod, &diagnosis))
        });
        let mut candidates = match search {
            Search::Over(preemption) => return Choice::Nowhere { diagnosis, relief, preemption },
            Search::Choice(candidates) => candidates,
        };
        for extender in extenders.iter().filter(|extender| extender.preempts()) {
            match preempt_with(extender, whole, objects, &candidates).await {
                Ok(left) => candidates = left,
                Err(error) if extender.is_ignorable() => {
                    tracing::info!(extender = extender.name(), %error, "extender skipped, as it may be ignored");
                }
                Err(error) => {
                    tracing::warn!(extender = extender.name(), %error, "no room is made");
                    return Choice::Nowhere { diagnosis, relief, preemption: Preemption::SwitchedOff };
                }
            }
            if candidates.is_empty() {
                break;
            }
        }
        let preemption = preempt::choose(candidates);
        if let Preemption::Found { node, .. } = &preemption {
            self.with_cache(|cache| cache.nominate(pod, Arc::clone(node)));
        }
        Choice::Nowhere { diagnosis, relief, preemption }
    }
}

/// What each extender adds to scores; one that fails adds nothing.
async fn prioritize(
    extenders: &[Extender],
    pod: &core::Pod,
    nodes: &(dyn Fn(&str) -> Option<Arc<core::Node>> + Sync),
    names: &[Arc<str>],
) -> Vec<HashMap<String, i64>> {
    let mut all = Vec::new();
    for extender in extenders.iter().filter(|extender| extender.prioritizes()) {
        match extender.prioritize(&Question { pod, names, nodes }).await {
            Ok(scores) => all.push(scores),
            Err(error) => tracing::info!(extender = extender.name(), %error, "extender gives no scores"),
        }
    }
    all
}

/// The candidates that an extender leaves, with the victims that it leaves.
async fn preempt_with(
    extender: &Extender,
    pod: &core::Pod,
    objects: &dyn Objects,
    candidates: &[Candidate],
) -> Result<Vec<Candidate>, ExtenderError> {
    let victims = |candidate: &Candidate| {
        let pods = candidate.victims.iter().map(|victim| victim.uid.clone()).collect();
        (Arc::clone(&candidate.node), extender::Victims { pods, violations: candidate.violations })
    };
    let asked = candidates.iter().map(victims).collect();
    let find = |node: &str, uid: &str| {
        let candidate = candidates.iter().find(|candidate| *candidate.node == *node)?;
        let victim = candidate.victims.iter().find(|victim| victim.uid == uid)?;
        objects.pod(&victim.namespace, &victim.name)
    };
    let mut left = Vec::new();
    for (node, victims) in extender.preempt(pod, &asked, &find).await? {
        let candidate = candidates.iter().find(|candidate| *candidate.node == *node);
        let candidate = candidate.ok_or_else(|| ExtenderError::Answer(format!("node {node:?} not found")))?;
        let of_uid = |uid: &String| {
            let found = candidate.victims.iter().find(|victim| victim.uid == *uid).cloned();
            found.ok_or_else(|| {
                ExtenderError::Answer(format!(
                    "extender: {} claims to preempt pod (UID: {uid}) on node: {node}, but the pod is not found on that node",
                    extender.name()
                ))
            })
        };
        let pods = victims.pods.iter().map(of_uid).collect::<Result<Vec<_>, _>>()?;
        if pods.is_empty() {
            if extender.is_ignorable() {
                continue;
            }
            return Err(ExtenderError::Answer(format!("expected at least one victim pod on node {node:?}")));
        }
        left.push(Candidate { node: Arc::clone(&candidate.node), victims: pods, violations: victims.violations });
    }
    Ok(left)
}
