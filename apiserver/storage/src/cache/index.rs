//! Which objects have a term: sets of slot numbers, so that a change which keeps an object's
//! labels and fields touches nothing.
//!
//! Memory: 4 bytes per object and common term, about 40 for a term that one object has.

use super::terms::{self, ByTerm, Term};
use crate::object::Object;
use crate::query::Selection;
use apimachinery::selector::Operator;
use std::sync::Arc;

/// The index of one resource's current state.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: Vec<Option<Arc<Object>>>,
    free: Vec<u32>,
    postings: ByTerm<Posting>,
}

/// Slot numbers, ascending.
#[derive(Debug)]
enum Posting {
    One(u32),
    Many(Vec<u32>),
}

impl Index {
    /// Takes in a new object; returns its slot.
    pub(super) fn insert(&mut self, object: Arc<Object>) -> u32 {
        let terms = terms::indexed(&object);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).expect("etcd holds fewer than 4 billion keys")
            }
        };
        self.slots[slot as usize] = Some(object);
        terms.into_iter().for_each(|term| self.add(term, slot));
        slot
    }

    /// Puts a newer object into the slot of `before`.
    pub(super) fn replace(&mut self, slot: u32, before: &Object, object: Arc<Object>) {
        if before.parts() != object.parts() || !Arc::ptr_eq(before.form(), object.form()) {
            let (old, new) = (terms::indexed(before), terms::indexed(&object));
            old.iter().filter(|term| !new.contains(term)).for_each(|term| self.drop_term(*term, slot));
            new.iter().filter(|term| !old.contains(term)).for_each(|term| self.add(*term, slot));
        }
        self.slots[slot as usize] = Some(object);
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let Some(object) = self.slots[slot as usize].take() else { return };
        terms::indexed(&object).into_iter().for_each(|term| self.drop_term(term, slot));
        self.free.push(slot);
    }

    /// Objects that include all selected ones, in no order; `None` if a scan is as good.
    pub(super) fn candidates(&self, selection: &Selection) -> Option<Vec<Arc<Object>>> {
        let namespace = selection.namespace.as_ref().map(|name| self.count(terms::namespace(name)));
        let scanned = namespace.unwrap_or(self.slots.len());
        let best = requirements(selection).min_by_key(|terms| self.count_all(terms))?;
        if self.count_all(&best) * 4 > scanned {
            return None;
        }
        let slots = best.iter().filter_map(|term| self.postings.get(term)).flat_map(Posting::slots);
        Some(slots.filter_map(|slot| self.slots[*slot as usize].clone()).collect())
    }

    fn count_all(&self, terms: &[Term]) -> usize {
        terms.iter().map(|term| self.count(*term)).sum()
    }

    fn count(&self, term: Term) -> usize {
        self.postings.get(&term).map_or(0, |posting| posting.slots().len())
    }

    fn add(&mut self, term: Term, slot: u32) {
        self.postings.entry(term).and_modify(|posting| posting.add(slot)).or_insert(Posting::One(slot));
    }

    fn drop_term(&mut self, term: Term, slot: u32) {
        if self.postings.get_mut(&term).is_some_and(|posting| posting.remove(slot)) {
            self.postings.remove(&term);
        }
    }
}

/// For each requirement that names values: their terms, of which an object must have one.
fn requirements(selection: &Selection) -> impl Iterator<Item = Vec<Term>> {
    let labels = selection.labels.requirements.iter().filter_map(|requirement| match &requirement.operator {
        Operator::In(values) => Some(distinct(values.iter().map(|value| terms::label(&requirement.key, value)))),
        _ => None,
    });
    let fields = selection.fields.terms.iter().filter(|term| !term.negated && !term.field.starts_with("metadata."));
    labels.chain(fields.map(|term| vec![terms::field(&term.field, &term.value)]))
}

fn distinct(terms: impl Iterator<Item = Term>) -> Vec<Term> {
    let mut terms: Vec<Term> = terms.collect();
    terms.sort_unstable();
    terms.dedup();
    terms
}

impl Posting {
    fn slots(&self) -> &[u32] {
        match self {
            Posting::One(slot) => std::slice::from_ref(slot),
            Posting::Many(slots) => slots,
        }
    }

    fn add(&mut self, slot: u32) {
        match self {
            Posting::One(one) if *one == slot => {}
            Posting::One(one) => *self = Posting::Many(vec![slot.min(*one), slot.max(*one)]),
            Posting::Many(slots) => {
                if let Err(at) = slots.binary_search(&slot) {
                    slots.insert(at, slot);
                }
            }
        }
    }

    /// Removes a slot; whether nothing is left.
    fn remove(&mut self, slot: u32) -> bool {
        match self {
            Posting::One(one) => *one == slot,
            Posting::Many(slots) => {
                if let Ok(at) = slots.binary_search(&slot) {
                    slots.remove(at);
                }
                if let [one] = slots[..] {
                    *self = Posting::One(one);
                }
                false
            }
        }
    }
}
