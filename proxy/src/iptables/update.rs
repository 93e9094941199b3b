//! What has to be told to `iptables-restore`: chains that changed, in one text for both tables.

use super::table::{Chains, Tables};
use super::{Applied, base};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The changes of both tables.
#[derive(Debug, Default)]
pub(super) struct Update {
    filter: TableUpdate,
    nat: TableUpdate,
}

/// Text for `iptables-restore`, and the number of rules in it in `filter` and `nat`.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) rules: [usize; 2],
}

#[derive(Debug, Default)]
struct TableUpdate {
    /// All base chains are written.
    all: bool,
    /// Base chains to write as a whole.
    base: BTreeSet<String>,
    /// Chains of ports with their new rules.
    own: BTreeMap<String, Vec<String>>,
    gone: BTreeSet<String>,
}

impl Update {
    /// Writes everything, and removes those of the chains that the kernel has that nobody wants.
    pub(super) fn full(found: Tables) -> Self {
        let update = |found: &Chains| TableUpdate {
            all: true,
            gone: found.iter().map(|(name, _)| name.clone()).collect(),
            ..TableUpdate::default()
        };
        Self { filter: update(&found.filter), nat: update(&found.nat) }
    }

    /// Notes what changes for one port.
    pub(super) fn port(&mut self, old: Option<&Tables>, new: Option<&Tables>) {
        self.filter.port(old.map(|t| &t.filter), new.map(|t| &t.filter));
        self.nat.port(old.map(|t| &t.nat), new.map(|t| &t.nat));
    }

    /// The text; `applied` has the ports as they are now. Filter comes first: rejecting rules are
    /// there before traffic could fall through.
    pub(super) fn texts(self, applied: &Applied) -> Written {
        let mut written = Written::default();
        if self.filter.all {
            let _ = write!(written.text, "*mangle\n:{} - [0:0]\nCOMMIT\n", base::CANARY);
        }
        let shared = |pick: fn(&Tables) -> &Chains, name: &str| -> Vec<&String> {
            let ports = applied.shared.values().map(|port| &port.base);
            std::iter::once(&applied.base).chain(ports).filter_map(|t| pick(t).get(name)).flatten().collect()
        };
        let filter = |name: &str| shared(|t| &t.filter, name);
        written.rules[0] = self.filter.write("filter", &applied.base.filter, filter, &mut written.text);
        let nat = |name: &str| {
            let mut rules = shared(|t| &t.nat, name);
            rules.extend(applied.last.iter().filter(|_| name == base::SERVICES));
            rules
        };
        written.rules[1] = self.nat.write("nat", &applied.base.nat, nat, &mut written.text);
        written
    }
}

impl TableUpdate {
    fn port(&mut self, old: Option<&Chains>, new: Option<&Chains>) {
        for (name, rules) in new.into_iter().flat_map(Chains::iter) {
            if old.and_then(|old| old.get(name)) == Some(rules) {
                continue;
            }
            match base::is_base(name) {
                true => self.base.insert(name.clone()),
                false => self.own.insert(name.clone(), rules.clone()).is_none(),
            };
        }
        for (name, _) in old.into_iter().flat_map(Chains::iter) {
            if new.is_none_or(|new| new.get(name).is_none()) {
                let names = if base::is_base(name) { &mut self.base } else { &mut self.gone };
                names.insert(name.clone());
            }
        }
    }

    /// Appends the table's part and counts its rules. `rules_of` gives a base chain's.
    fn write<'a>(
        &self,
        table: &str,
        base: &'a Chains,
        rules_of: impl Fn(&str) -> Vec<&'a String>,
        text: &mut String,
    ) -> usize {
        let (mut chains, mut rules, mut count) = (String::new(), String::new(), 0);
        // Declaring a chain empties it.
        let mut declare = |name: &str| {
            let _ = writeln!(chains, ":{name} - [0:0]");
        };
        for (name, _) in base.iter().filter(|(name, _)| self.all || self.base.contains(*name)) {
            declare(name);
            for rule in rules_of(name) {
                let _ = writeln!(rules, "-A {name} {rule}");
                count += 1;
            }
        }
        for (name, own) in &self.own {
            declare(name);
            for rule in own {
                let _ = writeln!(rules, "-A {name} {rule}");
                count += 1;
            }
        }
        let is_wanted = |name: &str| self.own.contains_key(name) || base.get(name).is_some();
        for name in self.gone.iter().filter(|name| !is_wanted(name)) {
            declare(name);
            let _ = writeln!(rules, "-X {name}");
        }
        if !chains.is_empty() {
            let _ = write!(text, "*{table}\n{chains}{rules}COMMIT\n");
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(list: &[(&str, &[&str])]) -> Chains {
        let mut chains = Chains::default();
        for (name, rules) in list {
            chains.add(*name).extend(rules.iter().map(|r| (*r).to_owned()));
        }
        chains
    }

    fn nat(update: &TableUpdate) -> (String, usize) {
        let base = chains(&[(base::SERVICES, &["first"]), (base::NODE_PORTS, &[])]);
        let mut text = String::new();
        let last = "last".to_owned();
        let count =
            update.write("nat", &base, |name| base.get(name).into_iter().flatten().chain([&last]).collect(), &mut text);
        (text, count)
    }

    #[test]
    fn writes_only_what_changed() {
        let old =
            chains(&[("KUBE-SVC-A", &["1"]), ("KUBE-SVC-B", &["2"]), ("KUBE-SEP-X", &["3"]), (base::SERVICES, &["a"])]);
        let new = chains(&[
            ("KUBE-SVC-A", &["1"]),
            ("KUBE-SVC-B", &["4"]),
            ("KUBE-SVC-C", &["5", "6"]),
            (base::SERVICES, &["b"]),
        ]);
        let mut update = TableUpdate::default();
        update.port(Some(&old), Some(&new));
        let (text, count) = nat(&update);
        assert_eq!(
            text,
            "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-B - [0:0]\n:KUBE-SVC-C - [0:0]\n:KUBE-SEP-X - [0:0]\n\
             -A KUBE-SERVICES first\n-A KUBE-SERVICES last\n-A KUBE-SVC-B 4\n-A KUBE-SVC-C 5\n-A KUBE-SVC-C 6\n-X KUBE-SEP-X\nCOMMIT\n"
        );
        assert_eq!(count, 5);
    }

    #[test]
    fn writes_nothing_when_nothing_changed() {
        let same = chains(&[("KUBE-SVC-A", &["1"])]);
        let mut update = TableUpdate::default();
        update.port(Some(&same), Some(&same));
        assert_eq!(nat(&update), (String::new(), 0));
    }

    #[test]
    fn writing_everything_removes_what_nobody_wants() {
        let nat_chains = chains(&[("KUBE-SVC-OLD", &[]), ("KUBE-SVC-A", &[]), (base::SERVICES, &[])]);
        let found = Tables { nat: nat_chains, ..Tables::default() };
        let mut update = Update::full(found);
        let port = Tables { nat: chains(&[("KUBE-SVC-A", &["1"])]), ..Tables::default() };
        update.port(None, Some(&port));
        let (text, _) = nat(&update.nat);
        assert!(text.contains("-X KUBE-SVC-OLD") && text.contains("-A KUBE-SVC-A 1"), "{text}");
        assert!(!text.contains("-X KUBE-SVC-A") && !text.contains("-X KUBE-SERVICES"), "{text}");
    }
}
