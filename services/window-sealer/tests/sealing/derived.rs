//! Derived tables on a real lake: from sealed windows through a chain, again after amendments, and again to verify.
use crate::lake::{FIRST, Lake, SealOptions, row, tail};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use lake_query::LakeSession;
use lake_query::transform::RunOptions;
use lake_store::{TableLog, TableLogOptions};
use prometheus::Registry;
use service_runtime::settings::{Duration, TransformConfig};
use service_runtime::shutdown::Shutdown;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use table_log::record::{Body, DeriveBody};
use table_log::{LakePartition, Record, TableName};
use test_kit::wait_until;
use tokio::task::block_in_place;
use window_sealer::derive::metrics::DeriveMetrics;
use window_sealer::derive::{DeriveContext, Derived, Logs, Rerun, TransformSettings, rerun, run_table};
use window_sealer::{SealerError, SealerSettings};
use windowing::{Micros, Time};

const SUMS: &str = "SELECT window_start, window_end, d.site, sum(r.n) AS n, count(*) AS readings
FROM readings r JOIN devices d ON r.device = d.device GROUP BY window_start, window_end, d.site";
const HOURS: &str = "SELECT window_start, window_end, site, sum(n) AS n, max(source_window_end) AS newest FROM sums GROUP BY 1, 2, 3";
const DEVICES: &str = "device,site\na,north\nb,south\nc,\n";
const SHOWN: &str = "SELECT window_end, site, n FROM sums ORDER BY window_end, site";

/// A lake whose readings have a row of each of two devices, and the transforms `sums` and `hours` made of it.
struct Scene {
    lake: Lake,
    transforms: Vec<TransformSettings>,
}

impl Scene {
    async fn new(partition_by: &[&str]) -> anyhow::Result<Self> {
        let mut lake = Lake::new(|_| {}).await?;
        lake.append(None, vec![row("a", 1, 60), row("b", 2, 120), row("x", 4, 60)], 0).await?;
        lake.append(None, vec![row("a", 8, 3_500)], 0).await?;
        lake.close().await?;
        let mut scene = Self { lake, transforms: Vec::new() };
        let partition_by: Vec<String> = partition_by.iter().map(|column| (*column).to_owned()).collect();
        let references = BTreeMap::from([("devices".to_owned(), scene.file("devices.csv", DEVICES)?.display().to_string())]);
        let sums = TransformConfig {
            source: "readings".to_owned(),
            sql: scene.file("sums.sql", SUMS)?,
            size: Duration::from_secs(600),
            every: Some(Duration::from_secs(300)),
            partition_by,
            references,
            ..TransformConfig::default()
        };
        let hours = TransformConfig {
            source: "sums".to_owned(),
            sql: scene.file("hours.sql", HOURS)?,
            size: Duration::from_secs(3_600),
            ..TransformConfig::default()
        };
        scene.transforms = vec![TransformSettings::new("sums", &sums), TransformSettings::new("hours", &hours)];
        Ok(scene)
    }

    fn file(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.lake.path(&format!("_settings-{name}"));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    async fn log(&self, table: &str, instance: &str) -> anyhow::Result<TableLog> {
        Ok(TableLog::open(Arc::clone(&self.lake.store), TableName(table.to_owned()), TableLogOptions::new(instance)).await?)
    }

    async fn context(&self, table: &str, instance: &str) -> anyhow::Result<DeriveContext> {
        let transform = self.transforms.iter().find(|t| t.table.0 == table).cloned().expect("a transform of the scene");
        let mut logs = Logs::new();
        for name in ["readings", "sums", "hours"] {
            logs.insert(TableName(name.to_owned()), self.log(name, instance).await?);
        }
        let file = self.file("tributary.yaml", "lake: .\nkafka: {bootstrap_servers: 'k:1'}\ntables: {readings: {topics: [r]}}\n")?;
        let settings = SealerSettings::from_settings(&service_runtime::settings::Settings::load(&file)?);
        let settings =
            SealerSettings { transforms: self.transforms.clone(), poll_interval: std::time::Duration::from_millis(20), ..settings };
        Ok(DeriveContext::new(&settings, transform, logs, DeriveMetrics::new(&Registry::new())?, Shutdown::manual()))
    }

    /// Makes all that is due; the records.
    async fn derive(&self, table: &str) -> anyhow::Result<Vec<Arc<Record>>> {
        let context = self.context(table, "sealer").await?;
        let facts = context.facts().await?;
        let mut made = Vec::new();
        for due in facts.due(&context.transform.table)? {
            match context.make(&facts, due).await? {
                Derived::Committed { record, .. } => made.push(record),
                Derived::Lost(why) => anyhow::bail!("lost: {why}"),
            }
        }
        Ok(made)
    }

    async fn seal(&self) -> anyhow::Result<()> {
        self.lake.seal_and_commit(&SealOptions::default()).await.map(|_| ())
    }

    /// Late rows, and the revision that they make.
    async fn amend(&mut self, n: i64) -> anyhow::Result<()> {
        self.lake.append(None, vec![row("b", n, 200)], 1).await?;
        self.seal().await
    }

    /// A query over all tables, its lines without blanks.
    async fn sql(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        let mut logs = Vec::new();
        for name in ["readings", "sums", "hours"] {
            logs.push(self.log(name, "reader").await?);
        }
        let session = LakeSession::open(Arc::clone(&self.lake.store), logs).await?;
        lines(&session.sql(sql, None).await?)
    }

    async fn rerun(&self, record: &Record) -> anyhow::Result<Rerun> {
        let Body::Derive(body) = &record.body else { panic!("a derive") };
        let source = self.log("readings", "verify").await?;
        Ok(rerun(&self.transforms[0], &source, body, &RunOptions::default()).await?)
    }
}

/// The cells of each row.
fn lines(batches: &[RecordBatch]) -> anyhow::Result<Vec<String>> {
    let text = pretty_format_batches(batches)?.to_string();
    let rows = text.lines().filter(|line| line.starts_with('|')).skip(1);
    Ok(rows.map(|line| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" ")).collect())
}

fn body(record: &Record) -> &DeriveBody {
    match &record.body {
        Body::Derive(body) => body,
        other => panic!("{other:?}"),
    }
}

async fn rows(found: Rerun) -> anyhow::Result<usize> {
    match found {
        Rerun::Rows(rows) => Ok(rows.collect().await?.iter().map(RecordBatch::num_rows).sum()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_follow_their_source_through_a_chain_and_its_revisions() -> anyhow::Result<()> {
    let mut scene = Scene::new(&[]).await?;
    assert!(scene.derive("sums").await?.is_empty(), "closed, but not sealed");
    scene.seal().await?;
    let first = scene.derive("sums").await?;
    let [record] = first.as_slice() else { panic!("{first:?}") };
    let inputs: Vec<_> =
        body(record).inputs.iter().map(|input| ((input.window_start.0 - FIRST.0) / Micros::HOUR.0, input.revision)).collect();
    assert_eq!(inputs, [(-1, 0), (0, 1)]);
    assert_eq!(body(record).references.keys().collect::<Vec<_>>(), ["devices"]);
    let expected = [
        "2026-11-21T05:05:00Z north 1",
        "2026-11-21T05:05:00Z south 2",
        "2026-11-21T05:10:00Z north 1",
        "2026-11-21T05:10:00Z south 2",
        "2026-11-21T06:00:00Z north 8",
    ];
    assert_eq!(scene.sql(SHOWN).await?, expected);
    let entry = record.files().next().expect("a file");
    assert!(entry.key.starts_with("sums/data/dt=2026-11-21/hr=05/r000001/"), "{}", entry.key);
    assert_eq!((entry.event_time_min, entry.event_time_max), (FIRST + Micros(300_000_000 - 1), FIRST + Micros(Micros::HOUR.0 - 1)));
    assert_eq!(scene.derive("hours").await?.len(), 1);
    let hours = "SELECT site, n, newest FROM hours ORDER BY site";
    assert_eq!(scene.sql(hours).await?, ["north 10 2026-11-21T06:00:00Z", "south 4 2026-11-21T05:10:00Z"]);

    scene.amend(16).await?;
    let second = scene.derive("sums").await?;
    assert_eq!((second.len(), body(&second[0]).revision), (1, 2));
    assert_eq!(scene.sql("SELECT sum(n) FROM sums WHERE site = 'south'").await?, ["36"]);
    assert_eq!(
        scene.sql("SELECT n FROM sums WHERE window_end = TIMESTAMP '2026-11-21T06:00:00Z'").await?,
        ["8"],
        "files are pruned rightly"
    );
    assert_eq!(body(&scene.derive("hours").await?[0]).revision, 2);
    assert_eq!(scene.sql(hours).await?, ["north 10 2026-11-21T06:00:00Z", "south 36 2026-11-21T05:10:00Z"]);
    assert!(scene.derive("sums").await?.is_empty() && scene.derive("hours").await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_says_enough_to_be_made_again_while_its_inputs_are_there() -> anyhow::Result<()> {
    let mut scene = Scene::new(&[]).await?;
    scene.seal().await?;
    let first = scene.derive("sums").await?;
    scene.amend(16).await?;
    let second = scene.derive("sums").await?;
    assert_eq!(rows(scene.rerun(&second[0]).await?).await?, 5);
    let Rerun::Rows(found) = scene.rerun(&first[0]).await? else { panic!("the inputs of revision 1 are not vacuumed") };
    let found = lines(&found.collect().await?)?;
    assert!(found.contains(&"2026-11-21T05:00:00Z 2026-11-21T05:10:00Z south 2 1".to_owned()), "{found:?}");
    let old = scene.lake.log.files(&scene.lake.log.state().superseded_files().map(|(file, _)| file).collect::<Vec<_>>()).await?;
    for file in old.iter().filter(|file| file.key.contains("/r000001/")) {
        std::fs::remove_file(scene.lake.path(&file.key))?;
    }
    assert!(matches!(scene.rerun(&first[0]).await?, Rerun::InputsGone(_)));
    scene.file("devices.csv", "device,site\na,west\n")?;
    let Rerun::OtherVersion(what) = scene.rerun(&second[0]).await? else { panic!("the devices are others") };
    assert!(what.contains("`devices`"), "{what}");
    scene.file("devices.csv", DEVICES)?;
    scene.file("sums.sql", &SUMS.replace("sum", "max"))?;
    assert!(matches!(scene.rerun(&second[0]).await?, Rerun::OtherVersion(_)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_made_of_the_revisions_that_it_names() -> anyhow::Result<()> {
    let mut scene = Scene::new(&[]).await?;
    scene.seal().await?;
    let context = scene.context("sums", "slow").await?;
    let facts = context.facts().await?;
    let due = facts.due(&context.transform.table)?.remove(0);
    scene.amend(16).await?;
    context.facts().await?;
    let Derived::Committed { record, .. } = context.make(&facts, due).await? else { panic!("nobody else makes it") };
    assert_eq!(body(&record).inputs.last().map(|input| input.revision), Some(1));
    assert_eq!(scene.sql("SELECT sum(n) FROM sums WHERE site = 'south'").await?, ["4"]);
    assert_eq!(scene.derive("sums").await?.len(), 1, "and again for what came meanwhile");
    assert_eq!(scene.sql("SELECT sum(n) FROM sums WHERE site = 'south'").await?, ["36"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_decides_who_was_first_and_the_loser_discards_its_files() -> anyhow::Result<()> {
    let scene = Scene::new(&["site"]).await?;
    scene.seal().await?;
    let (one, two) = (scene.context("sums", "one").await?, scene.context("sums", "two").await?);
    let (facts_one, facts_two) = (one.facts().await?, two.facts().await?);
    let due = facts_one.due(&one.transform.table)?.remove(0);
    let (first, second) = tokio::join!(one.make(&facts_one, due.clone()), two.make(&facts_two, due));
    let ended = [first, second].map(|outcome| match outcome {
        Ok(Derived::Committed { .. }) => "committed",
        Ok(Derived::Lost(_)) | Err(SealerError::Overtaken(_)) => "lost",
        Err(error) => panic!("{error}"),
    });
    assert!(ended == ["committed", "lost"] || ended == ["lost", "committed"], "{ended:?}");
    assert_eq!(scene.lake.store.list_staged("sums", 100).await?.len(), 0);
    assert_eq!(scene.sql("SELECT count(*) FROM sums").await?, ["5"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn partition_columns_divide_the_window_and_null_is_a_value() -> anyhow::Result<()> {
    let mut scene = Scene::new(&["site"]).await?;
    scene.lake.append(None, vec![row("c", 32, 60)], 1).await?;
    scene.seal().await?;
    let made = scene.derive("sums").await?;
    let values: Vec<_> = body(&made[0]).lake_partitions.iter().map(|revised| revised.lake_partition.values.clone()).collect();
    assert_eq!(values, [vec![None], vec![Some("north".to_owned())], vec![Some("south".to_owned())]]);
    assert!(made[0].files().all(|file| file.lake_partition.window_start == FIRST));
    assert_eq!(scene.sql("SELECT site, sum(n) FROM sums GROUP BY site ORDER BY site").await?, ["north 10", "south 4", "64"]);
    let none = LakePartition { window_start: Time(0), values: Vec::new() };
    assert_ne!(made[0].files().next().map(|file| &file.lake_partition), Some(&none));
    // The text of the source's partition column is what a chain sees.
    assert_eq!(scene.derive("hours").await?.len(), 1);
    assert_eq!(scene.sql("SELECT site, n FROM hours ORDER BY site").await?, ["north 10", "south 4", "64"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_may_get_columns_but_neither_lose_them_nor_change_their_types() -> anyhow::Result<()> {
    let mut scene = Scene::new(&[]).await?;
    scene.seal().await?;
    scene.derive("sums").await?;
    scene.amend(16).await?;
    let before = tail(&scene.log("sums", "reader").await?);
    scene.file("sums.sql", &SUMS.replace("sum(r.n) AS n", "CAST(sum(r.n) AS DOUBLE) AS n"))?;
    let error = scene.derive("sums").await.expect_err("the type of `n` changed").to_string();
    assert!(error.contains("`n` was `bigint` and is `double`"), "{error}");
    assert!(error.contains("n bigint, readings bigint") && error.contains("n double, readings bigint"), "both schemas are shown: {error}");
    assert_eq!(tail(&scene.log("sums", "reader").await?), before, "nothing was committed");
    assert_eq!(scene.lake.store.list_staged("sums", 100).await?.len(), 0);
    scene.file("sums.sql", &SUMS.replace("count(*) AS readings", "count(*) AS readings, max(r.value) AS highest"))?;
    let made = scene.derive("sums").await?;
    assert_eq!(made[0].files().next().map(|file| file.schema_version), Some(2));
    assert_eq!(scene.sql("SELECT max(highest) FROM sums").await?, ["16.0"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_transform_waits_and_the_others_go_on() -> anyhow::Result<()> {
    let scene = Scene::new(&[]).await?;
    scene.file("hours.sql", "SELECT window_start, window_end, nothing FROM sums")?;
    scene.seal().await?;
    let contexts = [Arc::new(scene.context("hours", "one").await?), Arc::new(scene.context("sums", "one").await?)];
    let running = contexts.clone().map(|context| tokio::spawn(run_table(context)));
    let log = scene.log("sums", "reader").await?;
    let runtime = tokio::runtime::Handle::current();
    let is_made = || runtime.block_on(log.refresh()).is_ok_and(|state| state.window(FIRST).is_some_and(|window| window.revision == 1));
    block_in_place(|| wait_until(std::time::Duration::from_secs(30), "the first window of sums", is_made));
    for context in &contexts {
        context.shutdown.trigger();
    }
    for task in running {
        task.await?;
    }
    assert_eq!(scene.log("hours", "reader").await?.state().newest_seq(), None, "the broken one has not even a table");
    Ok(())
}
