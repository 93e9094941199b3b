//! `kustomize`: a built kustomization as text.
//!
//! Upstream: `kubectl/pkg/cmd/kustomize`.

use crate::cli::kustomize::Kustomize;
use crate::http::io_words;
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
    // What charts and plugins would be for is refused where a kustomization names it.
    match flags.load_restrictor.as_str() {
        "LoadRestrictionsRootOnly" => {}
        "LoadRestrictionsNone" => {
            bail!("--load-restrictor={} is not supported: files outside the folder are refused", flags.load_restrictor)
        }
        other => bail!(
            "illegal flag value --load-restrictor {other}; legal values: [LoadRestrictionsRootOnly LoadRestrictionsNone]"
        ),
    }
    let documents: Vec<String> = build(Path::new(folder))?.iter().map(print::yaml).collect();
    let text = documents.join("---\n");
    match flags.output.as_str() {
        "" => crate::out!("{text}"),
        path => std::fs::write(path, text).map_err(|why| anyhow::anyhow!("open {path}: {}", io_words(&why)))?,
    }
    Ok(())
}
