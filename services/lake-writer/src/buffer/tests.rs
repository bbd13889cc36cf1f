use super::*;
use crate::encode::Footer;
use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::sync::Arc;

fn batch(numbers: impl IntoIterator<Item = i64>) -> RecordBatch {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from_iter_values(numbers))]).expect("one column")
}

fn slot(window: i64, numbers: std::ops::Range<i64>) -> SlotRows {
    let target = Target { lake_partition: LakePartition { window_start: Time(window), values: Vec::new() }, late: false };
    let (event_time_min, event_time_max) = (Time(numbers.start), Time(numbers.end - 1));
    SlotRows { target, rows: (numbers.end - numbers.start) as u32, event_time_min, event_time_max }
}

fn options(row_group_rows: usize) -> EncodeOptions {
    EncodeOptions { row_group_rows, ..EncodeOptions::default() }
}

/// All rows of a range to one window.
fn push(buffers: &mut Buffers, window: i64, numbers: std::ops::Range<i64>) {
    let order = (0..(numbers.end - numbers.start) as u32).collect();
    buffers.push(&batch(numbers.clone()), order, vec![slot(window, numbers)]).expect("rows fit");
}

fn read(file: FileBuffer, options: &EncodeOptions) -> Vec<i64> {
    let footer = Footer { table: "t".into(), schema_version: 1, ranges_json: "[]".into() };
    let file = file.into_encoder(options).expect("rows fit").finish(&footer).expect("a file");
    let batches = ParquetRecordBatchReader::try_new(bytes::Bytes::from(file.parts.concat()), 1_024).expect("a parquet file");
    batches.flat_map(|batch| batch.expect("rows").column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[test]
fn many_small_batches_cost_little_and_are_all_there() {
    let mut buffers = Buffers::new(options(1_000_000), 1);
    for n in 0..1_000 {
        push(&mut buffers, 0, n..n + 1);
    }
    assert!((8_000..64_000).contains(&buffers.bytes()), "{} bytes", buffers.bytes());
    let mut files = buffers.take().files;
    assert_eq!((buffers.bytes(), buffers.files()), (0, 0));
    let (_, file) = files.pop_first().expect("one file");
    assert_eq!((file.rows(), file.event_time_min, file.event_time_max), (1_000, Time(0), Time(999)));
    assert_eq!(read(file, &options(1_000)), (0..1_000).collect::<Vec<_>>());
}

#[test]
fn batches_that_touch_many_lake_partitions_cost_what_their_rows_cost() {
    const WINDOWS: i64 = 2_000;
    let mut buffers = Buffers::new(options(1_000_000), 1);
    for round in 0..10 {
        let numbers = (0..WINDOWS).map(|window| round * WINDOWS + window);
        // Each row to a window of its own, the last first.
        let slots = (0..WINDOWS).rev().map(|window| slot(window, round * WINDOWS + window..round * WINDOWS + window + 1)).collect();
        buffers.push(&batch(numbers), (0..WINDOWS as u32).rev().collect(), slots).expect("rows fit");
    }
    let rows_bytes = 10 * WINDOWS as u64 * 8;
    let files_bytes = WINDOWS as u64 * 1_024;
    assert!(buffers.bytes() < files_bytes + 4 * rows_bytes, "{} bytes for {rows_bytes}", buffers.bytes());
    assert_eq!(buffers.lake_partitions(), WINDOWS as usize);
    for (target, file) in buffers.take().files {
        let window = target.lake_partition.window_start.0;
        assert_eq!(file.rows(), 10);
        assert_eq!(read(file, &options(1_000)), (0..10).map(|round| round * WINDOWS + window).collect::<Vec<_>>());
    }
}

#[test]
fn large_and_small_shares_of_a_batch_end_in_their_files() {
    let mut buffers = Buffers::new(options(1_000_000), 1);
    for round in 0..3 {
        let first = round * 4_000;
        // 3,000 rows to window 1, 990 to window 2, 10 are refused.
        let slots = vec![slot(1, first..first + 3_000), slot(2, first + 3_000..first + 3_990)];
        buffers.push(&batch(first..first + 4_000), (0..3_990).collect(), slots).expect("rows fit");
    }
    push(&mut buffers, 2, 100_000..102_000);
    let files = buffers.take().files.into_values().map(|file| {
        let mut numbers = read(file, &options(1_000));
        numbers.sort_unstable();
        numbers
    });
    let expected = |from: i64, rows: i64| (0..3).flat_map(move |round| round * 4_000 + from..round * 4_000 + from + rows);
    let files: Vec<Vec<i64>> = files.collect();
    assert_eq!(files[0], expected(0, 3_000).collect::<Vec<_>>());
    assert_eq!(files[1], expected(3_000, 990).chain(100_000..102_000).collect::<Vec<_>>());
}

#[test]
fn many_rows_are_encoded_at_once() {
    let mut buffers = Buffers::new(options(5_000), 1);
    for n in 0..6 {
        push(&mut buffers, 0, n * 2_000..n * 2_000 + 2_000);
    }
    let (_, file) = buffers.files.first_key_value().expect("one file");
    assert_eq!((file.encoded_rows(), file.buffered_rows()), (Some(12_000), 0));
    push(&mut buffers, 0, 12_000..14_000);
    let (_, file) = buffers.files.first_key_value().expect("one file");
    assert_eq!((file.encoded_rows(), file.buffered_rows(), file.chunks().len()), (Some(12_000), 2_000, 1));
    let (_, file) = buffers.take().files.pop_first().expect("one file");
    assert_eq!(read(file, &options(5_000)), (0..14_000).collect::<Vec<_>>());
}
