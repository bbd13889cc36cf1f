use std::time::{Duration, SystemTime};
use windowing::Time;

/// Settings of the client; start from [`TableLogOptions::new`].
#[derive(Clone, Debug)]
pub struct TableLogOptions {
    /// Instance name for records.
    pub writer: String,
    /// Publish a record of another that no `published` names after this (10 s).
    pub help_after: Duration,
    /// Read-only clients never write: no commits, no checkpoints, no publishing.
    pub read_only: bool,
    /// Longest wait for one answer of the store (30 s); after it the outcome is unknown.
    pub request_timeout: Duration,
    /// How long repeatable calls are tried again (60 s). A create whose outcome is unknown is tried until it is known.
    pub retry_for: Duration,
    /// A live file without object and upload is lost after this (10 min).
    pub lost_after: Duration,
    /// Most memory for records kept after reading (64 MiB of objects).
    pub record_cache_bytes: usize,
    /// Folding more records than this past a checkpoint writes one (200).
    pub checkpoint_every: u64,
    /// File lists over this size go to an object of their own, so that a fold stays quick (1 MiB).
    pub inline_files_bytes: usize,
    /// Seed of ids and jitter; `None`: from the system.
    pub seed: Option<u64>,
    /// Clock for `at`, which decides nothing.
    pub wall_clock: fn() -> Time,
    /// Called before and after each external effect, with the step's name; tests end the process in it.
    pub fail_point: fn(&'static str),
}

impl TableLogOptions {
    /// The defaults, for an instance of this name.
    pub fn new(writer: impl Into<String>) -> Self {
        Self {
            writer: writer.into(),
            help_after: Duration::from_secs(10),
            read_only: false,
            request_timeout: Duration::from_secs(30),
            retry_for: Duration::from_secs(60),
            lost_after: Duration::from_secs(600),
            record_cache_bytes: 64 << 20,
            checkpoint_every: 200,
            inline_files_bytes: 1 << 20,
            seed: None,
            wall_clock: system_clock,
            fail_point: |_| {},
        }
    }

    /// The defaults for commands that only read.
    pub fn read_only() -> Self {
        Self { read_only: true, ..Self::new("reader") }
    }
}

impl Default for TableLogOptions {
    fn default() -> Self {
        Self::new("unnamed")
    }
}

#[expect(clippy::disallowed_methods, reason = "`at` in a record is for people and decides nothing")]
fn system_clock() -> Time {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
