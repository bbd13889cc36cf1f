//! One revision: what is in it, what is dropped, how its files are made.
use crate::lake::{FIRST, Lake, Row, SealOptions, row};
use lake_file::EncodeOptions;
use parquet::file::reader::{FileReader, SerializedFileReader};
use table_log::TableState;
use table_log::record::Body;
use window_sealer::write::WriteOptions;

fn null_device(n: i64, seconds: i64) -> Row {
    Row { device: None, ..row("", n, seconds) }
}

#[tokio::test]
async fn a_closed_window_becomes_sorted_rows_without_duplicates_and_each_dropped_row_is_named() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    // Offsets 0 to 4, then 5 to 9.
    lake.append(None, vec![row("b", 1, 10), row("a", 1, 20), row("a", 2, 5), null_device(1, 1), row("a", 1, 21)], 0).await?;
    let again = Row { kafka_timestamp: 0, ..row("b", 1, 10) };
    lake.append(None, vec![row("a", 1, 20), null_device(1, 1), again, row("c", 7, 0), row("a", 2, 5)], 0).await?;
    lake.close().await?;
    let (body, sealed) = lake.seal_and_commit(&SealOptions::default()).await?;
    assert_eq!((body.revision, body.duplicate_rows), (1, 3));
    assert_eq!((sealed.figures.input_rows, sealed.figures.rows, sealed.figures.slices), (10, 7, 0));
    let rows = lake.live_rows().await?;
    let offsets: Vec<i64> = rows.iter().map(|row| row.offset).collect();
    assert_eq!(offsets, [3, 6, 2, 1, 4, 7, 8], "nulls first, then by device, then by event time; equal nulls stay");
    assert_eq!(lake.dropped().await?, [(0, 7), (5, 1), (9, 2)].into(), "the first by Kafka timestamp, then offset, stays");
    assert_eq!(lake.staged().await?, 0, "all files are published");
    Ok(())
}

#[tokio::test]
async fn without_dedupe_columns_nothing_is_dropped_and_what_nobody_published_is_published_first() -> anyhow::Result<()> {
    let mut lake = Lake::new(|settings| settings.dedupe_by.clear()).await?;
    lake.append_unpublished(None, vec![row("b", 1, 10), row("a", 1, 20), row("a", 1, 20)], 0).await?;
    lake.close().await?;
    let client = lake.client("sealer").await?;
    let sealed = lake.seal(&client, &SealOptions::default()).await?;
    assert_eq!((sealed.body.duplicate_rows, sealed.body.duplicates.len()), (0, 0));
    lake.seal_and_commit(&SealOptions::default()).await?;
    assert_eq!(lake.live_rows().await?.iter().map(|row| row.offset).collect::<Vec<_>>(), [1, 2, 0]);
    Ok(())
}

#[tokio::test]
async fn files_have_about_the_wanted_size_do_not_overlap_and_let_engines_skip() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    let rows: Vec<Row> = (0..60_000).map(|n: i64| row(&format!("device-{:03}", n * 7919 % 500), n, n % 3_600)).collect();
    for part in rows.chunks(7_000) {
        lake.append(None, part.to_vec(), 0).await?;
    }
    lake.close().await?;
    let encode = EncodeOptions { row_group_rows: 10_000, bloom_filters: vec!["n".to_owned()], ..EncodeOptions::default() };
    let options = SealOptions { write: WriteOptions { encode, target_file_bytes: 200_000 }, ..SealOptions::default() };
    let (body, _) = lake.seal_and_commit(&options).await?;
    let files = &body.lake_partitions[0].files;
    assert!(files.len() >= 3, "{} files", files.len());
    let mut last: Option<String> = None;
    for (file, is_last) in files.iter().zip((0..files.len()).map(|n| n + 1 == files.len())) {
        assert!(is_last || (150_000..600_000).contains(&file.bytes), "{} bytes", file.bytes);
        let reader = SerializedFileReader::new(std::fs::File::open(lake.path(&file.key))?)?;
        for group in reader.metadata().row_groups() {
            assert!(group.num_rows() <= 10_000);
            let column = |name: &str| group.columns().iter().find(|c| c.column_path().string() == name).expect("a column");
            assert!(column("n").bloom_filter_offset().is_some() && column("device").bloom_filter_offset().is_none());
            let statistics = column("device").statistics().expect("statistics");
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.expect("bounds").to_vec()).expect("text");
            let (low, high) = (text(statistics.min_bytes_opt()), text(statistics.max_bytes_opt()));
            assert!(last.as_ref().is_none_or(|last| *last <= low), "row groups are ranges of the first sort column");
            assert!(column("device").column_index_offset().is_some() && column("device").offset_index_offset().is_some());
            last = Some(high);
        }
        let key_values = reader.metadata().file_metadata().key_value_metadata().expect("a footer");
        let ranges = key_values.iter().find(|kv| kv.key == "tributary.ranges").and_then(|kv| kv.value.clone()).expect("ranges");
        assert!(ranges.contains(r#""revision":1"#), "{ranges}");
    }
    assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 60_000);
    Ok(())
}

#[tokio::test]
async fn files_of_older_schemas_are_read_with_nulls() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    lake.append(None, vec![row("a", 1, 1)], 0).await?;
    let state = lake.log.state();
    let mut table = TableState::clone(&state).table.expect("a table");
    table.schema_version = 2;
    let added = r#"{"name":"extra","type":["null","string"],"default":null}"#;
    table.avro_schema = table.avro_schema.replace(r#"{"name":"site""#, &format!(r#"{added},{{"name":"site""#));
    crate::lake::commit(&lake.log, Body::Table(table)).await?;
    lake.close().await?;
    let (body, _) = lake.seal_and_commit(&SealOptions::default()).await?;
    let file = &body.lake_partitions[0].files[0];
    assert_eq!(file.schema_version, 2);
    let batches = lake.batches(&file.key)?;
    assert_eq!(batches[0].column_by_name("extra").expect("a column").logical_null_count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_null_partition_value_in_the_dedupe_columns_means_no_duplicates() -> anyhow::Result<()> {
    let by_site = |settings: &mut table_log::record::TableSettings| {
        settings.partition_by = vec!["site".to_owned()];
        settings.dedupe_by = vec!["site".to_owned(), "device".to_owned()];
    };
    let mut lake = Lake::new(by_site).await?;
    lake.append(None, vec![row("a", 1, 1), row("a", 2, 1)], 0).await?;
    lake.append(Some("x"), vec![row("a", 1, 1), row("a", 2, 1)], 0).await?;
    lake.close().await?;
    let (body, _) = lake.seal_and_commit(&SealOptions::default()).await?;
    assert_eq!((body.lake_partitions.len(), body.duplicate_rows), (2, 1));
    assert_eq!(lake.dropped().await?, [(3, 2)].into());
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_not_what_the_log_says_is_not_sealed_and_leaves_nothing() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    let record = lake.append(None, vec![row("a", 1, 1), row("a", 2, 2)], 0).await?;
    let other = lake.append(None, vec![row("a", 3, 3)], 0).await?;
    lake.close().await?;
    let key = |record: &table_log::Record| record.files().next().expect("a file").key.clone();
    std::fs::copy(lake.path(&key(&other)), lake.path(&key(&record)))?;
    let error = lake.seal(&lake.log, &SealOptions::default()).await.expect_err("another file");
    assert!(error.to_string().contains(&key(&record)), "{error}");
    assert_eq!(lake.staged().await?, 0);
    assert_eq!(lake.log.state().window(FIRST).expect("a window").revision, 0);
    Ok(())
}
