//! Entry point of `metrics-server`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    component::daemon::main("metrics-server", metrics_server::run)
}
