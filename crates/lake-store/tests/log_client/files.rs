//! Records with long file lists, and file references.
use crate::*;
use lake_store::{Fault, TableLogError};
use table_log::FileRef;

/// An append with a list of over 1 MiB: many files of one row each.
async fn long_append(log: &TableLog, files: i64) -> Body {
    let pattern = staged(log, "pattern", 0, 1).await;
    let named = |number: i64| {
        let staging = uuid::Uuid::from_u64_pair(7, number.unsigned_abs()).to_string();
        let (folder, _) = pattern.key.rsplit_once('/').expect("a folder");
        FileEntry { key: format!("{folder}/{}-{staging}.parquet", pattern.staged_on.0), ..pattern.clone() }
    };
    append(vec![plain_range(0, 0, files, None)], (0..files).map(named).collect())
}

#[tokio::test(start_paused = true)]
async fn long_lists_go_to_an_object_of_their_own() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    store.inject("create", "_log/files/", Fault::LostReply);
    let body = long_append(&log, 4000).await;
    let record = commit(&log, body).await;
    let object = store.get("events/_log/00000000000000000002.json", None).await.expect("get").expect("record");
    assert!(object.len() < 2000, "the record has {} bytes", object.len());
    let reader = open(&store, "reader").await;
    assert_eq!(reader.state(), log.state());
    assert_eq!(reader.record(Seq(2)).await.expect("record"), record);
    let refs = [3999, 0, 17].map(|index| FileRef { seq: Seq(2), index });
    let files = reader.files(&refs).await.expect("files");
    let expected: Vec<&FileEntry> = [3999, 0, 17].into_iter().filter_map(|index| record.files().nth(index)).collect();
    assert_eq!(files.iter().collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_changed_list_is_noticed_by_its_hash() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    let record = commit(&log, long_append(&log, 4000).await).await;
    let Body::Append(AppendBody { file_list: Some(list), .. }) = &record.body else { panic!("a list apart") };
    let mut object = store.get(&list.key, None).await.expect("get").expect("list").to_vec();
    object[100] ^= 1;
    store.put_hint(&list.key, object.into()).await.expect("put");
    let read = TableLog::open(Arc::new(store.clone()), table_name(), options("reader")).await;
    assert!(matches!(&read, Err(TableLogError::Unreadable { key, .. }) if *key == list.key), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn short_lists_stay_in_the_record() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    commit(&log, append_of(&log, "a", 0, 5).await).await;
    assert!(store.list("events/_log/files/", None, 9).await.expect("list").is_empty());
}

#[tokio::test(start_paused = true)]
async fn references_beyond_a_record_are_errors() {
    let store = MemoryStore::new();
    let log = new_table(&store, 1).await;
    commit(&log, append_of(&log, "a", 0, 5).await).await;
    for (seq, index) in [(2, 1), (0, 0), (99, 0)] {
        let answer = log.files(&[FileRef { seq: Seq(seq), index }]).await;
        assert!(matches!(answer, Err(TableLogError::Unreadable { .. })), "{seq}:{index}: {answer:?}");
    }
}
