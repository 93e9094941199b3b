//! Entry point of the CNI plugin `flannel`.

use std::process::ExitCode;

fn main() -> ExitCode {
    flannel::cni::main()
}
