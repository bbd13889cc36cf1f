//! When to commit. Pure.
use std::time::Duration;

/// Settings of the decision.
#[derive(Clone, Copy, Debug)]
pub struct CommitPolicy {
    /// A commit after this, with jitter.
    pub interval: Duration,
    /// Or when this much is buffered.
    pub bytes: u64,
    /// Over so many files the interval stretches.
    pub files_per_commit: u32,
}

/// What the shard has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pending {
    /// How long the oldest taken and not proposed offset waits; `None`: nothing to propose.
    pub age: Option<Duration>,
    /// Bytes buffered.
    pub bytes: u64,
    /// Files of the commit.
    pub files: usize,
    /// An idle report is due.
    pub idle_due: bool,
    /// Somebody asked for a flush.
    pub flush: bool,
    /// The memory budget is used up.
    pub over_budget: bool,
}

/// Why a commit is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitReason {
    /// The interval passed.
    Interval,
    /// Enough is buffered.
    Bytes,
    /// The memory budget is used up.
    Budget,
    /// An idle report.
    Idle,
    /// A flush was asked for.
    Flush,
    /// kafka_partitions are revoked, or the shard ends.
    Drain,
}

impl CommitReason {
    /// Metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Bytes => "bytes",
            Self::Budget => "budget",
            Self::Idle => "idle",
            Self::Flush => "flush",
            Self::Drain => "drain",
        }
    }
}

/// A stretched interval is at most so many intervals: rows must become visible whatever the number of files.
const MAX_STRETCH: u32 = 10;

impl CommitPolicy {
    /// The interval of this commit: `jitter` in `[0, 1)` shifts it by up to a tenth either way, so that writers do not commit in step; more
    /// files than `files_per_commit` stretch it.
    pub fn due_after(&self, files: usize, jitter: f64) -> Duration {
        let wanted = self.files_per_commit.max(1) as usize;
        let stretch = (files.div_ceil(wanted).max(1) as u32).min(MAX_STRETCH);
        self.interval.mul_f64(f64::from(stretch) * (0.9 + 0.2 * jitter.clamp(0.0, 1.0)))
    }

    /// Whether to commit now.
    pub fn decide(&self, pending: Pending, jitter: f64) -> Option<CommitReason> {
        let age = pending.age?;
        if pending.flush {
            Some(CommitReason::Flush)
        } else if pending.over_budget {
            Some(CommitReason::Budget)
        } else if pending.bytes >= self.bytes {
            Some(CommitReason::Bytes)
        } else if pending.idle_due {
            Some(CommitReason::Idle)
        } else {
            (age >= self.due_after(pending.files, jitter)).then_some(CommitReason::Interval)
        }
    }

    /// Whether to take more while a commit is in flight: one commit's worth may wait for it, and one more fill up.
    pub fn may_take(&self, pending: Pending) -> bool {
        !pending.over_budget && pending.bytes < self.bytes.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: CommitPolicy = CommitPolicy { interval: Duration::from_secs(60), bytes: 1_000, files_per_commit: 500 };
    const AGED: Pending =
        Pending { age: Some(Duration::from_secs(61)), bytes: 1, files: 1, idle_due: false, flush: false, over_budget: false };

    #[test]
    fn nothing_pending_is_never_committed() {
        let all = Pending { age: None, bytes: 9_999, files: 9, idle_due: true, flush: true, over_budget: true };
        assert_eq!(POLICY.decide(all, 0.5), None);
    }

    #[test]
    fn each_reason_commits() {
        let fresh = Pending { age: Some(Duration::ZERO), ..AGED };
        assert_eq!(POLICY.decide(fresh, 0.5), None);
        assert_eq!(POLICY.decide(AGED, 0.5), Some(CommitReason::Interval));
        assert_eq!(POLICY.decide(Pending { bytes: 1_000, ..fresh }, 0.5), Some(CommitReason::Bytes));
        assert_eq!(POLICY.decide(Pending { over_budget: true, ..fresh }, 0.5), Some(CommitReason::Budget));
        assert_eq!(POLICY.decide(Pending { flush: true, ..fresh }, 0.5), Some(CommitReason::Flush));
        assert_eq!(POLICY.decide(Pending { idle_due: true, ..fresh }, 0.5), Some(CommitReason::Idle));
    }

    #[test]
    fn many_files_stretch_the_interval_within_a_bound() {
        assert_eq!(POLICY.due_after(500, 0.5), Duration::from_secs(60));
        assert_eq!(POLICY.due_after(501, 0.5), Duration::from_secs(120));
        assert_eq!(POLICY.due_after(1_000_000, 0.5), Duration::from_secs(600));
        assert_eq!(POLICY.decide(Pending { files: 600, ..AGED }, 0.5), None);
        assert!(POLICY.due_after(0, 0.0) < POLICY.due_after(0, 0.99));
    }

    #[test]
    fn taking_stops_at_two_commits_worth_and_over_budget() {
        assert!(POLICY.may_take(Pending { bytes: 1_999, ..AGED }));
        assert!(!POLICY.may_take(Pending { bytes: 2_000, ..AGED }));
        assert!(!POLICY.may_take(Pending { over_budget: true, ..AGED }));
    }
}
