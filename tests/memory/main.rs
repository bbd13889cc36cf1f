//! Memory of the real binary, by the kernel's own count, against the settings' `memory_budget`: many tables, one hot kafka_partition, ten
//! thousand open lake partitions, and a consumer that was away for long.
//!
//! `make test-memory` runs it; `MEMORY_RECORDS` sets the records of the long absence (10,000,000 in the whole test). The figures are printed
//! and go to target/memory.json. Bounds are checked, times are not.
#![allow(clippy::print_stdout, reason = "a measurement says what it measured")]
mod figures;
mod lake;

use figures::Figures;
use lake::{Feed, Lake, Table};
use std::time::Duration;
use test_kit::wait_until;

/// Budget of every scene.
const BUDGET_MIB: u64 = 256;
/// Of the process beside its budget: program text, thread stacks, the allocator's slack, the fold.
const BESIDE_MIB: u64 = 150;
const DRAIN: Duration = Duration::from_secs(900);
const HOUR_US: i64 = 3_600_000_000;

fn records() -> u64 {
    std::env::var("MEMORY_RECORDS").map_or(2_000_000, |text| text.parse().expect("MEMORY_RECORDS is a number"))
}

#[test]
fn the_process_stays_within_its_budget() {
    let mut figures = Figures::new(BUDGET_MIB, BESIDE_MIB);
    twenty_tables(&mut figures);
    a_hot_kafka_partition(&mut figures);
    ten_thousand_open_lake_partitions(&mut figures);
    a_consumer_that_was_away(&mut figures);
    figures.end();
}

fn twenty_tables(figures: &mut Figures) {
    let tables: Vec<Table> = (0..20).map(|number| Table::new(&format!("table_{number}"), 6)).collect();
    let lake = Lake::new(BUDGET_MIB, Duration::from_secs(10), &tables);
    let writer = lake.start();
    wait_until(Duration::from_secs(120), "all tables have their kafka_partitions", || lake.owned_kafka_partitions() == 20 * 6);
    figures.note("20 tables, idle", &writer, 0);
    let sent = lake.feed(&tables, Feed { records: records() / 2, ..Feed::default() });
    lake.wait_until_taken(&writer, sent, DRAIN);
    figures.note("20 tables, under load", &writer, sent);
    lake.end(writer);
    lake.assert_rows(sent);
}

/// Nine records of ten go to one of twelve kafka_partitions.
fn a_hot_kafka_partition(figures: &mut Figures) {
    let table = Table::new("hot", 12);
    let lake = Lake::new(BUDGET_MIB, Duration::from_secs(10), std::slice::from_ref(&table));
    let sent = lake.feed(std::slice::from_ref(&table), Feed { records: records() / 2, hot_per_mille: 900, ..Feed::default() });
    let writer = lake.start();
    lake.wait_until_taken(&writer, sent, DRAIN);
    figures.note("one kafka_partition with 90 % of the records", &writer, sent);
    lake.end(writer);
    lake.assert_rows(sent);
}

/// A thousand devices in ten hours, one lake partition each, all open at once; more files than a commit should have stretch its interval.
fn ten_thousand_open_lake_partitions(figures: &mut Figures) {
    const DEVICES: u32 = 1_000;
    let table = Table::by_device("wide", 4);
    let lake = Lake::new(BUDGET_MIB, Duration::from_secs(2), std::slice::from_ref(&table));
    // Twelve laps through the ten hours, with a record of each device and hour in each lap, about.
    let records = u64::from(DEVICES) * 10 * 12;
    let feed = Feed { records, devices: DEVICES, span_us: 10 * HOUR_US, ..Feed::default() };
    let sent = lake.feed(std::slice::from_ref(&table), feed);
    let writer = lake.start();
    let mut most = 0;
    wait_until(DRAIN, "all is taken", || {
        most = most.max(lake.open_lake_partitions());
        writer.assert_runs();
        lake.taken() == sent
    });
    figures.note("10,000 open lake partitions", &writer, sent);
    figures.add("10,000 open lake partitions", "most_open", most);
    figures.add("10,000 open lake partitions", "commits", lake.log_records());
    lake.end(writer);
    lake.assert_rows(sent);
    assert!(most >= 10_000, "at most {most} lake partitions were open at once");
}

fn a_consumer_that_was_away(figures: &mut Figures) {
    let table = Table::new("away", 12);
    let lake = Lake::new(BUDGET_MIB, Duration::from_secs(10), std::slice::from_ref(&table));
    let few = lake.feed(std::slice::from_ref(&table), Feed { records: 10_000, ..Feed::default() });
    let writer = lake.start();
    lake.wait_until_taken(&writer, few, DRAIN);
    lake.end(writer);
    let sent = few + lake.feed(std::slice::from_ref(&table), Feed { records: records(), seed: 2, ..Feed::default() });
    let writer = lake.start();
    lake.wait_until_taken(&writer, sent, DRAIN);
    figures.note("back after a long absence", &writer, sent);
    lake.end(writer);
    lake.assert_rows(sent);
}
