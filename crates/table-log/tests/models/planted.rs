//! Each planted bug must be found by a model.
use crate::check::{PLANTING, explore, trace};
use crate::scenario::{Scenario, row};
use crate::scenarios;
use table_log::planted::{Bug, plant};

/// The models that look where the bug is; none where a bug is in what a model takes as given (event times to watermarks, dedupe by columns):
/// these the simulation finds.
fn hunters(bug: Bug) -> Vec<Scenario> {
    match bug {
        Bug::PublishBeforeCommit | Bug::SkipContinuity | Bug::LostReplyIsFailure | Bug::DiscardOnUnknownOutcome => {
            vec![scenarios::two_writers()]
        }
        Bug::LateRowIntoOpen => vec![scenarios::late_rows()],
        Bug::SweepWithoutRecord => vec![scenarios::sweeping()],
        Bug::ClosedUndoneBySettings => vec![scenarios::settings()],
        Bug::SealIgnoresLanded => vec![scenarios::two_sealers()],
        // Without duplicates: else the sums of rows show a stale seal too.
        Bug::SealOnStaleRevision => vec![Scenario { rows: vec![vec![row(0); 4]], ..scenarios::two_sealers() }],
        Bug::VacuumBeforeRegister => vec![scenarios::vacuuming()],
        Bug::DeriveReadsOtherRevisions => vec![scenarios::derives()],
        Bug::WatermarkBackOnReassignment => vec![scenarios::late_rows()],
        Bug::FastClocksMoveWatermark | Bug::NullsAreDuplicates => vec![],
    }
}

#[test]
fn planted_bugs_are_found() {
    let _alone = PLANTING.write().expect("no test panics with it");
    for bug in Bug::ALL.into_iter().filter(|bug| !hunters(*bug).is_empty()) {
        plant(Some(bug));
        let found: Vec<_> = hunters(bug).into_iter().flat_map(|scenario| explore(scenario).broken).collect();
        plant(None);
        let (property, path) = found.first().unwrap_or_else(|| panic!("no model finds {bug:?}"));
        println!("{bug:?} breaks `{property}`:\n{}", trace(path));
    }
}
