//! Which offsets a shard has taken, per kafka_partition. Pure: decides continuity, counts, and what a commit says of them.
use std::time::Duration;
use table_log::{Offset, OffsetRange, SourcePartition, record::AppendRange};
use windowing::{PartitionWatermark, Time};

/// What an arriving offset means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Below the expected offset: seen before (a rebalance delivers some records twice). Dropped silently.
    Duplicate,
    /// The expected offset.
    Next,
    /// Offsets `[expected, found)` were not delivered: absent, unless Kafka's first offset lies beyond `expected`, then lost.
    Gap {
        /// Offsets not delivered.
        missing: u64,
    },
}

/// How taken offsets ended: `end - start = rows + quarantined + skipped + absent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Became rows.
    pub rows: u64,
    /// Went to quarantine.
    pub quarantined: u64,
    /// Left out by a setting.
    pub skipped: u64,
    /// Never delivered by Kafka.
    pub absent: u64,
}

impl Counts {
    /// Sum of all four.
    pub fn total(&self) -> u64 {
        self.rows + self.quarantined + self.skipped + self.absent
    }

    /// Adds another count.
    pub fn add(&mut self, other: &Counts) {
        self.rows += other.rows;
        self.quarantined += other.quarantined;
        self.skipped += other.skipped;
        self.absent += other.absent;
    }
}

/// Where a kafka_partition starts after it was assigned, from the log.
#[derive(Clone, Debug)]
pub struct Start {
    /// Identity with the current generation.
    pub source: SourcePartition,
    /// A `.refused` topic.
    pub refused: bool,
    /// The log's next offset.
    pub next_offset: Offset,
    /// The log's leader epoch.
    pub leader_epoch: Option<i32>,
    /// Starts from the log's watermark.
    pub watermark: PartitionWatermark,
}

/// Progress of one owned kafka_partition. Offsets `[start, next)` are taken and not yet proposed.
#[derive(Clone, Debug)]
pub struct PartitionProgress {
    /// Identity.
    pub source: SourcePartition,
    /// A `.refused` topic: every record goes to quarantine and it does not count for the watermark.
    pub refused: bool,
    /// Watermark of what was taken, proposed or not.
    pub watermark: PartitionWatermark,
    start: Offset,
    next: Offset,
    counts: Counts,
    leader_epoch: Option<i32>,
    quiet: Quiet,
    position: PositionTrust,
    idle_report: bool,
    awaits_schema: Option<u32>,
}

/// Since when a kafka_partition has been quiet, in the shard's monotonic time.
#[derive(Clone, Copy, Debug, Default)]
struct Quiet {
    since: Option<Duration>,
    reported_at: Option<Duration>,
}

/// Whether the client's position can be believed: it may be left from before a new assignment, and any error moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PositionTrust {
    /// Assigned at this time; nothing seen yet.
    Fresh { assigned_at: Duration },
    /// A record was delivered, or the position was seen at the start, since the assignment.
    Trusted,
    /// An error came: not before the next assignment.
    Stalled,
}

/// A stop of the old fetch is local to the client and takes milliseconds; after this a position belongs to the new assignment.
const POSITION_SETTLES: Duration = Duration::from_secs(10);

impl PartitionProgress {
    /// Progress from the log's position; `now` is the shard's monotonic time.
    pub fn new(start: Start, now: Duration) -> Self {
        Self {
            source: start.source,
            refused: start.refused,
            watermark: start.watermark,
            start: start.next_offset,
            next: start.next_offset,
            counts: Counts::default(),
            leader_epoch: start.leader_epoch,
            quiet: Quiet::default(),
            position: PositionTrust::Fresh { assigned_at: now },
            idle_report: false,
            awaits_schema: None,
        }
    }

    /// First offset not yet taken.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Leader epoch of the last record taken.
    pub fn leader_epoch(&self) -> Option<i32> {
        self.leader_epoch
    }

    /// Decides what an arriving offset means.
    pub fn step(&self, offset: i64) -> Step {
        match offset - self.next.0 {
            0 => Step::Next,
            ahead if ahead > 0 => Step::Gap { missing: ahead as u64 },
            _ => Step::Duplicate,
        }
    }

    /// Counts the offsets up to `offset` as absent.
    pub fn skip_absent(&mut self, offset: i64) {
        debug_assert!(offset >= self.next.0, "absent offsets go forward");
        self.counts.absent += (offset - self.next.0) as u64;
        self.next = Offset(offset);
    }

    /// Takes the record at `next`; its kind is counted by one of the `count_` calls.
    pub fn take(&mut self, leader_epoch: Option<i32>) {
        self.next = Offset(self.next.0 + 1);
        if leader_epoch.is_some() {
            self.leader_epoch = leader_epoch;
        }
        self.position = PositionTrust::Trusted;
        self.quiet.since = None;
    }

    /// The record at `next` waits for the schema with an id: nothing is taken before it was assigned again.
    pub fn await_schema(&mut self, schema_id: u32) {
        self.awaits_schema = Some(schema_id);
        // Kafka has delivered what comes after it, so the client's position is no tail.
        self.stall();
    }

    /// Id of the schema that the record at `next` waits for.
    pub fn awaits_schema(&self) -> Option<u32> {
        self.awaits_schema
    }

    /// The record became a row.
    pub fn count_row(&mut self) {
        self.counts.rows += 1;
    }

    /// The record is refused.
    pub fn count_quarantined(&mut self) {
        self.counts.quarantined += 1;
    }

    /// The record is left out.
    pub fn count_skipped(&mut self) {
        self.counts.skipped += 1;
    }

    /// Whether there is something to propose.
    pub fn is_pending(&self) -> bool {
        self.next > self.start || self.idle_report
    }

    /// An error came for the kafka_partition: its position says nothing until it is assigned again.
    pub fn stall(&mut self) {
        self.position = PositionTrust::Stalled;
        self.quiet = Quiet::default();
    }

    /// It was assigned again at `next`.
    pub fn restarted(&mut self, now: Duration) {
        self.awaits_schema = None;
        self.position = PositionTrust::Fresh { assigned_at: now };
        self.quiet = Quiet::default();
    }

    /// The client's position up to which the tail holds nothing that will be delivered; `None`: not known, or nothing after `next`.
    /// Call it only when all that the client handed out has been taken.
    pub fn tail(&mut self, position: Option<i64>, now: Duration) -> Option<i64> {
        match (self.position, position) {
            (PositionTrust::Fresh { .. }, Some(position)) if position <= self.next.0 => {
                self.position = PositionTrust::Trusted;
                None
            }
            (PositionTrust::Fresh { assigned_at }, Some(_)) if now.saturating_sub(assigned_at) < POSITION_SETTLES => None,
            (PositionTrust::Stalled, _) | (_, None) => None,
            (_, Some(position)) => (position > self.next.0).then_some(position),
        }
    }

    /// Notes whether the kafka_partition stands at its log end with nothing taken since the last look.
    pub fn observe_quiet(&mut self, at_log_end: bool, now: Duration) {
        if at_log_end && self.position != PositionTrust::Stalled {
            self.quiet.since.get_or_insert(now);
        } else {
            self.quiet = Quiet::default();
        }
    }

    /// Whether it has been quiet for `idle_timeout`.
    pub fn is_idle(&self, idle_timeout: Duration, now: Duration) -> bool {
        !self.refused && self.quiet.since.is_some_and(|since| now.saturating_sub(since) >= idle_timeout)
    }

    /// Whether an idle report is due: idle, and the last one is `idle_timeout` ago.
    pub fn idle_report_due(&self, idle_timeout: Duration, now: Duration) -> bool {
        self.is_idle(idle_timeout, now) && self.quiet.reported_at.is_none_or(|at| now.saturating_sub(at) >= idle_timeout)
    }

    /// Makes the next proposal carry an idle report with the watermark of the idle rule.
    pub fn report_idle(&mut self, clock: Time, now: Duration) {
        self.watermark.observe_idle(clock);
        self.quiet.reported_at = Some(now);
        self.idle_report = true;
    }

    /// Cuts off what a proposal says; the next one builds on it.
    pub fn cut(&mut self) -> Option<(AppendRange, Counts)> {
        if !self.is_pending() {
            return None;
        }
        let counts = std::mem::take(&mut self.counts);
        let range = AppendRange {
            source: self.source.clone(),
            range: OffsetRange { start: self.start, end: self.next },
            rows: counts.rows,
            quarantined: counts.quarantined,
            skipped: counts.skipped,
            absent: counts.absent,
            watermark: self.watermark.current(),
            leader_epoch: self.leader_epoch,
        };
        self.start = self.next;
        self.idle_report = false;
        Some((range, counts))
    }
}

/// The kafka_partitions that a shard owns, by topic and number.
#[derive(Debug, Default)]
pub struct Owned {
    partitions: Vec<PartitionProgress>,
    hint: usize,
}

impl Owned {
    /// Index of a kafka_partition; records of one come in runs, so the last answer is tried first.
    pub fn find(&mut self, topic: &str, kafka_partition: i32) -> Option<usize> {
        let is = |p: &PartitionProgress| p.source.kafka_partition.0 == kafka_partition && p.source.topic == topic;
        if self.partitions.get(self.hint).is_some_and(is) {
            return Some(self.hint);
        }
        let found = self.search(topic, kafka_partition).ok();
        self.hint = found.unwrap_or(self.hint);
        found
    }

    fn search(&self, topic: &str, kafka_partition: i32) -> Result<usize, usize> {
        self.partitions.binary_search_by(|p| (p.source.topic.as_str(), p.source.kafka_partition.0).cmp(&(topic, kafka_partition)))
    }

    /// By index.
    pub fn at(&mut self, index: usize) -> &mut PartitionProgress {
        &mut self.partitions[index]
    }

    /// Adds or replaces.
    pub fn insert(&mut self, progress: PartitionProgress) {
        match self.search(&progress.source.topic, progress.source.kafka_partition.0) {
            Ok(index) => self.partitions[index] = progress,
            Err(index) => self.partitions.insert(index, progress),
        }
    }

    /// Gives up one.
    pub fn remove(&mut self, topic: &str, kafka_partition: i32) -> Option<PartitionProgress> {
        self.search(topic, kafka_partition).ok().map(|index| self.partitions.remove(index))
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &PartitionProgress> {
        self.partitions.iter()
    }

    /// All, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut PartitionProgress> {
        self.partitions.iter_mut()
    }

    /// Gives up all.
    pub fn take_all(&mut self) -> Vec<PartitionProgress> {
        std::mem::take(&mut self.partitions)
    }

    /// Whether anything can be proposed.
    pub fn is_pending(&self) -> bool {
        self.partitions.iter().any(PartitionProgress::is_pending)
    }

    /// Cuts off what a proposal says of each.
    pub fn cut(&mut self) -> Vec<AppendRange> {
        self.partitions.iter_mut().filter_map(|p| p.cut().map(|(range, _)| range)).collect()
    }
}

#[cfg(test)]
mod tests;
