//! Decides whether a proposal can be committed on a state: the proposal and the fold in, a [`Plan`] out.
//!
//! | outcome | what the proposer does |
//! |---|---|
//! | [`Plan::Commit`] | conditional create of the record at its seq |
//! | [`Plan::Fenced`] | drops the work and reads again from the log |
//! | [`Plan::Stale`] | makes the work again on the newer base |
//! | [`Plan::AlreadyDone`] | drops the work: the state has it |
//!
//! The rules are in `rules`; [`TableState::apply`] holds the same ones.
use crate::{Body, FORMAT, Offset, PutId, Record, Seq, SourcePartition, TableState, rules};
use std::fmt;
use windowing::{Time, Watermark};

/// A record that is to be committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// A range does not start at the log's next offset.
    Discontinuous {
        /// Which kafka_partition.
        source: SourcePartition,
        /// The log's next offset; `None` if the kafka_partition is not declared.
        expected: Option<Offset>,
        /// Start of the range.
        found: Offset,
    },
    /// The source is retired or its generation ended.
    SourceEnded {
        /// Which kafka_partition.
        source: SourcePartition,
    },
    /// A kafka_partition's watermark is behind the log's: another owner reported it idle.
    WatermarkBack {
        /// Which kafka_partition.
        source: SourcePartition,
        /// The log's.
        expected: Watermark,
        /// The proposal's.
        found: Watermark,
    },
    /// A file in `open/` names a closed window.
    WindowClosed {
        /// The window.
        window_start: Time,
    },
    /// A file was staged on a state older than a sweep.
    Swept {
        /// The file's base.
        staged_on: Seq,
        /// The sweep's limit.
        before: Seq,
    },
    /// Schema version is not committed.
    UnknownSchema {
        /// The file's version.
        schema_version: u32,
    },
    /// A register shows less than the log's.
    OldRegister {
        /// The proposal's.
        shows: Seq,
        /// The log's.
        newest: Seq,
    },
    /// Anything that breaks a rule of the record itself; the text says which.
    Invalid(String),
}

/// Why a proposal is stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The window has another revision.
    Revision {
        /// The window.
        window_start: Time,
        /// The revision that the proposal replaces.
        expected: u32,
        /// The revision that the log has.
        found: u32,
    },
    /// The source revisions are not newer than the current result's.
    Inputs {
        /// The derived window.
        window_start: Time,
    },
    /// A `table` record changes what never changes, or its version is not the next.
    Table(String),
    /// Something else moved.
    Moved(String),
}

/// Decides. Pure: no outcome depends on anything but the two arguments.
pub fn plan(state: &TableState, proposal: &Proposal) -> Plan {
    match rules::check(state, &proposal.published, &proposal.body) {
        Ok(()) => Plan::Commit(Record {
            format: FORMAT,
            seq: state.next_seq,
            put_id: proposal.put_id.clone(),
            writer: proposal.writer.clone(),
            at: proposal.at,
            published: proposal.published.clone(),
            body: proposal.body.clone(),
        }),
        Err(rules::Refusal::Fenced(why)) => Plan::Fenced(why),
        Err(rules::Refusal::Stale(why)) => Plan::Stale(why),
        Err(rules::Refusal::AlreadyDone) => Plan::AlreadyDone,
    }
}

fn watermark_text(watermark: Watermark) -> String {
    watermark.map_or_else(|| "minus infinity".to_owned(), |time| time.to_string())
}

impl fmt::Display for Fenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discontinuous { source, expected: Some(expected), found } => {
                write!(f, "source `{source}` goes on at offset `{expected}`, not at `{found}`")
            }
            Self::Discontinuous { source, expected: None, found } => {
                write!(f, "source `{source}` is not declared, so nothing can start at offset `{found}`")
            }
            Self::SourceEnded { source } => write!(f, "source `{source}` is retired or its generation ended"),
            Self::WatermarkBack { source, expected, found } => {
                let (expected, found) = (watermark_text(*expected), watermark_text(*found));
                write!(f, "watermark of source `{source}` would go back from `{expected}` to `{found}`")
            }
            Self::WindowClosed { window_start } => write!(f, "window `{window_start}` is closed, and a file in `open/` names it"),
            Self::Swept { staged_on, before } => {
                write!(f, "a file was staged on a state of seq `{staged_on}`, and files staged before `{before}` are swept")
            }
            Self::UnknownSchema { schema_version } => write!(f, "schema version `{schema_version}` is not committed"),
            Self::OldRegister { shows, newest } => write!(f, "the catalog shows seq `{newest}`, and seq `{shows}` is older"),
            Self::Invalid(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revision { window_start, expected, found } => {
                write!(f, "window `{window_start}` has revision `{found}`, and revision `{expected}` was to be replaced")
            }
            Self::Inputs { window_start } => write!(f, "inputs of window `{window_start}` are not newer than those of its revision"),
            Self::Table(why) | Self::Moved(why) => f.write_str(why),
        }
    }
}
