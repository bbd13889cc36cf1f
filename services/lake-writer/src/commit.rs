//! One commit: identity of the topics, stage, propose, publish. Runs beside the shard, which fills the next buffers meanwhile.
use crate::{
    budget::Reservation,
    buffer::TakenBuffers,
    context::{GiveUp, TableContext},
    encode::Footer,
    error::{StoppedTable, WriterError},
    identity::{self, Identity},
    metrics::CommittedCounts,
    offsets::Counts,
    policy::CommitReason,
    rules::TableRules,
    stage::{FileRows, StageBase, StagedFiles, stage_all},
};
use kafka_io::TopicPartition;
use lake_store::{CommitOutcome, TableLogError};
use service_runtime::fail_point;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use table_log::{
    Fenced, Record,
    record::{AppendBody, AppendRange, Body},
};
use tokio::time::Instant;
use windowing::Time;

/// What a shard hands to a commit.
#[derive(Debug)]
pub struct CommitJob {
    /// Ranges of the kafka_partitions with something to say.
    pub ranges: Vec<AppendRange>,
    /// Rows and refused records.
    pub buffers: TakenBuffers,
    /// Rules by which the rows were routed.
    pub rules: Arc<TableRules>,
    /// Why now.
    pub reason: CommitReason,
    /// Memory of the buffers, released when the commit ends.
    pub reservation: Reservation,
}

/// How a commit ended for its shard.
#[derive(Debug)]
pub enum CommitEnd {
    /// Committed; advisory group offsets come next.
    Committed {
        /// Next offsets of the committed ranges.
        offsets: Vec<(TopicPartition, i64)>,
    },
    /// Not committed and never will be: read again from the log.
    Fenced(Fenced),
    /// Nobody knows, or nothing was proposed: read again from the log, which decides.
    Abandoned,
    /// A person must act.
    Stopped(StoppedTable),
}

/// A topic may be missing from a broker's metadata for a moment; after this it is gone.
pub const TOPIC_GONE_AFTER: Duration = Duration::from_secs(30);
const TOPIC_GONE_PAUSE: Duration = Duration::from_secs(1);

/// Commits.
pub async fn run(context: Arc<TableContext>, job: CommitJob, give_up: GiveUp) -> CommitEnd {
    match propose(&context, job, &give_up).await {
        Ok(end) => end,
        Err(stop) => CommitEnd::Stopped(stop),
    }
}

async fn propose(context: &Arc<TableContext>, job: CommitJob, give_up: &GiveUp) -> Result<CommitEnd, StoppedTable> {
    let began = Instant::now();
    let CommitJob { ranges, buffers, rules, reason, reservation } = job;
    if !topics_are_the_declared_ones(context, &ranges, give_up).await? {
        return Ok(CommitEnd::Abandoned);
    }
    let lowest = buffers.lowest_kafka_timestamp;
    let Some(staged) = stage(context, (&rules, &ranges), buffers, give_up).await? else { return Ok(CommitEnd::Abandoned) };
    drop(reservation);
    let counts = balance(context, &ranges, &staged)?;
    let files = staged.all();
    let offsets = group_offsets(&ranges);
    let body = Body::Append(AppendBody { ranges, files: staged.data, quarantine: staged.quarantine, file_list: None });
    fail_point!("writer-before-create");
    let outcome = context.log.commit(body, give_up.fired()).await;
    fail_point!("writer-after-create");
    match outcome {
        Ok(CommitOutcome::Committed(record)) => {
            context.metrics.committed(reason.as_str(), &counts);
            publish(context, &record, give_up).await?;
            observe_times(context, began, lowest);
            Ok(CommitEnd::Committed { offsets })
        }
        Ok(CommitOutcome::Fenced(Fenced::Invalid(rule))) => {
            context.log.discard(&files).await;
            Err(bug(context, format!("a proposal broke a rule of the log: {rule}")))
        }
        Ok(CommitOutcome::Fenced(why)) => {
            context.metrics.fenced.inc();
            fail_point!("writer-before-discard");
            context.log.discard(&files).await;
            fail_point!("writer-after-discard");
            Ok(CommitEnd::Fenced(why))
        }
        Ok(CommitOutcome::Abandoned) => {
            context.metrics.abandoned.inc();
            Ok(CommitEnd::Abandoned)
        }
        Ok(other @ (CommitOutcome::Stale(_) | CommitOutcome::AlreadyDone)) => {
            context.log.discard(&files).await;
            Err(bug(context, format!("an append ended as `{other:?}`")))
        }
        // The record may exist: the files stay.
        Err(error) => {
            context.metrics.abandoned.inc();
            tracing::error!(table = context.name(), %error, "commit failed; reading again from the log, which decides");
            StoppedTable::of(context.name(), &error.into()).map_or(Ok(CommitEnd::Abandoned), Err)
        }
    }
}

async fn stage(
    context: &Arc<TableContext>,
    (rules, ranges): (&Arc<TableRules>, &[AppendRange]),
    buffers: TakenBuffers,
    give_up: &GiveUp,
) -> Result<Option<StagedFiles>, StoppedTable> {
    let state = context.log.state();
    let staged_on = state.newest_seq().ok_or_else(|| bug(context, "the log is empty while committing".to_owned()))?;
    let footer = Footer {
        table: context.name().to_owned(),
        schema_version: rules.body.schema_version,
        ranges_json: serde_json::to_string(ranges).expect("ranges are plain data"),
    };
    let base = StageBase { rules: Arc::clone(rules), staged_on, footer };
    let data = buffers.files.into_iter().map(|(target, file)| FileRows::Data(target, file));
    let quarantine = buffers.quarantine.into_iter().map(|(day, buffer)| FileRows::Quarantine(day, buffer));
    stage_all(context, &base, data.chain(quarantine).collect(), give_up).await
}

/// Files and ranges were counted apart: they must agree before anything is proposed.
fn balance(context: &TableContext, ranges: &[AppendRange], staged: &StagedFiles) -> Result<CommittedCounts, StoppedTable> {
    let mut by_range = Counts::default();
    let mut taken = 0;
    for range in ranges {
        by_range.add(&Counts { rows: range.rows, quarantined: range.quarantined, skipped: range.skipped, absent: range.absent });
        taken += range.range.end.0.saturating_sub(range.range.start.0).max(0) as u64;
    }
    let rows = |late: bool| staged.data.iter().filter(|file| file.late == late).map(|file| file.rows).sum::<u64>();
    let counts = Counts { rows: rows(false) + rows(true), quarantined: staged.quarantine.iter().map(|file| file.rows).sum(), ..by_range };
    if counts != by_range || counts.total() != taken {
        return Err(bug(context, format!("counts differ: taken `{taken}`, ranges `{by_range:?}`, files `{counts:?}`")));
    }
    Ok(CommittedCounts { taken, counts, late_rows: rows(true) })
}

/// Returns false if `give_up` fired.
async fn topics_are_the_declared_ones(context: &TableContext, ranges: &[AppendRange], give_up: &GiveUp) -> Result<bool, StoppedTable> {
    let topics: BTreeSet<&str> = ranges.iter().map(|range| range.source.topic.as_str()).collect();
    let topics: Vec<String> = topics.into_iter().map(str::to_owned).collect();
    let began = Instant::now();
    loop {
        let asked = context.persist("compare topic ids", give_up, || identity::view(context, topics.clone())).await?;
        let Some(view) = asked else { return Ok(false) };
        let state = context.log.state();
        let mut missing = None;
        for (topic, found) in &view.topics {
            let Some((_, declared)) = state.current_source(topic) else { continue };
            let identity = identity::compare(declared, view.cluster_id.as_deref(), found.as_ref());
            if let Some(stop) = identity::stop_of(context.name(), topic, declared, &identity) {
                return Err(stop);
            }
            if identity == Identity::Missing {
                missing = Some(identity::gone(context.name(), topic, declared));
            }
        }
        match missing {
            None => return Ok(true),
            Some(gone) if began.elapsed() >= TOPIC_GONE_AFTER => return Err(gone),
            Some(_) if give_up.wait(TOPIC_GONE_PAUSE).await => return Ok(false),
            Some(_) => {}
        }
    }
}

/// Publishes at once; what fails is left to the helping that goes on every second. The commit stands either way.
async fn publish(context: &TableContext, record: &Record, give_up: &GiveUp) -> Result<(), StoppedTable> {
    fail_point!("writer-before-publish");
    let outcome = tokio::select! {
        biased;
        outcome = context.log.publish(record) => outcome,
        () = give_up.fired() => return Ok(()),
    };
    fail_point!("writer-after-publish");
    match outcome {
        Ok(()) => Ok(()),
        Err(error @ TableLogError::LakeFileLost { .. }) => {
            Err(StoppedTable::of(context.name(), &WriterError::Log(error)).expect("a lost file means a stop"))
        }
        Err(error) => {
            context.metrics.publish_failures.inc();
            tracing::warn!(table = context.name(), seq = record.seq.0, %error, "publish failed and is tried again");
            Ok(())
        }
    }
}

fn observe_times(context: &TableContext, began: Instant, lowest: Option<Time>) {
    context.metrics.commit_seconds.set(began.elapsed().as_secs_f64());
    if let Some(lowest) = lowest {
        let delay_micros = context.clock.now().0.saturating_sub(lowest.0).max(0);
        context.metrics.delay_seconds.set(delay_micros as f64 / 1e6);
    }
}

fn group_offsets(ranges: &[AppendRange]) -> Vec<(TopicPartition, i64)> {
    let next = |range: &AppendRange| {
        let partition = TopicPartition { topic: range.source.topic.clone(), kafka_partition: range.source.kafka_partition.0 };
        (partition, range.range.end.0)
    };
    ranges.iter().filter(|range| range.range.end > range.range.start).map(next).collect()
}

fn bug(context: &TableContext, detail: String) -> StoppedTable {
    StoppedTable::Bug { table: context.name().to_owned(), detail }
}
