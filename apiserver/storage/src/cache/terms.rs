//! What can be looked up: a namespace, a field's value, a label's value, each as one hash.
//!
//! Only hashes are kept, so a unique value costs a few dozen bytes; who looks a term up checks
//! the objects it finds.

use crate::object::Object;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::LazyLock;

static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A hashed term.
pub(super) type Term = u64;

#[derive(Hash)]
enum Kind {
    Namespace,
    Field,
    Label,
}

fn term(kind: Kind, key: &str, value: &str) -> Term {
    HASHER.hash_one((kind, key, value))
}

pub(super) fn namespace(name: &str) -> Term {
    term(Kind::Namespace, "", name)
}

pub(super) fn field(label: &str, value: &str) -> Term {
    term(Kind::Field, label, value)
}

pub(super) fn label(key: &str, value: &str) -> Term {
    term(Kind::Label, key, value)
}

/// The terms that lists are indexed by.
pub(super) fn indexed(object: &Object) -> Vec<Term> {
    let mut terms = vec![namespace(object.namespace())];
    terms.extend(object.fields().map(|(name, value)| field(name, value)));
    terms.extend(object.labels().map(|(key, value)| label(key, value)));
    terms
}

/// The terms that watchers wait on.
pub(super) fn watched(object: &Object, terms: &mut Vec<Term>) {
    terms.push(namespace(object.namespace()));
    terms.push(field("metadata.name", object.name()));
    terms.extend(object.fields().map(|(name, value)| field(name, value)));
}

/// Terms are hashes already.
#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        // Not reached by `u64` keys; correct all the same.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

pub(super) type ByTerm<V> = std::collections::HashMap<Term, V, BuildHasherDefault<Identity>>;
