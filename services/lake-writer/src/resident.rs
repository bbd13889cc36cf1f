//! What the process really holds, against what is reserved: memory that the allocator keeps counts too.
use crate::budget::{MemoryBudget, Reservation};
use std::time::Duration;

/// Period of looking: at a million rows a second some ten megabytes come in between.
pub const PERIOD: Duration = Duration::from_millis(100);
/// The process's own beside the budget: stacks, folds, decoders, the runtime.
const BESIDE_BYTES: u64 = 64 << 20;

/// Keeps what is resident and not reserved reserved. An allocator returns what one thread freed of another's memory only after a while, and
/// rows are buffered by the shards and freed by their commits.
#[derive(Debug)]
pub struct Unaccounted {
    reservation: Reservation,
    budget: MemoryBudget,
}

impl Unaccounted {
    /// Nothing yet.
    pub fn new(budget: &MemoryBudget) -> Self {
        Self { reservation: budget.reserve(0), budget: budget.clone() }
    }

    /// Looks again; `resident_bytes` is the process's anonymous memory now. At most a quarter of the budget is taken away, so that work
    /// always goes on.
    pub fn observe(&mut self, resident_bytes: u64) {
        let accounted = self.budget.used().saturating_sub(self.reservation.bytes());
        let unaccounted = resident_bytes.saturating_sub(accounted).saturating_sub(BESIDE_BYTES);
        self.reservation.resize(unaccounted.min(self.budget.limit() / 4));
    }
}

/// Anonymous memory of this process that is in RAM, in bytes; `None` where the system does not tell (only Linux does).
pub fn resident_bytes() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// `RssAnon:     1234 kB` of proc(5).
fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_resident_and_not_reserved_counts() {
        let budget = MemoryBudget::new(100 << 20);
        let rows = budget.reserve(30 << 20);
        let mut unaccounted = Unaccounted::new(&budget);
        unaccounted.observe(90 << 20);
        assert_eq!(budget.used(), 30 << 20, "within what stands beside the budget");
        unaccounted.observe(110 << 20);
        assert_eq!(budget.used(), (30 + 16) << 20);
        unaccounted.observe(900 << 20);
        assert_eq!(budget.used(), (30 + 25) << 20, "at most a quarter");
        drop(rows);
        unaccounted.observe(84 << 20);
        assert_eq!(budget.used(), 20 << 20);
    }

    #[test]
    fn the_kernel_tells() {
        assert_eq!(parse("VmRSS:\t 10 kB\nRssAnon:\t     320 kB\nRssFile:\t 5 kB\n"), Some(320 << 10));
        assert_eq!(parse("RssAnon: many kB"), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 0));
    }
}
