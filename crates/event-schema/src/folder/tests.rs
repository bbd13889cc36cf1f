use super::SchemaFolder;
use std::{fs, path::Path};

fn schema(id: &str, ty: &str) -> String {
    format!(r#"{{"type":"record","name":"R","schema_id":{id},"fields":[{{"name":"f","type":"{ty}"}}]}}"#)
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

/// Faults without the temporary folder's path.
fn faults(files: &[(&str, &str)]) -> Vec<String> {
    let root = folder(files);
    let prefix = format!("{}/", root.path().display());
    SchemaFolder::load(root.path()).expect_err("the folder has a fault").into_iter().map(|f| f.replace(&prefix, "")).collect()
}

#[test]
fn subjects_versions_and_ids() {
    let (one, two, other) = (schema("1", "int"), schema("20", "long"), schema("0", "string"));
    let files = [
        ("a/v1.avsc", one.as_str()),
        ("a/v2.avsc", &two),
        ("b-value/v1.avsc", &other),
        ("README.md", "words"),
        ("a/notes.txt", "words"),
        (".git/v9.avsc", "{"),
        ("a/.v3.avsc", "{"),
    ];
    let root = folder(&files);
    let loaded = SchemaFolder::load(root.path()).unwrap();
    let found: Vec<_> = loaded.subjects().into_values().flatten().map(|s| (s.subject.clone(), s.version, s.id)).collect();
    assert_eq!(found, [("a".to_owned(), 1, 1), ("a".to_owned(), 2, 20), ("b-value".to_owned(), 1, 0)]);
    assert_eq!(loaded.by_id(20).unwrap().avro_json, two);
    assert!(loaded.by_id(2).is_none());
    assert_eq!(loaded.latest("a").unwrap().version, 2);
    assert!(loaded.latest("c").is_none());
}

#[test]
fn ten_versions_are_ordered_as_numbers() {
    let texts: Vec<_> = (1..=10).map(|i| (format!("a/v{i}.avsc"), schema(&i.to_string(), "int"))).collect();
    let files: Vec<_> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(SchemaFolder::load(folder(&files).path()).unwrap().latest("a").unwrap().version, 10);
}

#[test]
fn every_fault_names_its_file() {
    let good = schema("1", "int");
    let huge = " ".repeat((1 << 20) + 1);
    let files = [
        ("a/v1.avsc", good.as_str()),
        ("a/v3.avsc", &good),
        ("b/v1.avsc", r#"{"type":"int"}"#),
        ("c/v1.avsc", r#"{"type":"int","schema_id":"7"}"#),
        ("d/v1.avsc", r#"{"type":"int","schema_id":2147483648}"#),
        ("e/v1.avsc", "not json"),
        ("f/v1.avsc", r#"{"type":"no such type","schema_id":8}"#),
        ("g/v01.avsc", &good),
        ("h/v1.avsc", &huge),
        ("i/V1.AVSC", &good),
        ("j/x.txt", "words"),
        ("top.avsc", &good),
    ];
    let found = faults(&files);
    let expected = [
        "a/v3.avsc: version `2` of the subject is missing",
        "a/v3.avsc: schema_id `1` is already that of ",
        "b/v1.avsc: the top-level attribute `schema_id` is missing",
        "c/v1.avsc: schema_id `\"7\"` is not an integer",
        "d/v1.avsc: schema_id `2147483648` is not an integer",
        "e/v1.avsc: not JSON",
        "f/v1.avsc: not an Avro schema",
        "g/v01.avsc: the name is not `v<N>.avsc`",
        "g: the subject has no schema",
        "h/v1.avsc: the schema has `1048577` bytes",
        "i/V1.AVSC: the name is not",
        "i: the subject has no schema",
        "j: the subject has no schema",
        "top.avsc: a schema belongs in the folder of its subject",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found:?} is not {expected:?}");
    }
}

#[test]
fn a_missing_folder_is_a_fault() {
    let faults = SchemaFolder::load(Path::new("/no/such/folder")).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("/no/such/folder: cannot read the folder"), "{faults:?}");
}
