use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

fn layout(minutes: i64, partition_by: &[&str]) -> Layout {
    Layout {
        table: TableName("readings".to_owned()),
        window: WindowSize::new(Micros(minutes * Micros::MINUTE.0)).unwrap(),
        partition_by: partition_by.iter().map(|column| (*column).to_owned()).collect(),
    }
}

fn data(window_start: i64, values: &[Option<&str>]) -> Key {
    let values = values.iter().map(|value| value.map(str::to_owned)).collect();
    let lake_partition = LakePartition { window_start: Time(window_start), values };
    Key::Data { lake_partition, folder: DataFolder::Open, base: Seq(42), staging: "01938f2c-0000-7000-8000-000000000001".to_owned() }
}

/// 2026-11-21T05:30:00Z
const HALF_PAST_FIVE: i64 = 1_795_239_000_000_000;

#[test]
fn keys_are_as_documented() {
    let start = HALF_PAST_FIVE - 30 * Micros::MINUTE.0;
    let name = "42-01938f2c-0000-7000-8000-000000000001.parquet";
    let known = [
        (layout(60, &[]), data(start, &[]), format!("readings/data/dt=2026-11-21/hr=05/open/{name}")),
        (layout(30, &[]), data(HALF_PAST_FIVE, &[]), format!("readings/data/dt=2026-11-21/hr=05/mi=30/open/{name}")),
        (layout(90, &[]), data(start - 30 * Micros::MINUTE.0, &[]), format!("readings/data/dt=2026-11-21/hr=04/mi=30/open/{name}")),
        (layout(120, &[]), data(start - Micros::HOUR.0, &[]), format!("readings/data/dt=2026-11-21/hr=04/open/{name}")),
        (layout(1_440, &["site"]), data(0, &[Some("a b")]), format!("readings/data/dt=1970-01-01/site=a%20b/open/{name}")),
        (layout(1_440, &["site"]), data(-1, &[None]), format!("readings/data/dt=1969-12-31/site=__HIVE_DEFAULT_PARTITION__/open/{name}")),
    ];
    for (layout, key, path) in known {
        assert_eq!(layout.path(&key), path);
    }
    let log = [
        (Key::Record(Seq(42)), "readings/_log/00000000000000000042.json"),
        (Key::Checkpoint { fold_version: 1, seq: Seq(200) }, "readings/_log/checkpoint/1/00000000000000000200.json.zst"),
        (Key::LatestCheckpoint { fold_version: 1 }, "readings/_log/checkpoint/1/latest"),
        (Key::Segment { from: Seq(0), to: Seq(1_000) }, "readings/_log/segment/00000000000000000000-00000000000000001000.json.zst"),
        (Key::FileList { base: Seq(7), put_id: PutId("0193-a".to_owned()) }, "readings/_log/files/7-0193-a.json.zst"),
    ];
    let table = TableName("readings".to_owned());
    for (key, path) in log {
        assert_eq!(log_path(&table, &key), path);
        assert_eq!(parse_log(&table, path), Some(key.clone()));
        assert_eq!(layout(60, &[]).path(&key), path);
        assert_eq!(layout(60, &[]).parse(path), Some(key));
    }
}

#[test]
fn hostile_device_ids_stay_in_their_folder() {
    let known = [
        ("../../x", "%2E./../x".replace('/', "%2F")),
        ("..", "%2E%2E".to_owned()),
        (".", "%2E".to_owned()),
        (".a", "%2Ea".to_owned()),
        ("a.", "a%2E".to_owned()),
        ("a.b", "a.b".to_owned()),
        ("a..b", "a..b".to_owned()),
        ("a=b", "a%3Db".to_owned()),
        ("%2F", "%252F".to_owned()),
        ("a/b:c#d", "a%2Fb%3Ac%23d".to_owned()),
        ("\0\r\n", "%00%0D%0A".to_owned()),
        ("é", "%C3%A9".to_owned()),
        ("e\u{301}", "e%CC%81".to_owned()),
        ("\u{202e}", "%E2%80%AE".to_owned()),
        ("😀", "%F0%9F%98%80".to_owned()),
        ("Ab-_9", "Ab-_9".to_owned()),
        (NULL_VALUE, "%5F_HIVE_DEFAULT_PARTITION__".to_owned()),
        ("%5F_HIVE_DEFAULT_PARTITION__", "%255F_HIVE_DEFAULT_PARTITION__".to_owned()),
    ];
    for (raw, escaped) in known {
        assert_eq!(value_text(Some(raw)), escaped, "{raw:?}");
        assert_eq!(parse_value(&escaped), Some(Some(raw.to_owned())));
    }
    assert_eq!(value_text(None), NULL_VALUE);
    assert_eq!(parse_value(NULL_VALUE), Some(None));
}

#[test]
fn an_empty_string_is_null() {
    assert_eq!(partition_value(Some("")), None);
    assert_eq!(partition_value(None), None);
    assert_eq!(partition_value(Some("x")), Some("x".to_owned()));
    assert_eq!(value_text(Some("")), NULL_VALUE);
}

#[test]
fn over_long_values_do_not_fit() {
    assert!(partition_value_fits(&"x".repeat(128)) && !partition_value_fits(&"x".repeat(129)));
    assert!(partition_value_fits(&"é".repeat(21)) && !partition_value_fits(&"é".repeat(22)), "escaped, a byte is three");
    let columns: Vec<String> = (0..9).map(|n| format!("c{n}")).collect();
    let layout = Layout { partition_by: columns, ..layout(60, &[]) };
    let long = "x".repeat(128);
    let key = |fields: usize| {
        let values: Vec<_> = (0..9).map(|n| Some(if n < fields { long.as_str() } else { "y" })).collect();
        data(0, &values)
    };
    assert!(layout.fits(&key(6)) && !layout.fits(&key(9)), "a key has at most 1,024 bytes");
    assert_eq!(layout.parse(&layout.path(&key(9))), None);
}

#[test]
fn other_spellings_are_no_keys() {
    let layout = layout(60, &["site"]);
    let good = layout.path(&data(0, &[Some("a")]));
    assert_eq!(layout.parse(&good), Some(data(0, &[Some("a")])));
    let edits = [
        ("readings/", "reading/"),
        ("readings/", "/readings/"),
        ("readings/", "readings//"),
        ("data/", "data/../data/"),
        ("dt=1970-01-01", "dt=1970-1-01"),
        ("dt=1970-01-01", "dt=1970-02-30"),
        ("hr=00", "hr=0"),
        ("hr=00", "hr=24"),
        ("hr=00", "hr=-1"),
        ("hr=00/", ""),
        ("site=", "place="),
        ("site=a", "site=%61"),
        ("site=a", "site=%2e"),
        ("site=a", "site=%2"),
        ("site=a", "site=%FF"),
        ("site=a", "site=."),
        ("site=a", "site="),
        ("site=a", "site=a/x=b"),
        ("/open/", "/opened/"),
        ("/open/", "/r1/"),
        ("/open/", "/r+00001/"),
        ("/42-", "/042-"),
        ("/42-", "/+42-"),
        (".parquet", ".parquet.tmp"),
        (".parquet", ""),
    ];
    for (from, to) in edits {
        let edited = good.replacen(from, to, 1);
        assert_ne!(edited, good);
        assert_eq!(layout.parse(&edited), None, "{edited}");
    }
    assert_eq!(layout.parse_in_any_table(&good.replacen("readings", "other", 1)), Some(data(0, &[Some("a")])));
    assert_eq!(layout.parse_in_any_table(&good.replacen("readings", "..", 1)), None);
}

#[test]
fn table_names() {
    for good in ["a", "readings", "a_1", &"a".repeat(128)] {
        assert!(TableName(good.to_owned()).is_valid(), "{good}");
    }
    for bad in ["", "A", "_a", "1a", "a-b", "a/b", "..", "é", &"a".repeat(129)] {
        assert!(!TableName(bad.to_owned()).is_valid(), "{bad}");
    }
}

fn value() -> impl Strategy<Value = Option<String>> {
    let troublesome =
        prop::sample::select(vec!["/", ".", "..", "=", "%", "%2F", " ", "\0", "\n", "é", "_", "-", "a", "B", "0", NULL_VALUE]);
    let joined = prop::collection::vec(troublesome, 1..5).prop_map(|parts| parts.concat());
    prop_oneof![Just(None), any::<String>().prop_map(Some), joined.prop_map(Some)].prop_map(|value| partition_value(value.as_deref()))
}

fn key(minutes: i64) -> impl Strategy<Value = Key> {
    let window = Micros::MINUTE.0 * minutes;
    let lake_partition = (-1_000_000..1_000_000_i64, value(), value())
        .prop_map(move |(number, a, b)| LakePartition { window_start: Time(number * window), values: vec![a, b] })
        .boxed();
    let folder = prop_oneof![Just(DataFolder::Open), Just(DataFolder::Late), any::<u32>().prop_map(DataFolder::Revision)];
    let base = any::<u64>().prop_map(Seq);
    let staging = "[0-9a-f]{8}-[0-9a-f]{4}";
    let file = (base.clone(), staging);
    prop_oneof![
        (lake_partition.clone(), folder, file.clone()).prop_map(|(lake_partition, folder, (base, staging))| Key::Data {
            lake_partition,
            folder,
            base,
            staging
        }),
        (lake_partition, file.clone()).prop_map(|(lake_partition, (base, staging))| Key::Duplicates { lake_partition, base, staging }),
        (-100_000..100_000_i64, file).prop_map(|(day, (base, staging))| Key::Quarantine { day: Time(day * Micros::DAY.0), base, staging }),
        (base.clone(), ".{1,20}").prop_map(|(seq, name)| Key::Windows { seq, name }),
        base.clone().prop_map(Key::Record),
        (any::<u32>(), base.clone()).prop_map(|(fold_version, seq)| Key::Checkpoint { fold_version, seq }),
        any::<u32>().prop_map(|fold_version| Key::LatestCheckpoint { fold_version }),
        (base.clone(), base.clone()).prop_map(|(from, to)| Key::Segment { from, to }),
        (base, ".{1,20}").prop_map(|(base, put_id)| Key::FileList { base, put_id: PutId(put_id) }),
    ]
}

fn layout_and_keys(count: usize) -> impl Strategy<Value = (Layout, Vec<Key>)> {
    let minutes = prop::sample::select(vec![1, 5, 15, 60, 90, 360, 1_440_i64]);
    minutes.prop_flat_map(move |minutes| (Just(layout(minutes, &["site", "device id"])), prop::collection::vec(key(minutes), count)))
}

proptest! {
    #[test]
    fn keys_round_trip((layout, keys) in layout_and_keys(1)) {
        let path = layout.path(&keys[0]);
        prop_assert_eq!(layout.parse(&path), (path.len() <= MAX_KEY_BYTES).then(|| keys[0].clone()));
        let plain = path.split('/').all(|segment| !segment.is_empty() && segment != "." && segment != "..");
        prop_assert!(plain, "{path}");
        prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()));
    }

    #[test]
    fn two_keys_never_share_a_path((layout, keys) in layout_and_keys(20)) {
        let mut paths = HashMap::new();
        for key in keys {
            if let Some(other) = paths.insert(layout.path(&key), key.clone()) {
                prop_assert_eq!(other, key);
            }
        }
    }

    #[test]
    fn two_values_never_share_a_folder(values in prop::collection::vec(value(), 20)) {
        let mut folders = HashMap::new();
        for value in values {
            let text = value_text(value.as_deref());
            prop_assert_eq!(parse_value(&text), Some(value.clone()));
            if let Some(other) = folders.insert(text, value.clone()) {
                prop_assert_eq!(other, value);
            }
        }
    }

    #[test]
    fn any_text_parses_to_nothing_or_to_its_own_key(path in "(readings/(data|quarantine|windows|_log)/)?[dthrmi=0-9/%A-F.-]{0,60}(\\.parquet|\\.json)?") {
        let layout = layout(60, &[]);
        if let Some(key) = layout.parse(&path) {
            prop_assert_eq!(layout.path(&key), path);
        }
    }
}
