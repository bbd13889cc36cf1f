//! What types cannot say: names, ranges, and settings that do not fit together.
use super::fault::SettingsFault;
use super::units::{ByteSize, Duration};
use super::{Places, Settings, TableConfig, bridge, registry, transforms, window_sealer};
use std::collections::BTreeSet;
use windowing::WindowSize;

const SECOND: Duration = Duration::from_secs(1);
/// Less does not hold one commit and librdkafka's queues.
const MIN_MEMORY_BUDGET: ByteSize = ByteSize(32 << 20);
/// Partition columns that every table has, and so no column of the data may be.
const TIME_PARTITIONS: [&str; 3] = ["dt", "hr", "mi"];
/// Longest table name: it is a folder and a catalog table, with a suffix.
const MAX_TABLE_NAME_BYTES: usize = 128;
/// Kafka's bound on topic names.
const MAX_TOPIC_NAME_BYTES: usize = 249;

/// Adds all faults of meaning, except where the value already has one.
pub(super) fn check(settings: &Settings, places: &Places, faults: &mut Vec<SettingsFault>) {
    let mut checker = Checker { places, known: faults.iter().map(|fault| fault.path.clone()).collect(), faults };
    lake(&mut checker, &settings.lake);
    bootstrap_servers(&mut checker, &settings.kafka.bootstrap_servers);
    checker.duration("kafka.session_timeout", settings.kafka.session_timeout, SECOND, Duration::from_secs(1_800));
    if let Some(registry) = &settings.schema_registry {
        registry::check(&mut checker, registry, places.line("schemas").is_some());
    }
    lake_writer(&mut checker, settings);
    window_sealer::check(&mut checker, settings);
    if let Some(bridge) = &settings.bridge {
        bridge::check(&mut checker, bridge, settings.schema_registry.is_some());
    }
    if settings.tables.is_empty() {
        checker.fault("tables", "there is no table", "name at least one, with its `topics`");
    }
    for (name, config) in &settings.tables {
        table(&mut checker, name, config);
    }
    transforms::check(&mut checker, settings);
}

pub(super) struct Checker<'a> {
    places: &'a Places,
    /// Paths that had faults before.
    known: Vec<String>,
    faults: &'a mut Vec<SettingsFault>,
}

impl Checker<'_> {
    pub(super) fn fault(&mut self, path: &str, what: impl Into<String>, suggestion: impl Into<String>) {
        let within =
            |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        if self.known.iter().any(|known| known.is_empty() || within(known, path) || within(path, known)) {
            return;
        }
        let line = self.places.line(path);
        self.faults.push(SettingsFault { path: path.to_owned(), line, what: what.into(), suggestion: Some(suggestion.into()) });
    }

    pub(super) fn duration(&mut self, path: &str, value: Duration, low: Duration, high: Duration) {
        if value < low || value > high {
            self.fault(path, format!("`{value}` is out of range"), format!("write {low} to {high}"));
        }
    }

    pub(super) fn at_least(&mut self, path: &str, value: ByteSize, low: ByteSize) {
        if value < low {
            self.fault(path, format!("`{value}` is too small"), format!("write at least {low}"));
        }
    }

    pub(super) fn size(&mut self, path: &str, value: ByteSize, low: ByteSize, high: ByteSize) {
        if value < low || value > high {
            self.fault(path, format!("`{value}` is out of range"), format!("write {low} to {high}"));
        }
    }

    /// The name of a process.
    pub(super) fn instance(&mut self, path: &str, instance: &str) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if instance.is_empty() {
            let fix = "write a name that is unique and stable, such as `${HOSTNAME}`";
            self.fault(path, "is not given and the host has no name", fix);
        } else if !instance.chars().all(allowed) || instance.len() > 200 {
            let what = format!("`{}` is no instance name", instance.escape_debug());
            self.fault(path, what, "use at most 200 letters, digits, `.`, `_` and `-`");
        }
    }

    /// The name of a Kafka topic.
    pub(super) fn topic_name(&mut self, path: &str, topic: &str) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if topic.is_empty() || topic.len() > MAX_TOPIC_NAME_BYTES || !topic.chars().all(allowed) || topic == "." || topic == ".." {
            let what = format!("`{}` is no topic name", topic.escape_debug());
            self.fault(path, what, "use at most 249 letters, digits, `.`, `_` and `-`");
        }
    }
}

fn lake(checker: &mut Checker<'_>, lake: &str) {
    if lake.is_empty() {
        checker.fault("lake", "is empty", "name a folder, such as `./lake`");
    } else if lake.starts_with("s3://") {
        checker.fault("lake", "a lake in S3 (`s3://`) is not supported yet", "name a folder, such as `./lake`");
    } else if let Some((scheme, _)) = lake.split_once("://") {
        checker.fault("lake", format!("a lake at `{scheme}://` is not supported"), "name a folder, such as `./lake`");
    }
}

fn bootstrap_servers(checker: &mut Checker<'_>, servers: &str) {
    let valid = |server: &str| {
        let (host, port) = server.rsplit_once(':').unwrap_or((server, ""));
        !host.is_empty()
            && !host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@')
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    for server in servers.split(',').map(str::trim).filter(|server| !valid(server)) {
        checker.fault("kafka.bootstrap_servers", format!("`{server}` is no `host:port`"), "write `host:port`, several separated by commas");
    }
}

fn lake_writer(checker: &mut Checker<'_>, settings: &Settings) {
    let writer = &settings.lake_writer;
    checker.instance("lake_writer.instance", &writer.instance);
    checker.duration("lake_writer.commit_interval", writer.commit_interval, Duration::from_millis(100), Duration::from_secs(3_600));
    checker.duration("lake_writer.shutdown_timeout", writer.shutdown_timeout, SECOND, Duration::from_secs(600));
    checker.duration("lake_writer.lost_file_after", writer.lost_file_after, SECOND, Duration::from_secs(86_400));
    checker.at_least("lake_writer.commit_bytes", writer.commit_bytes, ByteSize(64 << 10));
    checker.at_least("lake_writer.max_record_bytes", writer.max_record_bytes, ByteSize(1 << 10));
    checker.at_least("lake_writer.memory_budget", writer.memory_budget, MIN_MEMORY_BUDGET);
    if writer.memory_budget < MIN_MEMORY_BUDGET {
        return;
    }
    if writer.commit_bytes > writer.memory_budget {
        let what = format!("`{}` is more than `memory_budget` ({})", writer.commit_bytes, writer.memory_budget);
        checker.fault("lake_writer.commit_bytes", what, "write at most a quarter of `memory_budget`");
    }
    if writer.max_record_bytes.0 > writer.memory_budget.0.min(512 << 20) {
        let what = format!("`{}` is more than `memory_budget` or 512MiB", writer.max_record_bytes);
        checker.fault("lake_writer.max_record_bytes", what, "write at most a quarter of `memory_budget`");
    }
}

fn table(checker: &mut Checker<'_>, name: &str, table: &TableConfig) {
    let at = |key: &str| format!("tables.{name}.{key}");
    table_name(checker, "tables", name);
    topics(checker, name, table);
    if table.subject.contains(['/', '\\', '\0']) || table.subject.starts_with('.') {
        checker.fault(
            &at("subject"),
            format!("`{}` is no subject", table.subject.escape_debug()),
            "it is the name of a folder in `schemas`",
        );
    }
    if WindowSize::new(table.window.into()).is_err() {
        let what = format!("`{}` is no length of a window", table.window);
        checker.fault(&at("window"), what, "write 1m to 1d in whole minutes that divide a day, such as `15m`, `1h` or `1d`");
    }
    let century = Duration::from_secs(36_525 * 86_400);
    checker.duration(&at("max_past"), table.max_past, SECOND, century);
    let year = Duration::from_secs(366 * 86_400);
    checker.duration(&at("allowed_lateness"), table.allowed_lateness, Duration::from_secs(0), year);
    checker.duration(&at("out_of_orderness"), table.out_of_orderness, Duration::from_secs(0), year);
    if let Some(idle_timeout) = table.idle_timeout {
        checker.duration(&at("idle_timeout"), idle_timeout, SECOND, Duration::from_secs(30 * 86_400));
    }
    checker.size(&at("target_file_bytes"), table.target_file_bytes, ByteSize(1 << 20), ByteSize(4 << 30));
    columns(checker, name, table);
}

/// The name of a table of `section`.
pub(super) fn table_name(checker: &mut Checker<'_>, section: &str, name: &str) {
    let at = format!("{section}.{name}");
    let mut bytes = name.bytes();
    let valid =
        bytes.next().is_some_and(|b| b.is_ascii_lowercase()) && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !valid || name.len() > MAX_TABLE_NAME_BYTES {
        let what = format!("`{}` is no table name", name.escape_debug());
        checker.fault(&at, what, "use at most 128 lower-case letters, digits and `_`, beginning with a letter");
    }
    for suffix in ["_quarantine", "_windows"] {
        if name.ends_with(suffix) {
            checker.fault(&at, format!("table names must not end in `{suffix}`"), "every table has one of that name beside it");
        }
    }
}

fn topics(checker: &mut Checker<'_>, name: &str, table: &TableConfig) {
    let at = format!("tables.{name}.topics");
    if !table.topics.iter().any(|topic| !topic.refused) {
        checker.fault(&at, "no topic with data is named", "write `topics: [name]`");
    }
    let mut seen = BTreeSet::new();
    for (index, topic) in table.topics.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let topic = &topic.topic;
        checker.topic_name(&at, topic);
        if !seen.insert(topic) {
            checker.fault(&at, format!("topic `{topic}` is named twice"), "remove one");
        }
    }
}

fn columns(checker: &mut Checker<'_>, name: &str, table: &TableConfig) {
    let at = |key: &str| format!("tables.{name}.{key}");
    if let Some(column) = &table.event_time {
        column_name(checker, &at("event_time"), column);
    }
    for (key, columns) in [
        ("partition_by", &table.partition_by),
        ("dedupe_by", &table.dedupe_by),
        ("sort_by", &table.sort_by),
        ("bloom_filters", &table.bloom_filters),
    ] {
        column_list(checker, &at(key), columns);
    }
    for (index, column) in table.partition_by.iter().enumerate() {
        let at = format!("{}[{index}]", at("partition_by"));
        if TIME_PARTITIONS.contains(&column.as_str()) {
            checker.fault(&at, format!("`{column}` is a partition column of every table"), "name a column of the data");
        } else if Some(column) == table.event_time.as_ref() {
            checker.fault(&at, "the event time divides the table already", "remove it");
        }
    }
    if !table.dedupe_by.is_empty() && table.event_time.is_none() {
        let what = "duplicates cannot be told by Kafka's timestamp: a record sent again has another one";
        checker.fault(&at("dedupe_by"), what, "set `event_time` to a column of the data");
    }
}

/// A list of columns, each named once.
pub(super) fn column_list(checker: &mut Checker<'_>, path: &str, columns: &[String]) {
    let mut seen = BTreeSet::new();
    for (index, column) in columns.iter().enumerate() {
        let at = format!("{path}[{index}]");
        column_name(checker, &at, column);
        if !seen.insert(column) {
            checker.fault(&at, format!("column `{column}` is named twice"), "remove one");
        }
    }
}

fn column_name(checker: &mut Checker<'_>, path: &str, column: &str) {
    let mut bytes = column.bytes();
    let valid = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if column.starts_with("_kafka_") {
        checker.fault(path, format!("`{column}` is a column that every table has"), "name a column of the data");
    } else if !valid {
        let what = format!("`{}` is no column name", column.escape_debug());
        let lower = column.to_ascii_lowercase();
        let suggestion =
            if lower == column { "use letters, digits and `_`".to_owned() } else { format!("column names are lower-case: `{lower}`") };
        checker.fault(path, what, suggestion);
    }
}
