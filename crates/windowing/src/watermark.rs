use crate::planted::fast_clocks_count;
use crate::{Micros, Time};

/// The watermark that a batch of records from one kafka_partition brings: tracks the highest of
/// min(event time, Kafka timestamp, writer's clock) seen, minus `out_of_orderness`.
///
/// The minimum keeps fast device clocks from moving it: no row is younger than its arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionWatermark {
    out_of_orderness: Micros,
    idle_timeout: Option<Micros>,
    current: Watermark,
}

/// `None` is minus infinity (and so sorts before every time).
pub type Watermark = Option<Time>;

impl PartitionWatermark {
    /// Starts from what the log holds.
    pub fn new(out_of_orderness: Micros, idle_timeout: Option<Micros>, current: Watermark) -> Self {
        Self { out_of_orderness, idle_timeout, current }
    }

    /// A taken row.
    pub fn observe(&mut self, event_time: Time, kafka_timestamp: Time, clock: Time) {
        let seen = if fast_clocks_count() { event_time } else { event_time.min(kafka_timestamp).min(clock) };
        self.raise(seen - self.out_of_orderness);
    }

    /// A refused or skipped record: counts with min(Kafka timestamp, clock) - idle_timeout - out_of_orderness.
    /// No effect with `idle_timeout: none`, which is an endless timeout (replays of old data).
    pub fn observe_refused(&mut self, kafka_timestamp: Time, clock: Time) {
        if let Some(idle_timeout) = self.idle_timeout {
            self.raise(kafka_timestamp.min(clock) - idle_timeout - self.out_of_orderness);
        }
    }

    /// The kafka_partition was idle: clock - idle_timeout - out_of_orderness. No effect with `idle_timeout: none`.
    pub fn observe_idle(&mut self, clock: Time) {
        if let Some(idle_timeout) = self.idle_timeout {
            self.raise(clock - idle_timeout - self.out_of_orderness);
        }
    }

    /// The watermark now; never goes back.
    pub fn current(&self) -> Watermark {
        self.current
    }

    fn raise(&mut self, to: Time) {
        self.current = self.current.max(Some(to));
    }
}

/// The table's watermark: the minimum over the counting kafka_partitions; `previous` when there are none; never below `previous`.
pub fn table_watermark(previous: Watermark, counting: impl Iterator<Item = Watermark>) -> Watermark {
    counting.min().map_or(previous, |lowest| lowest.max(previous))
}

/// Windows that end at the answer or before are closed: the highest of watermark - `allowed_lateness` so far, the lateness being the one in
/// force when the watermark was there. Never below `previous`: closed is for good, whatever new settings say. `None`: no window is closed.
pub fn closed_through(previous: Option<Time>, watermark: Watermark, allowed_lateness: Micros) -> Option<Time> {
    previous.max(watermark.map(|watermark| watermark - allowed_lateness))
}
