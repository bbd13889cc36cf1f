//! `tributary quarantine list|show|export`: refused records, with their raw bytes.
mod bytes;
mod export;
mod refused;

use crate::cli::{QuarantineArgs, QuarantineCommand};
use crate::context::Context;
use crate::output::{Align, ExitCode, Failure};
use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use event_schema::RefusalCode;
use futures::StreamExt;
use refused::{Exported, RefusedRecord, literal};

/// Bytes of a payload that `show` dumps.
const DUMPED_BYTES: usize = 4_096;

/// Runs the command.
pub async fn run(args: &QuarantineArgs, context: &Context) -> anyhow::Result<ExitCode> {
    match &args.command {
        QuarantineCommand::List { table } => list(table, context).await,
        QuarantineCommand::Show { table, record, reason, limit } => {
            show(table, (record.as_deref(), reason.as_deref(), *limit), context).await
        }
        QuarantineCommand::Export { table, to, reason, format } => {
            let statement = select(table, &filter(None, reason.as_deref())?, None);
            export::run(table, &statement, (to, *format), context).await
        }
    }
}

async fn list(name: &str, context: &Context) -> anyhow::Result<ExitCode> {
    let (table, _) = context.table(name)?;
    let session = refused::open(&table, context).await?;
    let statement = format!(
        "SELECT reason, count(*) AS records, min(ingest_time)::varchar AS first, max(ingest_time)::varchar AS last, \
         first_value(detail) AS detail, first_value(concat(_kafka_topic, '/', _kafka_partition, '/', _kafka_offset)) AS example \
         FROM {name}_quarantine GROUP BY reason ORDER BY records DESC, reason"
    );
    let mut found = Vec::new();
    for batch in session.sql(&statement, None).await? {
        let counts = batch.column(1).as_primitive::<Int64Type>();
        let text = |column: usize, row: usize| {
            let texts = arrow::compute::cast(batch.column(column), &arrow::datatypes::DataType::Utf8)?;
            let texts = texts.as_string::<i32>();
            anyhow::Ok(if texts.is_valid(row) { texts.value(row).to_owned() } else { String::new() })
        };
        for row in 0..batch.num_rows() {
            found.push((counts.value(row), [text(0, row)?, text(2, row)?, text(3, row)?, text(4, row)?, text(5, row)?]));
        }
    }
    if context.output.is_json() {
        let reasons: Vec<_> = found
            .iter()
            .map(|(records, [reason, first, last, detail, example])| {
                serde_json::json!({ "reason": reason, "records": records, "first": first, "last": last, "detail": detail, "example": example })
            })
            .collect();
        context.output.json(&serde_json::json!({ "table": name, "reasons": reasons }))?;
        return Ok(ExitCode::Done);
    }
    if found.is_empty() {
        context.output.line(&format!("nothing of table `{name}` is in quarantine"));
        return Ok(ExitCode::Done);
    }
    let header = [
        ("reason", Align::Left),
        ("records", Align::Right),
        ("first refused", Align::Left),
        ("last refused", Align::Left),
        ("example", Align::Left),
        ("its detail", Align::Left),
    ];
    let rows = found
        .into_iter()
        .map(|(records, [reason, first, last, detail, example])| vec![reason, records.to_string(), first, last, example, detail]);
    context.output.table(&header, rows);
    Ok(ExitCode::Done)
}

async fn show(name: &str, (record, reason, limit): (Option<&str>, Option<&str>, usize), context: &Context) -> anyhow::Result<ExitCode> {
    let (table, _) = context.table(name)?;
    let statement = select(name, &filter(record, reason)?, Some(limit));
    let session = refused::open(&table, context).await?;
    let (_, mut rows) = session.stream(&statement, None).await?;
    let mut shown = 0;
    while let Some(batch) = rows.next().await {
        for record in refused::records(&batch?)? {
            shown += 1;
            show_record(&record, context)?;
        }
    }
    if let Some(record) = record
        && shown == 0
    {
        let fix = format!("`tributary inspect {record}` says where it is");
        return Err(Failure::failed(format!("record `{record}` is not in the quarantine of table `{name}`"), fix).into());
    }
    Ok(ExitCode::Done)
}

fn show_record(record: &RefusedRecord, context: &Context) -> anyhow::Result<()> {
    let output = context.output;
    if output.is_json() {
        return output.json(&Exported::from(record));
    }
    let time = |time: Option<windowing::Time>| time.map_or_else(|| "none".to_owned(), |t| t.to_string());
    output.line(&format!("{}  {}: {}", record.name(), record.reason, printable(&record.detail)));
    output.line(&format!("  Kafka timestamp {}, refused at {}", time(record.timestamp), time(record.ingest_time)));
    for (key, value) in &record.headers {
        let value = value.as_ref().map_or_else(|| "null".to_owned(), |v| printable(&String::from_utf8_lossy(v)));
        output.line(&format!("  header {}: {value}", printable(key)));
    }
    for (name, payload) in [("key", &record.key), ("value", &record.value)] {
        match payload {
            None => output.line(&format!("  {name}: null")),
            Some(payload) => {
                output.line(&format!("  {name}: {} bytes", payload.len()));
                bytes::dump(payload, DUMPED_BYTES).iter().for_each(|line| output.line(&format!("    {line}")));
            }
        }
    }
    output.line("");
    Ok(())
}

/// Data must not steer the reader's terminal.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

fn select(table: &str, filter: &str, limit: Option<usize>) -> String {
    let limit =
        limit.map(|n| format!(" ORDER BY ingest_time, _kafka_topic, _kafka_partition, _kafka_offset LIMIT {n}")).unwrap_or_default();
    format!("SELECT * FROM {table}_quarantine{filter}{limit}")
}

fn filter(record: Option<&str>, reason: Option<&str>) -> anyhow::Result<String> {
    let mut conditions = Vec::new();
    if let Some(record) = record {
        let (topic, kafka_partition, offset) = crate::inspect::parse_record_name(record)
            .ok_or_else(|| Failure::usage(format!("`{record}` is not topic/kafka_partition/offset"), "for example `readings/0/17`"))?;
        conditions
            .push(format!("_kafka_topic = {} AND _kafka_partition = {kafka_partition} AND _kafka_offset = {offset}", literal(&topic)));
    }
    if let Some(reason) = reason {
        if RefusalCode::parse(reason).is_none() {
            let codes: Vec<_> = RefusalCode::all().iter().map(|code| code.as_str()).collect();
            return Err(Failure::usage(format!("`{reason}` is no reason"), format!("the reasons are {}", codes.join(", "))).into());
        }
        conditions.push(format!("reason = {}", literal(reason)));
    }
    Ok(if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) })
}
