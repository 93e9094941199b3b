//! The kube-scheduler binary.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    component::daemon::main("kube-scheduler", kube_scheduler::app::run)
}
