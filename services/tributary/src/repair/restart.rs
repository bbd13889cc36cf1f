//! `repair restart`: a topic's generation ends and the next one begins, with the ids of what is there now.
use super::{Committed, Line, commit, distinct, moved, open, show};
use crate::cli::{PartitionOffset, RestartArgs, StartAt};
use crate::context::Context;
use crate::output::{ExitCode, Failure};
use anyhow::Context as _;
use kafka_io::{Admin, KafkaIoError, OffsetQuery, TopicInfo};
use lake_writer::examine::{self, Bounds};
use service_runtime::settings::StartFrom;
use std::collections::{BTreeMap, BTreeSet};
use table_log::record::{RepairAction, SourceDeclaration};
use table_log::state::SourceState;
use table_log::{KafkaPartition, Offset, TableState};
use windowing::Time;

/// Tries when the topic is taken further by others meanwhile.
const TRIES: usize = 10;

/// What Kafka says of one topic.
struct Found {
    cluster_id: String,
    info: TopicInfo,
    bounds: Bounds,
    /// Offsets that `--at` means.
    at: Vec<i64>,
}

/// A restart as it is recorded.
struct Restart {
    declaration: SourceDeclaration,
    ends: BTreeMap<KafkaPartition, Offset>,
    lines: Vec<Line>,
}

/// Runs the command.
pub async fn run(args: &RestartArgs, context: &Context) -> anyhow::Result<ExitCode> {
    if !distinct(&args.topics) || !distinct(args.offsets.iter().map(|offset| offset.kafka_partition)) {
        return Err(Failure::usage("a topic or kafka_partition is named twice", "name each once").into());
    }
    if args.topics.len() > 1 && !args.offsets.is_empty() {
        return Err(Failure::usage("`--offset` is of one topic, and several are named", "restart the topics one by one").into());
    }
    let log = open(&args.table, args.how.who.apply, context).await?;
    let (mut lines, mut records) = (Vec::new(), Vec::new());
    for topic in &args.topics {
        // All are checked before any is recorded.
        plan(&log.state(), topic, &ask(topic, args, context).await?, args)?;
    }
    for topic in &args.topics {
        let found = ask(topic, args, context).await?;
        if !args.how.who.apply {
            lines.extend(plan(&log.state(), topic, &found, args)?.lines);
            continue;
        }
        let mut tries = 0;
        let restart = loop {
            let state = log.refresh().await?;
            let Restart { declaration, ends, lines } = plan(&state, topic, &found, args)?;
            match commit(&log, &args.how, RepairAction::Restart { source: declaration, ends }).await? {
                Committed::Done(record) => break Some((record.seq.0, lines)),
                Committed::Already => break None,
                Committed::Moved(why) if tries >= TRIES => return Err(moved(&why)),
                Committed::Moved(_) => tries += 1,
            }
        };
        if let Some((seq, of_topic)) = restart {
            records.push(seq);
            lines.extend(of_topic);
        }
    }
    show(&args.table, &lines, args.how.who.apply.then_some(records.as_slice()), context)
}

async fn ask(topic: &str, args: &RestartArgs, context: &Context) -> anyhow::Result<Found> {
    let (kafka, topic, at) = (context.kafka(), topic.to_owned(), args.at);
    let asked = tokio::task::spawn_blocking(move || {
        let admin = Admin::new(&kafka)?;
        let mut look = examine::ask(&admin, vec![topic.clone()])?;
        let info = look.view.topics.pop().and_then(|(_, info)| info).ok_or_else(|| KafkaIoError::UnknownTopic { topic: topic.clone() })?;
        let bounds = look.bounds.remove(&topic).unwrap_or_default();
        let at = match at {
            StartAt::Kafka(StartFrom::Earliest) | StartAt::Next => bounds.earliest.clone(),
            StartAt::Kafka(StartFrom::Latest) => bounds.log_end.clone(),
            StartAt::Kafka(StartFrom::Time(time)) => admin.offsets(&topic, info.partitions, OffsetQuery::AtTime(millis(time)))?,
        };
        Ok(Found { cluster_id: look.view.cluster_id.unwrap_or_default(), info, bounds, at })
    });
    match asked.await.context("ask Kafka")? {
        Err(KafkaIoError::UnknownTopic { topic }) => {
            let fix = format!("make it again first, or `tributary source retire {} {topic}` if it is gone for good", args.table);
            Err(Failure::usage(format!("topic `{topic}` does not exist"), fix).into())
        }
        found => found.context("ask Kafka what there is"),
    }
}

/// Kafka's milliseconds, rounded up.
fn millis(time: Time) -> i64 {
    time.0.div_euclid(1_000) + i64::from(time.0.rem_euclid(1_000) > 0)
}

fn plan(state: &TableState, topic: &str, found: &Found, args: &RestartArgs) -> anyhow::Result<Restart> {
    let newest = state.sources().filter(|(name, ..)| *name == topic).max_by_key(|(_, generation, _)| *generation);
    let Some((_, generation, before)) = newest else {
        let fix = "a lake-writer declares a new topic of the settings file by itself; `tributary source list` shows what there is";
        return Err(Failure::usage(format!("the table was never declared to read topic `{topic}`"), fix).into());
    };
    check_cluster(topic, before, found, args)?;
    let same_topic = before.cluster_id == found.cluster_id && before.topic_id.is_some() && before.topic_id == found.info.topic_id;
    let starts = starts(topic, before, found, args)?;
    let ends: BTreeMap<_, _> = before.partitions.iter().map(|(number, partition)| (*number, partition.next_offset)).collect();
    let cut: BTreeSet<KafkaPartition> = args.offsets.iter().map(|offset| offset.kafka_partition).collect();
    let mut lines = Vec::new();
    for (number, start) in &starts {
        let end = ends.get(number).copied();
        let twice = end.filter(|end| same_topic && start < end && !cut.contains(number));
        if let Some(end) = twice
            && !args.force
        {
            let fix =
                "`--at next` goes on where the table stands; `--offset` says where one kafka_partition was cut; `--force` takes them again";
            let what = format!(
                "`{topic}/{number}` is still the same topic: offsets {start} to {} are in the lake and would be there twice",
                end.0 - 1
            );
            return Err(Failure::usage(what, fix).into());
        }
        lines.push(line(topic, generation + 1, (*number, *start, end), (same_topic, found)));
    }
    let declaration = SourceDeclaration {
        cluster_id: found.cluster_id.clone(),
        topic: topic.to_owned(),
        topic_id: found.info.topic_id.clone(),
        generation: generation + 1,
        refused: before.refused,
        starts,
    };
    Ok(Restart { declaration, ends, lines })
}

/// Another cluster must be meant: the settings may be wrong.
fn check_cluster(topic: &str, before: &SourceState, found: &Found, args: &RestartArgs) -> anyhow::Result<()> {
    let (declared, there) = (&before.cluster_id, &found.cluster_id);
    match &args.cluster {
        Some(meant) if meant != there => {
            let what = format!("`kafka.bootstrap_servers` leads to cluster `{there}`, not to `{meant}`");
            Err(Failure::usage(what, "correct the settings, or name the cluster that is meant").into())
        }
        None if declared != there && !declared.is_empty() => {
            let what = format!("topic `{topic}` was declared in cluster `{declared}`, and `kafka.bootstrap_servers` leads to `{there}`");
            Err(Failure::usage(what, format!("correct the settings; if the topic moved, add `--cluster {there}`")).into())
        }
        _ => Ok(()),
    }
}

/// First offset of each kafka_partition that the topic has now.
fn starts(topic: &str, before: &SourceState, found: &Found, args: &RestartArgs) -> anyhow::Result<BTreeMap<KafkaPartition, Offset>> {
    let mut starts: BTreeMap<KafkaPartition, Offset> =
        (0..).zip(&found.at).map(|(number, at)| (KafkaPartition(number), Offset(*at))).collect();
    if args.at == StartAt::Next {
        for (number, start) in &mut starts {
            *start = before.partitions.get(number).map_or(*start, |partition| partition.next_offset);
        }
    }
    for PartitionOffset { kafka_partition, offset } in &args.offsets {
        let Some(start) = starts.get_mut(kafka_partition) else {
            let what = format!("topic `{topic}` has no kafka_partition {kafka_partition}");
            return Err(Failure::usage(what, format!("it has {} of them, from 0", found.info.partitions)).into());
        };
        *start = *offset;
    }
    for ((number, start), log_end) in starts.iter().zip(&found.bounds.log_end) {
        if start.0 > *log_end {
            let what = format!("`{topic}/{number}` ends at offset {log_end} and cannot begin at {start}");
            return Err(Failure::usage(what, "name an offset that is there with `--offset`").into());
        }
    }
    Ok(starts)
}

/// What beginning at `start` costs: offsets of the same topic that are passed over; of another one those before the start, and nobody knows
/// what the deleted one held.
fn line(
    topic: &str,
    generation: u32,
    (number, start, end): (KafkaPartition, Offset, Option<Offset>),
    (same_topic, found): (bool, &Found),
) -> Line {
    let index = usize::try_from(number.0).unwrap_or(usize::MAX);
    let earliest = found.bounds.earliest.get(index).copied().unwrap_or(start.0);
    let taken_to = if same_topic { end.map_or(earliest, |end| end.0) } else { earliest };
    let passed_over = u64::try_from(start.0.saturating_sub(taken_to)).unwrap_or(0);
    let (records_lost, before) = match end {
        Some(end) if !same_topic => (None, format!("generation {} ends at {end}; ", generation - 1)),
        Some(end) => (Some(passed_over), format!("generation {} ends at {end}; ", generation - 1)),
        None => (Some(passed_over), String::new()),
    };
    let passed = if passed_over > 0 { format!("; {passed_over} offset(s) before it are passed over") } else { String::new() };
    Line {
        topic: Some(crate::verify::topic_name(topic, generation)),
        kafka_partition: Some(number.0),
        offsets: Some(format!("{start}..")),
        records_lost,
        what: format!("{before}generation {generation} begins at {start}{passed}"),
    }
}
