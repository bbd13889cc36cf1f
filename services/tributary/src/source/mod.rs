//! `tributary source list|retire`: the topics that feed a table, as its log declares them.
use crate::cli::{SourceArgs, SourceCommand, Who};
use crate::context::Context;
use crate::output::{Align, ExitCode, Failure};
use crate::repair::{self, Line};
use anyhow::Context as _;
use kafka_io::Admin;
use lake_store::CommitOutcome;
use lake_writer::examine::{self, ClusterLook};
use serde::Serialize;
use table_log::record::SourceBody;
use table_log::state::SourceState;
use table_log::{Body, KafkaPartition, TableState};

/// A generation of a topic.
#[derive(Debug, Serialize)]
struct Source {
    table: String,
    topic: String,
    generation: u32,
    /// `current`, `ended` (a later generation took its place) or `retired`.
    standing: &'static str,
    refused: bool,
    cluster_id: String,
    topic_id: Option<String>,
    kafka_partitions: Vec<Partition>,
}

/// One of its kafka_partitions.
#[derive(Debug, Serialize)]
struct Partition {
    kafka_partition: i32,
    /// First offset of the declaration.
    start: i64,
    /// First offset not yet taken.
    next_offset: i64,
}

/// Runs the command.
pub async fn run(args: &SourceArgs, context: &Context) -> anyhow::Result<ExitCode> {
    match &args.command {
        SourceCommand::List { tables, partitions } => list(tables, *partitions, context).await,
        SourceCommand::Retire { table, topics, who } => retire(table, topics, who, context).await,
    }
}

async fn list(names: &[String], partitions: bool, context: &Context) -> anyhow::Result<ExitCode> {
    let mut sources = Vec::new();
    for (table, _) in context.tables(names)? {
        sources.extend(of_log(&table.0, context.log(&table, true).await?.state().as_ref()));
    }
    if context.output.is_json() {
        context.output.json(&serde_json::json!({ "sources": sources }))?;
    } else if partitions {
        print_partitions(&sources, context);
    } else {
        print(&sources, context);
    }
    Ok(ExitCode::Done)
}

fn of_log(table: &str, state: &TableState) -> Vec<Source> {
    let source = |(topic, generation, source): (&str, u32, &SourceState)| Source {
        table: table.to_owned(),
        topic: topic.to_owned(),
        generation,
        standing: standing(topic, generation, source, state),
        refused: source.refused,
        cluster_id: source.cluster_id.clone(),
        topic_id: source.topic_id.clone(),
        kafka_partitions: source
            .partitions
            .iter()
            .map(|(number, p)| Partition { kafka_partition: number.0, start: p.start.0, next_offset: p.next_offset.0 })
            .collect(),
    };
    state.sources().map(source).collect()
}

fn standing(topic: &str, generation: u32, source: &SourceState, state: &TableState) -> &'static str {
    let is_newest = state.sources().all(|(name, other, _)| name != topic || other <= generation);
    match (source.ended, is_newest) {
        (false, _) => "current",
        (true, true) => "retired",
        (true, false) => "ended",
    }
}

fn print(sources: &[Source], context: &Context) {
    let header = [
        ("table", Align::Left),
        ("topic", Align::Left),
        ("generation", Align::Right),
        ("standing", Align::Left),
        ("kafka_partitions", Align::Right),
        ("offsets taken", Align::Right),
        ("cluster id", Align::Left),
        ("topic id", Align::Left),
    ];
    let rows = sources.iter().map(|source| {
        let taken: i64 = source.kafka_partitions.iter().map(|p| p.next_offset - p.start).sum();
        vec![
            source.table.clone(),
            source.topic.clone(),
            source.generation.to_string(),
            source.standing.to_owned(),
            source.kafka_partitions.len().to_string(),
            taken.to_string(),
            source.cluster_id.clone(),
            source.topic_id.clone().unwrap_or_else(|| "unknown".to_owned()),
        ]
    });
    context.output.table(&header, rows);
}

fn print_partitions(sources: &[Source], context: &Context) {
    let header = [
        ("table", Align::Left),
        ("topic", Align::Left),
        ("generation", Align::Right),
        ("standing", Align::Left),
        ("kafka_partition", Align::Right),
        ("start", Align::Right),
        ("next_offset", Align::Right),
    ];
    let rows = sources.iter().flat_map(|source| {
        source.kafka_partitions.iter().map(|p| {
            let (table, topic) = (source.table.clone(), source.topic.clone());
            let numbers = [p.kafka_partition.to_string(), p.start.to_string(), p.next_offset.to_string()];
            [table, topic, source.generation.to_string(), source.standing.to_owned()].into_iter().chain(numbers).collect()
        })
    });
    context.output.table(&header, rows);
}

async fn retire(name: &str, topics: &[String], who: &Who, context: &Context) -> anyhow::Result<ExitCode> {
    let (table, _) = context.table(name)?;
    let log = context.log_by(&table, who).await?;
    let state = log.state();
    if let Some(unknown) = topics.iter().find(|topic| state.sources().all(|(known, ..)| known != topic.as_str())) {
        let what = format!("table `{table}` was never declared to read topic `{unknown}`");
        return Err(Failure::usage(what, "`tributary source list` shows what it reads").into());
    }
    let look = ask(topics, context).await;
    if let Err(error) = &look {
        context.output.note(&format!("what Kafka still has is unknown: {error:#}"));
    }
    let lines: Vec<Line> = topics.iter().flat_map(|topic| retired_lines(topic, &state, look.as_ref().ok())).collect();
    if lines.is_empty() {
        context.output.note("these topics are retired already");
    }
    if !who.apply || lines.is_empty() {
        return repair::show(name, &lines, who.apply.then_some([].as_slice()), context);
    }
    let body = Body::Source(SourceBody { sources: Vec::new(), retired: topics.to_vec() });
    match log.commit(body, std::future::pending()).await? {
        CommitOutcome::Committed(record) => repair::show(name, &lines, Some(&[record.seq.0]), context),
        CommitOutcome::AlreadyDone => repair::show(name, &[], Some(&[]), context),
        CommitOutcome::Fenced(why) => Err(repair::moved(&why.to_string())),
        CommitOutcome::Stale(why) => Err(repair::moved(&why.to_string())),
        CommitOutcome::Abandoned => anyhow::bail!("the commit was abandoned"),
    }
}

async fn ask(topics: &[String], context: &Context) -> anyhow::Result<ClusterLook> {
    let (kafka, topics) = (context.kafka(), topics.to_vec());
    let asked = tokio::task::spawn_blocking(move || Admin::new(&kafka).and_then(|admin| examine::ask(&admin, topics)));
    Ok(asked.await.context("ask Kafka")??)
}

/// What is left in Kafka is not taken any more.
fn retired_lines(topic: &str, state: &TableState, look: Option<&ClusterLook>) -> Vec<Line> {
    let Some((generation, source)) = state.current_source(topic) else { return Vec::new() };
    let ends = look.and_then(|look| look.bounds.get(topic)).map(|bounds| &bounds.log_end);
    let log_end = |number: KafkaPartition| ends?.get(usize::try_from(number.0).ok()?).copied();
    let line = |(number, partition): (&KafkaPartition, &table_log::state::PartitionState)| {
        let next = partition.next_offset;
        let end = log_end(*number);
        Line {
            topic: Some(crate::verify::topic_name(topic, generation)),
            kafka_partition: Some(number.0),
            offsets: Some(format!("{next}..{}", end.map(|end| end.to_string()).unwrap_or_default())),
            records_lost: end.map(|end| u64::try_from(end - next.0).unwrap_or(0)),
            what: format!("retired at {next}; records from there on are not taken"),
        }
    };
    source.partitions.iter().map(line).collect()
}
