//! STUB. Decides whether a proposal can be committed on a state.
use crate::{Body, PutId, Record, Seq, SourcePartition, Offset, TableState};
use windowing::Time;

/// A record that is to be committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Identity; the same for every try.
    pub put_id: PutId,
    /// Instance.
    pub writer: String,
    /// Clock, for people.
    pub at: Time,
    /// Seqs whose files the proposer has seen in place.
    pub published: Vec<Seq>,
    /// What it says.
    pub body: Body,
}

/// What to do with a proposal.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Create this record.
    Commit(Record),
    /// Somebody else took these offsets, or the rules moved: drop the work and read again from the log.
    Fenced(Fenced),
    /// Made on an old base: make it again.
    Stale(Stale),
    /// The state already has it.
    AlreadyDone,
}

/// Why a proposal is fenced.
#[derive(Clone, Debug, PartialEq)]
pub enum Fenced {
    /// A range does not start at the log's next offset.
    Discontinuous { source: SourcePartition, expected: Option<Offset>, found: Offset },
    /// The source is retired or its generation ended.
    SourceEnded { source: SourcePartition },
    /// A file in `open/` names a closed window.
    WindowClosed { window_start: Time },
    /// A file was staged on a state older than a sweep.
    Swept { staged_on: Seq, before: Seq },
    /// Schema version is not committed.
    UnknownSchema { schema_version: u32 },
    /// A register shows less than the log's.
    OldRegister { shows: Seq, newest: Seq },
    /// Anything that breaks a rule of the record itself; the text says which.
    Invalid(String),
}

/// Why a proposal is stale.
#[derive(Clone, Debug, PartialEq)]
pub enum Stale {
    /// The window has another revision.
    Revision { window_start: Time, expected: u32, found: u32 },
    /// The source revisions are not newer than the current result's.
    Inputs { window_start: Time },
    /// A `table` record changes what never changes, or its version is not the next.
    Table(String),
    /// Something else moved.
    Moved(String),
}

/// Decides. Pure.
pub fn plan(state: &TableState, proposal: &Proposal) -> Plan { let _ = (state, proposal, Seq(0)); let _ : Option<Body> = None; todo!() }
