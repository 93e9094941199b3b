//! `kustomize`: a built kustomization as text.
//!
//! Upstream: `kubectl/pkg/cmd/kustomize`.

use crate::cli::kustomize::Kustomize;
use crate::kustomize::build;
use crate::print;
use anyhow::bail;
use std::path::Path;

pub(super) fn run(flags: &Kustomize) -> anyhow::Result<()> {
    let folder = match flags.folders.as_slice() {
        [] => ".",
        [folder] => folder,
        _ => bail!("specify one path to kustomization.yaml"),
    };
    if flags.load_restrictor != "LoadRestrictionsRootOnly" {
        bail!("--load-restrictor={} is not supported: files outside the folder are refused", flags.load_restrictor);
    }
    for (name, set) in [("enable-helm", flags.enable_helm), ("enable-alpha-plugins", flags.enable_alpha_plugins)] {
        if set {
            bail!("--{name} is not supported");
        }
    }
    let documents: Vec<String> = build(Path::new(folder))?.iter().map(print::yaml).collect();
    let text = documents.join("---\n");
    match flags.output.as_str() {
        "" => crate::out!("{text}"),
        path => std::fs::write(path, text)?,
    }
    Ok(())
}
