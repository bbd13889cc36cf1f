//! Random sequences of proposals, good ones and bad ones, by services that forget, hurry and lag: plan, then apply, then every invariant.
#![allow(clippy::unwrap_used)]
mod proposals;

use proposals::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use table_log::invariant::check::{check_log, check_visible, check_watermark};
use table_log::key::DataFolder;
use table_log::record::*;
use table_log::*;
use windowing::Time;

/// One thing that some service does: which one, and three small numbers that say how.
type Step = (u8, u8, u8, u8);

const SITES: [&str; 3] = ["a", "b", "../c"];

/// A table and proposals that were made earlier and come late.
#[derive(Default)]
struct Walk {
    table: Table,
    delayed: Vec<Body>,
    committed: BTreeSet<&'static str>,
    refused: BTreeSet<&'static str>,
}

impl Walk {
    fn take(&mut self, step: Step) {
        let (what, a, b, c) = step;
        let Some(body) = self.body(step) else { return };
        if what % 5 == 0 && b.is_multiple_of(4) {
            self.delayed.push(body);
            return;
        }
        self.propose(body, c % 2 == 0);
        if a.is_multiple_of(3)
            && let Some(body) = self.delayed.pop()
        {
            self.propose(body, false);
        }
    }

    /// Plans, holds `apply` to the plan, and looks at what changed.
    fn propose(&mut self, body: Body, publish: bool) {
        let published = if publish { self.table.state.unpublished().iter().copied().collect() } else { vec![] };
        let proposal = Proposal { published, ..self.table.proposal(body) };
        let before = self.table.state.clone();
        let forced = Record { published: proposal.published.clone(), ..self.table.forced(proposal.body.clone()) };
        let kind = forced.kind();
        match plan(&before, &proposal) {
            Plan::Commit(record) => {
                assert_eq!(record, forced);
                self.table.state.apply(&record).unwrap();
                let mut again = before.clone();
                again.apply(&record).unwrap();
                assert_eq!(again, self.table.state, "the fold depends on nothing else");
                assert!(self.table.state.apply(&record).is_err(), "a record folds once");
                self.table.records.push(record);
                self.committed.insert(kind);
            }
            _ => {
                assert!(self.table.state.apply(&forced).is_err(), "`apply` refuses what `plan` refuses: {forced:?}");
                assert_eq!(self.table.state, before, "a refused record leaves no trace");
                self.refused.insert(kind);
            }
        }
        check_watermark(&before, &self.table.state).unwrap();
        check_visible(&before, &self.table.state).unwrap();
    }

    fn body(&mut self, (what, a, b, c): Step) -> Option<Body> {
        if self.table.state.table.is_none() {
            return Some(table_body(1 + u32::from(a.is_multiple_of(8)), 0));
        }
        let newest = self.table.newest().0;
        let before = |n: u8| Seq(newest.saturating_sub(u64::from(n)));
        match what % 16 {
            0 => Some(self.source(a, b)),
            1..=5 => self.append(a, b, c),
            6 => self.idle(a, b),
            7..=9 => self.seal(a, b, c),
            10 => Some(Body::Register(RegisterBody { shows: before(a % 4), full: b.is_multiple_of(2) })),
            11 => {
                let confirmed = self.table.state.superseded_files().filter(|(_, file)| c.is_multiple_of(8) || file.confirmed_by.is_some());
                Some(Body::Vacuum(VacuumBody { files: confirmed.map(|(file, _)| file).take(usize::from(a % 3)).collect() }))
            }
            12 => Some(Body::Sweep(SweepBody { before: before(a) })),
            13 => Some(Body::Flush(FlushBody { actor: "ada".to_owned() })),
            14 => {
                let version = self.table.state.table.as_ref().map_or(1, |table| table.schema_version);
                Some(table_body(version + u32::from(a % 3), i64::from(b % 3) * HOUR))
            }
            _ => self.repair(a, b, c),
        }
    }

    fn source(&self, a: u8, b: u8) -> Body {
        let known = self.table.state.current_source("t").map_or(0, |(_, source)| source.partitions.len() as i32);
        let generation = self.table.state.current_source("t").map_or(1, |(generation, _)| generation);
        if a.is_multiple_of(16) {
            return Body::Source(SourceBody { sources: vec![], retired: vec!["t".to_owned()] });
        }
        let first = if b.is_multiple_of(4) { 0 } else { known };
        Body::Source(SourceBody { sources: vec![declaration("t", generation, first..known + 1)], retired: vec![] })
    }

    /// The next range of one kafka_partition of `t`, or one that is off.
    fn range(&self, number: u8, rows: u64, watermark: i64) -> Option<AppendRange> {
        let (generation, source_state) = self.table.state.current_source("t")?;
        let number = i32::from(number) % source_state.partitions.len() as i32;
        let partition = &source_state.partitions[&KafkaPartition(number)];
        let range = OffsetRange { start: partition.next_offset, end: Offset(partition.next_offset.0 + rows as i64) };
        let watermark = partition.watermark.max(Some(Time(watermark)));
        let source = source("t", generation, number);
        Some(AppendRange { source, range, rows, quarantined: 0, skipped: 0, absent: 0, watermark, leader_epoch: None })
    }

    fn append(&mut self, a: u8, b: u8, c: u8) -> Option<Body> {
        let hour = i64::from(a % 6);
        let rows = u64::from(b % 4) + 1;
        let site = SITES[usize::from(c) % 3];
        let mut range = self.range(c, rows, (hour - i64::from(b % 2)) * HOUR)?;
        let is_late = self.table.state.is_closed(Time(hour * HOUR)) != a.is_multiple_of(32);
        let mut files = vec![if is_late { self.table.late(hour, site, rows) } else { self.table.open(hour, site, rows) }];
        let mut quarantine = vec![];
        match b {
            0..16 => range.range = OffsetRange { start: Offset(range.range.start.0 + 1), end: Offset(range.range.end.0 + 1) },
            16..32 => range.rows += 1,
            32..48 => {
                (range.quarantined, range.absent, range.range.end) = (2, 1, Offset(range.range.end.0 + 3));
                quarantine.push(self.table.quarantine(0, 2));
            }
            48..64 => files.push(files[0].clone()),
            _ => {}
        }
        Some(Body::Append(AppendBody { ranges: vec![range], files, quarantine, file_list: None }))
    }

    fn idle(&self, a: u8, b: u8) -> Option<Body> {
        let (_, source) = self.table.state.current_source("t")?;
        let ranges = (0..source.partitions.len() as u8).filter(|number| !(b.is_multiple_of(8) && *number == 0));
        let ranges = ranges.filter_map(|number| self.range(number, 0, i64::from(a % 8) * HOUR)).collect();
        Some(Body::Append(AppendBody { ranges, files: vec![], quarantine: vec![], file_list: None }))
    }

    /// The next revision of some window, with a duplicate dropped here and there.
    fn seal(&mut self, a: u8, b: u8, c: u8) -> Option<Body> {
        let windows: Vec<_> = self.table.state.windows().filter(|(_, _, closed)| *closed || b.is_multiple_of(16)).collect();
        let (start, revision, _) = *windows.get(usize::from(a).checked_rem(windows.len())?)?;
        let rows = |file: &FileRef, records: &[Record]| invariant::check::entry_of(records, *file).map_or(0, |entry| entry.rows);
        let mut sites: Vec<(String, u64)> = Vec::new();
        for site in SITES {
            let partition = lake_partition(start.0 / HOUR, site);
            let late: Vec<_> =
                self.table.state.late_files().filter(|(p, _)| **p == partition).flat_map(|(_, files)| files.to_vec()).collect();
            let live: Vec<_> =
                self.table.state.live_files().filter(|(p, ..)| **p == partition).flat_map(|(.., files)| files.to_vec()).collect();
            let pending = !late.is_empty() || (revision == 0 && !live.is_empty());
            if pending || (b.is_multiple_of(32) && !live.is_empty()) {
                sites.push((site.to_owned(), late.iter().chain(&live).map(|file| rows(file, &self.table.records)).sum()));
            }
        }
        let dropped = u64::from(c.is_multiple_of(4)).min(sites.first().map_or(0, |(_, rows)| *rows));
        if let Some((_, rows)) = sites.first_mut() {
            *rows -= if c.is_multiple_of(64) { 0 } else { dropped };
        }
        let named: Vec<_> = sites.iter().map(|(site, rows)| (site.as_str(), *rows)).collect();
        if named.is_empty() {
            return None;
        }
        let mut seal = self.table.seal(start.0 / HOUR, revision + 1, &named, dropped);
        seal.through = Seq(seal.through.0.saturating_sub(u64::from(c % 8 == 1)));
        Some(Body::Seal(seal))
    }

    fn repair(&mut self, a: u8, b: u8, c: u8) -> Option<Body> {
        let files: Vec<_> = self.table.state.named_files().collect();
        let file = files.get(usize::from(b).checked_rem(files.len())?)?;
        match a % 4 {
            0 => {
                let AppendRange { source, range: OffsetRange { start, .. }, .. } = self.range(b, 0, 0)?;
                Some(repair(RepairAction::Gap { source, range: OffsetRange { start, end: Offset(start.0 + i64::from(c % 4)) } }))
            }
            1 => {
                let generation =
                    self.table.state.sources().filter(|(topic, ..)| *topic == "t").map(|(_, generation, _)| generation).max()?;
                let source = declaration("t", generation + u32::from(b % 3), 0..1 + i32::from(c % 2));
                let ended = self.table.state.sources().find(|(topic, number, _)| (*topic, *number) == ("t", generation))?.2;
                let mut ends: BTreeMap<_, _> = ended.partitions.iter().map(|(number, state)| (*number, state.next_offset)).collect();
                match c % 16 {
                    0 => ends.clear(),
                    1 => ends.values_mut().for_each(|end| end.0 += 1),
                    _ => {}
                }
                Some(repair(RepairAction::Restart { source, ends }))
            }
            2 => Some(repair(RepairAction::Lost { lost: vec![*file] })),
            _ => {
                let entry = invariant::check::entry_of(&self.table.records, *file)?.clone();
                let (hour, site) = (entry.lake_partition.window_start.0 / HOUR, entry.lake_partition.values.first()?.clone()?);
                let folder = match entry.key.rsplit('/').nth(1)? {
                    "open" => DataFolder::Open,
                    "late" => DataFolder::Late,
                    revision => DataFolder::Revision(revision.strip_prefix('r')?.parse().ok()?),
                };
                let files = vec![self.table.file(hour, &site, folder, entry.rows + u64::from(c.is_multiple_of(8)))];
                Some(repair(RepairAction::Refile { lost: vec![*file], files }))
            }
        }
    }

    /// What the whole log must show in the end.
    fn finish(&self) {
        check_log(&self.table.records).unwrap();
        let read = self.table.records.iter().map(|record| Record::parse(&record.to_json()).unwrap());
        let mut state = TableState::default();
        for record in read {
            state.apply(&record).unwrap();
            let checkpoint = serde_json::to_vec(&state).unwrap();
            state = serde_json::from_slice(&checkpoint).unwrap();
        }
        assert_eq!(state, self.table.state, "through JSON, with a checkpoint after each record");
    }
}

fn walk(steps: impl IntoIterator<Item = Step>) -> Walk {
    let mut walk = Walk::default();
    for step in steps {
        walk.take(step);
    }
    walk.finish();
    walk
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn invariants_hold(steps in prop::collection::vec(any::<Step>(), 0..150)) {
        walk(steps);
    }
}

/// The walk means nothing if it never gets anywhere: from fixed seeds, every kind is committed and refused.
#[test]
fn the_walk_reaches_every_kind() {
    use rand::{Rng, SeedableRng};
    let (mut committed, mut refused, mut records) = (BTreeSet::new(), BTreeSet::new(), 0);
    for seed in 0..20 {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let walk = walk((0..400).map(|_| random.random()));
        committed.extend(walk.committed);
        refused.extend(walk.refused);
        records += walk.table.records.len();
    }
    let kinds = ["append", "flush", "register", "repair", "seal", "source", "sweep", "table", "vacuum"];
    assert_eq!(committed.into_iter().collect::<Vec<_>>(), kinds);
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), kinds.into_iter().filter(|kind| *kind != "flush").collect::<Vec<_>>());
    assert!(records > 2_000, "{records} records");
}
