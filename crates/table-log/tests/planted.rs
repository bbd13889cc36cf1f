//! The invariants' predicates find the bugs that the rules would have kept out. One test, since a bug is planted in the whole process.
#![cfg(feature = "planted-bugs")]
#![allow(clippy::unwrap_used)]
mod proposals;

use proposals::*;
use table_log::Body;
use table_log::invariant::check::{check_live_folders, check_log, check_revisions, check_watermark};
use table_log::planted::{Bug, is_planted, plant};
use table_log::record::{AppendBody, SealBody, VacuumBody};
use table_log::{Invariant, Plan, Proposal};

/// Runs with the bug and without it: the same proposals are refused without.
fn with(bug: Bug, mut run: impl FnMut(&mut Table) -> bool) {
    for planted in [Some(bug), None] {
        plant(planted);
        assert_eq!(is_planted(bug), planted.is_some());
        let mut table = Table::with_source();
        assert_eq!(run(&mut table), planted.is_some(), "{bug:?} planted: {}", planted.is_some());
    }
}

#[test]
fn planted_bugs_are_found() {
    assert!(Bug::ALL.iter().all(|bug| !is_planted(*bug)));
    with(Bug::SkipContinuity, |table| {
        let files = vec![table.open(0, "a", 2)];
        let body = table.append(files, 0);
        table.commit(body.clone());
        if !matches!(table.plan(body.clone()), Plan::Commit(_)) {
            return false;
        }
        table.commit(body);
        check_log(&table.records).unwrap_err().invariant == Invariant::Tl2
    });
    with(Bug::LateRowIntoOpen, |table| {
        let (first, second) = (table.open(0, "a", 2), table.open(0, "a", 1));
        table.commit(table.append(vec![first], 0));
        table.idle(1);
        let seal = table.seal(0, 1, &[("a", 2)], 0);
        table.commit(Body::Seal(seal));
        let body = table.append(vec![second], 1);
        if !matches!(table.plan(body.clone()), Plan::Commit(_)) {
            return false;
        }
        table.commit(body);
        check_live_folders(&table.state, &table.records).unwrap_err().invariant == Invariant::Tm4
    });
    with(Bug::ClosedUndoneBySettings, |table| {
        table.idle(1);
        let before = table.state.clone();
        table.commit(table_body(2, HOUR));
        check_watermark(&before, &table.state).is_err_and(|violation| violation.invariant == Invariant::Tm1)
    });
    with(Bug::SealIgnoresLanded, |table| {
        let stale = sealed_late(table);
        table.commit(Body::Seal(stale));
        check_log(&table.records).is_err_and(|violation| violation.invariant == Invariant::Tl3)
    });
    with(Bug::SealOnStaleRevision, |table| {
        let stale = sealed_late(table);
        table.commit(Body::Seal(stale));
        let again = table.seal(0, 2, &[("a", 7)], 0);
        if !matches!(table.plan(Body::Seal(again.clone())), Plan::Commit(_)) {
            return false;
        }
        table.commit(Body::Seal(again));
        check_revisions(&table.records).is_err_and(|violation| violation.invariant == Invariant::Tm3)
    });
    with(Bug::VacuumBeforeRegister, |table| {
        let stale = sealed_late(table);
        table.commit(Body::Seal(stale));
        let published = table.state.unpublished().iter().copied().collect();
        let files = table.state.superseded_files().map(|(file, _)| file).collect();
        let proposal = Proposal { published, ..table.proposal(Body::Vacuum(VacuumBody { files })) };
        let Plan::Commit(_) = table_log::plan(&table.state, &proposal) else { return false };
        table.commit_proposal(&proposal);
        check_revisions(&table.records).is_err_and(|violation| violation.invariant == Invariant::Tm4)
    });
    with(Bug::WatermarkBackOnReassignment, |table| {
        table.idle(2);
        let back = Body::Append(AppendBody { ranges: vec![table.range(0, 0, HOUR)], files: vec![], quarantine: vec![], file_list: None });
        if !matches!(table.plan(back.clone()), Plan::Commit(_)) {
            return false;
        }
        let before = table.state.clone();
        table.commit(back);
        check_watermark(&before, &table.state).is_err_and(|violation| violation.invariant == Invariant::Tm1)
    });
    plant(None);
}

/// A closed window with revision 1 and late rows, and the revision 2 that a sealer made of them before more came.
fn sealed_late(table: &mut Table) -> SealBody {
    let (open, late) = (table.open(0, "a", 2), table.late(0, "a", 1));
    table.commit(table.append(vec![open], 0));
    table.idle(1);
    let seal = table.seal(0, 1, &[("a", 2)], 0);
    table.commit(Body::Seal(seal));
    table.commit(table.append(vec![late], 1));
    let stale = table.seal(0, 2, &[("a", 3)], 0);
    let landed = table.late(0, "a", 4);
    table.commit(table.append(vec![landed], 1));
    stale
}
