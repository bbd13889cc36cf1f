use super::*;
use crate::cli::{StatusArgs, TransformRunArgs};
use crate::output::{Mode, Output};
use service_runtime::settings::Settings;
use test_kit::small_lake::{DAY, SmallLake, row};

const SQL: &str =
    "SELECT window_start, window_end, d.place, sum(value) AS value FROM readings r JOIN devices d ON r.site = d.site GROUP BY 1, 2, 3";

/// A lake of an hour with sealed rows, and a transform of it.
async fn scene() -> (SmallLake, Context) {
    let mut lake = SmallLake::new(&[]).await.unwrap();
    lake.append(vec![(0, row(5, "n", 1.0)), (1, row(10, "s", 2.0)), (0, row(65, "n", 4.0)), (1, row(65, "n", 8.0))]).await.unwrap();
    let write = |name: &str, text: &str| {
        let path = lake.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    write("_sums.sql", SQL);
    write("_devices.csv", "site,place\nn,north\n");
    let settings = "lake: .\nkafka: {bootstrap_servers: 'localhost:1'}\nlake_writer: {instance: a}\nwindow_sealer: {instance: a}\ntables: {readings: {topics: [readings], event_time: at}}\ntransforms: {sums: {source: readings, sql: _sums.sql, size: 30m, references: {devices: _devices.csv}}}\n";
    let file = write("_tributary.yaml", settings);
    let context = Context { settings: Settings::load(&file).unwrap(), output: Output::new(Mode::Json) };
    (lake, context)
}

fn args(dry_run: bool) -> TransformRunArgs {
    let window = jiff::Timestamp::from_microsecond(DAY.0).unwrap();
    TransformRunArgs { table: "sums".to_owned(), window, dry_run, max_rows: 0 }
}

async fn newest_seq(context: &Context) -> Option<u64> {
    context.log(&TableName("sums".to_owned()), true).await.unwrap().state().newest_seq().map(|seq| seq.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_shown_then_made_and_then_up_to_date() {
    let (mut lake, context) = scene().await;
    let error = run::run(&args(true), &context).await.unwrap_err().to_string();
    assert!(error.contains("not complete: 2026-11-21T00:00:00Z"), "{error}");
    lake.seal(DAY, &[]).await.unwrap();
    assert_eq!(run::run(&args(true), &context).await.unwrap(), ExitCode::Done);
    assert_eq!(newest_seq(&context).await, None, "a dry run commits nothing");
    assert_eq!(run::run(&args(false), &context).await.unwrap(), ExitCode::Done);
    assert_eq!(newest_seq(&context).await, Some(1), "a `table` and a `derive` record");
    assert_eq!(run::run(&args(false), &context).await.unwrap(), ExitCode::Done);
    assert_eq!(newest_seq(&context).await, Some(1));
    let found = crate::sql::query(&context, "SELECT place, value FROM sums").await.unwrap();
    assert_eq!(found.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), 1);
    assert_eq!(list::list(&context).await.unwrap(), ExitCode::Done);
    let status = StatusArgs { tables: vec!["sums".to_owned()], partitions: true };
    assert_eq!(crate::status::run(&status, &context).await.unwrap(), ExitCode::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_names_and_times_are_usage_errors() {
    let (_lake, context) = scene().await;
    let other = TransformRunArgs { table: "sum".to_owned(), ..args(true) };
    assert!(run::run(&other, &context).await.unwrap_err().to_string().contains("`sum` is not in the settings"));
    let between = TransformRunArgs { window: jiff::Timestamp::from_microsecond(DAY.0 + 1).unwrap(), ..args(true) };
    assert!(run::run(&between, &context).await.unwrap_err().to_string().contains("no window of `sums` starts at"));
    assert!(context.any_table("sums").is_ok() && context.any_table("readings").is_ok());
    assert!(context.any_table("nothing").unwrap_err().to_string().contains("`nothing`"));
}
