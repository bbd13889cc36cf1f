//! Late rows, and sealers that do the same.
use crate::lake::{FIRST, Lake, Row, SealOptions, row, tail};
use service_runtime::shutdown::Shutdown;
use table_log::record::Body;
use window_sealer::seal::seal_window;
use window_sealer::{Proposed, SealerError, propose};

#[tokio::test]
async fn late_rows_make_the_next_revision_of_their_lake_partition_only() -> anyhow::Result<()> {
    let mut lake = Lake::new(|settings| settings.partition_by = vec!["site".to_owned()]).await?;
    lake.append(Some("x"), vec![row("a", 1, 1), row("b", 1, 2)], 0).await?;
    lake.append(Some("y"), vec![row("c", 1, 3)], 0).await?;
    lake.close().await?;
    lake.seal_and_commit(&SealOptions::default()).await?;
    // Sent before the row that is kept by now, and one of a site that was not there.
    lake.append(Some("x"), vec![Row { kafka_timestamp: 0, ..row("a", 1, 1) }, row("aa", 1, 5)], 1).await?;
    lake.append(Some("z"), vec![row("d", 1, 4)], 1).await?;
    assert_eq!(lake.live_rows().await?.len(), 3, "late rows are shown with their revision");
    let (body, _) = lake.seal_and_commit(&SealOptions::default()).await?;
    assert_eq!((body.revision, body.lake_partitions.len(), body.duplicate_rows), (2, 2, 1));
    let sites: Vec<_> = body.lake_partitions.iter().map(|revised| revised.lake_partition.values[0].clone()).collect();
    assert_eq!(sites, [Some("x".to_owned()), Some("z".to_owned())]);
    assert_eq!(lake.dropped().await?, [(0, 3)].into());
    let mut offsets: Vec<i64> = lake.live_rows().await?.iter().map(|row| row.offset).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [1, 2, 3, 4, 5]);
    assert!(lake.seal(&lake.log, &SealOptions::default()).await.is_err_and(|e| matches!(e, SealerError::Overtaken(_))), "nothing is new");
    Ok(())
}

#[tokio::test]
async fn of_two_sealers_one_is_first_and_the_other_discards_only_its_own_files() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    lake.append(None, vec![row("a", 1, 1), row("a", 1, 1), row("b", 1, 2)], 0).await?;
    lake.close().await?;
    let (one, other) = (lake.client("one").await?, lake.client("other").await?);
    let first = lake.seal(&one, &SealOptions::default()).await?;
    let second = lake.seal(&other, &SealOptions::default()).await?;
    assert_eq!(lake.staged().await?, 4);
    let shutdown = Shutdown::manual();
    let committed = propose(&one, Body::Seal(first.body), &first.files, &shutdown).await?;
    assert!(matches!(committed, Proposed::Committed(_)), "{committed:?}");
    assert_eq!(lake.staged().await?, 2);
    let lost = propose(&other, Body::Seal(second.body), &second.files, &shutdown).await?;
    assert!(matches!(lost, Proposed::Lost(_)), "{lost:?}");
    assert_eq!(lake.staged().await?, 0);
    assert_eq!(lake.live_rows().await?.iter().map(|row| row.offset).collect::<Vec<_>>(), [0, 2]);
    Ok(())
}

#[tokio::test]
async fn a_revision_of_what_has_landed_meanwhile_is_refused() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    lake.append(None, vec![row("a", 1, 1)], 0).await?;
    lake.close().await?;
    let before = lake.log.refresh().await?;
    lake.append(None, vec![row("b", 1, 2)], 1).await?;
    let sealed = seal_window(lake.job(&lake.log, before, &SealOptions::default())).await?;
    assert!(sealed.body.through < tail(&lake.log), "made of what was there before");
    let outcome = propose(&lake.log, Body::Seal(sealed.body), &sealed.files, &Shutdown::manual()).await?;
    assert!(matches!(outcome, Proposed::Committed(_)), "what came after it waits for the next revision: {outcome:?}");
    assert_eq!((lake.log.state().late_rows(FIRST), lake.live_rows().await?.len()), (1, 1));
    let (body, _) = lake.seal_and_commit(&SealOptions::default()).await?;
    assert_eq!((body.revision, lake.live_rows().await?.len()), (2, 2));
    Ok(())
}

#[tokio::test]
async fn a_stopping_process_ends_the_work_and_leaves_nothing() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    lake.append(None, vec![row("a", 1, 1)], 0).await?;
    lake.close().await?;
    let job = lake.job(&lake.log, lake.log.refresh().await?, &SealOptions::default());
    job.shutdown.trigger();
    assert!(matches!(seal_window(job).await, Err(SealerError::Stopping)));
    assert_eq!(lake.staged().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_proposal_that_was_walked_away_from_keeps_its_files() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    lake.append(None, vec![row("a", 1, 1)], 0).await?;
    lake.close().await?;
    let sealed = lake.seal(&lake.log, &SealOptions::default()).await?;
    let stopping = Shutdown::manual();
    stopping.trigger();
    let outcome = propose(&lake.log, Body::Seal(sealed.body), &sealed.files, &stopping).await;
    assert!(matches!(outcome, Err(SealerError::Stopping)), "{outcome:?}");
    assert_eq!(lake.staged().await?, 1, "a late request may still commit it");
    Ok(())
}

#[tokio::test]
async fn inputs_that_were_vacuumed_mean_that_somebody_was_faster() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    let record = lake.append(None, vec![row("a", 1, 1)], 0).await?;
    lake.close().await?;
    let before = lake.log.refresh().await?;
    lake.seal_and_commit(&SealOptions::default()).await?;
    lake.store.delete(&record.files().next().expect("a file").key).await?;
    let outcome = seal_window(lake.job(&lake.log, before, &SealOptions::default())).await;
    assert!(matches!(outcome, Err(SealerError::Overtaken(_))), "{:?}", outcome.map(|sealed| sealed.figures));
    Ok(())
}
