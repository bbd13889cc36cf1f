//! Lake partitions that do not fit in memory.
use crate::lake::{Lake, Row, SealOptions, row};
use std::collections::BTreeSet;

/// Memory for a few hundred rows.
fn tight() -> SealOptions {
    SealOptions { memory_bytes: 256 << 10, ..SealOptions::default() }
}

/// The window sealed at once and in slices: the same rows and the same dropped ones. Returns the slices.
async fn check(lake: &mut Lake, globally_sorted: bool) -> anyhow::Result<u64> {
    lake.close().await?;
    let whole = lake.seal(&lake.log, &SealOptions::default()).await?;
    assert_eq!(whole.figures.slices, 0);
    lake.log.discard(&whole.files).await;
    let (body, sealed) = lake.seal_and_commit(&tight()).await?;
    assert_eq!((body.duplicate_rows, sealed.figures.rows), (whole.body.duplicate_rows, whole.figures.rows));
    let (rows, dropped) = (lake.live_rows().await?, lake.dropped().await?);
    let offsets: BTreeSet<i64> = rows.iter().map(|row| row.offset).collect();
    assert_eq!(offsets.len(), rows.len(), "a row is there twice");
    assert!(dropped.iter().all(|(away, _)| !offsets.contains(away)));
    let end = |mut kept: i64| {
        while let Some(next) = dropped.get(&kept) {
            kept = *next;
        }
        kept
    };
    assert!(dropped.values().all(|kept| offsets.contains(&end(*kept))), "a chain ends at a row that is there");
    assert_eq!(rows.len() + dropped.len(), sealed.figures.input_rows as usize);
    if globally_sorted {
        assert!(rows.is_sorted_by(|a, b| (&a.device, a.at, a.n) <= (&b.device, b.at, b.n)), "not sorted");
    }
    assert_eq!(lake.staged().await?, 0);
    let leftovers = std::fs::read_dir(lake.folder.path())?.filter_map(Result::ok).map(|entry| entry.file_name()).collect::<Vec<_>>();
    assert_eq!(leftovers.len(), 2, "only the table and `_staging` are left: {leftovers:?}");
    Ok(sealed.figures.slices)
}

/// Rows in a scrambled order; every tenth is there again, far away.
fn scrambled(count: i64, devices: i64) -> Vec<Row> {
    let of = |n: i64| {
        let n = n * 7_919 % count;
        row(&format!("device-{:04}", n % devices), n, n % 3_599)
    };
    (0..count).map(of).chain((0..count).step_by(10).map(of)).collect()
}

#[tokio::test]
async fn slices_make_the_same_revision() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    for part in scrambled(30_000, 400).chunks(4_000) {
        lake.append(None, part.to_vec(), 0).await?;
    }
    let slices = check(&mut lake, true).await?;
    assert!((20..200).contains(&slices), "{slices} slices");
    Ok(())
}

#[tokio::test]
async fn a_sort_column_that_does_not_tell_duplicates_makes_slices_of_event_time() -> anyhow::Result<()> {
    let mut lake = Lake::new(|settings| settings.sort_by = vec!["value".to_owned(), "device".to_owned()]).await?;
    for part in scrambled(12_000, 40).chunks(4_000) {
        let differing = part.iter().enumerate().map(|(number, row)| Row { value: (number % 17) as f64, ..row.clone() });
        lake.append(None, differing.collect(), 0).await?;
    }
    assert!(check(&mut lake, false).await? > 5);
    Ok(())
}

#[tokio::test]
async fn one_hot_device_is_divided_by_time() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    for part in scrambled(20_000, 1).chunks(4_000) {
        lake.append(None, part.to_vec(), 0).await?;
    }
    assert!(check(&mut lake, true).await? > 10);
    Ok(())
}

#[tokio::test]
async fn one_row_sent_thousands_of_times_is_kept_once() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    for _ in 0..5 {
        lake.append(None, vec![row("hot", 1, 7); 4_000], 0).await?;
    }
    lake.append(None, vec![row("a", 1, 7), row("z", 1, 7)], 0).await?;
    check(&mut lake, true).await?;
    assert_eq!(lake.live_rows().await?.len(), 3);
    assert_eq!(lake.dropped().await?.len(), 19_999);
    Ok(())
}

#[tokio::test]
async fn equal_rows_that_are_no_duplicates_are_all_kept() -> anyhow::Result<()> {
    let mut lake = Lake::new(|settings| settings.dedupe_by.clear()).await?;
    let mut nulls = Lake::new(|_| {}).await?;
    for _ in 0..4 {
        lake.append(None, vec![row("hot", 1, 7); 4_000], 0).await?;
        nulls.append(None, vec![Row { device: None, ..row("", 1, 7) }; 4_000], 0).await?;
    }
    assert!(check(&mut lake, true).await? > 5, "identity divides them");
    check(&mut nulls, true).await?;
    assert_eq!((lake.live_rows().await?.len(), nulls.live_rows().await?.len()), (16_000, 16_000));
    Ok(())
}

/// The first rows of each file are small and the others large, so that the estimate is wrong.
#[tokio::test]
async fn rows_that_grow_are_divided_again() -> anyhow::Result<()> {
    let mut lake = Lake::new(|_| {}).await?;
    for part in 0..3 {
        let rows = (0..3_000_i64).map(|n| {
            let name = format!("{:05}{}", (n * 7_919 + part) % 3_000, "x".repeat(if n < 1_100 { 1 } else { 600 }));
            row(&name, n, n % 3_600)
        });
        lake.append(None, rows.collect(), 0).await?;
    }
    let slices = check(&mut lake, true).await?;
    assert!(slices > 40, "{slices} slices: they were not divided again");
    Ok(())
}
