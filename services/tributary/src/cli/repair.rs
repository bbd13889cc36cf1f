use clap::{Args, Subcommand};
use service_runtime::settings::StartFrom;
use std::str::FromStr;
use table_log::{KafkaPartition, Offset, OffsetRange};

/// `tributary repair`
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// What to put right
    #[command(subcommand)]
    pub command: RepairCommand,
}

/// What to put right. Without `--apply` each shows what it would record, and records nothing.
#[derive(Clone, Debug, Subcommand)]
pub enum RepairCommand {
    /// Declare offsets lost that Kafka deleted before they were taken
    Gap(GapArgs),
    /// End a topic's generation and begin the next: the topic was made again, cut, or moved to another cluster
    Restart(RestartArgs),
    /// Make lost files again from the same offsets of Kafka
    Refile(FilesArgs),
    /// Declare the rows of lost files lost
    Lost(FilesArgs),
}

/// `tributary repair gap`
#[derive(Clone, Debug, Args)]
pub struct GapArgs {
    /// The table
    pub table: String,
    /// Lost offsets, half-open, such as `readings/0:100..130`
    #[arg(required = true, value_name = "TOPIC/KAFKA_PARTITION:FROM..TO")]
    pub ranges: Vec<LostOffsets>,
    /// Also offsets that Kafka still has: their records never come to the lake
    #[arg(long)]
    pub force: bool,
    /// Who, why, and whether
    #[command(flatten)]
    pub how: How,
}

/// `tributary repair restart`
#[derive(Clone, Debug, Args)]
pub struct RestartArgs {
    /// The table
    pub table: String,
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Where the next generation begins: `earliest`, `latest`, a time such as `2026-11-21T05:00:00Z`, or `next` (where the one before ends)
    #[arg(long, value_name = "WHERE", default_value = "earliest")]
    pub at: StartAt,
    /// Where one kafka_partition begins, such as `0=1200`; may be given several times, with one topic
    #[arg(long = "offset", value_name = "KAFKA_PARTITION=OFFSET")]
    pub offsets: Vec<PartitionOffset>,
    /// Id of the cluster that the topics moved to
    #[arg(long, value_name = "CLUSTER_ID", allow_hyphen_values = true)]
    pub cluster: Option<String>,
    /// Also where records would be in the lake twice
    #[arg(long)]
    pub force: bool,
    /// Who, why, and whether
    #[command(flatten)]
    pub how: How,
}

/// `tributary repair refile` and `tributary repair lost`
#[derive(Clone, Debug, Args)]
pub struct FilesArgs {
    /// The table
    pub table: String,
    /// Records that name the files; without any, all files of the table are looked at
    #[arg(value_name = "SEQ")]
    pub seqs: Vec<u64>,
    /// Only the file of this key; may be given several times
    #[arg(long = "file", value_name = "KEY")]
    pub files: Vec<String>,
    /// Who, why, and whether
    #[command(flatten)]
    pub how: How,
}

/// Who repairs, why, and whether it is done.
#[derive(Clone, Debug, Args)]
pub struct How {
    /// Why; stands in the log for good
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// Who and whether
    #[command(flatten)]
    pub who: Who,
}

/// Who acts, and whether it is done.
#[derive(Clone, Debug, Args)]
pub struct Who {
    /// Who acts; stands in the log for good
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    pub actor: String,
    /// Do it; without, only show what would be recorded
    #[arg(long)]
    pub apply: bool,
}

/// Offsets of a kafka_partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostOffsets {
    /// Topic, without generation.
    pub topic: String,
    /// Its kafka_partition.
    pub kafka_partition: KafkaPartition,
    /// The offsets.
    pub range: OffsetRange,
}

impl FromStr for LostOffsets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (source, range) = text.rsplit_once(':')?;
            let (topic, kafka_partition) = source.rsplit_once('/')?;
            let (start, end) = range.split_once("..")?;
            let range = OffsetRange { start: Offset(start.parse().ok()?), end: Offset(end.parse().ok()?) };
            let kafka_partition = KafkaPartition(kafka_partition.parse().ok()?);
            let valid = !topic.is_empty() && range.len().is_some_and(|length| length > 0);
            valid.then(|| Self { topic: topic.to_owned(), kafka_partition, range })
        };
        parse().ok_or_else(|| format!("`{text}` is no range of offsets; one is such as `readings/0:100..130`, half-open"))
    }
}

/// Where a generation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// By what Kafka has.
    Kafka(StartFrom),
    /// Where the generation before ends.
    Next,
}

impl FromStr for StartAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "next" => Ok(Self::Next),
            _ => text.parse().map(Self::Kafka).map_err(|_| format!("`{text}` is neither `earliest`, `latest`, `next` nor a time")),
        }
    }
}

/// An offset of a kafka_partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionOffset {
    /// Which one.
    pub kafka_partition: KafkaPartition,
    /// The offset.
    pub offset: Offset,
}

impl FromStr for PartitionOffset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (number, offset) = text.split_once('=')?;
            let (kafka_partition, offset) = (KafkaPartition(number.parse().ok()?), Offset(offset.parse().ok()?));
            (kafka_partition.0 >= 0 && offset.0 >= 0).then_some(Self { kafka_partition, offset })
        };
        parse().ok_or_else(|| format!("`{text}` is no offset of a kafka_partition; one is such as `0=1200`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_offsets_are_read_strictly() {
        let range: LostOffsets = "a.b-c/12:100..130".parse().expect("a range");
        assert_eq!((range.topic.as_str(), range.kafka_partition.0, range.range.start.0, range.range.end.0), ("a.b-c", 12, 100, 130));
        for wrong in ["", "a/0", "a/0:5", "a/0:5..5", "a/0:6..5", "/0:1..2", "a/x:1..2", "a:1..2", "a/0:-1..2"] {
            assert!(wrong.parse::<LostOffsets>().is_err(), "{wrong}");
        }
        assert_eq!("3=7".parse(), Ok(PartitionOffset { kafka_partition: KafkaPartition(3), offset: Offset(7) }));
        for wrong in ["", "3", "3=", "=7", "-1=7", "3=-7"] {
            assert!(wrong.parse::<PartitionOffset>().is_err(), "{wrong}");
        }
        assert_eq!("next".parse(), Ok(StartAt::Next));
        assert!("2026-11-21T05:00:00Z".parse::<StartAt>().is_ok() && "soon".parse::<StartAt>().is_err());
    }
}
