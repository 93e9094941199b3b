//! Entry point of `kube-proxy`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: component::memory::Allocator = component::memory::Allocator;

fn main() -> ExitCode {
    component::daemon::main("kube-proxy", kube_proxy::run::run)
}
