//! The same for the derived table: each revision is its SQL over exactly the revisions that its record names (TM-3).
use crate::auditor::{File, Revisions, check_objects, records};
use crate::derive::{overlapped, result};
use crate::lake::{Row, derived_table_name, derived_window_size, table_name};
use crate::sim::Sim;
use std::collections::BTreeMap;
use table_log::record::{Body, DeriveBody};
use table_log::{FileRef, Invariant, Seq};
use windowing::Time;

pub async fn audit(sim: &Sim, sealed: &Revisions) {
    let mut files: BTreeMap<FileRef, File> = BTreeMap::new();
    let mut newest: BTreeMap<Time, DeriveBody> = BTreeMap::new();
    for (record, _) in records(sim, &derived_table_name()).await {
        for (entry, index) in record.files().zip(0..) {
            files.insert(FileRef { seq: record.seq, index }, File { entry: entry.clone(), vacuumed: false });
        }
        match record.body {
            Body::Derive(body) => {
                check(sim, record.seq, &body, sealed);
                let before = newest.insert(body.window_start, body.clone());
                check_follows(sim, record.seq, before.as_ref(), &body);
            }
            Body::Vacuum(body) => {
                for file in &body.files {
                    files.entry(*file).and_modify(|file| file.vacuumed = true);
                }
            }
            _ => {}
        }
    }
    check_newest(sim, &newest, sealed);
    check_objects(sim, &derived_table_name(), &files).await;
}

/// What is in its files is what the named revisions give.
fn check(sim: &Sim, seq: Seq, body: &DeriveBody, sealed: &Revisions) {
    let start = body.window_start;
    let named: Vec<Time> = body.inputs.iter().map(|input| input.window_start).collect();
    if named != overlapped(start) || !derived_window_size().is_start(start) || body.inputs.iter().any(|input| input.table != table_name().0)
    {
        sim.violation(Invariant::Tm3, format!("derived record {seq}: window {start} is made from {:?}", body.inputs));
    }
    let mut rows: Vec<Row> = Vec::new();
    for input in body.inputs.iter().filter(|input| input.revision > 0) {
        match sealed.get(&(input.window_start, input.revision)) {
            Some(revision) => rows.extend(revision),
            None => sim.violation(Invariant::Tm3, format!("derived record {seq} names {input:?}, which there never was")),
        }
    }
    let files = body.lake_partitions.iter().flat_map(|revised| &revised.files);
    let found: Vec<Row> = files.flat_map(|file| sim.staged_rows(&file.key).unwrap_or_default()).collect();
    let expected = result(start, &rows);
    if found != expected {
        let text = format!("derived record {seq}: window {start} is {found:?}, and its inputs {:?} give {expected:?}", body.inputs);
        sim.violation(Invariant::Tm3, text);
    }
}

fn check_follows(sim: &Sim, seq: Seq, before: Option<&DeriveBody>, body: &DeriveBody) {
    let expected = before.map_or(1, |before| before.revision + 1);
    let older = before.is_some_and(|before| before.inputs.iter().zip(&body.inputs).any(|(old, new)| new.revision < old.revision));
    if body.revision != expected || older {
        sim.violation(
            Invariant::Tm3,
            format!("derived record {seq}: revision {} is not {expected}, or rests on older inputs", body.revision),
        );
    }
}

/// At rest every result rests on the newest revisions.
fn check_newest(sim: &Sim, newest: &BTreeMap<Time, DeriveBody>, sealed: &Revisions) {
    for input in newest.values().flat_map(|body| &body.inputs) {
        let there_is =
            sealed.range((input.window_start, 0)..=(input.window_start, u32::MAX)).next_back().map_or(0, |((_, revision), _)| *revision);
        if there_is != input.revision {
            sim.violation(Invariant::Tm3, format!("a result rests on {input:?}, and there is revision {there_is}"));
        }
    }
}
