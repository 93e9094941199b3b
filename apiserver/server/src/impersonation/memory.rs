//! What was allowed a moment ago, and which way worked last for whom.
//!
//! Upstream: `apiserver/pkg/endpoints/filters/impersonation/cache.go`.

use super::mode::Mode;
use apiserver_auth::Attributes;
use apiserver_registry::UserInfo;
use apiserver_webhook::remote::Expiring;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How long an answer holds, as upstream.
const LIFE: Duration = Duration::from_secs(10);
/// Users whose last way is remembered; past it all are forgotten.
const MOST_USERS: usize = 10_000;
/// Who is asked for in a key that holds for all nodes. The mode has seen to it that the node is the asker's own.
const ANY_NODE: &str = "system:node:*";

/// The answers of one server.
#[derive(Debug, Default)]
pub(super) struct Memory {
    allowed: Expiring<Key, ()>,
    last: Mutex<HashMap<u64, Mode>>,
}

/// Who asks to act as whom in which way, and perhaps for what: hashed, so that its size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Memory {
    pub(super) fn is_allowed(&self, key: &Key) -> bool {
        self.allowed.get(key).is_some()
    }

    pub(super) fn allow(&self, key: Key) {
        self.allowed.keep(key, (), LIFE);
    }

    /// The way that worked last for a user. Two users whose names hash alike only have their ways tried in another order.
    pub(super) fn last(&self, user: &str) -> Option<Mode> {
        self.last.lock().get(&hashed(user)).copied()
    }

    pub(super) fn worked(&self, user: &str, mode: Mode) {
        let mut last = self.last.lock();
        if last.len() >= MOST_USERS {
            last.clear();
        }
        last.insert(hashed(user), mode);
    }
}

fn hashed(user: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    hasher.finish()
}

impl Key {
    /// A key; without `attributes` it holds for whatever is done.
    pub(super) fn new(
        mode: Mode,
        wanted: &UserInfo,
        requestor: &UserInfo,
        attributes: Option<&Attributes<'_>>,
    ) -> Self {
        let mut text = Text(Sha256::new());
        text.add(mode.name());
        match mode {
            Mode::AssociatedNode => text.user(&UserInfo { name: ANY_NODE.into(), ..UserInfo::default() }),
            _ => text.user(wanted),
        }
        text.user(requestor);
        if let Some(attributes) = attributes {
            text.attributes(attributes);
        }
        Self(text.0.finalize().into())
    }
}

/// Parts with their lengths, so that no two lists of them read the same.
struct Text(Sha256);

impl Text {
    fn add(&mut self, part: &str) {
        self.count(part.len());
        self.0.update(part.as_bytes());
    }

    fn count(&mut self, number: usize) {
        self.0.update((number as u64).to_be_bytes());
    }

    fn list(&mut self, parts: &[String]) {
        self.count(parts.len());
        parts.iter().for_each(|part| self.add(part));
    }

    fn user(&mut self, UserInfo { name, uid, groups, extra }: &UserInfo) {
        self.add(name);
        self.add(uid);
        self.list(groups);
        self.count(extra.len());
        for (key, values) in extra {
            self.add(key);
            self.list(values);
        }
    }

    fn attributes(&mut self, attributes: &Attributes<'_>) {
        let Attributes {
            verb,
            is_resource,
            group,
            version,
            resource,
            subresource,
            namespace,
            name,
            fields,
            labels,
            path,
        } = attributes;
        for part in [verb, group, version, resource, subresource, namespace, name, path] {
            self.add(part);
        }
        self.count((*is_resource).into());
        self.add(&fields.map(ToString::to_string).unwrap_or_default());
        self.add(&labels.map(ToString::to_string).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn user(name: &str, groups: &[&str]) -> UserInfo {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        UserInfo { name: name.into(), groups, ..UserInfo::default() }
    }

    #[test]
    fn keys_tell_requests_apart() {
        let me = user("me", &["a", "b"]);
        let get = Attributes { verb: "get", is_resource: true, resource: "pods", ..Attributes::default() };
        let other = Attributes { name: "x", ..get.clone() };
        let extra = UserInfo { extra: BTreeMap::from([("a".into(), vec!["b".into()])]), ..user("you", &[]) };
        let keys = [
            Key::new(Mode::UserInfo, &user("you", &[]), &me, Some(&get)),
            Key::new(Mode::UserInfo, &user("you", &[]), &me, Some(&other)),
            Key::new(Mode::UserInfo, &user("you", &[]), &me, None),
            Key::new(Mode::UserInfo, &user("you", &["a"]), &me, None),
            Key::new(Mode::UserInfo, &extra, &me, None),
            Key::new(Mode::UserInfo, &user("you", &[]), &user("me", &["ab"]), None),
            Key::new(Mode::ArbitraryNode, &user("you", &[]), &me, None),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        let nodes = ["system:node:a", "system:node:b"];
        let [one, other] = nodes.map(|node| Key::new(Mode::AssociatedNode, &user(node, &[]), &me, Some(&get)));
        assert_eq!(one, other);
        let [one, other] = nodes.map(|node| Key::new(Mode::ArbitraryNode, &user(node, &[]), &me, Some(&get)));
        assert_ne!(one, other);
    }

    #[test]
    fn memory_is_bounded() {
        let memory = Memory::default();
        for n in 0..=MOST_USERS {
            memory.worked(&n.to_string(), Mode::Legacy);
        }
        assert_eq!(memory.last.lock().len(), 1);
        assert_eq!(memory.last(&MOST_USERS.to_string()), Some(Mode::Legacy));
        assert_eq!(memory.last("0"), None);
    }
}
