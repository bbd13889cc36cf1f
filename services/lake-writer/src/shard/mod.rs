//! One shard: a group member with its own consumer, decoder, buffers and commits, in one explicit event loop on a thread of its own.
//!
//! ```text
//! group events ─┐
//! control       ├─▶ next_event ─▶ handle ─▶ commit if due ─▶ (runtime) stage, propose, publish ─▶ control: commit finished
//! batches       ┘
//! ```
//! At most one commit is in flight; the next buffers fill meanwhile and build on it. When it does not end as committed, everything that
//! builds on it is dropped and read again from the log.
mod flight;
mod group;
mod schema;

use crate::{
    budget::Reservation,
    buffer::Buffers,
    commit::CommitEnd,
    context::{GiveUp, TableContext},
    error::{LostRange, StoppedTable},
    metrics::{ShardLevels, ShardMetrics},
    offsets::{Owned, PartitionProgress},
    policy::{CommitPolicy, Pending},
    rules::TableRules,
    take::{Halt, Intake, TakeContext},
};
use flight::Flight;
use kafka_io::{Batch, BatchConsumer, ConsumerOptions, GroupEvent, KafkaIoError, RawRecord, TopicPartition};
use rand::{Rng, SeedableRng, rngs::StdRng};
use service_runtime::fail_point;
use std::{
    collections::BTreeSet,
    sync::{Arc, mpsc},
    time::Duration,
};
use table_log::{Offset, SourcePartition};
use tokio::{runtime::Handle, time::Instant};

/// Records taken at once: the budget may be overshot by a batch of each shard, so with many shards, whose queues are small, they are fewer.
const BATCH_RECORDS: std::ops::RangeInclusive<u64> = 512..=16_384;
/// What a record counts in that.
const BATCH_RECORD_BYTES: u64 = 1_024;
/// Longest wait for records: bounds how late other events are seen.
const TAKE_WAIT: Duration = Duration::from_millis(100);
/// Longest wait while nothing may be taken.
const PAUSE_WAIT: Duration = Duration::from_millis(50);
/// Period of everything that is looked at regularly.
const TICK: Duration = Duration::from_secs(1);
/// Over the budget a shard with empty buffers takes a batch this often.
const STARVED_AFTER: Duration = Duration::from_secs(1);
/// Longest drain on a revocation: well below the time after which the group goes on without this member.
const REVOKE_DRAIN: Duration = Duration::from_secs(60);
/// Longest wait for the group's coordinator on leaving: its offsets are advisory.
const GROUP_COMMIT_WAIT: Duration = Duration::from_secs(2);
/// Longest drain of what was taken before a stop.
const STOP_DRAIN: Duration = Duration::from_secs(30);

/// What others tell a shard.
#[derive(Debug)]
pub enum Control {
    /// The commit in flight ended.
    CommitFinished(CommitEnd),
    /// A flush record was seen: commit what is buffered now.
    Flush,
    /// Stop taking, commit what is buffered until the deadline, end.
    Drain(Instant),
}

/// Why a shard ended.
#[derive(Debug)]
pub enum ShardEnd {
    /// As asked.
    Drained,
    /// A person must act.
    Stopped(StoppedTable),
    /// The Kafka client ended for good, or the log has another schema: start a new shard.
    Restart(String),
}

/// What a shard is made of.
#[derive(Debug)]
pub struct ShardSetup {
    /// The table.
    pub context: Arc<TableContext>,
    /// Number of the shard in the process.
    pub number: u32,
    /// Where commits run.
    pub runtime: Handle,
    /// Fires at the end of the process's patience.
    pub give_up: GiveUp,
    /// For the shard's own commits and for the owner.
    pub sender: mpsc::SyncSender<Control>,
    /// The other end of `sender`.
    pub control: mpsc::Receiver<Control>,
}

/// One thing that happened.
enum Event {
    Group(GroupEvent),
    Control(Control),
    Batch(Batch),
    Resume(Held),
    Tick,
    Nothing,
}

/// A batch that waits for memory.
struct Held {
    batch: Batch,
    next: usize,
}

/// See the module's text.
pub struct Shard {
    setup: ShardSetup,
    consumer: BatchConsumer,
    batch_records: usize,
    group: mpsc::Receiver<GroupEvent>,
    rules: Arc<TableRules>,
    intake: Intake,
    owned: Owned,
    /// Assigned but not read yet: not declared, or to be started from the log again.
    waiting: BTreeSet<TopicPartition>,
    /// Not read while they wait for the schema of their next record.
    suspended: BTreeSet<TopicPartition>,
    waiting_is_said: bool,
    /// Stopped by an error that passes: to be assigned again at their own next offset.
    failing: BTreeSet<TopicPartition>,
    buffers: Buffers,
    held: Option<Held>,
    reservation: Reservation,
    flight: Option<Flight>,
    policy: CommitPolicy,
    jitter_source: StdRng,
    jitter: f64,
    pending_since: Option<Instant>,
    flush: bool,
    idle_due: bool,
    drain_by: Option<Instant>,
    began: Instant,
    next_tick: Instant,
    last_take: Instant,
    metrics: ShardMetrics,
    last_client_error: String,
}

/// Id of a static member. A broker gives a static member that returns its old assignment without asking what it subscribes to now, so
/// another subscription is another member: it brings about a rebalance, in which new topics find an owner.
fn member_id(instance: &str, shard: u32, topics: &[String]) -> String {
    let mut sorted: Vec<&String> = topics.iter().collect();
    sorted.sort_unstable();
    // FNV-1a, with a separator that no topic name holds.
    let bytes = sorted.iter().flat_map(|topic| topic.bytes().chain([b'/']));
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{instance}-{shard}-{hash:08x}")
}

impl Shard {
    /// Joins the group.
    ///
    /// # Errors
    /// The client refuses its settings.
    pub fn start(setup: ShardSetup, rules: Arc<TableRules>, queued_bytes: u64) -> Result<Self, KafkaIoError> {
        let context = &setup.context;
        let topics = crate::bootstrap::topics(&context.table.topics, &context.log.state());
        let options = ConsumerOptions {
            group: context.table.group.clone(),
            instance_id: member_id(&context.settings.instance, setup.number, &topics),
            topics,
            session_timeout: context.settings.session_timeout,
            queued_bytes,
            properties: context.settings.consumer_properties.clone(),
        };
        let (consumer, group) = BatchConsumer::start(&context.settings.kafka, options)?;
        let decoder = Self::decoder(context, &rules);
        let mut jitter_source = StdRng::seed_from_u64(context.seed("commit timer").wrapping_add(setup.number.into()));
        let now = Instant::now();
        Ok(Self {
            consumer,
            batch_records: (queued_bytes / BATCH_RECORD_BYTES).clamp(*BATCH_RECORDS.start(), *BATCH_RECORDS.end()) as usize,
            group,
            intake: Intake::new(Arc::clone(&rules), decoder, context.table.tombstones),
            rules,
            owned: Owned::default(),
            waiting: BTreeSet::new(),
            suspended: BTreeSet::new(),
            waiting_is_said: false,
            failing: BTreeSet::new(),
            buffers: Buffers::new(context.encode_options(), context.settings.consumers()),
            held: None,
            reservation: context.budget.reserve(0),
            flight: None,
            policy: CommitPolicy {
                interval: context.settings.commit_interval,
                bytes: context.settings.commit_bytes,
                files_per_commit: context.settings.files_per_commit,
            },
            jitter: jitter_source.random(),
            jitter_source,
            pending_since: None,
            flush: false,
            idle_due: false,
            drain_by: None,
            began: now,
            next_tick: now + TICK,
            last_take: now,
            metrics: context.metrics.shard(setup.number),
            last_client_error: String::new(),
            setup,
        })
    }

    /// Runs until drained or stopped; blocks the thread.
    pub fn run(mut self) -> ShardEnd {
        let end = loop {
            self.resume_known();
            let event = self.next_event();
            let handled = self.handle(event).and_then(|end| match end {
                Some(end) => Ok(Some(end)),
                None => self.commit_if_due().map(|()| None),
            });
            match handled {
                Ok(None) => {}
                Ok(Some(end)) => break end,
                Err(stop) => break self.stop(stop),
            }
        };
        self.metrics.set(ShardLevels::default());
        self.context().health.set_not_ready(&self.waiting_component(), None);
        let Self { consumer, group, held, .. } = self;
        // A held batch keeps the client open; events that nobody answers any more keep its poll thread waiting.
        drop((held, group));
        consumer.close();
        end
    }

    fn context(&self) -> &Arc<TableContext> {
        &self.setup.context
    }

    /// Monotonic time of this shard.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn next_event(&mut self) -> Event {
        if let Some(deadline) = self.drain_by {
            return Event::Control(Control::Drain(deadline));
        }
        if let Ok(control) = self.setup.control.try_recv() {
            return Event::Control(control);
        }
        match self.group.try_recv() {
            Ok(event) => return Event::Group(event),
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => {
                return Event::Group(GroupEvent::Error { detail: "the client's poll thread ended".to_owned(), fatal: true });
            }
        }
        if Instant::now() >= self.next_tick {
            self.next_tick = Instant::now() + TICK;
            return Event::Tick;
        }
        if !self.may_take() {
            return self.setup.control.recv_timeout(PAUSE_WAIT).map_or(Event::Nothing, Event::Control);
        }
        self.last_take = Instant::now();
        match self.held.take() {
            Some(held) => Event::Resume(held),
            None => Event::Batch(self.fetch()),
        }
    }

    fn fetch(&mut self) -> Batch {
        fail_point!("writer-before-fetch");
        let batch = self.consumer.take(self.batch_records, TAKE_WAIT);
        if !batch.is_empty() {
            fail_point!("writer-after-fetch");
        }
        batch
    }

    /// Over the budget nothing is taken, unless this shard has nothing that it could commit: others may hold the memory, but if nobody
    /// can release any (a budget below what the queues need), all must go on by small steps.
    fn may_take(&self) -> bool {
        let nothing_to_commit = self.pending_since.is_none() && self.flight.is_none();
        self.policy.may_take(self.pending()) || (nothing_to_commit && self.last_take.elapsed() >= STARVED_AFTER)
    }

    fn handle(&mut self, event: Event) -> Result<Option<ShardEnd>, StoppedTable> {
        match event {
            Event::Nothing => {}
            Event::Batch(batch) => {
                let errors = batch.errors().to_vec();
                let ended = self.take(Held { batch, next: 0 })?;
                for error in &errors {
                    self.partition_error(error)?;
                }
                return Ok(ended);
            }
            Event::Resume(held) => return self.take(held),
            Event::Tick => self.tick()?,
            Event::Control(Control::CommitFinished(end)) => self.commit_finished(end)?,
            Event::Control(Control::Flush) => self.flush = true,
            Event::Control(Control::Drain(deadline)) => {
                fail_point!("writer-before-drain");
                self.drain(deadline)?;
                self.tell_group();
                fail_point!("writer-after-drain");
                return Ok(Some(ShardEnd::Drained));
            }
            Event::Group(event) => return self.group_event(event),
        }
        Ok(None)
    }

    /// Takes records; what does not fit into memory is held back.
    fn take(&mut self, held: Held) -> Result<Option<ShardEnd>, StoppedTable> {
        if held.batch.is_empty() {
            return Ok(None);
        }
        let state = self.context().log.state();
        if self.is_behind(&state) {
            self.held = Some(held);
            return self.follow(&state).map(|()| None);
        }
        let batch_bytes = held.batch.bytes();
        self.reservation.resize(self.buffers.bytes() + batch_bytes);
        let records: Vec<RawRecord<'_>> = held.batch.records().skip(held.next).collect();
        let consumer = &self.consumer;
        let (budget, consumers) = (&self.setup.context.budget, self.setup.context.settings.consumers());
        let context = TakeContext {
            is_closed: &|window_start| state.is_closed(window_start),
            earliest: &|source| consumer.watermark_offsets(&on_the_wire(source)).map(|(low, _)| low),
            clock: self.setup.context.clock.now(),
            limit_bytes: self.buffers.bytes() + budget.share_left(consumers).min(self.policy.bytes.saturating_mul(2)),
        };
        let outcome = self.intake.take(&records, &mut self.owned, &mut self.buffers, &context);
        // After a halt all is offered again: what was taken before it is dropped then as seen.
        let left = records.len() - outcome.as_ref().map_or(0, |done| *done);
        drop(records);
        let next = held.batch.len() - left;
        self.held = (left > 0).then_some(Held { batch: held.batch, next });
        self.reservation.resize(self.buffers.bytes() + if self.held.is_some() { batch_bytes } else { 0 });
        self.suspend_awaiting();
        match outcome {
            Ok(_) => Ok(None),
            Err(Halt::SchemaChanged(change)) => self.take_up(&change).map(|()| None),
            Err(Halt::Lost { source, expected, earliest }) => Err(self.lost(source, expected, earliest)),
            Err(Halt::Bug(error)) => Err(StoppedTable::Bug { table: self.context().name().to_owned(), detail: error.to_string() }),
        }
    }

    fn lost(&self, source: SourcePartition, expected: Offset, earliest: Offset) -> StoppedTable {
        let range = LostRange { topic: source.topic, kafka_partition: source.kafka_partition, expected, earliest };
        StoppedTable::RetentionPassed { table: self.context().name().to_owned(), ranges: vec![range] }
    }

    /// The last word to the group on leaving: where each kafka_partition stands in the log.
    fn tell_group(&self) {
        let committed = self.owned.iter().filter(|progress| !progress.is_pending());
        let offsets: Vec<_> = committed.map(|progress| (on_the_wire(&progress.source), progress.next().0)).collect();
        self.consumer.commit_offsets_and_wait(&offsets, GROUP_COMMIT_WAIT);
    }

    /// Ends after a stop; what was taken before it is committed if that is safe.
    fn stop(&mut self, stop: StoppedTable) -> ShardEnd {
        if stop.allows_commit() {
            self.held = None;
            // What was delivered behind the stop was not taken: positions are no tails.
            self.owned.iter_mut().for_each(PartitionProgress::stall);
            if let Err(second) = self.drain(Instant::now() + STOP_DRAIN) {
                tracing::error!(table = self.context().name(), error = %second, "commit before the stop failed");
            }
        } else if let Some(flight) = &self.flight {
            flight.give_up.fire();
        }
        ShardEnd::Stopped(stop)
    }

    fn pending(&self) -> Pending {
        Pending {
            age: self.pending_since.map(|since| since.elapsed()),
            bytes: self.buffers.bytes(),
            files: self.buffers.files(),
            idle_due: self.idle_due,
            flush: self.flush,
            over_budget: self.context().budget.is_over(),
        }
    }

    fn commit_if_due(&mut self) -> Result<(), StoppedTable> {
        if self.owned.is_pending() {
            self.pending_since.get_or_insert_with(Instant::now);
        } else {
            self.pending_since = None;
            self.flush = false;
        }
        if self.flight.is_some() {
            return Ok(());
        }
        match self.policy.decide(self.pending(), self.jitter) {
            Some(reason) => self.start_commit(reason).map(|_| ()),
            None => Ok(()),
        }
    }

    fn next_jitter(&mut self) {
        self.jitter = self.jitter_source.random();
    }

    /// Once a second: start what waits, count tails, see who is idle, show levels.
    fn tick(&mut self) -> Result<(), StoppedTable> {
        self.start_waiting();
        self.restart_failing();
        self.absorb_tails()?;
        self.observe_idle();
        let mut lag_records = 0;
        for progress in self.owned.iter() {
            let end = self.consumer.watermark_offsets(&on_the_wire(&progress.source)).map_or(0, |(_, high)| high);
            self.context().ends.see(&progress.source, end);
            lag_records += end.saturating_sub(progress.next().0).max(0) as u64;
        }
        self.metrics.set(ShardLevels {
            lag_records,
            buffered_bytes: self.buffers.bytes(),
            open_lake_partitions: self.buffers.lake_partitions() as u64,
            owned_kafka_partitions: self.owned.iter().count() as u64,
            waiting_kafka_partitions: self.owned.iter().filter(|progress| progress.awaits_schema().is_some()).count() as u64,
        });
        self.show_waiting();
        Ok(())
    }

    /// Counts what Kafka passed without delivering it as absent. Only when all that it delivered has been taken.
    fn absorb_tails(&mut self) -> Result<(), StoppedTable> {
        if self.held.is_some() {
            return Ok(());
        }
        let now = self.now();
        let mut lost = None;
        for progress in self.owned.iter_mut() {
            let partition = on_the_wire(&progress.source);
            let Some(tail) = progress.tail(self.consumer.position(&partition), now) else { continue };
            match self.consumer.watermark_offsets(&partition) {
                Some((low, _)) if low > progress.next().0 => {
                    lost = Some((progress.source.clone(), progress.next(), Offset(low)));
                }
                _ => progress.skip_absent(tail),
            }
        }
        lost.map_or(Ok(()), |(source, expected, earliest)| Err(self.lost(source, expected, earliest)))
    }

    /// Quiet kafka_partitions report themselves idle, all at once, so that many of them do not make many commits.
    fn observe_idle(&mut self) {
        let now = self.now();
        let behind = self.held.is_some();
        for progress in self.owned.iter_mut() {
            let partition = on_the_wire(&progress.source);
            let position = self.consumer.position(&partition).unwrap_or(0).max(progress.next().0);
            let at_log_end = self.consumer.watermark_offsets(&partition).is_some_and(|(_, high)| position >= high);
            progress.observe_quiet(at_log_end && !behind, now);
        }
        let Some(timeout) = self.rules.idle_timeout() else { return };
        if !self.setup.context.clocks_agree() || !self.owned.iter().any(|progress| progress.idle_report_due(timeout, now)) {
            return;
        }
        let clock = self.setup.context.clock.now();
        for progress in self.owned.iter_mut().filter(|progress| progress.is_idle(timeout, now)) {
            progress.report_idle(clock, now);
        }
        self.idle_due = true;
    }
}

/// A source kafka_partition as Kafka names it.
fn on_the_wire(source: &SourcePartition) -> TopicPartition {
    TopicPartition { topic: source.topic.clone(), kafka_partition: source.kafka_partition.0 }
}

#[cfg(test)]
mod tests {
    use super::member_id;

    #[test]
    fn another_subscription_is_another_member() {
        let topics = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let member = member_id("writer-0", 0, &topics(&["a", "b"]));
        assert_eq!(member, member_id("writer-0", 0, &topics(&["b", "a"])), "a restart keeps its id");
        assert_ne!(member, member_id("writer-0", 0, &topics(&["a", "b", "c"])));
        assert_ne!(member, member_id("writer-0", 0, &topics(&["ab"])));
        assert_ne!(member, member_id("writer-0", 1, &topics(&["a", "b"])));
    }
}
