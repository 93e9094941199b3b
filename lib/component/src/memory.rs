//! Memory that is resident and not needed.
//!
//! The allocator gives pages back to the kernel when later work asks it for new ones, so a daemon that idles after
//! something large, such as making an API document or reading all of etcd, would keep them for good. And half of what a
//! daemon touches of its program it needs only to start.

use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// When memory is looked after for the first time; from then on after twice as long each time.
const FIRST: Duration = Duration::from_secs(1);
/// But not less often than this.
const RARELY: Duration = Duration::from_secs(300);

/// Counts how often each thread was asked to give back what it has freed.
static ROUND: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static DONE: Cell<u32> = const { Cell::new(0) };
}

/// Gives what is not needed back to the kernel from time to time, for as long as it is polled.
pub async fn keep_small() -> std::convert::Infallible {
    let mut pause = FIRST;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RARELY);
        ROUND.fetch_add(1, Ordering::Relaxed);
        release();
        if let Err(error) = unmap_program() {
            tracing::debug!(%error, "cannot tell what is mapped");
        }
    }
}

/// To be called by a thread before it sleeps: gives back what it has freed, if it was asked to since the last time.
/// Each thread has a heap of its own, which no other thread can look after.
pub fn before_sleep() {
    let round = ROUND.load(Ordering::Relaxed);
    if DONE.replace(round) != round {
        release();
    }
}

/// Unmaps the program's file and those of its libraries. What is used again comes back by itself from the kernel's
/// cache, at the cost of a page fault for each 64 KiB; what was only used to start, or for a rare request, does not.
fn unmap_program() -> procfs::ProcResult<()> {
    advise_program(rustix::mm::Advice::LinuxDontNeed)
}

/// Tells the kernel what becomes of the pages of the program's file and its libraries.
#[allow(unsafe_code, reason = "there is no safe name for it")]
fn advise_program(advice: rustix::mm::Advice) -> procfs::ProcResult<()> {
    for map in Process::myself()?.smaps()?.into_iter().filter(is_clean_file) {
        let (start, end) = map.address;
        let pages = std::ptr::with_exposed_provenance_mut(start as usize);
        // SAFETY: the pages hold what the file holds, as none was written to and none can be, and are read from it
        // again when they are next touched.
        unsafe { rustix::mm::madvise(pages, (end - start) as usize, advice) }.map_err(std::io::Error::from)?;
    }
    Ok(())
}

/// Whether a mapping is a file's as it is on disk, and can only be read. Tables that the loader has filled in are not.
fn is_clean_file(map: &MemoryMap) -> bool {
    let private = [
        MMPermissions::READ | MMPermissions::PRIVATE,
        MMPermissions::READ | MMPermissions::EXECUTE | MMPermissions::PRIVATE,
    ];
    matches!(map.pathname, MMapPath::Path(_))
        && private.contains(&map.perms)
        && map.extension.map.get("Anonymous") == Some(&0)
}

/// The allocator of all daemons: mimalloc, small and fast with the many short-lived buffers of requests.
///
/// The `mimalloc` crate asks for an alignment with each allocation, which takes mimalloc about as long again as one that
/// has the alignment that everything has; that is spared where it is enough.
#[derive(Debug)]
pub struct Allocator;

/// What mimalloc aligns everything to that is not smaller.
const ALIGNMENT: usize = 16;

/// Whether a block of this layout is aligned without being asked for: one as small as a word is aligned to that.
const fn is_aligned(size: usize, alignment: usize) -> bool {
    alignment <= size_of::<usize>() || alignment <= ALIGNMENT && size >= ALIGNMENT
}

#[allow(unsafe_code, reason = "allocators are made of nothing else")]
// SAFETY: each block comes from mimalloc with the size that was asked for and at least its alignment, and goes back to it.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, alignment) = (layout.size(), layout.align());
        match is_aligned(size, alignment) {
            // SAFETY: mimalloc takes all sizes, and all powers of two as alignments.
            true => unsafe { libmimalloc_sys::mi_malloc(size) }.cast(),
            // SAFETY: as above.
            false => unsafe { libmimalloc_sys::mi_malloc_aligned(size, alignment) }.cast(),
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, alignment) = (layout.size(), layout.align());
        match is_aligned(size, alignment) {
            // SAFETY: as above.
            true => unsafe { libmimalloc_sys::mi_zalloc(size) }.cast(),
            // SAFETY: as above.
            false => unsafe { libmimalloc_sys::mi_zalloc_aligned(size, alignment) }.cast(),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: the caller has the block from this allocator, and gives it up.
        unsafe { libmimalloc_sys::mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match is_aligned(size, layout.align()) {
            // SAFETY: the caller has the block from this allocator.
            true => unsafe { libmimalloc_sys::mi_realloc(block.cast(), size) }.cast(),
            // SAFETY: as above.
            false => unsafe { libmimalloc_sys::mi_realloc_aligned(block.cast(), size, layout.align()) }.cast(),
        }
    }
}

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
    static ALLOCATOR: Allocator = Allocator;

    fn resident() -> u64 {
        let status = procfs::process::Process::myself().expect("this process").statm().expect("its memory");
        status.resident * 4096
    }

    #[test]
    fn the_program_is_unmapped_and_still_runs() {
        let files = || Process::myself().expect("this process").status().expect("its memory").rssfile.expect("known");
        // All of it, or how much there is to unmap would depend on what ran before.
        advise_program(rustix::mm::Advice::LinuxPopulateRead).expect("mapped");
        let before = files();
        unmap_program().expect("unmapped");
        let after = files();
        assert!(after < before * 3 / 4, "{before} KiB before, {after} after");
    }

    #[test]
    fn tables_of_the_loader_stay() {
        let maps = Process::myself().expect("this process").smaps().expect("its memory");
        let (clean, other): (Vec<_>, Vec<_>) = maps.into_iter().partition(is_clean_file);
        assert!(clean.iter().any(|map| map.perms.contains(MMPermissions::EXECUTE)), "no code");
        assert!(other.iter().any(|map| matches!(map.pathname, MMapPath::Path(_))), "no tables");
        assert!(clean.iter().all(|map| !map.perms.contains(MMPermissions::WRITE)));
    }

    #[test]
    fn a_thread_gives_back_once_a_round() {
        ROUND.fetch_add(1, Ordering::Relaxed);
        before_sleep();
        assert_eq!(DONE.get(), ROUND.load(Ordering::Relaxed));
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
