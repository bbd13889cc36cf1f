//! TL-5: every object under a live folder is named by a record. A published file always has its record first, so there is no grace.
use super::entry::NamedKeys;
use super::lake::{Found, Lake};
use super::report::{Place, Report};
use crate::output::Progress;
use table_log::{Invariant, Seq};

/// Folders whose objects a reader may meet.
const FOLDERS: [&str; 3] = ["data", "quarantine", "duplicates"];

/// Lists the live folders. `tail` is the first seq that the walk did not see: newer records may name newer files.
pub fn check_orphans(lake: &Lake, named: &mut NamedKeys, tail: Seq, report: &mut Report, progress: &Progress) -> anyhow::Result<()> {
    let mut unknown = Vec::new();
    for folder in FOLDERS {
        lake.list(&format!("{}/{folder}/", lake.table), |object| {
            progress.add(1);
            report.checked("objects in live folders", 1);
            if !named.contains(&object.key) {
                unknown.push(object.key.clone());
            }
            true
        })?;
    }
    if unknown.is_empty() {
        return Ok(());
    }
    name_newer(lake, named, tail)?;
    for key in unknown.iter().filter(|key| !named.contains(key)) {
        report.violation(Invariant::Tl5, Place::default().file(key), "no record names this object");
    }
    Ok(())
}

/// Notes the files of records that were committed meanwhile.
fn name_newer(lake: &Lake, named: &mut NamedKeys, tail: Seq) -> anyhow::Result<()> {
    let mut seq = tail;
    while let Found::Record(record) = lake.record(seq)? {
        for entry in record.files() {
            named.insert(&entry.key, seq);
        }
        seq = Seq(seq.0 + 1);
    }
    Ok(())
}
