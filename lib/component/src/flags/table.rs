//! The flags that upstream's daemons have: name and kind. The tables' lines are `kind: names`,
//! with continuation lines.

/// How a flag's value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `--x` or `--x=false`; never consumes the next word.
    Bool,
    /// An integer.
    Int,
    /// A number.
    Float,
    /// `1m0s`.
    Duration,
    /// Anything.
    Text,
    /// `--version`, `--version=raw`, or `--version=vX.Y.Z...` to report that version.
    Version,
}

fn table(component: &str) -> &'static str {
    match component {
        "flanneld" => include_str!("flanneld.txt"),
        "kube-apiserver" => include_str!("kube-apiserver.txt"),
        "kube-controller-manager" => include_str!("kube-controller-manager.txt"),
        "kube-proxy" => include_str!("kube-proxy.txt"),
        "kube-scheduler" => include_str!("kube-scheduler.txt"),
        "kubelet" => include_str!("kubelet.txt"),
        // The project's own daemons have only the flags that they build.
        _ => "bool: help\nversion: version\n",
    }
}

/// Whether one dash before a name is as good as two: upstream's daemon reads its flags by Go's own package.
pub(super) fn takes_one_dash(component: &str) -> bool {
    component == "flanneld"
}

/// The kind of a flag that upstream's `component` has.
pub(super) fn lookup(component: &str, flag: &str) -> Option<Kind> {
    let mut kind = "";
    for line in table(component).lines() {
        let names = match line.split_once(':') {
            Some((start, names)) => {
                kind = start;
                names
            }
            None => line,
        };
        if names.split_whitespace().any(|name| name == flag) {
            return Some(parse_kind(kind));
        }
    }
    None
}

fn parse_kind(kind: &str) -> Kind {
    match kind {
        "bool" => Kind::Bool,
        "int" => Kind::Int,
        "float" => Kind::Float,
        "duration" => Kind::Duration,
        "version" => Kind::Version,
        _ => Kind::Text,
    }
}
