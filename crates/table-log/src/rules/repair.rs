use super::file::FileRules;
use super::source::{check_dense, check_shape};
use super::{Check, Refusal, distinct, invalid, moved, require};
use crate::key::Key;
use crate::plan::Fenced;
use crate::record::{FileEntry, RepairAction, SourceDeclaration};
use crate::state::Place;
use crate::{FileRef, KafkaPartition, Offset, OffsetRange, SourcePartition, TableState};
use std::collections::BTreeMap;

/// `repair`: what a person may put right.
pub(super) fn check(state: &TableState, action: &RepairAction) -> Check {
    match action {
        RepairAction::Gap { source, range } => check_gap(state, source, *range),
        RepairAction::Restart { source, ends } => check_restart(state, source, ends),
        RepairAction::Refile { lost, files } => check_refile(state, lost, files),
        RepairAction::Lost { lost } => check_lost(state, lost).map(drop),
    }
}

/// A gap starts where the log ends for its source.
fn check_gap(state: &TableState, source: &SourcePartition, range: OffsetRange) -> Check {
    require(range.len().is_some() && !range.is_empty(), || format!("gap `[{}, {})` is empty or reversed", range.start, range.end))?;
    let (source, found) = (source.clone(), range.start);
    match state.sources.get(&source) {
        None => Err(Fenced::Discontinuous { source, expected: None, found }.into()),
        Some((declared, _)) if declared.ended => Err(Fenced::SourceEnded { source }.into()),
        Some((_, partition)) if partition.next_offset != found => {
            Err(Fenced::Discontinuous { source, expected: Some(partition.next_offset), found }.into())
        }
        Some(_) => Ok(()),
    }
}

/// The next generation of a known topic. A retired topic comes back this way too. Where it starts was decided by where the one before ends,
/// so that must not have moved.
fn check_restart(state: &TableState, declaration: &SourceDeclaration, ends: &BTreeMap<KafkaPartition, Offset>) -> Check {
    let (topic, generation) = (&declaration.topic, declaration.generation);
    check_shape(declaration)?;
    check_dense(declaration, 0)?;
    let Some((current, source)) = state.sources.newest(topic) else {
        return Err(invalid(format!("topic `{topic}` is to be restarted but was never declared")));
    };
    require(source.refused == declaration.refused, || format!("topic `{topic}` cannot become or cease to be a `.refused` topic"))?;
    if generation == current {
        let starts = source.partitions.iter().map(|(kafka_partition, partition)| (*kafka_partition, partition.start));
        let same = source.cluster_id == declaration.cluster_id && source.topic_id == declaration.topic_id;
        if same && starts.eq(declaration.starts.clone()) && generation > 1 {
            return Err(Refusal::AlreadyDone);
        }
    }
    if current.checked_add(1) != Some(generation) {
        return Err(moved(format!("generation `{current}` of topic `{topic}` is the newest")));
    }
    let found = source.partitions.iter().map(|(kafka_partition, partition)| (*kafka_partition, partition.next_offset));
    if ends.is_empty() || found.eq(ends.clone()) { Ok(()) } else { Err(moved(format!("topic `{topic}` was taken further meanwhile"))) }
}

/// Rows of the lost files by their place.
fn check_lost(state: &TableState, lost: &[FileRef]) -> Result<BTreeMap<Place, u128>, Refusal> {
    require(!lost.is_empty(), || "no lost file is named".to_owned())?;
    require(distinct(lost), || "a lost file is named twice".to_owned())?;
    let mut rows = BTreeMap::new();
    for file in lost {
        require(file.seq < state.next_seq, || format!("file `{}:{}` is of a record that is not in the log yet", file.seq, file.index))?;
        let Some((place, lost_rows)) = state.folder_of(*file) else {
            return Err(moved(format!("file `{}:{}` is no longer named by the state", file.seq, file.index)));
        };
        *rows.entry(place).or_insert(0) += u128::from(lost_rows);
    }
    Ok(rows)
}

/// Replacements stand in the same places and have the same rows.
fn check_refile(state: &TableState, lost: &[FileRef], files: &[FileEntry]) -> Check {
    let before = check_lost(state, lost)?;
    let rules = FileRules::new(state)?;
    require(distinct(files.iter().map(|file| &file.key)), || "two files have one key".to_owned())?;
    let mut after = BTreeMap::new();
    for file in files {
        *after.entry(check_replacement(&rules, file)?).or_insert(0) += u128::from(file.rows);
    }
    require(before == after, || "replacements are not in the places, or have not the rows, of the lost files".to_owned())
}

fn check_replacement(rules: &FileRules<'_>, file: &FileEntry) -> Result<Place, Refusal> {
    match rules.parse(file) {
        Some(Key::Quarantine { .. }) => rules.check_quarantine(file).map(|()| Place::Quarantine),
        Some(Key::Duplicates { .. }) => rules.check_duplicates(file).map(|()| Place::Duplicates),
        Some(Key::Data { folder, .. }) => rules.check_data(file, folder).map(|()| Place::Data(file.lake_partition.clone(), folder)),
        _ => Err(invalid(format!("key `{}` is that of no data, quarantine or duplicates file", file.key))),
    }
}
