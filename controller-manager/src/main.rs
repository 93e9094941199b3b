//! Entry point.

use kube_controller_manager::manager;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: component::memory::Allocator = component::memory::Allocator;

fn main() -> ExitCode {
    component::daemon::main::<manager::flags::Flags, _, _>("kube-controller-manager", manager::run::run)
}
