//! The scripts that teach shells to ask the program.

/// The script for a shell.
pub fn script(shell: &str) -> Option<&'static str> {
    match shell {
        "bash" => Some(include_str!("kubectl.bash")),
        "zsh" => Some(include_str!("kubectl.zsh")),
        "fish" => Some(include_str!("kubectl.fish")),
        "powershell" => Some(include_str!("kubectl.ps1")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn shells_read_their_scripts() {
        for (shell, name) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), super::script(name).expect("a script")).expect("writes");
            // A shell that is not installed cannot be asked.
            if let Ok(output) = Command::new(shell).arg("-n").arg(file.path()).output() {
                assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
            }
        }
    }

    #[test]
    fn bash_completes() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("kubectl");
        std::fs::write(&program, "#!/bin/sh\nprintf 'pods\\tthe pods\\npodtemplates\\n:4\\n'\n").expect("writes");
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("sets");
        let script = super::script("bash").expect("a script");
        let ask = format!(
            "{script}\nCOMP_LINE='kubectl get po' COMP_POINT=14 COMP_WORDS=(kubectl get po) COMP_CWORD=2; __kubectl_complete; echo \"${{COMPREPLY[@]}}\""
        );
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let output = Command::new("bash").args(["--norc", "-c", &ask]).env("PATH", path).output().expect("runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "pods podtemplates\n", "{output:?}");
    }
}
