//! Batches through Parquet with the properties that the lake's files have: what is read back equals what was decoded, without Arrow's own
//! schema in the file.
use super::{decoder, flush, framed, generate::record, generate::write, plain::of_arrow};
use crate::Push;
use arrow::{
    array::{Array, StructArray},
    record_batch::RecordBatch,
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    file::properties::{WriterProperties, WriterVersion},
};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use std::io::{Seek, Write};

fn through_parquet(batch: &RecordBatch) -> RecordBatch {
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
        .set_coerce_types(true)
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut file, batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(opened(&file)).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(batches.len(), 1);
    batches.into_iter().next().unwrap()
}

/// A temporary file, as the reader wants to seek.
fn opened(file: &[u8]) -> std::fs::File {
    let mut temporary = tempfile::tempfile().unwrap();
    temporary.write_all(file).unwrap();
    temporary.rewind().unwrap();
    temporary
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parquet_keeps_types_and_values(ty in record(), seed: u64) {
        let json = ty.json(&mut 0);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut decoder = decoder(&json);
        for _ in 0..30 {
            let mut datum = Vec::new();
            write(&ty, &mut rng, &mut datum);
            prop_assert!(matches!(decoder.push(&framed(&datum)), Push::Row));
        }
        let batch = flush(&mut decoder);
        let read = through_parquet(&batch);
        prop_assert_eq!(read.schema().fields().clone(), batch.schema().fields().clone(), "a reader without Arrow's schema sees the table's types");
        let (batch, read) = (StructArray::from(batch), StructArray::from(read));
        for row in 0..batch.len() {
            prop_assert_eq!(of_arrow(&read, row), of_arrow(&batch, row));
        }
    }
}
