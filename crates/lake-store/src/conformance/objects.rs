//! Objects: create, get, head, list, put_hint, delete.
use super::{Open, body_of, create, keys};
use crate::{CreateOutcome, StoreError};
use bytes::Bytes;
use futures::future::join_all;

pub(super) async fn check(open: Open<'_>) {
    create_never_replaces(open).await;
    one_of_32_racing_creates_wins(open).await;
    get_and_head_of_present_and_absent(open).await;
    ranges_are_cut_at_the_end(open).await;
    list_is_ordered_paged_and_complete(open).await;
    hints_replace(open).await;
    delete_is_repeatable(open).await;
    keys_outside_the_lake_are_denied(open).await;
}

async fn create_never_replaces(open: Open<'_>) {
    let store = open();
    assert_eq!(create(&*store, "c1/_log/0.json", "first").await, CreateOutcome::Created);
    assert_eq!(create(&*store, "c1/_log/0.json", "second").await, CreateOutcome::Exists);
    assert_eq!(create(&*open(), "c1/_log/0.json", "first").await, CreateOutcome::Exists, "also with the same bytes and after a restart");
    assert_eq!(body_of(&*open(), "c1/_log/0.json").await.as_deref(), Some(b"first".as_slice()));
    assert_eq!(create(&*store, "c1/_log/1.json", "").await, CreateOutcome::Created, "an empty object");
    assert_eq!(body_of(&*store, "c1/_log/1.json").await.as_deref(), Some(b"".as_slice()));
}

async fn one_of_32_racing_creates_wins(open: Open<'_>) {
    for round in 0..8 {
        let key = format!("c2/_log/{round}.json");
        let bodies: Vec<String> = (0..32).map(|racer| format!("racer {racer} ").repeat(2000)).collect();
        let racers = bodies.iter().map(|body| {
            let (store, key, body) = (open(), key.clone(), Bytes::from(body.clone()));
            tokio::spawn(async move { store.create(&key, body).await.expect("create") })
        });
        let outcomes: Vec<CreateOutcome> = join_all(racers).await.into_iter().map(|outcome| outcome.expect("racer")).collect();
        let winners: Vec<usize> = (0..32).filter(|racer| outcomes[*racer] == CreateOutcome::Created).collect();
        assert_eq!(winners.len(), 1, "winners of round {round}: {winners:?}");
        let body = body_of(&*open(), &key).await.expect("the winner's object");
        assert!(body == bodies[winners[0]].as_bytes(), "round {round}: the object is not the winner's");
    }
}

async fn get_and_head_of_present_and_absent(open: Open<'_>) {
    let store = open();
    create(&*store, "c3/a/b", "twelve bytes").await;
    for absent in ["c3/none", "c3/a/none", "c3/none/b", "c3/a/b/c", "c3/a"] {
        assert_eq!(body_of(&*store, absent).await, None, "{absent}");
        assert_eq!(store.head(absent).await.expect("head"), None, "{absent}");
    }
    let meta = store.head("c3/a/b").await.expect("head").expect("object");
    assert_eq!((meta.key.as_str(), meta.bytes), ("c3/a/b", 12));
    create(&*store, "c3/later", "x").await;
    let later = store.head("c3/later").await.expect("head").expect("object");
    assert!(later.modified >= meta.modified, "the store's clock went back");
}

async fn ranges_are_cut_at_the_end(open: Open<'_>) {
    let store = open();
    create(&*store, "c4/o", "0123456789").await;
    for (range, expected) in [(0..4, "0123"), (4..10, "456789"), (8..99, "89"), (10..12, ""), (50..60, ""), (3..3, "")] {
        let found = store.get("c4/o", Some(range.clone())).await.expect("get").expect("object");
        assert_eq!(found, expected.as_bytes(), "{range:?}");
    }
    assert_eq!(store.get("c4/none", Some(0..1)).await.expect("get"), None);
}

async fn list_is_ordered_paged_and_complete(open: Open<'_>) {
    let store = open();
    // `-` and `.` sort before `/`: folders must sort as keys do.
    let mut all = ["c5/a-b", "c5/a/b", "c5/a/b-c/d", "c5/a/b.c", "c5/a0", "c5/ab/c", "c5/b", "c5/dt=2026-11-21/hr=05/x", "c5/ü"]
        .map(str::to_owned)
        .to_vec();
    for key in all.iter().rev() {
        create(&*store, key, "x").await;
    }
    all.sort();
    assert_eq!(keys(&*open(), "c5/").await, all);
    assert_eq!(keys(&*store, "c5/a").await, all.iter().filter(|key| key.starts_with("c5/a")).cloned().collect::<Vec<_>>());
    assert_eq!(keys(&*store, "c5/a/b-").await, ["c5/a/b-c/d"]);
    assert_eq!(keys(&*store, "c5/a/b-c/d").await, ["c5/a/b-c/d"]);
    assert!(keys(&*store, "c5/zz").await.is_empty() && keys(&*store, "c5/no/folder").await.is_empty());
    for page in 1..=all.len() + 1 {
        let mut found: Vec<String> = Vec::new();
        loop {
            let listed = store.list("c5/", found.last().map(String::as_str), page).await.expect("list");
            if listed.is_empty() {
                break;
            }
            assert!(listed.len() <= page, "a page of {page} has {}", listed.len());
            found.extend(listed.into_iter().map(|object| object.key));
        }
        assert_eq!(found, all, "pages of {page}");
    }
    assert_eq!(store.list("c5/", Some("c5/a/c"), 1).await.expect("list")[0].key, "c5/a0", "after a key that does not exist");
}

async fn hints_replace(open: Open<'_>) {
    let store = open();
    for hint in ["1", "22", ""] {
        store.put_hint("c6/latest", Bytes::from(hint)).await.expect("put_hint");
        assert_eq!(body_of(&*open(), "c6/latest").await.as_deref(), Some(hint.as_bytes()));
    }
}

async fn delete_is_repeatable(open: Open<'_>) {
    let store = open();
    create(&*store, "c7/a/b", "x").await;
    for _ in 0..2 {
        store.delete("c7/a/b").await.expect("delete");
        assert_eq!(body_of(&*open(), "c7/a/b").await, None);
    }
    store.delete("c7/never/there").await.expect("delete");
    assert!(keys(&*store, "c7/").await.is_empty());
}

async fn keys_outside_the_lake_are_denied(open: Open<'_>) {
    let store = open();
    for key in ["", "/etc/passwd", "../x", "c8/../../x", "c8/./x", "c8//x", "c8/\0", "_staging/x", "c8/x/"] {
        let answers = [
            store.create(key, Bytes::new()).await.err(),
            store.get(key, None).await.err(),
            store.head(key).await.err(),
            store.put_hint(key, Bytes::new()).await.err(),
            store.delete(key).await.err(),
            store.stage(key).await.err(),
        ];
        assert!(answers.iter().all(|answer| matches!(answer, Some(StoreError::Denied { .. }))), "`{key}`: {answers:?}");
    }
    assert!(matches!(store.list("../", None, 1).await, Err(StoreError::Denied { .. })));
}
