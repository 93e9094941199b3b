//! The kube-scheduler binary.

#[global_allocator]
static ALLOCATOR: component::memory::Allocator = component::memory::Allocator;

fn main() -> std::process::ExitCode {
    component::daemon::main("kube-scheduler", kube_scheduler::app::run)
}
