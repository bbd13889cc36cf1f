//! One table: bootstrap, shards, upkeep, and what happens when one of them stops.
use crate::{
    bootstrap,
    budget::queue_bytes,
    commit::TOPIC_GONE_AFTER,
    context::{GiveUp, TableContext},
    error::{Backoff, StoppedTable, WriterError},
    examine, identity,
    rules::TableRules,
    shard::{Control, Shard, ShardEnd, ShardSetup},
};
use kafka_io::KafkaIoError;
use lake_store::TableLogError;
use service_runtime::shutdown::Shutdown;
use std::{
    sync::{Arc, atomic::Ordering, mpsc as std_mpsc},
    time::Duration,
};
use table_log::Seq;
use tokio::{runtime::Handle, sync::mpsc, time::Instant};

/// Period of helping, folding and looking for flush records.
const UPKEEP: Duration = Duration::from_secs(1);
/// Upkeep rounds between looks for new topics and kafka_partitions.
const DECLARE_EVERY: u64 = 5;
/// Upkeep rounds between clock checks.
const CLOCK_CHECK_EVERY: u64 = 60;
/// Pause between looks for a table's first topic.
const TOPIC_PAUSE: Duration = Duration::from_secs(2);
/// Messages that a shard may have waiting: its owner sends few, and it has one commit.
const CONTROL_QUEUE: usize = 64;
/// Of the shutdown time, what closing the clients gets.
const CLOSE_TIME: Duration = Duration::from_secs(3);
/// A table that stops drains its other shards for so long.
const STOP_DRAIN: Duration = Duration::from_secs(30);

/// What happens to a table as a whole.
#[derive(Debug)]
enum TableEvent {
    /// A shard's thread ended.
    ShardEnded(u32, ShardEnd),
    /// Upkeep found that a person must act.
    Stopped(StoppedTable),
    /// A `flush` record that is new to this process.
    FlushSeen,
}

/// Why a table stopped, and when.
#[derive(Debug)]
pub struct Stop {
    /// The situation.
    pub why: Box<StoppedTable>,
    /// The log's next seq when it was seen: a record from here on may have put it right.
    pub seen: Seq,
}

/// Runs the table until shutdown.
///
/// # Errors
/// What only a person can put right.
pub async fn run(context: Arc<TableContext>, shutdown: Shutdown) -> Result<(), Stop> {
    let give_up = GiveUp::new();
    let fire_at_shutdown = fire_on(shutdown.clone(), give_up.clone());
    let bootstrapped = bootstrap(&context, &give_up).await;
    fire_at_shutdown.abort();
    let bootstrapped = bootstrapped.map_err(|why| Stop { why: Box::new(why), seen: context.log.state().next_seq })?;
    let Some(rules) = bootstrapped else { return Ok(()) };
    context.health.set_not_ready(&component(&context), None);
    let (events, receiver) = mpsc::channel(CONTROL_QUEUE);
    let upkeep = tokio::spawn(upkeep(Arc::clone(&context), events.clone()));
    let table = Table { context: Arc::clone(&context), rules, events, receiver, shards: Vec::new(), give_up: GiveUp::new() };
    let outcome = table.run(&shutdown).await;
    upkeep.abort();
    match outcome {
        Err(Stop { why, seen }) => Err(Stop { why: Box::new(examine::complete(&context, *why).await), seen }),
        Ok(()) => Ok(()),
    }
}

/// Name of the table in health reports.
pub fn component(context: &TableContext) -> String {
    format!("lake-writer/{}", context.name())
}

fn fire_on(shutdown: Shutdown, give_up: GiveUp) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        shutdown.triggered().await;
        give_up.fire();
    })
}

/// Makes sure that the log has its first records. `None`: shutdown was asked for.
async fn bootstrap(context: &TableContext, give_up: &GiveUp) -> Result<Option<Arc<TableRules>>, StoppedTable> {
    let ensured = context.persist("begin the log", give_up, || bootstrap::ensure_table(context, give_up)).await?;
    if ensured.is_none() {
        return Ok(None);
    }
    loop {
        let declared = context.persist("declare sources", give_up, || bootstrap::declare(context, give_up)).await?;
        let Some(waiting) = declared.transpose()? else { return Ok(None) };
        let examined = context.persist("compare log and cluster", give_up, || examine::at_start(context)).await?;
        match examined {
            None => return Ok(None),
            Some(Some(stop)) => return Err(stop),
            Some(None) => {}
        }
        let state = context.log.state();
        if state.sources().any(|(_, _, source)| !source.ended) {
            let rules = TableRules::from_state(&context.table.table, &state);
            let misconfigured =
                |error: WriterError| StoppedTable::Misconfigured { table: context.name().to_owned(), detail: error.to_string() };
            return Ok(Some(Arc::new(rules.map_err(misconfigured)?)));
        }
        let why = match waiting.as_slice() {
            [] => "all its sources are retired".to_owned(),
            waiting => format!("waiting for topics {waiting:?} to exist"),
        };
        context.health.set_not_ready(&component(context), Some(why));
        if give_up.wait(TOPIC_PAUSE).await {
            return Ok(None);
        }
    }
}

struct ShardHandle {
    number: u32,
    control: std_mpsc::SyncSender<Control>,
}

struct Table {
    context: Arc<TableContext>,
    rules: Arc<TableRules>,
    events: mpsc::Sender<TableEvent>,
    receiver: mpsc::Receiver<TableEvent>,
    shards: Vec<ShardHandle>,
    give_up: GiveUp,
}

impl Table {
    async fn run(mut self, shutdown: &Shutdown) -> Result<(), Stop> {
        for number in 0..self.context.settings.shards {
            if let Err(why) = self.start_shard(number) {
                return Err(self.stop(why).await);
            }
        }
        let mut backoff = Backoff::new(self.context.seed("restart shard"));
        loop {
            let event = tokio::select! {
                () = shutdown.triggered() => {
                    let timeout = self.context.settings.shutdown_timeout;
                    let seen = self.context.log.state().next_seq;
                    let drained = self.drain(timeout.saturating_sub(CLOSE_TIME).max(timeout / 2)).await;
                    return drained.map_or(Ok(()), |why| Err(Stop { why: Box::new(why), seen }));
                }
                event = self.receiver.recv() => event.expect("the table holds a sender"),
            };
            match event {
                TableEvent::FlushSeen => self.shards.iter().for_each(|shard| send(shard, Control::Flush)),
                TableEvent::Stopped(why) => return Err(self.stop(why).await),
                TableEvent::ShardEnded(number, end) => {
                    self.shards.retain(|shard| shard.number != number);
                    let handled = tokio::select! {
                        handled = self.shard_ended(number, end, &mut backoff) => handled,
                        () = shutdown.triggered() => Ok(()),
                    };
                    if let Err(why) = handled {
                        return Err(self.stop(why).await);
                    }
                }
            }
        }
    }

    /// Drains what may be committed all the same.
    async fn stop(&mut self, why: StoppedTable) -> Stop {
        let seen = self.context.log.state().next_seq;
        self.drain(STOP_DRAIN).await;
        Stop { why: Box::new(why), seen }
    }

    async fn shard_ended(&mut self, number: u32, end: ShardEnd, backoff: &mut Backoff) -> Result<(), StoppedTable> {
        let detail = match end {
            ShardEnd::Stopped(stop) => return Err(stop),
            ShardEnd::Drained => return Ok(()),
            ShardEnd::Restart(detail) => detail,
        };
        let wait = backoff.next_wait();
        tracing::error!(table = self.context.name(), shard = number, detail, ?wait, "shard ended and is started again");
        tokio::time::sleep(wait).await;
        let rules = TableRules::from_state(&self.context.table.table, &self.context.log.state());
        let table = self.context.name().to_owned();
        self.rules = Arc::new(rules.map_err(|error| StoppedTable::Misconfigured { table, detail: error.to_string() })?);
        self.start_shard(number)
    }

    fn start_shard(&mut self, number: u32) -> Result<(), StoppedTable> {
        let (sender, control) = std_mpsc::sync_channel(CONTROL_QUEUE);
        let setup = ShardSetup {
            context: Arc::clone(&self.context),
            number,
            runtime: Handle::current(),
            give_up: self.give_up.clone(),
            sender: sender.clone(),
            control,
        };
        let settings = &self.context.settings;
        let queued_bytes = queue_bytes(settings.memory_budget_bytes, settings.consumers());
        let (rules, events, table) = (Arc::clone(&self.rules), self.events.clone(), self.context.name().to_owned());
        let queue = self.context.budget.reserve(queued_bytes);
        let body = move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match Shard::start(setup, rules, queued_bytes) {
                Ok(shard) => shard.run(),
                Err(error @ KafkaIoError::Unavailable { .. }) => ShardEnd::Restart(error.to_string()),
                Err(error) => ShardEnd::Stopped(StoppedTable::Misconfigured { table: table.clone(), detail: error.to_string() }),
            }));
            let panicked = |_| ShardEnd::Stopped(StoppedTable::Bug { table, detail: "a shard panicked".to_owned() });
            drop(queue);
            // Fails only when the table has ended, which then does not care.
            let _ = events.blocking_send(TableEvent::ShardEnded(number, outcome.unwrap_or_else(panicked)));
        };
        let name = format!("{}-{number}", self.context.name());
        std::thread::Builder::new()
            .name(name)
            .spawn(body)
            .map_err(|error| StoppedTable::Bug { table: self.context.name().to_owned(), detail: format!("start a thread: {error}") })?;
        self.shards.push(ShardHandle { number, control: sender });
        Ok(())
    }

    /// Drains all shards and waits for them. Returns the first stop among their ends.
    async fn drain(&mut self, time: Duration) -> Option<StoppedTable> {
        let deadline = Instant::now() + time;
        let give_up = self.give_up.clone();
        let firing = tokio::spawn(async move {
            tokio::time::sleep_until(deadline).await;
            give_up.fire();
        });
        self.shards.iter().for_each(|shard| send(shard, Control::Drain(deadline)));
        let mut first = None;
        while !self.shards.is_empty() {
            let Ok(event) = tokio::time::timeout_at(deadline + CLOSE_TIME, self.receiver.recv()).await else {
                tracing::error!(table = self.context.name(), shards = self.shards.len(), "shards did not end in time and are left");
                break;
            };
            if let Some(TableEvent::ShardEnded(number, end)) = event {
                self.shards.retain(|shard| shard.number != number);
                if let ShardEnd::Stopped(stop) = end {
                    first.get_or_insert(stop);
                }
            }
        }
        firing.abort();
        first
    }
}

/// Fails only when the shard has ended, or is far behind with messages that say the same.
fn send(shard: &ShardHandle, control: Control) {
    if let Err(error) = shard.control.try_send(control) {
        tracing::debug!(shard = shard.number, %error, "shard takes no messages");
    }
}

/// Every second: fold, publish what others left, look for flush records; now and then: new topics, clocks.
async fn upkeep(context: Arc<TableContext>, events: mpsc::Sender<TableEvent>) {
    let mut flushed: Option<Seq> = context.log.state().flushed();
    let mut clock_trouble = false;
    let mut missing_since = None;
    let mut round: u64 = 0;
    loop {
        tokio::time::sleep(UPKEEP).await;
        round += 1;
        let looked = look(&context, round, &mut missing_since).await;
        let trouble = match looked {
            Ok(()) => None,
            Err(Looked::Trouble(error)) => match StoppedTable::of(context.name(), &error) {
                Some(stop) => Some(stop),
                None => {
                    tracing::warn!(table = context.name(), %error, "upkeep failed and is tried again");
                    None
                }
            },
            Err(Looked::Stop(stop)) => Some(stop),
        };
        if let Some(stop) = trouble {
            // Fails only when the table has ended.
            let _ = events.send(TableEvent::Stopped(stop)).await;
            return;
        }
        let state = context.log.state();
        if state.flushed() > flushed {
            flushed = state.flushed();
            let _ = events.send(TableEvent::FlushSeen).await;
        }
        if let Some(watermark) = state.watermark() {
            context.metrics.watermark_seconds.set(watermark.0 as f64 / 1e6);
        }
        if round % CLOCK_CHECK_EVERY == 1 {
            check_clock(&context, &mut clock_trouble).await;
        }
    }
}

enum Looked {
    Trouble(WriterError),
    Stop(StoppedTable),
}

impl<E: Into<WriterError>> From<E> for Looked {
    fn from(error: E) -> Self {
        Self::Trouble(error.into())
    }
}

/// `missing_since`: since when a declared topic has not been there.
async fn look(context: &TableContext, round: u64, missing_since: &mut Option<Instant>) -> Result<(), Looked> {
    context.log.refresh().await?;
    context.log.help().await?;
    if !round.is_multiple_of(DECLARE_EVERY) {
        return Ok(());
    }
    let ends = context.ends.seen();
    let waiting = bootstrap::declare(context, &GiveUp::new()).await?.map_err(Looked::Stop)?;
    context.ends.confirm(ends);
    let state = context.log.state();
    let missing = waiting.iter().find_map(|topic| Some(identity::gone(context.name(), topic, state.current_source(topic)?.1)));
    match missing {
        None => *missing_since = None,
        Some(gone) if missing_since.get_or_insert_with(Instant::now).elapsed() >= TOPIC_GONE_AFTER => return Err(Looked::Stop(gone)),
        Some(_) => {}
    }
    Ok(())
}

/// A process whose clock is off the store's is not ready and makes no idle reports.
async fn check_clock(context: &TableContext, trouble: &mut bool) {
    let component = format!("{}/clock", component(context));
    match context.log.clock_check().await {
        Ok(()) => {
            context.clock_agrees.store(true, Ordering::Relaxed);
            context.health.set_not_ready(&component, None);
            *trouble = false;
        }
        Err(error @ TableLogError::ClockSkew { .. }) => {
            context.clock_agrees.store(false, Ordering::Relaxed);
            context.health.set_not_ready(&component, Some(error.to_string()));
            if !std::mem::replace(trouble, true) {
                tracing::error!(table = context.name(), %error, "not ready until the clocks agree");
            }
        }
        Err(error) => tracing::warn!(table = context.name(), %error, "clock could not be checked"),
    }
}
