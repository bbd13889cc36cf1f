//! Situations that only a person can put right: what happened, how many records it costs, and the command that goes on.
//!
//! | situation | command |
//! |---|---|
//! | records deleted before they were taken | `repair gap`: declares them lost |
//! | a kafka_partition ends before the table's next offset | `repair restart`: the next generation begins where Kafka's log was cut |
//! | the topic is another one | `repair restart`: the next generation begins at its beginning |
//! | the topic is gone | `source retire` |
//! | the cluster is another one | correct the settings, or `repair restart --cluster` |
//! | a file is lost | `repair refile`: makes it again from Kafka |
use std::fmt::Write as _;
use std::path::Path;
use table_log::{KafkaPartition, Offset, Seq};

/// Offsets `[expected, earliest)` that the table has not taken and Kafka no longer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// Topic.
    pub topic: String,
    /// Its kafka_partition.
    pub kafka_partition: KafkaPartition,
    /// The table's next offset.
    pub expected: Offset,
    /// Kafka's first offset.
    pub earliest: Offset,
}

impl LostRange {
    /// At most so many records: some of the offsets may have been absent.
    pub fn offsets(&self) -> u64 {
        u64::try_from(self.earliest.0.saturating_sub(self.expected.0)).unwrap_or(0)
    }
}

/// A kafka_partition that ends before the table's next offset: Kafka gives the offsets from its end on to other records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutPartition {
    /// Which one.
    pub kafka_partition: KafkaPartition,
    /// The table's next offset.
    pub expected: Offset,
    /// Where Kafka's log was cut, as far as it tells.
    pub end: Offset,
}

/// A file that a record names and that has neither object nor upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostFile {
    /// Record that names it.
    pub seq: Seq,
    /// Its key.
    pub key: String,
    /// Its rows; `None`: not looked up.
    pub rows: Option<u64>,
}

/// Why a table is stopped. Only a person can put these right; other tables of the process go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoppedTable {
    /// A record was written with another schema of the subject.
    #[error(
        "schema of table `{table}` changed: a record of topic `{topic}`, kafka_partition {kafka_partition}, offset {offset} was written with schema id `{schema_id}`, \
         which the table cannot take up: {why}\n  table's schema: {table_schema}\n  writer's schema: {writer_schema}"
    )]
    SchemaChanged {
        /// The table.
        table: String,
        /// Where the record is.
        topic: String,
        /// Where the record is.
        kafka_partition: KafkaPartition,
        /// Where the record is; the table's next offset stays here.
        offset: Offset,
        /// The writer schema's id.
        schema_id: u32,
        /// The fields that do not fit.
        why: String,
        /// The writer schema.
        writer_schema: Box<str>,
        /// The table's schema.
        table_schema: Box<str>,
    },
    /// Records that the table has not taken are gone from Kafka.
    #[error(
        "Kafka deleted records before table `{table}` took them: {}; {} offset(s) are lost",
        ranges_text(.ranges),
        .ranges.iter().map(LostRange::offsets).sum::<u64>()
    )]
    RetentionPassed {
        /// The table.
        table: String,
        /// What is lost.
        ranges: Vec<LostRange>,
    },
    /// The table's next offset is beyond Kafka's end.
    #[error(
        "topic `{topic}` ends before the offsets that table `{table}` has taken: {}; the log was truncated, or restored from a copy. \
         No row of the lake is lost, but Kafka gives these {} offset(s) to other records now; records beyond them that were not taken are lost, \
         and Kafka no longer tells how many",
        cuts_text(.cuts),
        cut_offsets(.cuts)
    )]
    OffsetOutOfRange {
        /// The table.
        table: String,
        /// Topic.
        topic: String,
        /// Its kafka_partitions that end too early.
        cuts: Vec<CutPartition>,
    },
    /// The broker lost records that the table has taken (unclean leader election).
    #[error(
        "the log of topic `{topic}` was truncated before the offsets that table `{table}` has taken: {}. \
         No row of the lake is lost, but Kafka gives these {} offset(s) to other records now; records beyond them that were not taken are lost, \
         and Kafka no longer tells how many ({detail})",
        cuts_text(.cuts),
        cut_offsets(.cuts)
    )]
    LogTruncated {
        /// The table.
        table: String,
        /// Topic.
        topic: String,
        /// Its kafka_partitions that were cut.
        cuts: Vec<CutPartition>,
        /// What the client said.
        detail: String,
    },
    /// The topic was deleted and made again.
    #[error(
        "topic `{topic}` is not the one that table `{table}` declared, it was deleted and made again: topic id `{declared}`, found {found}. \
         Records of the deleted topic that were not taken are lost, and Kafka no longer tells how many{}; of the new one nothing is taken yet",
        untaken_text(*.untaken)
    )]
    TopicRecreated {
        /// The table.
        table: String,
        /// Topic.
        topic: String,
        /// Declared topic id.
        declared: String,
        /// What is there now.
        found: String,
        /// At least so many were not taken, when Kafka was last asked; `None`: not known.
        untaken: Option<u64>,
    },
    /// The topic was deleted.
    #[error(
        "topic `{topic}` (topic id `{declared}`) of table `{table}` does not exist any more. Records of it that were not taken are lost, and \
         Kafka no longer tells how many. Once it is made again, the next start says how to go on with it"
    )]
    TopicGone {
        /// The table.
        table: String,
        /// Topic.
        topic: String,
        /// Declared topic id.
        declared: String,
    },
    /// The brokers are another cluster.
    #[error(
        "topic(s) {} of table `{table}` were declared in cluster `{declared}` but `kafka.bootstrap_servers` leads to cluster `{found}`. \
         Nothing is lost if that is a mistake: correct the settings and start again. If the topics moved there, records of the old cluster that \
         were not taken are lost unless the new one has them, and all that it has is taken",
        names(.topics)
    )]
    ClusterChanged {
        /// The table.
        table: String,
        /// Its topics that are declared there.
        topics: Vec<String>,
        /// Declared cluster id.
        declared: String,
        /// Found cluster id.
        found: String,
    },
    /// A live file is lost.
    #[error("{} of table `{table}` are lost, neither object nor upload exists: {}", rows_text(.files), files_text(.files))]
    LakeFileLost {
        /// The table.
        table: String,
        /// The files.
        files: Vec<LostFile>,
    },
    /// Settings, schema or permissions do not let the table start.
    #[error("table `{table}` cannot be written: {detail}")]
    Misconfigured {
        /// The table.
        table: String,
        /// What and where.
        detail: String,
    },
    /// A broken invariant.
    #[error("table `{table}` met a defect of this program: {detail}")]
    Bug {
        /// The table.
        table: String,
        /// What did not hold.
        detail: String,
    },
}

impl StoppedTable {
    /// Stable short name of the situation, for metrics and `-o json`.
    pub fn situation(&self) -> &'static str {
        match self {
            Self::SchemaChanged { .. } => "schema_changed",
            Self::RetentionPassed { .. } => "retention_passed",
            Self::OffsetOutOfRange { .. } => "offset_out_of_range",
            Self::LogTruncated { .. } => "log_truncated",
            Self::TopicRecreated { .. } => "topic_recreated",
            Self::TopicGone { .. } => "topic_gone",
            Self::ClusterChanged { .. } => "cluster_changed",
            Self::LakeFileLost { .. } => "lake_file_lost",
            Self::Misconfigured { .. } => "misconfigured",
            Self::Bug { .. } => "bug",
        }
    }

    /// All situations, for docs and tests.
    pub fn situations() -> &'static [&'static str] {
        &[
            "schema_changed",
            "retention_passed",
            "offset_out_of_range",
            "log_truncated",
            "topic_recreated",
            "topic_gone",
            "cluster_changed",
            "lake_file_lost",
            "misconfigured",
            "bug",
        ]
    }

    /// Whether what was taken before the situation may still be committed: not if it may come from another topic or cluster.
    pub fn allows_commit(&self) -> bool {
        matches!(self, Self::SchemaChanged { .. } | Self::RetentionPassed { .. })
    }

    /// The arguments of `tributary` that go on, without `--apply`; none if no command helps.
    pub fn remedy(&self) -> Option<Vec<String>> {
        let (command, reason) = match self {
            Self::RetentionPassed { table, ranges } => (gap(table, ranges), "Kafka deleted the records before they were taken"),
            Self::OffsetOutOfRange { table, topic, cuts } => (restart_at_cuts(table, topic, cuts), "the topic ends before the next offset"),
            Self::LogTruncated { table, topic, cuts, .. } => (restart_at_cuts(table, topic, cuts), "the log was truncated"),
            Self::TopicRecreated { table, topic, .. } => (restart(table, std::slice::from_ref(topic)), "the topic was made again"),
            Self::TopicGone { table, topic, .. } => return Some(words(&["source", "retire", table, topic])),
            Self::ClusterChanged { table, topics, found, .. } => {
                let mut command = restart(table, topics);
                command.extend(words(&["--cluster", found]));
                (command, "the topics moved to another cluster")
            }
            Self::LakeFileLost { table, files } => (refile(table, files), "the file is lost"),
            Self::SchemaChanged { .. } | Self::Misconfigured { .. } | Self::Bug { .. } => return None,
        };
        Some(command.into_iter().chain(words(&["--reason", reason])).collect())
    }

    /// The command that goes on, for a shell; `None` if no command helps.
    pub fn command(&self, settings_file: &Path) -> Option<String> {
        let mut arguments = self.remedy()?;
        arguments.push("--apply".to_owned());
        Some(command_line(arguments, settings_file))
    }

    /// What happened and how to go on.
    pub fn message(&self, settings_file: &Path) -> String {
        match self.command(settings_file) {
            Some(command) => format!("{self}. To go on run `{command}` (without `--apply` it only shows what it would record)"),
            None => self.to_string(),
        }
    }
}

/// A `tributary` command with these arguments on this settings file, for a shell.
pub fn command_line(arguments: Vec<String>, settings_file: &Path) -> String {
    let arguments = arguments.into_iter().chain(words(&["--settings", &settings_file.to_string_lossy()]));
    arguments.fold("tributary".to_owned(), |text, argument| text + " " + &quoted(&argument))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// `repair gap` with all ranges.
fn gap(table: &str, ranges: &[LostRange]) -> Vec<String> {
    let range = |lost: &LostRange| format!("{}/{}:{}..{}", lost.topic, lost.kafka_partition, lost.expected, lost.earliest);
    words(&["repair", "gap", table]).into_iter().chain(ranges.iter().map(range)).collect()
}

fn restart(table: &str, topics: &[String]) -> Vec<String> {
    words(&["repair", "restart", table]).into_iter().chain(topics.iter().cloned()).collect()
}

/// The kafka_partitions that were not cut go on where they stand.
fn restart_at_cuts(table: &str, topic: &str, cuts: &[CutPartition]) -> Vec<String> {
    let offsets = cuts.iter().flat_map(|cut| ["--offset".to_owned(), format!("{}={}", cut.kafka_partition, cut.end)]);
    words(&["repair", "restart", table, topic, "--at", "next"]).into_iter().chain(offsets).collect()
}

/// `repair refile` with the records that name the files.
fn refile(table: &str, files: &[LostFile]) -> Vec<String> {
    let seqs: std::collections::BTreeSet<u64> = files.iter().map(|file| file.seq.0).collect();
    words(&["repair", "refile", table]).into_iter().chain(seqs.iter().map(ToString::to_string)).collect()
}

/// Quoted for a POSIX shell where it has to be.
fn quoted(argument: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@+%".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(plain) { argument.to_owned() } else { format!("'{}'", argument.replace('\'', r"'\''")) }
}

/// How many of a list a message names; a command names all.
const NAMED: usize = 10;

fn listed<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    let mut all = items.iter().take(NAMED).map(text).collect::<Vec<_>>().join(", ");
    if items.len() > NAMED {
        let _ = write!(all, " and {} more", items.len() - NAMED);
    }
    all
}

fn names(topics: &[String]) -> String {
    listed(topics, |topic| format!("`{topic}`"))
}

fn ranges_text(ranges: &[LostRange]) -> String {
    listed(ranges, |lost| {
        format!("`{}/{}` begins at offset {}, the table's next is {}", lost.topic, lost.kafka_partition, lost.earliest, lost.expected)
    })
}

fn cuts_text(cuts: &[CutPartition]) -> String {
    listed(cuts, |cut| {
        format!("kafka_partition {} was cut at offset {}, the table's next is {}", cut.kafka_partition, cut.end, cut.expected)
    })
}

fn cut_offsets(cuts: &[CutPartition]) -> i64 {
    cuts.iter().map(|cut| cut.expected.0.saturating_sub(cut.end.0).max(0)).sum()
}

fn untaken_text(untaken: Option<u64>) -> String {
    untaken.filter(|count| *count > 0).map(|count| format!(", but at least {count}")).unwrap_or_default()
}

fn rows_text(files: &[LostFile]) -> String {
    match files.iter().map(|file| file.rows).sum::<Option<u64>>() {
        Some(rows) => format!("{rows} row(s) in {} file(s)", files.len()),
        None => format!("{} file(s)", files.len()),
    }
}

fn files_text(files: &[LostFile]) -> String {
    listed(files, |file| format!("`{}` of record {}", file.key, file.seq))
}

#[cfg(test)]
mod tests;
