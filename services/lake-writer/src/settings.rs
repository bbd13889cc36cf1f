//! What the lake-writer takes of the settings file.
use event_schema::Limits;
use kafka_io::KafkaConfig;
use service_runtime::settings::{Compression, Settings, Tombstones, TopicSettings};
use std::{path::PathBuf, time::Duration};
use table_log::{TableName, record::TableSettings};

/// Settings of the process.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// How to reach the cluster.
    pub kafka: KafkaConfig,
    /// After this without a heartbeat the group gives the kafka_partitions to others.
    pub session_timeout: Duration,
    /// Unique and stable name of this process: static group membership rests on it.
    pub instance: String,
    /// A commit at least this often while there is something to commit.
    pub commit_interval: Duration,
    /// And when a shard has buffered this much.
    pub commit_bytes: u64,
    /// Memory of all tables and shards together.
    pub memory_budget_bytes: u64,
    /// Over so many files the interval stretches.
    pub files_per_commit: u32,
    /// Independent consumers per table.
    pub shards: u32,
    /// Rows of a row group at most.
    pub row_group_rows: u32,
    /// Codec of the files.
    pub compression: Compression,
    /// SIGTERM to exit.
    pub shutdown_timeout: Duration,
    /// Limits on a record.
    pub limits: Limits,
    /// A committed file that has neither object nor upload for so long is lost.
    pub lost_after: Duration,
    /// Where these settings come from, for the commands in messages.
    pub settings_file: PathBuf,
    /// Further properties of the consumers, for tests.
    pub consumer_properties: Vec<(String, String)>,
    /// The tables.
    pub tables: Vec<TableWriterSettings>,
}

/// Settings of one table.
#[derive(Clone, Debug)]
pub struct TableWriterSettings {
    /// Name.
    pub table: TableName,
    /// Topics with their first start.
    pub topics: Vec<TopicSettings>,
    /// Subject whose newest schema a new table starts with.
    pub subject: String,
    /// What a new table's log says, and what the log of an existing one is compared with.
    pub log: TableSettings,
    /// What becomes of records without a value.
    pub tombstones: Tombstones,
    /// Consumer group: `tributary.<table>`.
    pub group: String,
}

impl WriterSettings {
    /// Consumers of the process: every shard of every table.
    pub fn consumers(&self) -> u64 {
        u64::from(self.shards) * self.tables.len().max(1) as u64
    }

    /// Takes the lake-writer's part.
    pub fn from_settings(settings: &Settings) -> Self {
        let writer = &settings.lake_writer;
        let tables = settings.tables.iter().map(|(name, table)| TableWriterSettings {
            table: TableName(name.clone()),
            topics: table.topics.clone(),
            subject: table.subject.clone(),
            log: table.to_log(),
            tombstones: table.tombstones,
            group: group_name(name),
        });
        Self {
            kafka: settings.kafka.to_config(),
            session_timeout: settings.kafka.session_timeout.0,
            instance: writer.instance.clone(),
            commit_interval: writer.commit_interval.0,
            commit_bytes: writer.commit_bytes.0,
            memory_budget_bytes: writer.memory_budget.0,
            files_per_commit: writer.files_per_commit,
            shards: writer.shards.max(1),
            row_group_rows: writer.row_group_rows,
            compression: writer.compression,
            shutdown_timeout: writer.shutdown_timeout.0,
            limits: writer.limits(),
            lost_after: writer.lost_file_after.0,
            settings_file: settings.file.clone(),
            consumer_properties: Vec::new(),
            tables: tables.collect(),
        }
    }
}

/// The consumer group of a table.
pub fn group_name(table: &str) -> String {
    format!("tributary.{table}")
}
