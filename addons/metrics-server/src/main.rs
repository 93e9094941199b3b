//! Entry point of `metrics-server`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: component::memory::Allocator = component::memory::Allocator;

fn main() -> ExitCode {
    component::daemon::main("metrics-server", metrics_server::run)
}
