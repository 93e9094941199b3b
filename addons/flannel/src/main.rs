//! Entry point of `flanneld`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    component::daemon::main("flanneld", flannel::run)
}
