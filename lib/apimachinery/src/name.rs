//! Names of members, to look them up by.
//!
//! Most of what the server does with a tree is to ask for members, many of which are not there. The map compares the name
//! that it looks for with those that it has, each time by a call that compares bytes in memory; but nearly all names
//! differ in their first eight bytes, which are compared here as one number.

use ref_cast::RefCast;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// How many bytes of a name are its start.
pub(crate) const START: usize = 8;

/// A name as a key of a [`Map`](crate::Map): `map.get(Name::of("spec"))` finds what `map.get("spec")` finds, sooner.
#[derive(Debug, RefCast)]
#[repr(transparent)]
pub struct Name(str);

impl Name {
    /// The name of this text.
    pub fn of(text: &str) -> &Self {
        Self::ref_cast(text)
    }
}

impl Borrow<Name> for String {
    fn borrow(&self) -> &Name {
        Name::of(self)
    }
}

/// As texts are ordered, or maps would not find them.
impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        let (this, that) = (self.0.as_bytes(), other.0.as_bytes());
        match start(this).cmp(&start(that)) {
            // A short name is all in its start, but for zeros at its end.
            Ordering::Equal if this.len() <= START || that.len() <= START => this.len().cmp(&that.len()),
            Ordering::Equal => this[START..].cmp(&that[START..]),
            different => different,
        }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// The start of a name, as a number that sorts as the name does: what is short has zeros after it.
pub(crate) fn start(name: &[u8]) -> u64 {
    if let Some(first) = name.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    // Two pieces that overlap are all of it.
    let unused = 8 * (START - name.len()) as u32;
    match (name.first_chunk(), name.last_chunk(), name) {
        (Some(first), Some(last), _) => {
            u64::from(u32::from_be_bytes(*first)) << 32 | u64::from(u32::from_be_bytes(*last)) << unused
        }
        (_, _, [first, .., last]) => {
            let middle = u64::from(name[name.len() / 2]) << (56 - 8 * (name.len() / 2));
            u64::from(*first) << 56 | middle | u64::from(*last) << unused
        }
        (_, _, [only]) => u64::from(*only) << 56,
        (_, _, []) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Map;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_ordered_as_texts(a in "[\0a-c\u{e4}]{0,10}", b in "[\0a-c\u{e4}]{0,10}", more in "[\0a-c]{0,3}") {
            for (a, b) in [(a.clone(), b), (a.clone(), format!("{a}{more}"))] {
                prop_assert_eq!(Name::of(&a).cmp(Name::of(&b)), a.cmp(&b));
                prop_assert_eq!(Name::of(&a) == Name::of(&b), a == b);
            }
        }

        #[test]
        fn a_start_is_the_first_bytes(name in "[\0a-c]{0,10}") {
            let mut first = [0; START];
            let length = name.len().min(START);
            first[..length].copy_from_slice(&name.as_bytes()[..length]);
            prop_assert_eq!(start(name.as_bytes()), u64::from_be_bytes(first));
        }
    }

    #[test]
    fn maps_find_names() {
        let names = ["", "a", "spec", "status", "terminationGracePeriodSeconds", "terminationMessagePath"];
        let map: Map = names.iter().map(|name| ((*name).to_owned(), (*name).into())).collect();
        for name in names {
            assert_eq!(map.get(Name::of(name)), Some(&name.into()), "{name}");
        }
        for name in ["b", "spe", "specs", "terminationMessage", "terminationMessagePolicy"] {
            assert_eq!(map.get(Name::of(name)), None, "{name}");
        }
    }
}
