//! Hands in the lake.
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::{concat_batches, take};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::{self, File};
use std::sync::Arc;
use table_log::record::AppendBody;
use table_log::{Body, Record};
use test_kit::small_lake::{SmallLake, TABLE};

/// Changes a record in place, as no program of ours ever does.
pub fn edit_record(lake: &SmallLake, record: &Record, change: impl FnOnce(&mut AppendBody)) {
    let path = lake.path(&format!("{TABLE}/_log/{:020}.json", record.seq.0));
    let mut record = Record::parse(&fs::read(&path).unwrap()).unwrap();
    let Body::Append(body) = &mut record.body else { panic!("{record:?}") };
    change(body);
    fs::write(&path, record.to_json()).unwrap();
}

/// All rows of a file.
pub fn read_rows(lake: &SmallLake, key: &str) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(lake.path(key)).unwrap()).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.unwrap()).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// Replaces the rows of a file, and its size in the record.
pub fn rewrite_file(lake: &SmallLake, record: &Record, index: usize, change: impl FnOnce(RecordBatch) -> RecordBatch) {
    let key = record.files().nth(index).unwrap().key.clone();
    let rows = change(read_rows(lake, &key));
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    let bytes = writer.into_inner().unwrap();
    fs::write(lake.path(&key), &bytes).unwrap();
    edit_record(lake, record, |body| {
        let files = body.files.len();
        let entry = if index < files { &mut body.files[index] } else { &mut body.quarantine[index - files] };
        entry.bytes = bytes.len() as u64;
    });
}

/// Puts the identity of row `from` on row `to`; the data stay.
pub fn repeat_row(rows: RecordBatch, from: u64, to: usize) -> RecordBatch {
    let mut indices: Vec<u64> = (0..rows.num_rows() as u64).collect();
    indices[to] = from;
    let indices = arrow::array::UInt64Array::from(indices);
    replace(&rows, "_kafka_offset", |column| take(column, &indices, None).unwrap())
}

/// Gives all rows this offset.
pub fn with_offset(rows: RecordBatch, offset: i64) -> RecordBatch {
    replace(&rows, "_kafka_offset", |column| Arc::new(Int64Array::from(vec![offset; column.len()])))
}

/// Gives all rows this event time.
pub fn with_time(rows: RecordBatch, micros: i64) -> RecordBatch {
    replace(&rows, "at", |column| Arc::new(TimestampMicrosecondArray::from(vec![micros; column.len()]).with_timezone("UTC")))
}

/// Replaces one column.
pub fn replace(rows: &RecordBatch, name: &str, change: impl FnOnce(&ArrayRef) -> ArrayRef) -> RecordBatch {
    let index = rows.schema().index_of(name).unwrap();
    let mut columns = rows.columns().to_vec();
    columns[index] = change(&columns[index]);
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}
