//! Takes offsets, routes rows, commits appends. Several own the same kafka_partitions at once, as zombies do.
use crate::actor::{Actor, between, elapse};
use crate::kafka::{self, Fate, KAFKA_PARTITIONS, UNDISPUTED};
use crate::lake::{Place, Row, plain_range, source, source_body, table_body, window_size};
use futures::FutureExt;
use futures::future::BoxFuture;
use lake_store::TableLog;
use rand::Rng;
use std::collections::BTreeMap;
use table_log::key::DataFolder;
use table_log::planted::{Bug, is_planted};
use table_log::record::{AppendBody, AppendRange, Body, FileEntry};
use table_log::{KafkaPartition, TableState};
use tokio::time::Instant;
use windowing::{Micros, PartitionWatermark, Time};

pub fn writer(actor: Actor) -> BoxFuture<'static, ()> {
    live(actor).boxed()
}

async fn live(mut actor: Actor) {
    let Some(log) = actor.open().await else { return };
    if log.state().table.is_none() {
        actor.commit(&log, Body::Table(table_body(1, Micros::from_secs(10))), &[]).await;
    }
    if log.state().table.is_some() && log.state().sources().next().is_none() {
        actor.commit(&log, source_body(KAFKA_PARTITIONS), &[]).await;
    }
    let (one, two) = (actor.fork("/0"), actor.fork("/1"));
    futures::join!(shard(one, log.clone()), shard(two, log.clone()), helper(actor, log));
}

async fn helper(mut actor: Actor, log: TableLog) {
    loop {
        actor.nap(1, 4).await;
        actor.help(&log).await;
    }
}

async fn shard(mut actor: Actor, log: TableLog) {
    let mut idle_since = BTreeMap::new();
    let mut flushed = log.state().flushed();
    loop {
        actor.nap(1, 15).await;
        let Some(state) = actor.refresh(&log).await else { continue };
        // A flush asks for all that there is.
        let eager = state.flushed() > flushed;
        flushed = state.flushed();
        let mut batch = Batch::default();
        for kafka_partition in 0..KAFKA_PARTITIONS {
            let mine = (kafka_partition == UNDISPUTED) == (actor.name == "writer-c/0");
            if mine && (eager || actor.random.random_bool(0.6)) {
                batch.take(&mut actor, &state, kafka_partition, &mut idle_since);
            }
        }
        if !batch.ranges.is_empty() {
            batch.commit(&mut actor, &log, &state).await;
        }
    }
}

/// What a shard took.
#[derive(Default)]
struct Batch {
    ranges: Vec<AppendRange>,
    rows: BTreeMap<(Time, bool), Vec<Row>>,
    quarantine: BTreeMap<Time, Vec<Row>>,
}

impl Batch {
    fn take(&mut self, actor: &mut Actor, state: &TableState, kafka_partition: i32, idle_since: &mut BTreeMap<i32, Instant>) {
        let Some((_, declared)) = state.current_source(crate::lake::TOPIC) else { return };
        let Some(partition) = declared.partitions.get(&KafkaPartition(kafka_partition)) else { return };
        let Some(settings) = state.table.as_ref().map(|table| &table.settings) else { return };
        let clock = actor.clock();
        let known = partition.watermark.filter(|_| !is_planted(Bug::WatermarkBackOnReassignment));
        let mut watermark = PartitionWatermark::new(settings.out_of_orderness, settings.idle_timeout, known);
        let start = partition.next_offset.0;
        let end = kafka::available(kafka_partition, actor.sim.clock()).min(start + actor.random.random_range(1..12));
        if end <= start {
            let since = *idle_since.entry(kafka_partition).or_insert_with(Instant::now);
            if since.elapsed().as_secs() >= 60 {
                idle_since.insert(kafka_partition, Instant::now());
                watermark.observe_idle(clock);
                self.ranges.push(plain_range(kafka_partition, start, start, watermark.current()));
            }
            return;
        }
        idle_since.remove(&kafka_partition);
        let mut range = AppendRange { rows: 0, ..plain_range(kafka_partition, start, end, None) };
        for offset in start..end {
            let event = kafka::event(actor.sim.seed, kafka_partition, offset);
            let row = Row { kafka_partition, offset, event_time: event.event_time };
            match event.fate {
                Fate::Row => {
                    self.route(state, row, watermark.current(), settings.allowed_lateness);
                    watermark.observe(event.event_time, event.kafka_timestamp, clock);
                    range.rows += 1;
                }
                Fate::Quarantined => {
                    let row = Row { event_time: event.kafka_timestamp, ..row };
                    self.quarantine.entry(event.kafka_timestamp.day_start()).or_default().push(row);
                    watermark.observe_refused(event.kafka_timestamp, clock);
                    range.quarantined += 1;
                }
                Fate::Skipped => {
                    watermark.observe_refused(event.kafka_timestamp, clock);
                    range.skipped += 1;
                }
                Fate::Absent => range.absent += 1,
            }
        }
        range.watermark = watermark.current();
        self.ranges.push(range);
    }

    fn route(&mut self, state: &TableState, row: Row, watermark: Option<Time>, allowed_lateness: Micros) {
        let window_start = window_size().start_of(row.event_time);
        let last = window_size().end_of(window_start) + allowed_lateness;
        let late = state.is_closed(window_start) || watermark.is_some_and(|watermark| watermark >= last);
        let late = late && !is_planted(Bug::LateRowIntoOpen);
        self.rows.entry((window_start, late)).or_default().push(row);
    }

    async fn commit(self, actor: &mut Actor, log: &TableLog, state: &TableState) {
        let (mut files, mut quarantine): (Vec<FileEntry>, Vec<FileEntry>) = Default::default();
        for ((window_start, late), rows) in &self.rows {
            let folder = if *late { DataFolder::Late } else { DataFolder::Open };
            // A process that fails here leaves what it staged to the sweeper.
            let Some(file) = actor.stage(&Place::Data(*window_start, folder), state, rows).await else { return };
            files.push(file);
        }
        for (day, rows) in &self.quarantine {
            let Some(file) = actor.stage(&Place::Quarantine(*day), state, rows).await else { return };
            quarantine.push(file);
        }
        if actor.random.random_bool(0.1) {
            let slow = between(&mut actor.random, 0, 150);
            elapse(slow).await;
        }
        let all: Vec<FileEntry> = files.iter().chain(&quarantine).cloned().collect();
        let taken: Vec<String> =
            self.ranges.iter().map(|r| format!("{}:{}..{}", r.source.kafka_partition, r.range.start, r.range.end)).collect();
        actor.trace(format!("proposes {} on {}", taken.join(" "), state.next_seq));
        let body = Body::Append(AppendBody { ranges: self.ranges, files, quarantine, file_list: None });
        actor.commit(log, body, &all).await;
    }
}

/// All offsets are taken.
pub fn all_taken(state: &TableState) -> bool {
    (0..KAFKA_PARTITIONS).all(|number| state.next_offset(&source(number)).is_some_and(|offset| offset.0 == kafka::log_end(number)))
}
