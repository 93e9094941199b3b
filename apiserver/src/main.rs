//! The `kube-apiserver` binary.

use std::process::ExitCode;

/// Small and fast with the many short-lived buffers of requests.
#[global_allocator]
static ALLOCATOR: component::memory::Allocator = component::memory::Allocator;

fn main() -> ExitCode {
    component::daemon::main("kube-apiserver", kube_apiserver::run)
}
