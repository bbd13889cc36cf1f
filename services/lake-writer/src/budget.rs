//! The process's memory budget, shared by all tables and shards.
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A limit in bytes and what is reserved of it. Cheap to clone; clones share the count.
///
/// Reserving never fails: what was taken from Kafka must go somewhere. Over the limit takers pause until commits have released memory, and each
/// adds at most its share of what is left.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    limit: u64,
    used: Arc<AtomicU64>,
}

impl MemoryBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, used: Arc::new(AtomicU64::new(0)) }
    }

    /// Whether takers must pause: three quarters are used. When all tables commit at once, what encoding takes comes on top.
    pub fn is_over(&self) -> bool {
        self.used() >= self.takable()
    }

    fn takable(&self) -> u64 {
        self.limit / 4 * 3
    }

    /// Bytes reserved now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes allowed.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// What one of `takers` that take at the same time may add: all together stay within it.
    pub fn share_left(&self, takers: u64) -> u64 {
        self.takable().saturating_sub(self.used()) / takers.max(1)
    }

    /// Reserves; released on drop.
    pub fn reserve(&self, bytes: u64) -> Reservation {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Reservation { budget: self.clone(), bytes }
    }
}

/// Reserved bytes of a [`MemoryBudget`].
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    bytes: u64,
}

impl Reservation {
    /// Changes the size.
    pub fn resize(&mut self, bytes: u64) {
        if bytes >= self.bytes {
            self.budget.used.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            self.budget.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hands all bytes to a new reservation and keeps none.
    pub fn split_off(&mut self) -> Reservation {
        let bytes = std::mem::take(&mut self.bytes);
        Reservation { budget: self.budget.clone(), bytes }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What librdkafka's queues of one consumer may hold: a quarter of the budget over all consumers, 256 KiB to 64 MiB each.
pub fn queue_bytes(limit: u64, consumers: u64) -> u64 {
    (limit / 4 / consumers.max(1)).clamp(256 << 10, 64 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_count_and_release() {
        let budget = MemoryBudget::new(100);
        let mut a = budget.reserve(60);
        let b = budget.reserve(14);
        assert!(!budget.is_over());
        assert_eq!(budget.share_left(1), 1);
        a.resize(61);
        assert!(budget.is_over());
        assert_eq!((budget.share_left(2), MemoryBudget::new(100).share_left(3)), (0, 25));
        let moved = a.split_off();
        a.resize(5);
        assert_eq!((a.bytes(), moved.bytes(), budget.used()), (5, 61, 80));
        drop((a, b, moved));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn queues_get_a_quarter() {
        assert_eq!(queue_bytes(512 << 20, 2), 64 << 20);
        assert_eq!(queue_bytes(512 << 20, 8), 16 << 20);
        assert_eq!(queue_bytes(1 << 20, 100), 256 << 10);
    }
}
