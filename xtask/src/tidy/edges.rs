//! Which crate may depend on which: the table in ARCHITECTURE.md as code.

use super::{Finding, Source};

/// Crates below `lib/` and `proto`: anybody may use them, within [`LIB_EDGES`].
const LIBS: &[&str] = &["apimachinery", "cel", "rules", "client", "component", "pki", "streaming", "testkit", "proto"];

/// What a library may depend on, of this project's crates.
const LIB_EDGES: &[(&str, &[&str])] = &[
    ("apimachinery", &[]),
    ("cel", &["apimachinery"]),
    ("rules", &["apimachinery", "cel"]),
    ("client", &["apimachinery"]),
    ("component", &["apimachinery", "client", "pki"]),
    ("pki", &[]),
    ("streaming", &[]),
    ("testkit", &["apimachinery", "pki", "proto"]),
    ("proto", &[]),
];

/// Crates inside a component, which only that component may use.
const INNER: &[(&str, &str)] = &[("apiserver-", "apiserver/")];

/// Names that only one folder may depend on.
const EXCLUSIVE: &[(&str, &[&str], &str)] = &[
    ("etcd-client", &["apiserver/storage/"], "only apiserver/storage knows etcd"),
    (
        "proto",
        &["kubelet/", "lib/testkit/", "apiserver/storage/"],
        "only the kubelet's runtime (and its fake) knows CRI, and only apiserver/storage knows key management services",
    ),
];

/// Finds dependencies that the architecture does not allow.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let manifests = sources.iter().filter(|s| s.path.ends_with("/Cargo.toml"));
    manifests
        .flat_map(|m| dependencies(&m.text).filter_map(|d| judge(&m.path, &m.text, d)).collect::<Vec<_>>())
        .collect()
}

fn judge(path: &str, text: &str, dependency: Dependency<'_>) -> Option<Finding> {
    let finding = |what: String| Some(Finding { file: path.to_owned(), what });
    let name = dependency.name;
    if !dependency.workspace {
        return finding(format!("{name}: versions stand in [workspace.dependencies] only"));
    }
    for (exclusive, folders, rule) in EXCLUSIVE {
        if name == *exclusive && !folders.iter().any(|f| path.starts_with(f)) {
            return finding(format!("depends on {name}, but {rule}"));
        }
    }
    if let Some((_, folder)) = INNER.iter().find(|(prefix, _)| name.starts_with(prefix))
        && !path.starts_with(folder)
    {
        return finding(format!("depends on {name}, which is inside {folder}"));
    }
    let package = package_name(text)?;
    let allowed = LIB_EDGES.iter().find(|(lib, _)| *lib == package);
    match allowed {
        Some((_, edges)) if is_own(name) && !edges.contains(&name) && !dependency.development => {
            finding(format!("{package} must not depend on {name}"))
        }
        None if COMPONENTS.contains(&name) => finding(format!("a component depends on the component {name}")),
        _ if name == "testkit" && !dependency.development && !path.starts_with("tests/") => {
            finding("testkit is for tests: make it a dev-dependency".to_owned())
        }
        _ => None,
    }
}

/// Components: nobody depends on them.
const COMPONENTS: &[&str] = &[
    "kube-apiserver",
    "kube-scheduler",
    "kube-controller-manager",
    "kubelet",
    "kube-proxy",
    "kubectl",
    "dashboard",
    "dns",
    "bootstrap",
];

fn is_own(name: &str) -> bool {
    LIBS.contains(&name) || COMPONENTS.contains(&name) || INNER.iter().any(|(prefix, _)| name.starts_with(prefix))
}

struct Dependency<'a> {
    name: &'a str,
    /// The version comes from the workspace.
    workspace: bool,
    development: bool,
}

/// The dependencies of a manifest. Manifests here are one line a dependency; tidy keeps it so.
fn dependencies(text: &str) -> impl Iterator<Item = Dependency<'_>> {
    let mut section = "";
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            return None;
        }
        let (key, value) = line.split_once('=')?;
        let development = match section {
            "dependencies" | "build-dependencies" => false,
            "dev-dependencies" => true,
            _ => return None,
        };
        let (key, value) = (key.trim(), value.trim());
        let name = key.strip_suffix(".workspace").unwrap_or(key);
        let workspace = key != name && value == "true" || value.contains("workspace = true");
        (!key.starts_with('#')).then_some(Dependency { name, workspace, development })
    })
}

fn package_name(text: &str) -> Option<&str> {
    text.lines().find_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, package: &str, dependencies: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{package}\"\n\n{dependencies}\n");
        check(&[Source { path: path.into(), text }]).into_iter().map(|f| f.what).collect()
    }

    #[test]
    fn allowed_edges_pass() {
        for (path, package, dependency) in [
            ("lib/rules/Cargo.toml", "rules", "[dependencies]\napimachinery.workspace = true"),
            ("apiserver/storage/Cargo.toml", "apiserver-storage", "[dependencies]\netcd-client.workspace = true"),
            (
                "kubelet/Cargo.toml",
                "kubelet",
                "[dependencies]\nproto.workspace = true\n[dev-dependencies]\ntestkit.workspace = true",
            ),
            ("lib/x/Cargo.toml", "x", "[dependencies]\nserde = { workspace = true, features = [\"rc\"] }"),
        ] {
            assert_eq!(findings(path, package, dependency), Vec::<String>::new(), "{path}");
        }
    }

    #[test]
    fn forbidden_edges_are_found() {
        for (path, package, dependency) in [
            ("lib/apimachinery/Cargo.toml", "apimachinery", "[dependencies]\nclient.workspace = true"),
            ("kubectl/Cargo.toml", "kubectl", "[dependencies]\netcd-client.workspace = true"),
            ("proxy/Cargo.toml", "kube-proxy", "[dependencies]\napiserver-storage.workspace = true"),
            ("proxy/Cargo.toml", "kube-proxy", "[dependencies]\nkubelet.workspace = true"),
            ("proxy/Cargo.toml", "kube-proxy", "[dependencies]\ntestkit.workspace = true"),
            ("proxy/Cargo.toml", "kube-proxy", "[dependencies]\nserde = \"1\""),
        ] {
            assert_eq!(findings(path, package, dependency).len(), 1, "{path}: {dependency}");
        }
    }
}
