//! `tributary produce`: rows of a file or of stdin to a topic as Avro.
mod rows;
mod time;

use crate::cli::{ProduceArgs, RowFormat};
use crate::context::Context;
use crate::output::{ExitCode, Failure, Output, Progress};
use crate::schemas::Schemas;
use anyhow::Context as _;
use event_schema::SubjectSchema;
use kafka_io::{Admin, KafkaConfig, NewRecord, Producer};
use rows::{Columns, Row, Rows};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

/// How long the last records may take to be acknowledged.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that the sending thread needs.
struct Job {
    kafka: KafkaConfig,
    topic: String,
    partition: Option<i32>,
    /// For all records; a timestamp column's value goes before it.
    timestamp_ms: Option<i64>,
    rows: Rows,
    /// For messages.
    file: String,
    output: Output,
}

/// Runs the command. A row that does not fit ends it with exit code 1; the rows before it are sent.
pub async fn run(args: &ProduceArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let timestamp_ms = args
        .timestamp
        .as_deref()
        .map(time::parse)
        .transpose()
        .map_err(|what| Failure::usage(what, "write a time such as `2026-11-21T05:00:00Z`"))?;
    let schema = match &args.subject {
        Some(subject) => Some(Schemas::open(&context.settings)?.latest(subject, &context.settings).await?),
        None => None,
    };
    let job = Job {
        kafka: context.kafka(),
        topic: args.topic.clone(),
        partition: args.partition,
        timestamp_ms,
        rows: open(args, schema.as_ref())?,
        file: if args.file == Path::new("-") { "stdin".to_owned() } else { args.file.display().to_string() },
        output: context.output,
    };
    let sent = tokio::task::spawn_blocking(move || job.send()).await.context("send the records")??;
    if context.output.is_json() {
        context.output.json(&serde_json::json!({ "topic": args.topic, "records_sent": sent }))?;
    } else {
        context.output.line(&format!("{sent} records sent to topic {}", args.topic));
    }
    Ok(ExitCode::Done)
}

fn open(args: &ProduceArgs, schema: Option<&SubjectSchema>) -> anyhow::Result<Rows> {
    let input: Box<dyn BufRead + Send> = if args.file == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(&args.file).with_context(|| format!("open `{}`", args.file.display()))?))
    };
    let columns = Columns { timestamp: args.timestamp_column.clone(), key: args.key_column.clone() };
    if args.format == RowFormat::Raw {
        if columns.timestamp.is_some() || columns.key.is_some() {
            return Err(Failure::usage("raw input has no columns", "leave out `--timestamp-column` and `--key-column`").into());
        }
        return Ok(Rows::raw(input, schema.map(|schema| schema.id)));
    }
    let schema = schema.ok_or_else(|| Failure::usage("`--subject` is missing", "name the subject whose schema the rows have"))?;
    let encoder = columns
        .encoder(&schema.avro_json, schema.id)
        .map_err(|error| Failure::usage(error.to_string(), "`tributary check` shows all faults"))?;
    if args.format == RowFormat::Csv { Ok(Rows::csv(input, encoder, columns)) } else { Ok(Rows::ndjson(input, encoder, columns)) }
}

impl Job {
    /// Sends all rows; returns how many records were acknowledged. The topic must exist: a misspelt one must not come into being.
    fn send(mut self) -> anyhow::Result<u64> {
        self.check_topic()?;
        let properties = [("compression.type".to_owned(), "zstd".to_owned()), ("linger.ms".to_owned(), "20".to_owned())];
        let mut producer = Producer::new(&self.kafka, &properties).context("set up the Kafka client")?;
        let progress = self.output.progress("records sent", None);
        let result = self.send_rows(&mut producer, &progress);
        let flushed = producer.flush(FLUSH_TIMEOUT).context("wait for acknowledgements");
        drop(progress);
        match (result, flushed) {
            (Ok(()), flushed) => flushed,
            (Err(error), Ok(sent)) => Err(error.context(format!("{sent} records were sent before this"))),
            (Err(error), Err(_)) => Err(error),
        }
    }

    fn check_topic(&self) -> anyhow::Result<()> {
        let admin = Admin::new(&self.kafka).context("set up the Kafka client")?;
        let ask = || format!("ask the cluster at `{}`", self.kafka.bootstrap_servers);
        let found = admin.topics(std::slice::from_ref(&self.topic)).with_context(ask)?;
        let Some(info) = found.into_iter().next().flatten() else {
            return Err(Failure::failed(
                format!("topic `{}` does not exist", self.topic),
                "`tributary topics create` makes those of the settings",
            )
            .into());
        };
        match self.partition {
            Some(partition) if partition >= info.partitions => {
                let what = format!("topic `{}` has no kafka_partition {partition}", self.topic);
                Err(Failure::usage(what, format!("it has 0 to {}", info.partitions - 1)).into())
            }
            _ => Ok(()),
        }
    }

    fn send_rows(&mut self, producer: &mut Producer, progress: &Progress) -> anyhow::Result<()> {
        while let Some(row) = self.rows.next() {
            let Row { value, key, timestamp_ms } =
                row.map_err(|error| Failure::failed(error.text(&self.file), "correct the row and send the rest"))?;
            producer.send(NewRecord {
                topic: self.topic.clone(),
                kafka_partition: self.partition,
                key,
                value: Some(value),
                timestamp_ms: timestamp_ms.or(self.timestamp_ms),
                headers: Vec::new(),
            })?;
            progress.add(1);
        }
        Ok(())
    }
}
