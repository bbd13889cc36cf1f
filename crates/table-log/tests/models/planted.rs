//! Each planted bug must be found by a model.
use crate::check::{PLANTING, explore, trace};
use crate::scenario::Scenario;
use crate::scenarios;
use table_log::planted::{Bug, plant};

/// The models that look where the bug is.
fn hunters(bug: Bug) -> Vec<Scenario> {
    match bug {
        Bug::PublishBeforeCommit | Bug::SkipContinuity | Bug::LostReplyIsFailure | Bug::DiscardOnUnknownOutcome => {
            vec![scenarios::two_writers()]
        }
        Bug::LateRowIntoOpen => vec![scenarios::late_rows()],
        Bug::SweepWithoutRecord => vec![scenarios::sweeping()],
        Bug::ClosedUndoneBySettings => vec![scenarios::settings()],
    }
}

#[test]
fn planted_bugs_are_found() {
    let _alone = PLANTING.write().expect("no test panics with it");
    for bug in Bug::ALL {
        plant(Some(bug));
        let found: Vec<_> = hunters(bug).into_iter().flat_map(|scenario| explore(scenario).broken).collect();
        plant(None);
        let (property, path) = found.first().unwrap_or_else(|| panic!("no model finds {bug:?}"));
        println!("{bug:?} breaks `{property}`:\n{}", trace(path));
    }
}
