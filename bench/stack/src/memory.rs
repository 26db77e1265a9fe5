//! Bytes that are allocated on behalf of one host.

use stats_alloc::INSTRUMENTED_SYSTEM;

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
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}
