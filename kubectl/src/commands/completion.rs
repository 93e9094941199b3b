//! `completion` and `__complete`.
//!
//! Upstream: `kubectl/pkg/cmd/completion`.

use crate::cli::kuberc::Completion;
use crate::completion;
use crate::writing::usage;

pub(super) fn run(flags: &Completion) -> anyhow::Result<()> {
    let shell = match flags.words.as_slice() {
        [] => return Err(usage("completion", "Shell not specified.")),
        [shell] => shell,
        _ => return Err(usage("completion", "Too many arguments. Expected only the shell type.")),
    };
    match completion::script(shell) {
        Some(script) => {
            crate::out!("{script}");
            Ok(())
        }
        None => Err(usage("completion", format!("Unsupported shell type {shell:?}."))),
    }
}

/// Answers a shell.
pub async fn answer(words: &[String], described: bool) -> anyhow::Result<()> {
    let answer = completion::answer(words).await;
    crate::out!("{}", answer.text(described));
    eprintln!("{}", answer.remark());
    Ok(())
}
