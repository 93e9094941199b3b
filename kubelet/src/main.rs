//! Entry point.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: component::memory::Allocator = component::memory::Allocator;

fn main() -> ExitCode {
    component::daemon::main("kubelet", kubelet::wiring::run)
}
