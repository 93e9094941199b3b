//! `plugin list`.
//!
//! Upstream: `kubectl/pkg/cmd/plugin`.

use crate::cli::kuberc::List;
use crate::plugins::{self, Checker};
use anyhow::bail;

pub(super) fn list(flags: &List) -> anyhow::Result<()> {
    let all = plugins::all(true);
    if all.is_empty() {
        bail!("error: unable to find any kubectl plugins in your PATH\n");
    }
    crate::outln!("The following compatible plugins are available:\n");
    let (mut checker, mut warnings) = (Checker::default(), 0);
    for path in &all {
        match flags.name_only {
            true => crate::outln!("{}", path.file_name().unwrap_or_default().display()),
            false => crate::outln!("{}", path.display()),
        }
        for warning in checker.check(path) {
            eprintln!("  - {warning}");
            warnings += 1;
        }
    }
    match warnings {
        0 => Ok(()),
        1 => bail!("error: one plugin warning was found\n"),
        count => bail!("error: {count} plugin warnings were found\n"),
    }
}
