//! Kernel parameters that pods set: their names, and which of them are a pod's alone.
//!
//! Upstream: `component-helpers/node/util/sysctl`, `pkg/kubelet/sysctl/safe_sysctls.go`.

use std::borrow::Cow;
use std::fmt;

/// Parameters with which a pod harms nobody else.
pub const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// Parameters of the IPC namespace by their whole name.
const OF_IPC: [&str; 10] = [
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.shm",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.msg",
];

/// The most characters of a name.
pub const LONGEST: usize = 253;

/// The namespace whose parameter it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Of messages and shared memory.
    Ipc,
    /// Of the network.
    Net,
}

impl Namespace {
    /// Of a parameter with dots for separators; `None` for those of the whole node.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            _ if OF_IPC.contains(&name) || name.starts_with("fs.mqueue.") => Some(Self::Ipc),
            _ if name.starts_with("net.") => Some(Self::Net),
            _ => None,
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipc => "IPC",
            Self::Net => "Net",
        })
    }
}

/// A name with dots for separators: `net/ipv4/conf/eth0.1/rp_filter` is `net.ipv4.conf.eth0/1.rp_filter`.
pub fn dotted(name: &str) -> Cow<'_, str> {
    let swapped = |c| match c {
        '/' => '.',
        '.' => '/',
        c => c,
    };
    match name.find(['.', '/']).map(|first| name.as_bytes()[first]) {
        Some(b'/') => name.chars().map(swapped).collect::<String>().into(),
        _ => name.into(),
    }
}

/// Whether it has the form of a name: words with a dot or a slash between them.
pub fn is_name(text: &str) -> bool {
    text.len() <= LONGEST && text.split(['.', '/']).all(is_word)
}

/// Whether it has the form of a name, or of the start of one with a star behind.
pub fn is_pattern(text: &str) -> bool {
    let Some(start) = text.strip_suffix('*') else { return is_name(text) };
    let (words, last) = start.rsplit_once(['.', '/']).map_or((None, start), |(words, last)| (Some(words), last));
    let is_last = last.is_empty() || (last.starts_with(is_end) && last.chars().all(is_inner));
    text.len() <= LONGEST && is_last && words.is_none_or(|words| words.split(['.', '/']).all(is_word))
}

fn is_word(word: &str) -> bool {
    word.starts_with(is_end) && word.ends_with(is_end) && word.chars().all(is_inner)
}

fn is_end(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

fn is_inner(c: char) -> bool {
    is_end(c) || c == '-' || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_have_upstreams_form() {
        for (text, name, pattern) in [
            ("net.core.somaxconn", true, true),
            ("net/ipv4/conf/eth0.1/rp_filter", true, true),
            ("net.core.*", false, true),
            ("*", false, true),
            ("net.co_*", false, true),
            ("net.*.x", false, false),
            ("net.**", false, false),
            ("net..core", false, false),
            ("Net.core", false, false),
            ("net.core-", false, false),
            ("", false, false),
        ] {
            assert_eq!((is_name(text), is_pattern(text)), (name, pattern), "{text}");
        }
        assert!(is_name(&"a".repeat(LONGEST)) && !is_name(&"a".repeat(LONGEST + 1)));
    }

    #[test]
    fn the_first_separator_counts() {
        assert_eq!(dotted("net/ipv4/conf/eth0.1/rp_filter"), "net.ipv4.conf.eth0/1.rp_filter");
        assert_eq!(dotted("net.ipv4/x"), "net.ipv4/x");
    }

    #[test]
    fn safe_parameters_are_of_namespaces() {
        assert!(SAFE.iter().all(|name| Namespace::of(name).is_some()));
        assert_eq!([Namespace::of("kernel.panic"), Namespace::of("fs.mqueue.msg_max")], [None, Some(Namespace::Ipc)]);
    }
}
