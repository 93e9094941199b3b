//! Entry point of `kube-dashboard`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    component::daemon::main("kube-dashboard", dashboard::run)
}
