use bytes::Bytes;
use lake_store::conformance::conformance;
use lake_store::{LakeStore, LocalStore, MemoryStore, StoreError};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn local_store_conforms() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let root = folder.path().join("lake");
    conformance(&|| Arc::new(LocalStore::open(&root).expect("open"))).await;
    let left: Vec<_> = std::fs::read_dir(root.join("_staging")).expect("staging").map(|entry| entry.expect("entry").file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("tmp-")), "temporary files stayed: {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_store_conforms() {
    let store = MemoryStore::new();
    conformance(&|| Arc::new(store.client(Default::default(), 0))).await;
}

#[tokio::test]
async fn a_crash_between_link_and_answer_leaves_the_object_to_its_maker() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = LocalStore::open(folder.path()).expect("open");
    // What such a crash leaves: the object, and the temporary file as a second link.
    std::fs::create_dir_all(folder.path().join("t/_log")).expect("folder");
    std::fs::write(folder.path().join("_staging/tmp-0"), b"mine").expect("write");
    std::fs::hard_link(folder.path().join("_staging/tmp-0"), folder.path().join("t/_log/0.json")).expect("link");
    let again = store.create("t/_log/0.json", Bytes::from_static(b"mine")).await.expect("create");
    assert_eq!(again, lake_store::CreateOutcome::Exists);
    assert_eq!(store.get("t/_log/0.json", None).await.expect("get").as_deref(), Some(b"mine".as_slice()));
    assert!(store.list("", None, 10).await.expect("list").iter().all(|object| object.key == "t/_log/0.json"));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_no_unknown_outcome() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = LocalStore::open(folder.path()).expect("open");
    // A file where a folder is needed fails for root too, whom permissions don't stop.
    std::fs::write(folder.path().join("t"), b"in the way").expect("write");
    let answer = store.create("t/_log/0.json", Bytes::new()).await;
    assert!(matches!(answer, Err(StoreError::Unavailable { .. } | StoreError::Denied { .. })), "{answer:?}");
}

#[tokio::test]
async fn staging_that_fails_may_be_begun_again() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = LocalStore::open(folder.path()).expect("open");
    std::fs::remove_dir(folder.path().join("_staging")).expect("remove");
    let answer = store.stage("t/data/a").await.err();
    assert!(matches!(answer, Some(StoreError::Unavailable { .. })), "{answer:?}");
    std::fs::create_dir(folder.path().join("_staging")).expect("create");
    assert!(store.stage("t/data/a").await.is_ok(), "once there is room again");
}
