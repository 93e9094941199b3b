//! Entry point of `flanneld`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: component::memory::Allocator = component::memory::Allocator;

fn main() -> ExitCode {
    component::daemon::main("flanneld", flannel::run)
}
