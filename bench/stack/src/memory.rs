//! Bytes that are allocated on behalf of one host.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use wharf_sys::HugePages;

/// The allocator of the `wharf` command, for both stacks alike. Below it all is counted, at some nanoseconds for each
/// allocation; it counts the chunks of large tables itself.
#[global_allocator]
static ALLOCATOR: HugePages<&StatsAlloc<System>> = HugePages::above(&INSTRUMENTED_SYSTEM);

/// The bytes that were allocated and not given back inside of [`Account::add`]: as asked of the allocator, its own overhead not
/// counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account(i64);

impl Account {
    /// Runs something whose memory goes to this account.
    pub fn add<R>(&mut self, run: impl FnOnce() -> R) -> R {
        let before = held();
        let result = run();
        self.0 += held() - before;
        result
    }

    /// Bytes held now.
    pub fn bytes(self) -> i64 {
        self.0
    }
}

fn held() -> i64 {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64 + ALLOCATOR.held() as i64
}
