//! Environment files of the units in `deploy/systemd`: the arguments of each daemon.

use crate::plan::Process;
use anyhow::{Context, ensure};
use std::path::Path;

/// Writes `NAME.env` for every process into `folder`.
pub fn write(processes: &[Process], folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    for process in processes {
        let path = folder.join(format!("{}.env", process.name));
        std::fs::write(&path, render(process)?).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// One variable: the unit splits it at spaces.
fn render(process: &Process) -> anyhow::Result<String> {
    for argument in &process.arguments {
        ensure!(
            !argument.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\\' | '$')),
            "{}: {argument:?} cannot stand in an environment file",
            process.name
        );
    }
    let variable = process.name.to_uppercase().replace('-', "_");
    Ok(format!("{variable}_ARGS=\"{}\"\n", process.arguments.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(arguments: &[&str]) -> Process {
        Process {
            name: "kube-proxy".into(),
            program: "kube-proxy".into(),
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            inputs: 0,
        }
    }

    #[test]
    fn arguments_are_one_variable() {
        assert_eq!(render(&process(&["--a=b", "--c"])).expect("text"), "KUBE_PROXY_ARGS=\"--a=b --c\"\n");
        for bad in ["--a=b c", "--a=\"", "--a=$HOME"] {
            assert!(render(&process(&[bad])).is_err(), "{bad}");
        }
    }
}
