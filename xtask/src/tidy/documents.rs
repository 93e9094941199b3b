//! Paths that documents name must exist.

use super::{Finding, Source};

/// Top-level folders: a code span that starts with one of them is a path.
const FOLDERS: &[&str] = &[
    "apiserver/",
    "scheduler/",
    "controller-manager/",
    "kubelet/",
    "proxy/",
    "kubectl/",
    "deploy/",
    "proto/",
    "tests/",
    "lib/",
    "addons/",
    "docs/",
    "xtask/",
    ".ci/",
];

/// Finds code spans in Markdown files that look like a path of the tree and are not one.
pub(super) fn check(sources: &[Source], exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let documents = sources.iter().filter(|s| s.path.ends_with(".md"));
    let missing = |d: &Source| {
        let paths = paths(&d.text).filter(|p| !exists(p)).map(str::to_owned).collect::<Vec<_>>();
        paths
            .into_iter()
            .map(|p| Finding { file: d.path.clone(), what: format!("names {p}, which does not exist") })
            .collect::<Vec<_>>()
    };
    documents.flat_map(missing).collect()
}

fn paths(text: &str) -> impl Iterator<Item = &str> {
    let spans = text.split('`').skip(1).step_by(2);
    let path = |span: &&str| FOLDERS.iter().any(|f| span.starts_with(f)) && !span.contains(['*', '<', '{', '\n']);
    spans.filter(path).map(|span| span.split_whitespace().next().unwrap_or(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_missing_paths() {
        let text = "`lib/rules/` and `lib/gone` and `deploy/up --nodes 2`, not `serde::de` or `tests/*.rs`.".to_owned();
        let sources = [Source { path: "README.md".into(), text }];
        let found = check(&sources, |p| p != "lib/gone");
        assert_eq!(found, [Finding { file: "README.md".into(), what: "names lib/gone, which does not exist".into() }]);
    }
}
