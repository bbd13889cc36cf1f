//! TL-1: sequence numbers are dense and each object is the record that its key says.
use super::lake::{Found, Lake};
use super::report::{Place, Report};
use crate::output::Progress;
use std::collections::HashMap;
use table_log::key::{Key, log_path};
use table_log::{FORMAT, Invariant, PutId, Record, Seq};

/// Reads all records in order, checks TL-1 and calls `each`.
///
/// Records that are missing or cannot be read are violations; the walk goes on behind them.
pub fn walk(
    lake: &Lake,
    seqs: &[Seq],
    report: &mut Report,
    progress: &Progress,
    mut each: impl FnMut(&Record, &mut Report),
) -> anyhow::Result<()> {
    check_dense(seqs, report);
    let mut put_ids: HashMap<PutId, Seq> = HashMap::new();
    for &seq in seqs {
        progress.add(1);
        report.records += 1;
        report.checked("log records", 1);
        let place = Place::record(seq).file(&log_path(&lake.table, &Key::Record(seq)));
        match lake.record(seq)? {
            Found::Nothing => report.violation(Invariant::Tl1, place, "the record was listed, but is not there"),
            Found::Unreadable(why) => report.violation(Invariant::Tl1, place, format!("not a readable record: {why}")),
            Found::Record(record) => {
                check_record(&record, seq, report);
                if let Some(first) = put_ids.insert(record.put_id.clone(), seq) {
                    report.violation(Invariant::Tl1, place, format!("proposal `{}` was committed at seq {first} already", record.put_id.0));
                }
                each(&record, report);
            }
        }
    }
    Ok(())
}

fn check_dense(seqs: &[Seq], report: &mut Report) {
    let mut expected = 0;
    for seq in seqs {
        if seq.0 != expected {
            let missing =
                if seq.0 == expected + 1 { format!("record {expected} is") } else { format!("records {expected} to {} are", seq.0 - 1) };
            report.violation(Invariant::Tl1, Place::record(Seq(expected)), format!("{missing} missing before record {seq}"));
        }
        expected = seq.0 + 1;
    }
}

fn check_record(record: &Record, seq: Seq, report: &mut Report) {
    let place = || Place::record(seq);
    if record.seq != seq {
        report.violation(Invariant::Tl1, place(), format!("its key says seq {seq}, its body {}", record.seq));
    }
    if record.format != FORMAT {
        report.violation(Invariant::Tl1, place(), format!("format {} is not the one that this program reads, {FORMAT}", record.format));
    }
    if let Some(published) = record.published.iter().find(|p| **p >= seq) {
        report.violation(Invariant::Tl1, place(), format!("`published` names seq {published}, which is not older"));
    }
}
