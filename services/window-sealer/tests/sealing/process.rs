//! Whole processes on one lake.
use crate::lake::{FIRST, Lake, commit, row};
use lake_file::Compression;
use lake_store::LakeStore;
use prometheus::Registry;
use service_runtime::clock::SystemClock;
use service_runtime::shutdown::Shutdown;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use table_log::TableName;
use table_log::record::{Body, FlushBody};
use test_kit::{wait_for as wait_for_value, wait_until};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, block_in_place};
use window_sealer::{Components, SealerError, SealerMetrics, SealerSettings, TableSealerSettings};

/// For everything that is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

struct Process {
    shutdown: Shutdown,
    running: JoinHandle<Result<(), SealerError>>,
    registry: Registry,
}

impl Process {
    fn start(
        instance: &str,
        store: &Arc<dyn LakeStore>,
        spill_dir: &Path,
        change: impl FnOnce(&mut SealerSettings),
    ) -> anyhow::Result<Self> {
        let (shutdown, registry) = (Shutdown::manual(), Registry::new());
        let mut settings = SealerSettings {
            instance: instance.to_owned(),
            memory_budget_bytes: 64 << 20,
            spill_dir: spill_dir.to_owned(),
            amend_delay: Duration::from_secs(3_600),
            retain_superseded: Duration::from_secs(3_600),
            orphan_age: Duration::from_secs(3_600),
            poll_interval: Duration::from_millis(20),
            lost_after: Duration::from_secs(600),
            compression: Compression::Zstd,
            row_group_rows: 1_000_000,
            settings_file: "tributary.yaml".into(),
            tables: vec![table("readings")],
            transforms: Vec::new(),
        };
        change(&mut settings);
        let components = Components {
            store: Arc::clone(store),
            clock: Arc::new(SystemClock),
            health: Arc::default(),
            metrics: SealerMetrics::new(&registry)?,
            shutdown: shutdown.clone(),
        };
        Ok(Self { shutdown, running: tokio::spawn(window_sealer::run(settings, components)), registry })
    }

    /// Sum of a counter over its labels.
    fn count(&self, name: &str) -> u64 {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
        metrics.map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.trigger();
        Ok(self.running.await??)
    }
}

fn table(name: &str) -> TableSealerSettings {
    let log = service_runtime::settings::TableConfig::default().to_log();
    TableSealerSettings { table: TableName(name.to_owned()), log, target_file_bytes: 64 << 20, bloom_filters: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_seal_amend_on_flush_and_vacuum_together() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    for n in 0..20 {
        lake.append(None, vec![row("a", n % 15, n % 15), row("b", n, n)], 0).await?;
    }
    lake.close().await?;
    let soon = |settings: &mut SealerSettings| settings.retain_superseded = Duration::ZERO;
    let processes = [
        Process::start("one", &lake.store, lake.folder.path(), soon)?,
        Process::start("two", &lake.store, lake.folder.path(), soon)?,
        Process::start("three", &lake.store, lake.folder.path(), soon)?,
    ];
    let revision = |lake: &Lake| lake.log.state().window(FIRST).map_or(0, |window| window.revision);
    wait_for(&lake, "the seal", |lake| revision(lake) == 1).await?;
    lake.append(None, vec![row("c", 1, 1)], 1).await?;
    let flush = commit(&lake.log, Body::Flush(FlushBody { actor: "ada".to_owned() })).await?;
    wait_for(&lake, "the amendment that a flush asks for", |lake| revision(lake) == 2).await?;
    lake.append(None, vec![row("d", 1, 1)], 1).await?;
    wait_for(&lake, "the vacuum", |lake| {
        let state = lake.log.state();
        state.vacuumed() > Some(flush.seq) && state.superseded_files().count() == 0
    })
    .await?;
    assert_eq!((revision(&lake), lake.log.state().late_rows(FIRST)), (2, 1), "without a flush late rows wait for others");
    let committed: u64 = processes.iter().map(|process| process.count("tributary_sealer_revisions_total")).sum();
    let failed: u64 = processes.iter().map(|process| process.count("tributary_sealer_failures_total")).sum();
    for process in processes {
        process.stop().await?;
    }
    assert_eq!((committed, failed), (2, 0));
    assert_eq!(lake.dropped().await?.len(), 5);
    assert_eq!(lake.live_rows().await?.len(), 36);
    assert_eq!(lake.staged().await?, 0, "whoever lost discarded its files");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_table_does_not_stop_the_others() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    lake.append(None, vec![row("a", 1, 1)], 0).await?;
    let broken = Lake::table(&lake.store, "broken", |settings| settings.sort_by = vec!["nothing".to_owned()]).await?;
    let mut broken = Lake::of(Arc::clone(&lake.store), broken)?;
    broken.append(None, vec![row("a", 1, 1)], 1).await?;
    let process = Process::start("one", &lake.store, lake.folder.path(), |settings| {
        settings.tables = vec![table("broken"), table("missing"), table("readings")];
    })?;
    let failed = || process.count("tributary_sealer_failures_total") > 0;
    block_in_place(|| wait_until(DEADLINE, "a failure of the broken table", failed));
    lake.close().await?;
    wait_for(&lake, "the seal of the other table", |lake| lake.log.state().window(FIRST).is_some_and(|window| window.revision == 1))
        .await?;
    process.stop().await
}

/// Waits until the log is as wanted; helps to publish meanwhile, as any service does.
async fn wait_for(lake: &Lake, what: &str, holds: impl Fn(&Lake) -> bool) -> anyhow::Result<()> {
    let look = async || -> anyhow::Result<bool> {
        lake.log.refresh().await?;
        lake.log.help().await?;
        Ok(holds(lake))
    };
    let runtime = Handle::current();
    block_in_place(|| wait_for_value(DEADLINE, what, || runtime.block_on(look()).map(|holds| holds.then_some(())).transpose()))
}
