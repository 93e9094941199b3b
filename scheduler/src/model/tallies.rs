//! Counts that affinity and spread need, kept up to date pod by pod instead of being taken anew
//! for every decision: per node, how many pods answer a question; which terms the pods there have;
//! and which domain of a topology a node is in.
//!
//! Invariant: a tally that exists equals what a fresh count would give.

use super::affinity::Term;
use super::pod::Pod;
use super::selector::{Labels, PodSelector};
use std::collections::HashMap;
use std::sync::Arc;

/// Questions remembered at most; then all are forgotten and asked again.
const QUESTIONS_AT_MOST: usize = 512;

/// The domain of a node without the label.
pub const NO_DOMAIN: u32 = u32::MAX;

/// Which pods are meant: those that are in these namespaces and match, for each part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// All must hold.
    pub parts: Vec<Part>,
}

/// One condition of a question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// In one of these, sorted.
    pub namespaces: Vec<String>,
    /// And matching this; `None` matches nothing.
    pub selector: Option<PodSelector>,
}

impl Question {
    fn is_about(&self, pod: &Pod) -> bool {
        self.parts.iter().all(|part| {
            part.namespaces.iter().any(|namespace| *namespace == *pod.namespace)
                && part.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels))
        })
    }
}

/// Which domain of a topology each node is in.
#[derive(Debug, Default)]
pub struct Domains {
    /// By node; [`NO_DOMAIN`] without the label.
    pub of_node: Vec<u32>,
    /// How many there are.
    pub count: usize,
}

/// A term that pods have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// The term.
    pub term: Term,
    /// What it says about others.
    pub attitude: Attitude,
}

/// What pods say about others by a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attitude {
    /// They must not be there: required anti-affinity.
    Forbids,
    /// They must be there: required affinity.
    Requires,
    /// They are liked, or disliked, this much.
    Likes(i64),
}

/// The counts.
#[derive(Debug, Default)]
pub struct Tallies {
    questions: HashMap<Question, Arc<Vec<i64>>>,
    /// Of the terms that pods have, how many pods on each node have it.
    held: HashMap<Held, HashMap<u32, i64>>,
    domains: HashMap<String, Arc<Domains>>,
}

impl Tallies {
    /// A pod came (`by` is 1) or went (-1).
    pub fn count(&mut self, node: u32, pod: &Pod, by: i64) {
        let at = node as usize;
        if !pod.is_terminating {
            for (question, counts) in &mut self.questions {
                if question.is_about(pod) {
                    let counts = Arc::make_mut(counts);
                    if counts.len() <= at {
                        counts.resize(at + 1, 0);
                    }
                    counts[at] += by;
                }
            }
        }
        for held in terms(pod) {
            let nodes = self.held.entry(held.clone()).or_default();
            let count = nodes.entry(node).or_insert(0);
            *count += by;
            if *count == 0 {
                nodes.remove(&node);
            }
            if nodes.is_empty() {
                self.held.remove(&held);
            }
        }
    }

    /// A node came, went or has other labels.
    pub fn forget_domains(&mut self) {
        self.domains.clear();
    }

    /// How many pods of each node answer the question; `pods` are asked if it is new.
    pub fn answer(&mut self, question: &Question, pods: &[Vec<Arc<Pod>>]) -> Arc<Vec<i64>> {
        if let Some(counts) = self.questions.get(question) {
            return Arc::clone(counts);
        }
        if self.questions.len() >= QUESTIONS_AT_MOST {
            self.questions.clear();
        }
        let of = |pods: &Vec<Arc<Pod>>| pods.iter().filter(|pod| !pod.is_terminating && question.is_about(pod)).count();
        let counts: Vec<_> = pods.iter().map(|pods| i64::try_from(of(pods)).unwrap_or(i64::MAX)).collect();
        let counts = Arc::new(counts);
        self.questions.insert(question.clone(), Arc::clone(&counts));
        counts
    }

    /// The domains of a topology; `labels` are read if it is new.
    pub fn domains(&mut self, key: &str, labels: &[Labels]) -> Arc<Domains> {
        if let Some(domains) = self.domains.get(key) {
            return Arc::clone(domains);
        }
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let of_node = labels.iter().map(|labels| match labels.get(key) {
            None => NO_DOMAIN,
            Some(value) => {
                let next = u32::try_from(numbers.len()).unwrap_or(NO_DOMAIN);
                *numbers.entry(value).or_insert(next)
            }
        });
        let of_node = of_node.collect();
        let domains = Arc::new(Domains { of_node, count: numbers.len() });
        self.domains.insert(key.to_owned(), Arc::clone(&domains));
        domains
    }

    /// The terms that pods have, and the nodes with such pods.
    pub fn held(&self) -> &HashMap<Held, HashMap<u32, i64>> {
        &self.held
    }
}

/// The terms of a pod that matter to others.
fn terms(pod: &Pod) -> impl Iterator<Item = Held> {
    let affinity = pod.affinity.iter();
    affinity.flat_map(|affinity| {
        let held = |term: &Term, attitude| Held { term: term.clone(), attitude };
        let forbidding = affinity.required_anti.iter().map(move |term| held(term, Attitude::Forbids));
        let required = affinity.required.iter().map(move |term| held(term, Attitude::Requires));
        let preferred = affinity.preferred.iter().map(move |w| held(&w.term, Attitude::Likes(w.weight)));
        forbidding.chain(required).chain(preferred)
    })
}

impl Domains {
    /// Sums per-node counts up by domain, over the given nodes.
    pub fn sums(&self, counts: &[i64], nodes: impl Iterator<Item = u32>) -> Vec<i64> {
        let mut sums = vec![0; self.count];
        for node in nodes {
            let domain = self.of_node[node as usize];
            if domain != NO_DOMAIN {
                sums[domain as usize] += counts.get(node as usize).copied().unwrap_or(0);
            }
        }
        sums
    }
}
