//! Building a kustomization: resources of files and folders, changed by what `kustomization.yaml`
//! says.
//!
//! Each part changes a list of objects in memory; a folder's resources are built first, then its
//! own changes apply to all of them. Files outside the folder are refused, as the default load
//! restrictor does. What is not built is refused by its name.
//!
//! Upstream: `sigs.k8s.io/kustomize/api`.

mod generators;
mod load;
mod names;
mod order;
mod patches;
mod replacements;
mod transform;

use apimachinery::Value;
use std::path::{Component, Path, PathBuf};

/// Folders within folders.
const MAX_DEPTH: usize = 32;

/// A kustomization that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum KustomizeError {
    /// A folder without a kustomization.
    #[error("unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{}'", .0.display())]
    NoKustomization(PathBuf),
    /// A folder that is not there.
    #[error(
        "must build at directory: not a valid directory: evalsymlink failure on '{}' : lstat {}: {why}",
        .path.display(),
        first_missing(.path).display()
    )]
    NoFolder {
        /// The folder.
        path: PathBuf,
        /// As Go words it.
        why: String,
    },
    /// No folder at all: `kustomize ""`.
    #[error("must build at directory: directory path cannot be empty")]
    Nowhere,
    /// A file where a folder should be.
    #[error("must build at directory: '{}': file is not directory", .0.display())]
    NotFolder(PathBuf),
    /// A file that cannot be read.
    #[error("evalsymlink failure on '{}' : lstat {}: {why}", .path.display(), first_missing(.path).display())]
    File {
        /// The file.
        path: PathBuf,
        /// As Go words it.
        why: String,
    },
    /// A file that is no YAML.
    #[error("{}: {why}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A kustomization that is no YAML, or has what none has.
    #[error("invalid Kustomization: {0}")]
    Malformed(String),
    /// A kustomization that says nothing.
    #[error("kustomization.yaml is empty")]
    Empty,
    /// Several kustomizations in a folder.
    #[error("Found multiple kustomization files under: {}\n", .0.display())]
    Several(PathBuf),
    /// A kustomization of another kind.
    #[error("Failed to read kustomization file under {}:\nkind should be Kustomization or Component", .0.display())]
    OtherKind(PathBuf),
    /// A resource that can be taken in neither as a file nor as a folder.
    #[error("accumulating resources: accumulation err='{as_file}': {as_folder}")]
    Resource {
        /// What is wrong with it as a file.
        as_file: String,
        /// What is wrong with it as a folder.
        as_folder: String,
    },
    /// A resource that is no YAML.
    #[error("accumulating resources: accumulating resources from '{name}': MalformedYAMLError: {why} in File: {name}")]
    BadResource {
        /// As the kustomization names it.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A patch that cannot be read.
    #[error(
        "trouble configuring builtin PatchTransformer with config: `\n{config}`: failed to get the patch file from path({name}): {why}"
    )]
    Patch {
        /// The patch as the kustomization has it.
        config: String,
        /// Its file.
        name: String,
        /// Why.
        why: Box<KustomizeError>,
    },
    /// What a generator is to read cannot be read.
    #[error("loading KV pairs: {what}: [{names}]: {why}")]
    Source {
        /// What it would be.
        what: &'static str,
        /// All of these sources.
        names: String,
        /// Why.
        why: Box<KustomizeError>,
    },
    /// A file outside of the folder.
    #[error("security; file '{}' is not in or below '{}'", .file.display(), .folder.display())]
    Outside {
        /// The file.
        file: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// A field that is not built.
    #[error("invalid Kustomization: field {0:?} is not supported")]
    Unsupported(String),
    /// A resource from elsewhere.
    #[error("remote resources are not supported: {0}")]
    Remote(String),
    /// Folders that include each other.
    #[error("cycle detected: candidate root '{}' contains visited root '{}'", .0.display(), .0.display())]
    Cycle(PathBuf),
    /// Two resources with the same identity.
    #[error("may not add resource with an already registered id: {0}")]
    Duplicate(String),
    /// A part that makes no sense.
    #[error("{0}")]
    Invalid(String),
}

/// Builds the kustomization of a folder.
pub fn build(folder: &Path) -> Result<Vec<Value>, KustomizeError> {
    if folder.as_os_str().is_empty() {
        return Err(KustomizeError::Nowhere);
    }
    match std::fs::metadata(folder) {
        Err(error) => {
            return Err(KustomizeError::NoFolder { path: folder.to_owned(), why: crate::http::io_words(&error) });
        }
        Ok(found) if !found.is_dir() => return Err(KustomizeError::NotFolder(folder.to_owned())),
        Ok(_) => {}
    }
    let mut items = load::folder(folder, &mut Vec::new())?;
    if load::order(folder)? == order::Order::Legacy {
        order::sort(&mut items);
    }
    Ok(names::finish(items))
}

/// The first part of a path that is not there, from the root of the file system on.
fn first_missing(path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match part {
            Component::ParentDir => drop(whole.pop()),
            part => whole.push(part),
        }
    }
    let missing = whole.ancestors().filter(|part| part.symlink_metadata().is_err()).last();
    missing.unwrap_or(&whole).to_owned()
}

/// An object on its way, with the names that it had, so that references to it are found.
#[derive(Clone, Debug)]
struct Item {
    object: Value,
    /// Names before a prefix, a suffix or a hash, the first one first.
    former: Vec<String>,
    /// The namespace before one was set.
    former_namespace: String,
    /// A hash is still to be added to the name.
    needs_hash: bool,
}

impl Item {
    fn new(object: Value) -> Self {
        use apimachinery::meta::ObjectMeta;
        let former_namespace = object.namespace().to_owned();
        Self { object, former: Vec::new(), former_namespace, needs_hash: false }
    }

    fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    fn group(&self) -> &str {
        let api_version = self.object["apiVersion"].as_str().unwrap_or_default();
        api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Whether it has the name now or had it before.
    fn is_named(&self, name: &str) -> bool {
        use apimachinery::meta::ObjectMeta;
        self.object.name() == name || self.former.iter().any(|former| former == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::meta::ObjectMeta;
    use serde_json::json;

    fn built(files: &[(&str, &str)], folder: &str) -> Result<Vec<Value>, KustomizeError> {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("creates");
            std::fs::write(path, text).expect("writes");
        }
        build(&root.path().join(folder))
    }

    const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: c
        image: nginx:1
        envFrom:
        - configMapRef: {name: settings}
      volumes:
      - name: v
        secret: {secretName: keys}
";

    #[test]
    fn an_overlay_changes_its_base() {
        let objects = built(
            &[
                ("base/kustomization.yaml", "resources: [web.yaml]\nconfigMapGenerator:\n- name: settings\n  literals: [a=1]\nsecretGenerator:\n- name: keys\n  literals: [k=v]\n"),
                ("base/web.yaml", DEPLOYMENT),
                (
                    "over/kustomization.yaml",
                    "resources: [../base]\nnamePrefix: x-\nnamespace: prod\ncommonAnnotations: {owner: me}\nlabels:\n- pairs: {tier: front}\n  includeTemplates: true\nimages:\n- name: nginx\n  newName: reg/nginx\n  newTag: '2'\nreplicas:\n- name: web\n  count: 3\npatches:\n- target: {kind: Deployment}\n  patch: |\n    - op: add\n      path: /spec/paused\n      value: true\n- patch: |\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n    spec: {template: {spec: {containers: [{name: c, tty: true}]}}}\n",
                ),
            ],
            "over",
        )
        .expect("builds");
        let named = |kind: &str| objects.iter().find(|o| o["kind"] == kind).expect("there");
        let (web, map, secret) = (named("Deployment"), named("ConfigMap"), named("Secret"));
        assert!(map.name().starts_with("x-settings-") && secret.name().starts_with("x-keys-"));
        assert_eq!((web.name(), web.namespace()), ("x-web", "prod"));
        assert_eq!((&web["spec"]["replicas"], &web["spec"]["paused"]), (&json!(3), &json!(true)));
        let pod = &web["spec"]["template"]["spec"];
        assert_eq!(
            (&pod["containers"][0]["image"], &pod["containers"][0]["tty"]),
            (&json!("reg/nginx:2"), &json!(true))
        );
        assert_eq!(pod["containers"][0]["envFrom"][0]["configMapRef"]["name"], map.name());
        assert_eq!(pod["volumes"][0]["secret"]["secretName"], secret.name());
        assert_eq!(web["spec"]["template"]["metadata"]["labels"], json!({"app": "web", "tier": "front"}));
        assert_eq!(web["spec"]["selector"]["matchLabels"], json!({"app": "web"}));
        assert_eq!(web["spec"]["template"]["metadata"]["annotations"], json!({"owner": "me"}));
    }

    #[test]
    fn replacements_copy_values() {
        let objects = built(
            &[
                ("kustomization.yaml", "resources: [web.yaml, map.yaml]\nreplacements:\n- source: {kind: ConfigMap, name: m, fieldPath: data.image}\n  targets:\n  - select: {kind: Deployment}\n    fieldPaths: ['spec.template.spec.containers.[name=c].image']\n"),
                ("web.yaml", DEPLOYMENT),
                ("map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {image: busybox}\n"),
            ],
            "",
        )
        .expect("builds");
        let web = objects.iter().find(|o| o["kind"] == "Deployment").expect("there");
        assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["image"], "busybox");
    }

    #[test]
    fn what_cannot_be_built_is_named() {
        let says = |text: &str| built(&[("kustomization.yaml", text)], "").expect_err("wrong").to_string();
        assert!(says("vars: []\n").contains("\"vars\""));
        assert!(says("helmCharts: []\n").contains("\"helmCharts\""));
        assert!(says("resources: [https://example.com/x]\n").contains("remote resources"));
        assert_eq!(says("a: b: c\n"), "invalid Kustomization: yaml: mapping values are not allowed in this context");
        assert_eq!(says("resourcez: [x]\n"), "invalid Kustomization: json: unknown field \"resourcez\"");
        for (text, want) in [
            ("[]", "array into Go value of type types.Kustomization"),
            ("resources: x", "string into Go struct field Kustomization.resources of type []string"),
            ("resources: [5]", "number into Go struct field Kustomization.resources of type string"),
            ("namePrefix: [x]", "array into Go struct field Kustomization.namePrefix of type string"),
            ("commonLabels: {a: true}", "bool into Go struct field Kustomization.commonLabels of type string"),
        ] {
            assert_eq!(says(text), format!("invalid Kustomization: json: cannot unmarshal {want}"));
        }
        assert_eq!(says(""), "kustomization.yaml is empty");
        assert!(says("kind: Foo\n").ends_with(":\nkind should be Kustomization or Component"));
        let missing = says("resources: [none.yaml]\n");
        let file = "accumulating resources: accumulation err='accumulating resources from 'none.yaml': evalsymlink failure on '";
        assert!(missing.starts_with(file), "{missing}");
        assert!(
            missing.contains("': must build at directory: not a valid directory: evalsymlink failure on '"),
            "{missing}"
        );
        let patch = says("patches: [{path: none.yaml}]\n");
        let config = "trouble configuring builtin PatchTransformer with config: `\npath: none.yaml\n`: failed to get the patch file from path(none.yaml): ";
        assert!(patch.starts_with(config), "{patch}");
        let sources = says("configMapGenerator: [{name: x, files: [a, b]}]\n");
        assert!(sources.starts_with("loading KV pairs: file sources: [a b]: evalsymlink failure on '"), "{sources}");
        let repeated = says("secretGenerator: [{name: x, literals: [a=b, a=c]}]\n");
        assert_eq!(repeated, "configmap x illegally repeats the key `a`");
        let one = |name: &'static str, text: &'static str| {
            let files = [("kustomization.yaml", "resources: [a.yaml, a.yaml]\n"), (name, text)];
            built(&files, "").expect_err("wrong").to_string()
        };
        let twice = one("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n");
        let id = "accumulation err='merging resources from 'a.yaml': may not add resource with an already registered id: ConfigMap.v1.[noGrp]/m.[noNs]': must build at directory: '";
        assert!(twice.contains(id), "{twice}");
        let bad = "accumulating resources: accumulating resources from 'a.yaml': MalformedYAMLError: yaml: mapping values are not allowed in this context in File: a.yaml";
        assert_eq!(one("a.yaml", "a: b: c\n"), bad);
        assert!(one("kustomization.yml", "").starts_with("Found multiple kustomization files under: "));
        assert!(built(&[("a.yaml", "a: b\n")], "").expect_err("none").to_string().contains("unable to find one of"));
        let cycle = [("a/kustomization.yaml", "resources: [../b]\n"), ("b/kustomization.yaml", "resources: [../a]\n")];
        let cycle = built(&cycle, "a").expect_err("a cycle").to_string();
        assert!(
            cycle.contains("': recursed accumulation of path '") && cycle.contains("contains visited root"),
            "{cycle}"
        );
    }
}
