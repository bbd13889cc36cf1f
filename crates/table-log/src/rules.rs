//! The rules of the log, one check for proposals and for records: what `plan` refuses, `apply` refuses too.
//!
//! A check reads the state before the record and the record's body; it never changes anything.

mod append;
mod file;
mod maintenance;
mod repair;
mod revision;
mod source;
mod table;

use crate::plan::{Fenced, Stale};
use crate::{Body, Seq, TableState};
use std::collections::BTreeSet;
use std::fmt;

/// Why a record cannot follow a state.
#[derive(Debug)]
pub(crate) enum Refusal {
    Fenced(Fenced),
    Stale(Stale),
    AlreadyDone,
}

impl From<Fenced> for Refusal {
    fn from(why: Fenced) -> Self {
        Self::Fenced(why)
    }
}

impl From<Stale> for Refusal {
    fn from(why: Stale) -> Self {
        Self::Stale(why)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced(why) => why.fmt(f),
            Self::Stale(why) => why.fmt(f),
            Self::AlreadyDone => f.write_str("the log says this already"),
        }
    }
}

/// Outcome of a check.
type Check = Result<(), Refusal>;

/// A record that breaks a rule of its own, whatever the state.
fn invalid(why: impl Into<String>) -> Refusal {
    Refusal::Fenced(Fenced::Invalid(why.into()))
}

/// A base that moved.
fn moved(why: impl Into<String>) -> Refusal {
    Refusal::Stale(Stale::Moved(why.into()))
}

/// `Err(invalid(why))` unless `holds`.
fn require(holds: bool, why: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(invalid(why())) }
}

/// Whether no item is there twice.
fn distinct<T: Ord>(items: impl IntoIterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    items.into_iter().all(|item| seen.insert(item))
}

/// Whether a record with this body can follow the state.
pub(crate) fn check(state: &TableState, published: &[Seq], body: &Body) -> Check {
    for seq in published {
        require(*seq < state.next_seq, || format!("`published` names seq `{seq}`, which is not in the log yet"))?;
    }
    if let Body::Table(body) = body {
        return table::check(state, body);
    }
    require(state.table.is_some(), || "the first record of a log is its `table` record".to_owned())?;
    match body {
        Body::Table(_) | Body::Flush(_) => Ok(()),
        Body::Source(body) => source::check(state, body),
        Body::Append(body) => append::check(state, body),
        Body::Seal(body) => revision::check_seal(state, body),
        Body::Derive(body) => revision::check_derive(state, body),
        Body::Register(body) => maintenance::check_register(state, body),
        Body::Vacuum(body) => maintenance::check_vacuum(state, published, body),
        Body::Sweep(body) => maintenance::check_sweep(state, body),
        Body::Repair(body) => repair::check(state, &body.action),
    }
}
