//! Entry point of `cluster-dns`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    component::daemon::main("cluster-dns", dns::run)
}
