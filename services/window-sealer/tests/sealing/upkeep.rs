//! Vacuum and sweep.
use crate::lake::{Lake, SealOptions, commit, row, tail};
use service_runtime::shutdown::Shutdown;
use std::time::Duration;
use table_log::FileRef;
use table_log::record::{Body, VacuumBody};
use window_sealer::vacuum::{self, Keeper, sweep};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_SECONDS: i64 = 86_400;

/// A window with two appended files, sealed: the two are superseded. Their keys.
async fn sealed() -> anyhow::Result<(Lake, Vec<String>)> {
    let mut lake = Lake::new(|_| {}).await?;
    let mut keys = Vec::new();
    for n in 0..2 {
        let record = lake.append(None, vec![row("a", n, n)], 0).await?;
        keys.extend(record.files().map(|file| file.key.clone()));
    }
    lake.close().await?;
    lake.seal_and_commit(&SealOptions::default()).await?;
    Ok((lake, keys))
}

#[tokio::test]
async fn superseded_files_are_deleted_when_their_time_is_over() -> anyhow::Result<()> {
    let (lake, keys) = sealed().await?;
    let (mut keeper, shutdown) = (Keeper::default(), Shutdown::manual());
    let there = || keys.iter().filter(|key| lake.path(key).exists()).count();
    let mut early = lake.times_in(DAY_SECONDS - 600).await?;
    assert_eq!(vacuum::run(&lake.log, &mut early, &mut keeper, (DAY, &shutdown)).await?, 0);
    assert_eq!(there(), 2);
    let mut late = lake.times_in(DAY_SECONDS + 600).await?;
    assert_eq!(vacuum::run(&lake.log, &mut late, &mut keeper, (DAY, &shutdown)).await?, 2);
    assert_eq!(there(), 0);
    let state = lake.log.refresh().await?;
    assert_eq!(state.superseded_files().count(), 0);
    assert_eq!(state.vacuumed(), Some(tail(&lake.log)));
    assert_eq!(lake.live_rows().await?.len(), 2, "readers of the log miss nothing");
    assert_eq!(vacuum::run(&lake.log, &mut late, &mut keeper, (DAY, &shutdown)).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_vacuum_that_was_cut_off_is_completed_by_the_next_process() -> anyhow::Result<()> {
    let (lake, keys) = sealed().await?;
    let files: Vec<FileRef> = lake.log.state().superseded_files().map(|(file, _)| file).collect();
    commit(&lake.log, Body::Vacuum(VacuumBody { files })).await?;
    assert!(keys.iter().all(|key| lake.path(key).exists()), "the process ended here");
    let mut times = lake.times_in(0).await?;
    vacuum::run(&lake.log, &mut times, &mut Keeper::default(), (DAY, &Shutdown::manual())).await?;
    assert!(keys.iter().all(|key| !lake.path(key).exists()));
    Ok(())
}

#[tokio::test]
async fn a_successor_that_is_not_in_place_keeps_what_it_replaced() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    lake.append(None, vec![row("a", 1, 1)], 0).await?;
    lake.close().await?;
    let sealed = lake.seal(&lake.log, &SealOptions::default()).await?;
    let record = commit(&lake.log, Body::Seal(sealed.body)).await?;
    let (mut times, mut keeper) = (lake.times_in(10 * DAY_SECONDS).await?, Keeper::default());
    let shutdown = Shutdown::manual();
    assert_eq!(vacuum::run(&lake.log, &mut times, &mut keeper, (DAY, &shutdown)).await?, 0, "nobody published the revision");
    lake.log.publish(&record).await?;
    assert_eq!(vacuum::run(&lake.log, &mut times, &mut keeper, (DAY, &shutdown)).await?, 1);
    Ok(())
}

#[tokio::test]
async fn staged_files_of_nobody_are_discarded_after_a_record_and_committed_ones_never() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    let committed = lake.append_unpublished(None, vec![row("a", 1, 1)], 0).await?;
    let orphan = lake.stage(None, &[row("b", 1, 1)], false).await?;
    // Records until the file system's clock, which goes in steps, tells one that is younger than the orphan.
    let staged_at = lake.store.list_staged("readings", 10).await?.iter().map(|staged| staged.modified).max().expect("two are staged");
    while lake.times_in(0).await?.of(tail(&lake.log)).await? <= staged_at {
        lake.append(None, Vec::new(), 0).await?;
    }
    let shutdown = Shutdown::manual();
    let mut early = lake.times_in(DAY_SECONDS - 600).await?;
    assert_eq!(sweep::run(&lake.log, &mut early, &mut Keeper::default(), (DAY, &shutdown)).await?, 0);
    assert_eq!((lake.staged().await?, lake.log.state().swept_before()), (2, None), "no record without an orphan");
    let mut late = lake.times_in(DAY_SECONDS + 600).await?;
    assert_eq!(sweep::run(&lake.log, &mut late, &mut Keeper::default(), (DAY, &shutdown)).await?, 1);
    assert_eq!(lake.staged().await?, 1);
    assert!(lake.log.state().swept_before().is_some());
    lake.log.publish(&committed).await?;
    assert!(lake.path(&committed.files().next().expect("a file").key).exists(), "what a record names stays");
    let published = lake.store.publish(&orphan.key, &orphan.upload, orphan.bytes).await?;
    assert_eq!(published, lake_store::PublishOutcome::Missing);
    let end = tail(&lake.log);
    assert_eq!(sweep::run(&lake.log, &mut late, &mut Keeper::default(), (DAY, &shutdown)).await?, 0);
    assert_eq!(tail(&lake.log), end, "a sweep is made only when there are orphans");
    Ok(())
}
