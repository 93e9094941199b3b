//! Entry point of `kube-dashboard`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: component::memory::Allocator = component::memory::Allocator;

fn main() -> ExitCode {
    component::daemon::main("kube-dashboard", dashboard::run)
}
