//! Free memory that is still resident.
//!
//! The allocator gives pages back to the kernel when later work asks it for new ones. A daemon that idles after
//! something large, such as making an API document or reading all of etcd, would keep them for good.

/// Makes something large that leaves much free memory behind, and gives that back to the kernel.
pub fn trimmed<T>(make: impl FnOnce() -> T) -> T {
    let made = make();
    release();
    made
}

/// Gives what this thread has freed back to the kernel, now.
#[allow(unsafe_code, reason = "the allocator's crate has no safe name for it")]
pub fn release() {
    // SAFETY: it may be called at any time, touches nothing but free memory, and does nothing where another allocator
    // is in use.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

    fn resident() -> u64 {
        let status = procfs::process::Process::myself().expect("this process").statm().expect("its memory");
        status.resident * 4096
    }

    #[test]
    fn what_was_freed_is_not_resident() {
        let make = || (0..64).map(|_| vec![1_u8; 1 << 20]).map(|block| usize::from(block[9])).sum::<usize>();
        let held: Vec<Vec<u8>> = (0..64).map(|_| vec![1; 1 << 20]).collect();
        let before = resident();
        assert_eq!(
            trimmed(|| {
                drop(held);
                make()
            }),
            64
        );
        let after = resident();
        assert!(after + (48 << 20) < before, "{before} before, {after} after");
    }
}
