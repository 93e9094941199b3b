//! Entry point of `cluster-dns`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: component::memory::Allocator = component::memory::Allocator;

fn main() -> ExitCode {
    component::daemon::main("cluster-dns", dns::run)
}
