// STUB: owner windowing+table-log helper
use crate::{Micros, Time};

/// The watermark that a batch of records from one kafka_partition brings: tracks the highest of
/// min(event time, Kafka timestamp, writer's clock) seen, minus `out_of_orderness`.
#[derive(Clone, Debug)]
pub struct PartitionWatermark {
    out_of_orderness: Micros,
    idle_timeout: Option<Micros>,
    current: Option<Time>,
}

/// `None` is minus infinity.
pub type Watermark = Option<Time>;

impl PartitionWatermark {
    /// Starts from what the log holds.
    pub fn new(out_of_orderness: Micros, idle_timeout: Option<Micros>, current: Watermark) -> Self {
        Self { out_of_orderness, idle_timeout, current }
    }
    /// A taken row.
    pub fn observe(&mut self, event_time: Time, kafka_timestamp: Time, clock: Time) {
        let _ = (event_time, kafka_timestamp, clock);
        todo!()
    }
    /// A refused or skipped record: counts with min(Kafka timestamp, clock) - idle_timeout - out_of_orderness.
    pub fn observe_refused(&mut self, kafka_timestamp: Time, clock: Time) {
        let _ = (kafka_timestamp, clock);
        todo!()
    }
    /// The kafka_partition was idle: clock - idle_timeout - out_of_orderness. No effect with `idle_timeout: none`.
    pub fn observe_idle(&mut self, clock: Time) {
        let _ = (clock, self.idle_timeout, self.out_of_orderness);
        todo!()
    }
    /// The watermark now; never goes back.
    pub fn current(&self) -> Watermark {
        self.current
    }
}

/// The table's watermark: the minimum over the counting kafka_partitions; `previous` when there are none; never below `previous`.
pub fn table_watermark(previous: Watermark, counting: impl Iterator<Item = Watermark>) -> Watermark {
    let _ = counting;
    previous
}
