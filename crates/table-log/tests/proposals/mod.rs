//! A table in memory and the proposals that its services would make.
#![allow(dead_code)]
#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;
use table_log::key::{DataFolder, Key, Layout};
use table_log::record::*;
use table_log::*;
use windowing::{Micros, Time, WindowSize};

pub const HOUR: i64 = Micros::HOUR.0;
pub const MINUTE: i64 = Micros::MINUTE.0;

/// A log and its fold.
#[derive(Clone, Default)]
pub struct Table {
    pub state: TableState,
    pub records: Vec<Record>,
    stagings: u64,
}

impl Table {
    /// One table with lateness 0, hourly windows, partitioned by `site`, and topic `t` of two kafka_partitions.
    pub fn with_source() -> Self {
        let mut table = Self::default();
        table.commit(table_body(1, 0));
        table.commit(Body::Source(SourceBody { sources: vec![declaration("t", 1, 0..2)], retired: vec![] }));
        table
    }

    pub fn proposal(&self, body: Body) -> Proposal {
        let put_id = PutId(format!("put-{}", self.records.len()));
        Proposal { put_id, writer: "w".to_owned(), at: Time(0), published: vec![], body }
    }

    pub fn plan(&self, body: Body) -> Plan {
        plan(&self.state, &self.proposal(body))
    }

    /// The record that would stand in the log if nobody planned.
    pub fn forced(&self, body: Body) -> Record {
        let Proposal { put_id, writer, at, published, body } = self.proposal(body);
        Record { format: FORMAT, seq: self.state.next_seq, put_id, writer, at, published, body }
    }

    #[track_caller]
    pub fn commit(&mut self, body: Body) -> Seq {
        let proposal = self.proposal(body);
        self.commit_proposal(&proposal)
    }

    #[track_caller]
    pub fn commit_proposal(&mut self, proposal: &Proposal) -> Seq {
        match plan(&self.state, proposal) {
            Plan::Commit(record) => {
                self.state.apply(&record).unwrap();
                let seq = record.seq;
                self.records.push(record);
                seq
            }
            other => panic!("{other:?}"),
        }
    }

    /// Commits the body with all unpublished records named as published.
    #[track_caller]
    pub fn commit_published(&mut self, body: Body) -> Seq {
        let published = self.state.unpublished().iter().copied().collect();
        let proposal = Proposal { published, ..self.proposal(body) };
        self.commit_proposal(&proposal)
    }

    #[track_caller]
    pub fn fenced(&self, body: Body) -> Fenced {
        let refused = self.state.clone().apply(&self.forced(body.clone()));
        match self.plan(body) {
            Plan::Fenced(why) => {
                assert_eq!(refused.unwrap_err().reason, why.to_string(), "`apply` refuses what `plan` fences");
                why
            }
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn invalid(&self, body: Body) -> String {
        match self.fenced(body) {
            Fenced::Invalid(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn stale(&self, body: Body) -> Stale {
        assert!(self.state.clone().apply(&self.forced(body.clone())).is_err());
        match self.plan(body) {
            Plan::Stale(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn already_done(&self, body: Body) {
        assert!(self.state.clone().apply(&self.forced(body.clone())).is_err());
        assert_eq!(self.plan(body), Plan::AlreadyDone);
    }

    pub fn layout(&self) -> Layout {
        self.state.layout(&TableName("readings".to_owned())).unwrap()
    }

    pub fn newest(&self) -> Seq {
        self.state.newest_seq().unwrap()
    }

    fn staging(&mut self) -> String {
        self.stagings += 1;
        format!("staging-{}", self.stagings)
    }

    /// A data file of one lake partition: rows in hour `hour`, site `site`.
    pub fn file(&mut self, hour: i64, site: &str, folder: DataFolder, rows: u64) -> FileEntry {
        let (base, staging) = (self.newest(), self.staging());
        let lake_partition = lake_partition(hour, site);
        let key = self.layout().path(&Key::Data { lake_partition: lake_partition.clone(), folder, base, staging: staging.clone() });
        let start = Time(hour * HOUR);
        FileEntry {
            key,
            lake_partition,
            late: folder == DataFolder::Late,
            rows,
            bytes: 1,
            event_time_min: start,
            event_time_max: start + Micros(HOUR - 1),
            schema_version: 1,
            staged_on: base,
            upload: Upload { token: staging.clone(), id: staging, parts: vec![] },
        }
    }

    pub fn open(&mut self, hour: i64, site: &str, rows: u64) -> FileEntry {
        self.file(hour, site, DataFolder::Open, rows)
    }

    pub fn late(&mut self, hour: i64, site: &str, rows: u64) -> FileEntry {
        self.file(hour, site, DataFolder::Late, rows)
    }

    pub fn quarantine(&mut self, day: i64, rows: u64) -> FileEntry {
        let mut file = self.open(day * 24, "x", rows);
        let key = Key::Quarantine { day: Time(day * 24 * HOUR), base: file.staged_on, staging: file.upload.token.clone() };
        file.key = self.layout().path(&key);
        file.lake_partition.values.clear();
        file
    }

    pub fn duplicates(&mut self, hour: i64, site: &str, rows: u64) -> FileEntry {
        let mut file = self.open(hour, site, rows);
        let key = Key::Duplicates { lake_partition: file.lake_partition.clone(), base: file.staged_on, staging: file.upload.token.clone() };
        file.key = self.layout().path(&key);
        file
    }

    /// An append of kafka_partition 0 of `t` that makes one row per file row, and leaves the watermark at `watermark_hours`.
    pub fn append(&self, files: Vec<FileEntry>, watermark_hours: i64) -> Body {
        let rows = files.iter().map(|file| file.rows).sum();
        let range = self.range(0, rows, watermark_hours * HOUR);
        Body::Append(AppendBody { ranges: vec![range], files, quarantine: vec![], file_list: None })
    }

    /// The next range of a kafka_partition of `t`.
    pub fn range(&self, number: i32, rows: u64, watermark: i64) -> AppendRange {
        let source = source("t", 1, number);
        let start = self.state.next_offset(&source).unwrap();
        let range = OffsetRange { start, end: Offset(start.0 + rows as i64) };
        AppendRange { source, range, rows, quarantined: 0, skipped: 0, absent: 0, watermark: Some(Time(watermark)), leader_epoch: None }
    }

    /// Empty ranges that bring both kafka_partitions to this watermark.
    #[track_caller]
    pub fn idle(&mut self, watermark_hours: i64) -> Seq {
        let ranges = vec![self.range(0, 0, watermark_hours * HOUR), self.range(1, 0, watermark_hours * HOUR)];
        self.commit(Body::Append(AppendBody { ranges, files: vec![], quarantine: vec![], file_list: None }))
    }

    /// A seal of one window: one file of `rows` per named site.
    pub fn seal(&mut self, hour: i64, revision: u32, sites: &[(&str, u64)], dropped: u64) -> SealBody {
        let folder = DataFolder::Revision(revision);
        let lake_partitions = sites.iter().map(|(site, rows)| {
            let files = if *rows == 0 { vec![] } else { vec![self.file(hour, site, folder, *rows)] };
            RevisedPartition { lake_partition: lake_partition(hour, site), files }
        });
        let lake_partitions = lake_partitions.collect();
        let duplicates = if dropped == 0 { vec![] } else { vec![self.duplicates(hour, sites[0].0, dropped)] };
        let through = self.newest();
        SealBody { window_start: Time(hour * HOUR), revision, through, lake_partitions, duplicates, duplicate_rows: dropped }
    }
}

pub fn lake_partition(hour: i64, site: &str) -> LakePartition {
    LakePartition { window_start: Time(hour * HOUR), values: vec![Some(site.to_owned())] }
}

pub fn source(topic: &str, generation: u32, number: i32) -> SourcePartition {
    SourcePartition { topic: topic.to_owned(), generation, kafka_partition: KafkaPartition(number) }
}

pub fn declaration(topic: &str, generation: u32, numbers: std::ops::Range<i32>) -> SourceDeclaration {
    let starts: BTreeMap<_, _> = numbers.map(|number| (KafkaPartition(number), Offset(0))).collect();
    let (cluster_id, topic) = ("c".to_owned(), topic.to_owned());
    SourceDeclaration { cluster_id, topic, topic_id: None, generation, refused: false, starts }
}

pub fn settings(lateness: i64) -> TableSettings {
    TableSettings {
        event_time: Some("at".to_owned()),
        window: WindowSize::HOUR,
        partition_by: vec!["site".to_owned()],
        allowed_lateness: Micros(lateness),
        out_of_orderness: Micros(0),
        idle_timeout: Some(Micros(5 * MINUTE)),
        max_future: Micros(HOUR),
        max_past: Micros(30 * 24 * HOUR),
        dedupe_by: vec![],
        sort_by: vec![],
        catalog: Catalog::Glue,
    }
}

pub fn table_body(schema_version: u32, lateness: i64) -> Body {
    let columns = vec![Column { name: "at".to_owned(), glue_type: "timestamp".to_owned() }];
    Body::Table(TableBody { schema_version, avro_schema: "{}".to_owned(), columns, settings: settings(lateness) })
}

pub fn repair(action: RepairAction) -> Body {
    Body::Repair(RepairBody { actor: "ada".to_owned(), reason: "a test".to_owned(), action })
}
