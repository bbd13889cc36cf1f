use super::*;

const HEAD: &str = "lake: ./lake\nkafka: {bootstrap_servers: 'k:9092'}\nlake_writer: {instance: a}\nwindow_sealer: {instance: a}\ntables:\n  readings: {topics: [readings], event_time: at}\ntransforms:\n";

fn load(transforms: &str) -> Result<Settings, Vec<String>> {
    let parsed = Settings::parse("t.yaml", &format!("{HEAD}{transforms}"), &|_| None);
    parsed.map(|(settings, _)| settings).map_err(|error| error.report().lines().map(str::to_owned).collect())
}

#[test]
fn a_transform_has_defaults_and_an_order_by_its_source() {
    let settings = load(
        "  a: {source: b, sql: a.sql, size: 1h}\n  b: {source: readings, sql: b.sql, size: 10s, every: 5s, window: 1m, partition_by: [site], references: {devices: d.csv, sites: 'lake:reference/sites.parquet'}}\n",
    )
    .unwrap();
    let order: Vec<&str> = settings.transforms_in_order().into_iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(order, ["b", "a"]);
    let a = &settings.transforms["a"];
    assert_eq!((a.grouping().per_row(), a.window()), (1, WindowSize::HOUR));
    let b = &settings.transforms["b"];
    assert_eq!(b.grouping().per_row(), 2);
    let log = b.to_log();
    assert_eq!(
        (log.event_time.as_deref(), log.window.micros(), log.partition_by.as_slice()),
        (Some("window_end"), Micros::MINUTE, &["site".to_owned()][..])
    );
}

#[test]
fn paths_are_relative_to_the_settings_file_and_keys_to_the_lake() {
    let mut settings =
        load("  b: {source: readings, sql: b.sql, size: 10s, window: 1m, references: {d: d.csv, s: 'lake:s.csv'}}\n").unwrap();
    settings.resolve_paths(Path::new("/etc/tributary"));
    let b = &settings.transforms["b"];
    assert_eq!(b.sql, Path::new("/etc/tributary/b.sql"));
    assert_eq!((b.references["d"].as_str(), b.references["s"].as_str()), ("/etc/tributary/d.csv", "lake:s.csv"));
}

#[test]
fn all_faults_at_once() {
    let faults = load(
        "  readings: {source: readings, sql: a.sql, size: 1m}\n  c: {source: d, sql: c.sql, size: 1m}\n  d: {source: c, sql: d.sql, size: 1m}\n  e: {source: reading, sql: '', size: 10s, every: 4s}\n  f: {source: readings, sql: f.sql, size: 100ms, window: 7m}\n  g: {source: readings, sql: g.sql, size: 35s, every: 35s, window: 1m}\n  h: {source: readings, sql: h.sql, size: 1m, partition_by: [hr, window_end], references: {readings: r.csv, X: x.csv, y: y.json, z: 'lake:../z.csv'}}\n  i: {source: readings, sql: i.sql, size: 1d, every: 10s}\n",
    )
    .unwrap_err();
    let text = faults.join("\n");
    for what in [
        "transforms.readings: a table of `tables` has this name",
        "transforms.c.source: it is made from itself",
        "transforms.d.source: it is made from itself",
        "transforms.e.source: there is no table `reading` (did you mean `readings`?)",
        "transforms.e.sql: is empty",
        "transforms.e.size: `10s` is not a multiple of `every` (4s)",
        "transforms.f.window: `7m` is no length of a window",
        "transforms.g.window: `1m` is not a multiple of `every` (35s)",
        "transforms.h.partition_by[0]: `hr` is a partition column of every table",
        "transforms.h.partition_by[1]: the grouping window divides the table already",
        "transforms.h.references.readings: is the name of the source",
        "transforms.h.references.X: `X` is no name of a table",
        "transforms.h.references.y: `y.json` is no file of a known form",
        "transforms.h.references.z: `../z.csv` is no key",
        "transforms.i.size: each row would be in 8640 grouping windows",
    ] {
        assert!(text.contains(what), "{what}\n{text}");
    }
    assert_eq!(faults.len(), 15, "{text}");
}
