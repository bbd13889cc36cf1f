use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `tributary produce`
#[derive(Debug, Args)]
pub struct ProduceArgs {
    /// Topic to send to; it must exist
    pub topic: String,
    /// Subject whose newest schema the rows are encoded with. With `--format raw` the bytes are only framed with its id; without it they are sent as they are
    #[arg(long, value_name = "SUBJECT", required_if_eq_any([("format", "csv"), ("format", "ndjson")]))]
    pub subject: Option<String>,
    /// Form of the input
    #[arg(long, value_enum, default_value_t = RowFormat::Ndjson)]
    pub format: RowFormat,
    /// Input file; `-` is stdin
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    /// Column whose time becomes the Kafka timestamp: RFC 3339 text, or a number of milliseconds since 1970
    #[arg(long, value_name = "COLUMN", conflicts_with = "timestamp")]
    pub timestamp_column: Option<String>,
    /// Kafka timestamp of all records, such as 2026-11-21T05:00:00Z; without it and a column, the time of sending
    #[arg(long, value_name = "TIME")]
    pub timestamp: Option<String>,
    /// Send all records to this kafka_partition
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// Column whose text becomes the record key
    #[arg(long, value_name = "COLUMN")]
    pub key_column: Option<String>,
}

/// Form of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// Comma-separated values with a header line
    Csv,
    /// One JSON object a line
    Ndjson,
    /// The whole input is the value of one record, unchecked
    Raw,
}
