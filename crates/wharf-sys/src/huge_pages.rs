//! Huge pages for large tables: an allocator above another one.
//!
//! With millions of flows each look-up reads two lines at random places, and with pages of 4 KiB the processor doesn't know
//! where most of them are: it has to read that first. With pages of 2 MiB it does. The kernel gives them to ranges that
//! ask for them (`madvise(2)`, MADV_HUGEPAGE), in one piece that is aligned. A table grows by much smaller pieces, its
//! chunks, so that no growth takes long; this allocator puts them side by side into such ranges.
//!
//! A *block* is what a chunk of a table looks like to an allocator: a power of two of at least 64 KiB that begins at a cache
//! line. Blocks of one size share *slabs* of 2 MiB. Everything else goes to the allocator below, as if this one were not
//! there.
//!
//! # Invariants
//! - The first slabs have small pages, so that a process with small tables holds no more than it uses. Of the huge ones at
//!   most one for each size is used in part, unless blocks have gone.
//! - A block that nobody has is zero and holds no memory; a slab without blocks is given back to the kernel.
//! - What is kept about slabs is never a block itself, so the lock is never taken twice.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What asks for huge pages: a cache line, and at least so many of them.
const LINE: usize = 64;
const BLOCK_LEAST: usize = 64 << 10;
const BLOCK_MOST: usize = 1 << 20;
const SIZES: usize = (BLOCK_MOST / BLOCK_LEAST).ilog2() as usize + 1;
/// A huge page, and its boundary.
const SLAB: usize = 2 << 20;
/// So many slabs have small pages: 16 MiB of tables, a few hundred thousand flows.
const SMALL_SLABS: usize = 8;

/// A global allocator that puts the chunks of large tables into huge pages, and leaves everything else to `below`.
///
/// Where the kernel has no huge pages to give, or never gives any, the pages are small ones.
#[derive(Debug)]
pub struct HugePages<A> {
    below: A,
    slabs: Mutex<Slabs>,
}

impl<A> HugePages<A> {
    /// An allocator without slabs.
    pub const fn above(below: A) -> HugePages<A> {
        HugePages { below, slabs: Mutex::new(Slabs::new()) }
    }

    /// The bytes of the blocks that somebody has.
    pub fn held(&self) -> usize {
        self.slabs().held
    }

    fn slabs(&self) -> MutexGuard<'_, Slabs> {
        self.slabs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which of the sizes of blocks a layout has.
fn size_of_block(layout: Layout) -> Option<usize> {
    let size = layout.size();
    let is_block =
        layout.align() == LINE && size.is_power_of_two() && (BLOCK_LEAST..=BLOCK_MOST).contains(&size);
    is_block.then(|| (size / BLOCK_LEAST).ilog2() as usize)
}

// SAFETY: a layout is a block's or it is not, so what comes from one of the two allocators goes back to the same. Blocks that
// are handed out don't overlap, are aligned to their size and stay mapped until they come back ([`Slabs`]); for all else
// the contract is that of the allocator below.
unsafe impl<A: GlobalAlloc> GlobalAlloc for HugePages<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match size_of_block(layout) {
            Some(size) => self.slabs().take(size).map_or(ptr::null_mut(), NonNull::as_ptr),
            // SAFETY: the caller's promises are those that the allocator below asks for.
            None => unsafe { self.below.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match size_of_block(layout) {
            // A block that nobody had is zero.
            Some(size) => self.slabs().take(size).map_or(ptr::null_mut(), NonNull::as_ptr),
            // SAFETY: as above.
            None => unsafe { self.below.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        match size_of_block(layout) {
            // SAFETY: the caller promises that this block was allocated here and that nobody uses it any more.
            Some(size) => unsafe { self.slabs().give(at.addr(), size) },
            // SAFETY: as above.
            None => unsafe { self.below.dealloc(at, layout) },
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size, rounded up to the alignment, does not overflow.
        let after = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if size_of_block(layout).is_none() && size_of_block(after).is_none() {
            // SAFETY: as above.
            return unsafe { self.below.realloc(at, layout, size) };
        }
        // SAFETY: the size is not zero, by the caller's promise.
        let new = unsafe { self.alloc(after) };
        if !new.is_null() {
            // SAFETY: both are valid for the lesser of the sizes and don't overlap; the old one is the caller's to give back.
            unsafe {
                ptr::copy_nonoverlapping(at, new, layout.size().min(size));
                self.dealloc(at, layout);
            }
        }
        new
    }
}

/// All slabs.
#[derive(Debug)]
struct Slabs {
    /// By size of their blocks and by address: a bit for each block that somebody has.
    used: [BTreeMap<usize, u32>; SIZES],
    /// Those with room.
    roomy: [BTreeSet<usize>; SIZES],
    count: usize,
    held: usize,
}

impl Slabs {
    const fn new() -> Slabs {
        Slabs {
            used: [const { BTreeMap::new() }; SIZES],
            roomy: [const { BTreeSet::new() }; SIZES],
            count: 0,
            held: 0,
        }
    }

    /// A block of this size that nobody has, all zero. `None` when the kernel gives no more memory.
    fn take(&mut self, size: usize) -> Option<NonNull<u8>> {
        let bytes = BLOCK_LEAST << size;
        let address = match self.roomy[size].first() {
            Some(&address) => address,
            None => self.add(size)?,
        };
        let used = self.used[size].get_mut(&address)?;
        let block = used.trailing_ones();
        *used |= 1 << block;
        if used.count_ones() as usize == SLAB / bytes {
            self.roomy[size].remove(&address);
        }
        self.held += bytes;
        NonNull::new(ptr::with_exposed_provenance_mut(address + block as usize * bytes))
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// [`Slabs::take`] gave the block for this size, and nobody uses it any more.
    unsafe fn give(&mut self, at: usize, size: usize) {
        let bytes = BLOCK_LEAST << size;
        let address = at & !(SLAB - 1);
        let Some(used) = self.used[size].get_mut(&address) else { return };
        *used &= !(1 << ((at - address) / bytes));
        self.held -= bytes;
        if *used != 0 {
            // SAFETY: the block is part of a slab, and nobody uses it.
            let emptied = unsafe { advise(at, bytes, libc::MADV_DONTNEED) };
            if !emptied {
                // Locked pages stay, and must be zero for who comes next.
                // SAFETY: as above.
                unsafe { ptr::with_exposed_provenance_mut::<u8>(at).write_bytes(0, bytes) };
            }
            self.roomy[size].insert(address);
        } else {
            self.used[size].remove(&address);
            self.roomy[size].remove(&address);
            self.count -= 1;
            // SAFETY: the last block of the slab has just come back.
            unsafe { unmap(address, SLAB) };
        }
    }

    /// Adds a slab for blocks of this size.
    fn add(&mut self, size: usize) -> Option<usize> {
        let address = map_slab()?;
        let pages = if self.count < SMALL_SLABS { libc::MADV_NOHUGEPAGE } else { libc::MADV_HUGEPAGE };
        // SAFETY: the slab is ours, and its content stays as it is.
        unsafe { advise(address, SLAB, pages) };
        self.used[size].insert(address, 0);
        self.roomy[size].insert(address);
        self.count += 1;
        Some(address)
    }
}

/// A slab from the kernel, aligned and all zero.
fn map_slab() -> Option<usize> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: an anonymous mapping at an address of the kernel's choice overlaps nothing.
    let mapped = unsafe { libc::mmap(ptr::null_mut(), 2 * SLAB, protection, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return None;
    }
    let mapped = mapped.expose_provenance();
    let address = mapped.next_multiple_of(SLAB);
    // SAFETY: what lies before and behind the slab is ours, and nobody knows of it.
    unsafe {
        unmap(mapped, address - mapped);
        unmap(address + SLAB, mapped + SLAB - address);
    }
    Some(address)
}

/// Tells the kernel something about a range; whether it took the advice. Where it does not, speed differs, or the range keeps
/// its memory and what is in it.
///
/// # Safety
/// The range is part of a slab, and nobody needs what the advice lets go.
unsafe fn advise(at: usize, bytes: usize, advice: libc::c_int) -> bool {
    // SAFETY: the caller's promise.
    unsafe { libc::madvise(ptr::with_exposed_provenance_mut(at), bytes, advice) == 0 }
}

/// # Safety
/// The range is a mapping of ours that nobody uses.
unsafe fn unmap(at: usize, bytes: usize) {
    if bytes == 0 {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(ptr::with_exposed_provenance_mut(at), bytes) };
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;

    fn block(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, LINE).unwrap()
    }

    /// The flags of the mapping with this address, as the kernel lists them.
    fn flags(at: usize) -> String {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in smaps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let bounds = range.map(|(from, to)| [from, to].map(|bound| usize::from_str_radix(bound, 16)));
            if let Some([Ok(from), Ok(to)]) = bounds {
                inside = (from..to).contains(&at);
            } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
                return flags.to_owned();
            }
        }
        panic!("nothing is mapped at {at:#x}")
    }

    #[test]
    fn only_chunks_of_tables_are_blocks() {
        for (size, align) in
            [(64 << 10, 8), (32 << 10, 64), (2 << 20, 64), ((64 << 10) + 64, 64), (1 << 20, 4096)]
        {
            assert_eq!(size_of_block(Layout::from_size_align(size, align).unwrap()), None);
        }
        assert_eq!(size_of_block(block(64 << 10)), Some(0));
        assert_eq!(size_of_block(block(1 << 20)), Some(SIZES - 1));
    }

    #[test]
    fn blocks_are_zero_apart_and_given_back() {
        let pages = HugePages::above(System);
        let sizes = [64 << 10, 256 << 10, 64 << 10, 1 << 20];
        let mut held: Vec<(*mut u8, usize)> = Vec::new();
        let fill = |at: *mut u8, bytes: usize, value: u8| {
            // SAFETY: the block was given for so many bytes, and is this test's.
            let slice = unsafe { std::slice::from_raw_parts_mut(at, bytes) };
            assert!(slice.iter().all(|&byte| byte == value.wrapping_sub(1)), "it is another's");
            slice.fill(value);
        };
        for round in 0..6 {
            for number in 0..60 {
                let bytes = sizes[number % sizes.len()];
                // SAFETY: the size is not zero.
                let at = unsafe { pages.alloc_zeroed(block(bytes)) };
                assert_eq!(at.addr() % bytes, 0);
                fill(at, bytes, 1);
                held.push((at, bytes));
            }
            assert_eq!(pages.held(), held.iter().map(|&(_, bytes)| bytes).sum::<usize>());
            // Every other one goes, and its place is zero when it is used again.
            let mut keep = round % 2 == 0;
            held.retain(|&(at, bytes)| {
                keep = !keep;
                if !keep {
                    fill(at, bytes, 2);
                    // SAFETY: it came from here, with this layout, and is forgotten now.
                    unsafe { pages.dealloc(at, block(bytes)) };
                }
                keep
            });
        }
        for (at, bytes) in held {
            fill(at, bytes, 2);
            // SAFETY: as above.
            unsafe { pages.dealloc(at, block(bytes)) };
        }
        let slabs = pages.slabs();
        assert_eq!((slabs.count, slabs.held), (0, 0));
        assert!(slabs.used.iter().all(BTreeMap::is_empty) && slabs.roomy.iter().all(BTreeSet::is_empty));
    }

    #[test]
    fn a_large_table_asks_for_huge_pages_and_a_small_one_does_not() {
        let pages = HugePages::above(System);
        // SAFETY: the size is not zero.
        let blocks: Vec<*mut u8> =
            (0..SMALL_SLABS * 8 + 1).map(|_| unsafe { pages.alloc(block(256 << 10)) }).collect();
        let flags: Vec<String> = blocks.iter().map(|at| flags(at.addr())).collect();
        if !flags[0].contains(" nh") {
            println!("skipped: this kernel has no huge pages");
            return;
        }
        let is_huge = |flags: &String| flags.split(' ').any(|flag| flag == "hg");
        assert!(!flags[..SMALL_SLABS * 8].iter().any(is_huge), "{flags:?}");
        assert!(is_huge(&flags[SMALL_SLABS * 8]));
        for at in blocks {
            // SAFETY: it came from here, with this layout, and nobody uses it.
            unsafe { pages.dealloc(at, block(256 << 10)) };
        }
    }

    #[test]
    fn what_grows_into_a_block_and_out_of_it_keeps_its_bytes() {
        let pages = HugePages::above(System);
        // SAFETY: the size is not zero.
        let mut at = unsafe { pages.alloc(block(1 << 10)) };
        // SAFETY: so many bytes were given.
        unsafe { at.write_bytes(7, 1 << 10) };
        let mut before = 1 << 10;
        for bytes in [32 << 10, 64 << 10, 128 << 10, 3 << 20, 64 << 10, 1 << 10] {
            // SAFETY: it came from here, with this layout.
            at = unsafe { pages.realloc(at, block(before), bytes) };
            // SAFETY: so many bytes have been written.
            assert!(unsafe { std::slice::from_raw_parts(at, 1 << 10) }.iter().all(|&byte| byte == 7));
            assert_eq!(pages.held(), size_of_block(block(bytes)).map_or(0, |_| bytes));
            before = bytes;
        }
        // SAFETY: as above.
        unsafe { pages.dealloc(at, block(before)) };
    }
}
