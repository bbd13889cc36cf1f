//! The invariants of the system; ids appear in tests, asserts and metrics.
//!
//! Those that need nothing but records and folds have a predicate in [`check`]. The predicates share no code with the rules that keep them, so
//! that a broken rule is seen.

pub mod check;
mod revisions;

pub use revisions::Revisions;

use std::fmt;

/// One of the invariants of docs/guarantees.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Sequence numbers are dense; a record never changes.
    Tl1,
    /// Ranges of a source tile.
    Tl2,
    /// An offset is in exactly one place.
    Tl3,
    /// A named file exists or can still be published.
    Tl4,
    /// No unnamed object under a live folder.
    Tl5,
    /// The advisory group offset is not ahead of the log.
    Tl6,
    /// A watermark never goes back.
    Tm1,
    /// Every row belongs to its file's lake partition and window.
    Tm2,
    /// A revision is its inputs without named duplicates.
    Tm3,
    /// What a reader sees of a window never shrinks.
    Tm4,
    /// The catalog names only committed, published data, in time.
    Ct1,
    /// A report slot has at most one final result per revision.
    Rp1,
    /// An acknowledged message is in Kafka.
    Br1,
}

impl Invariant {
    /// All invariants.
    pub const ALL: [Invariant; 13] = [
        Self::Tl1,
        Self::Tl2,
        Self::Tl3,
        Self::Tl4,
        Self::Tl5,
        Self::Tl6,
        Self::Tm1,
        Self::Tm2,
        Self::Tm3,
        Self::Tm4,
        Self::Ct1,
        Self::Rp1,
        Self::Br1,
    ];

    /// The id, such as `TL-1`.
    pub const fn id(self) -> &'static str {
        self.parts().0
    }

    /// What holds always.
    pub const fn text(self) -> &'static str {
        self.parts().1
    }

    const fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Tl1 => ("TL-1", "sequence numbers are dense; a record never changes"),
            Self::Tl2 => (
                "TL-2",
                "per (topic, generation, kafka_partition) the source ranges tile from the declared start, up to declared gaps: no hole, no overlap",
            ),
            Self::Tl3 => (
                "TL-3",
                "an offset is in exactly one of: one live or late data row, one quarantine row, dropped in favour of a named row, skipped, absent, declared lost",
            ),
            Self::Tl4 => (
                "TL-4",
                "a file named by the state and not vacuumed exists with the rows the record says, or its upload can still be published",
            ),
            Self::Tl5 => ("TL-5", "no object under a live folder that the log does not name"),
            Self::Tl6 => ("TL-6", "the advisory group offset is not above the log's next offset"),
            Self::Tm1 => ("TM-1", "a watermark never goes back"),
            Self::Tm2 => ("TM-2", "every row in a file belongs to that file's lake partition and window"),
            Self::Tm3 => (
                "TM-3",
                "rows of a source table's revision are its inputs without named duplicates; a derived revision is its SQL over the named inputs",
            ),
            Self::Tm4 => ("TM-4", "what a catalog reader sees of a source table's window never shrinks, but for named duplicates"),
            Self::Ct1 => ("CT-1", "the catalog names only committed, published data, and shows each change in time"),
            Self::Rp1 => ("RP-1", "a report slot has at most one final result per revision"),
            Self::Br1 => ("BR-1", "a message the bridge acknowledged is in Kafka"),
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// An invariant that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// Names the record, file, window or offset.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.invariant, self.invariant.text(), self.detail)
    }
}

impl std::error::Error for Violation {}
