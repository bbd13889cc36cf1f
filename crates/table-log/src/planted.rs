//! Known bugs that tests plant to see that the models and the simulation find them.
//!
//! Without the cargo feature `planted-bugs`, [`is_planted`] is a constant `false` and nothing remains of this in the program.

/// A bug to plant; each breaks one rule of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Bug {
    /// Files are published before their record is committed.
    PublishBeforeCommit = 1,
    /// An append need not start at the source's next offset.
    SkipContinuity = 2,
    /// A create whose reply was lost counts as failed: the work is taken again and committed twice.
    LostReplyIsFailure = 3,
    /// Staged files are discarded though the outcome of their create is unknown.
    DiscardOnUnknownOutcome = 4,
    /// A late row goes to `open/` though its window is closed.
    LateRowIntoOpen = 5,
    /// Orphans are swept without a `sweep` record.
    SweepWithoutRecord = 6,
    /// New settings open closed windows again.
    ClosedUndoneBySettings = 7,
    /// A seal replaces late files that were committed after it had read its inputs, and so loses their rows.
    SealIgnoresLanded = 8,
    /// Superseded files are vacuumed while the catalog still shows them.
    VacuumBeforeRegister = 9,
    /// A derived window is made from other revisions than its record names.
    DeriveReadsOtherRevisions = 10,
    /// A seal may rest on a revision that has been replaced meanwhile.
    SealOnStaleRevision = 11,
    /// The new owner of a kafka_partition begins with no watermark, and the log takes what it reports.
    WatermarkBackOnReassignment = 12,
    /// Event times alone move watermarks (`windowing::planted`).
    FastClocksMoveWatermark = 13,
    /// Rows whose dedupe columns are null count as duplicates.
    NullsAreDuplicates = 14,
}

impl Bug {
    /// All bugs.
    pub const ALL: [Bug; 14] = [
        Bug::PublishBeforeCommit,
        Bug::SkipContinuity,
        Bug::LostReplyIsFailure,
        Bug::DiscardOnUnknownOutcome,
        Bug::LateRowIntoOpen,
        Bug::SweepWithoutRecord,
        Bug::ClosedUndoneBySettings,
        Bug::SealIgnoresLanded,
        Bug::VacuumBeforeRegister,
        Bug::DeriveReadsOtherRevisions,
        Bug::SealOnStaleRevision,
        Bug::WatermarkBackOnReassignment,
        Bug::FastClocksMoveWatermark,
        Bug::NullsAreDuplicates,
    ];
}

#[cfg(feature = "planted-bugs")]
static PLANTED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Whether this bug is planted in this process.
#[cfg(feature = "planted-bugs")]
pub fn is_planted(bug: Bug) -> bool {
    PLANTED.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Whether this bug is planted: never, without the feature `planted-bugs`.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn is_planted(_bug: Bug) -> bool {
    false
}

/// Plants one bug in this whole process, or removes it. Tests that plant need a process of their own.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8), std::sync::atomic::Ordering::Relaxed);
    windowing::planted::let_fast_clocks_count(bug == Some(Bug::FastClocksMoveWatermark));
}
