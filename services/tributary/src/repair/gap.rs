//! `repair gap`: offsets that Kafka deleted before they were taken are declared lost, so that the table goes on behind them.
use super::{Committed, Line, commit, distinct, moved, open, show};
use crate::cli::{GapArgs, LostOffsets};
use crate::context::Context;
use crate::output::{ExitCode, Failure};
use anyhow::Context as _;
use kafka_io::Admin;
use lake_writer::examine::{self, ClusterLook};
use lake_writer::identity::{self, Identity};
use table_log::record::RepairAction;
use table_log::{SourcePartition, TableState};

/// One gap as it is recorded.
struct Gap {
    source: SourcePartition,
    lost: LostOffsets,
    /// Kafka's first offset.
    earliest: i64,
}

/// Runs the command.
pub async fn run(args: &GapArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let log = open(&args.table, args.how.who.apply, context).await?;
    let state = log.state();
    let look = ask(args, context).await?;
    let gaps = args.ranges.iter().map(|lost| check(&state, lost, &look, args.force)).collect::<anyhow::Result<Vec<_>>>()?;
    if !distinct(gaps.iter().map(|gap| &gap.source)) {
        return Err(Failure::usage("a kafka_partition is named twice", "name each once").into());
    }
    let mut records = Vec::new();
    if args.how.who.apply {
        for gap in &gaps {
            match commit(&log, &args.how, RepairAction::Gap { source: gap.source.clone(), range: gap.lost.range }).await? {
                Committed::Done(record) => records.push(record.seq.0),
                Committed::Already => {}
                Committed::Moved(why) => return Err(moved(&why)),
            }
        }
    }
    let lines: Vec<Line> = gaps.iter().map(line).collect();
    let exit = show(&args.table, &lines, args.how.who.apply.then_some(records.as_slice()), context)?;
    for gap in gaps.iter().filter(|gap| gap.earliest > gap.lost.range.end.0) {
        let (source, earliest, end) = (&gap.source, gap.earliest, gap.lost.range.end);
        let more = earliest.abs_diff(end.0);
        context.output.note(&format!("Kafka begins `{source}` at {earliest} by now: {more} more offset(s) are gone"));
    }
    Ok(exit)
}

async fn ask(args: &GapArgs, context: &Context) -> anyhow::Result<ClusterLook> {
    let mut topics: Vec<String> = args.ranges.iter().map(|lost| lost.topic.clone()).collect();
    topics.sort_unstable();
    topics.dedup();
    let kafka = context.kafka();
    let asked = tokio::task::spawn_blocking(move || Admin::new(&kafka).and_then(|admin| examine::ask(&admin, topics)));
    asked.await.context("ask Kafka")?.context("ask Kafka what it still has")
}

/// The offsets are the table's next ones, and Kafka has none of them any more.
fn check(state: &TableState, lost: &LostOffsets, look: &ClusterLook, force: bool) -> anyhow::Result<Gap> {
    let LostOffsets { topic, kafka_partition, range } = lost;
    let usage = |what: String, fix: String| anyhow::Error::from(Failure::usage(what, fix));
    let current = state.current_source(topic);
    let Some((generation, declared)) = current else {
        return Err(usage(format!("the table does not read topic `{topic}`"), "`tributary source list` shows what it reads".to_owned()));
    };
    let Some(partition) = declared.partitions.get(kafka_partition) else {
        return Err(usage(
            format!("topic `{topic}` has no kafka_partition {kafka_partition} in the log"),
            "look at `tributary status --partitions`".to_owned(),
        ));
    };
    let source = SourcePartition { topic: topic.clone(), generation, kafka_partition: *kafka_partition };
    let next = partition.next_offset;
    if range.start != next {
        return Err(usage(format!("the next offset of `{source}` is {next}, not {}", range.start), format!("a gap begins at {next}")));
    }
    let found = look.view.topics.iter().find(|(name, _)| name == topic).and_then(|(_, found)| found.as_ref());
    let identity = identity::compare(declared, look.view.cluster_id.as_deref(), found);
    if identity != Identity::Same {
        let fix = "`tributary status` says what happened to it and which command goes on";
        return Err(usage(format!("topic `{topic}` is not the one in the log: {identity:?}"), fix.to_owned()));
    }
    let earliest = look.bounds.get(topic).and_then(|bounds| bounds.earliest.get(usize::try_from(kafka_partition.0).ok()?)).copied();
    let Some(earliest) = earliest else {
        return Err(usage(format!("Kafka does not say where `{source}` begins"), "try again once its brokers are well".to_owned()));
    };
    if earliest < range.end.0 && !force {
        let proven =
            if earliest > next.0 { format!("`{topic}/{kafka_partition}:{next}..{earliest}` are gone") } else { "none is gone".to_owned() };
        return Err(usage(
            format!("Kafka still has offsets {} to {} of `{source}`", earliest.max(next.0), range.end.0 - 1),
            format!("{proven}; `--force` declares records lost that could still be read"),
        ));
    }
    Ok(Gap { source, lost: lost.clone(), earliest })
}

fn line(gap: &Gap) -> Line {
    let range = gap.lost.range;
    let still_there = range.end.0.saturating_sub(gap.earliest.max(range.start.0)).max(0);
    let what = match still_there {
        0 => "declared lost: Kafka no longer has them".to_owned(),
        count => format!("declared lost, though Kafka still has {count} of them"),
    };
    Line {
        topic: Some(crate::verify::topic_name(&gap.source.topic, gap.source.generation)),
        kafka_partition: Some(gap.source.kafka_partition.0),
        offsets: Some(format!("{}..{}", range.start, range.end)),
        records_lost: range.len(),
        what,
    }
}
