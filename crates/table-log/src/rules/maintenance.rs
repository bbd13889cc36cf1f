use super::{Check, Refusal, distinct, moved, require};
use crate::plan::Fenced;
use crate::planted::{Bug, is_planted};
use crate::record::{RegisterBody, SweepBody, VacuumBody};
use crate::state::Superseded;
use crate::{Seq, TableState};

/// `register`: the catalog never shows less than it did.
pub(super) fn check_register(state: &TableState, body: &RegisterBody) -> Check {
    let shows = body.shows;
    require(shows < state.next_seq, || format!("the catalog cannot show seq `{shows}`, which is not in the log yet"))?;
    match state.registered {
        Some(registered) if shows < registered.shows => Err(Fenced::OldRegister { shows, newest: registered.shows }.into()),
        Some(registered) if shows == registered.shows && !body.full => Err(Refusal::AlreadyDone),
        _ => Ok(()),
    }
}

/// `vacuum`: only superseded files whose successors readers see for good, and whose own record is published: a delayed publish would bring the
/// object back.
pub(super) fn check_vacuum(state: &TableState, published: &[Seq], body: &VacuumBody) -> Check {
    require(!body.files.is_empty(), || "a `vacuum` names no files".to_owned())?;
    require(distinct(&body.files), || "a `vacuum` names a file twice".to_owned())?;
    let mut known = 0_usize;
    for file in &body.files {
        let name = format!("{}:{}", file.seq, file.index);
        require(file.seq < state.next_seq, || format!("file `{name}` is of a record that is not in the log yet"))?;
        let Some(superseded) = state.superseded.get(file) else {
            require(state.folder_of(*file).is_none(), || format!("file `{name}` is not superseded"))?;
            continue;
        };
        check_shown(state, published, (&name, superseded))?;
        if !is_published(state, published, file.seq) {
            return Err(moved(format!("file `{name}` is not known to be published")));
        }
        known += 1;
    }
    match known {
        0 => Err(Refusal::AlreadyDone),
        n if n == body.files.len() => Ok(()),
        _ => Err(moved("some of these files are vacuumed already")),
    }
}

/// Readers see the successor: by the catalog, which showed it and after a full comparison still did; without a catalog by the log alone, once
/// the successor's files are in place.
fn check_shown(state: &TableState, published: &[Seq], (name, superseded): (&str, &Superseded)) -> Check {
    if state.has_catalog() {
        return require(superseded.confirmed_by.is_some() || is_planted(Bug::VacuumBeforeRegister), || {
            format!("no full comparison has confirmed that the catalog shows the successor of file `{name}`")
        });
    }
    if is_published(state, published, superseded.by) {
        return Ok(());
    }
    Err(moved(format!("the successor of file `{name}` is not known to be published")))
}

fn is_published(state: &TableState, published: &[Seq], seq: Seq) -> bool {
    !state.unpublished().contains(&seq) || published.contains(&seq)
}

/// `sweep`: names only seqs below its own, and each limit once.
pub(super) fn check_sweep(state: &TableState, body: &SweepBody) -> Check {
    let before = body.before;
    require(before < state.next_seq, || format!("a `sweep` before seq `{before}`, which is not in the log yet"))?;
    if state.swept_before >= Some(before) { Err(Refusal::AlreadyDone) } else { Ok(()) }
}
