//! STUB. The invariants of the system; ids appear in tests, asserts and metrics.

/// One of the invariants of docs/guarantees.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Invariant {
    Tl1,
    Tl2,
    Tl3,
    Tl4,
    Tl5,
    Tl6,
    Tm1,
    Tm2,
    Tm3,
    Tm4,
    Ct1,
    Rp1,
    Br1,
}
