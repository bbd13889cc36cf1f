//! Gives each row of a batch its lake partition, and decides whether it is late. Pure.
//!
//! A row is late when its window is closed in the fold, or when the watermark of its kafka_partition has passed the window's end plus the
//! allowed lateness. The second rule covers the writer's own earlier proposals, which are not in the fold yet: the table's watermark is
//! never above that of a counting kafka_partition, and the watermark here is at least the proposed one.
use crate::{
    offsets::Owned,
    partition_value::Combinations,
    refuse::{EventTimeLimits, KafkaTimestamp},
    rules::TableRules,
};
use arrow::array::{Array, TimestampMicrosecondArray};
use event_schema::RefusalCode;
use std::collections::HashMap;
use table_log::planted;
use windowing::Time;

/// Rows of a batch: where each came from. All slices have one entry per row.
#[derive(Clone, Copy, Debug)]
pub struct RowSources<'a> {
    /// Index of the kafka_partition in [`Owned`].
    pub partition: &'a [u32],
    /// Kafka's timestamp.
    pub timestamp: &'a [KafkaTimestamp],
    /// The event-time column; `None`: Kafka's timestamp is the event time.
    pub event_time: Option<&'a TimestampMicrosecondArray>,
}

impl RowSources<'_> {
    fn event_time(&self, row: usize) -> Option<Time> {
        match self.event_time {
            Some(column) => column.is_valid(row).then(|| Time(column.value(row))),
            None => self.timestamp[row].time(),
        }
    }
}

/// What decides where rows go.
#[derive(Clone, Copy)]
pub struct Routing<'a> {
    /// The table's rules.
    pub rules: &'a TableRules,
    /// Partition values per row.
    pub combinations: &'a Combinations,
    /// Whether a window is closed in the fold.
    pub is_closed: &'a dyn Fn(Time) -> bool,
    /// The writer's clock.
    pub clock: Time,
}

impl std::fmt::Debug for Routing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routing").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Where rows go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Start of the window.
    pub window_start: Time,
    /// Index into the batch's combinations.
    pub combination: u32,
    /// To `late/`, else to `open/`.
    pub late: bool,
    /// Rows.
    pub rows: u32,
    /// Lowest event time.
    pub event_time_min: Time,
    /// Highest event time.
    pub event_time_max: Time,
}

/// A row that is refused after decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    /// Row in the batch.
    pub row: u32,
    /// Why.
    pub code: RefusalCode,
    /// Its event time, if it has one.
    pub event_time: Option<Time>,
}

/// A batch, routed.
#[derive(Debug, Default)]
pub struct Routed {
    /// Distinct targets, in order of first use.
    pub slots: Vec<Slot>,
    /// Per row the index of its slot; [`Routed::REFUSED`] for a refused one.
    pub slot_of: Vec<u32>,
    /// Refused rows.
    pub refused: Vec<RefusedRow>,
}

impl Routed {
    /// Marks a refused row.
    pub const REFUSED: u32 = u32::MAX;

    /// Rows ordered by slot, each slot's in the order of the batch.
    pub fn rows_by_slot(&self) -> Vec<u32> {
        let mut next: Vec<usize> = Vec::with_capacity(self.slots.len());
        let mut total = 0;
        for slot in &self.slots {
            next.push(total);
            total += slot.rows as usize;
        }
        let mut rows = vec![0; total];
        for (row, &slot) in self.slot_of.iter().enumerate().filter(|(_, slot)| **slot != Self::REFUSED) {
            rows[next[slot as usize]] = row as u32;
            next[slot as usize] += 1;
        }
        rows
    }
}

/// The window of the last row: rows come in runs of one window.
#[derive(Clone, Copy)]
struct WindowNow {
    start: Time,
    end: Time,
    late_from: Time,
    closed: bool,
}

impl WindowNow {
    fn of(time: Time, routing: &Routing<'_>) -> Self {
        let start = routing.rules.window().start_of(time);
        Self {
            start,
            end: routing.rules.window().end_of(start),
            late_from: routing.rules.late_from(start),
            closed: (routing.is_closed)(start),
        }
    }

    fn holds(&self, time: Time) -> bool {
        self.start <= time && time < self.end
    }
}

type SlotKey = (Time, u32, bool);

/// Slots by key, with the last one at hand.
#[derive(Default)]
struct SlotIndex {
    by_key: HashMap<SlotKey, u32>,
    last: Option<(SlotKey, u32)>,
}

impl SlotIndex {
    fn slot(&mut self, key: SlotKey, event_time: Time, slots: &mut Vec<Slot>) -> u32 {
        if let Some((last, slot)) = self.last
            && last == key
        {
            return slot;
        }
        let (window_start, combination, late) = key;
        let slot = *self.by_key.entry(key).or_insert_with(|| {
            let empty = Slot { window_start, combination, late, rows: 0, event_time_min: event_time, event_time_max: event_time };
            slots.push(empty);
            (slots.len() - 1) as u32
        });
        self.last = Some((key, slot));
        slot
    }
}

/// Routes the rows in order, moving the watermark of their kafka_partitions.
pub fn route(rows: RowSources<'_>, routing: Routing<'_>, owned: &mut Owned) -> Routed {
    let settings = &routing.rules.body.settings;
    let limits = EventTimeLimits { max_future: settings.max_future, max_past: settings.max_past };
    let mut routed = Routed { slot_of: Vec::with_capacity(rows.partition.len()), ..Routed::default() };
    let mut index = SlotIndex::default();
    let mut window: Option<WindowNow> = None;
    for row in 0..rows.partition.len() {
        let event_time = rows.event_time(row);
        let reference = rows.timestamp[row].or_clock(routing.clock);
        let watermark = &mut owned.at(rows.partition[row] as usize).watermark;
        let event_time = match check(&limits, event_time, rows.timestamp[row], &routing, row) {
            Ok(event_time) => event_time,
            Err(code) => {
                watermark.observe_refused(reference, routing.clock);
                routed.refused.push(RefusedRow { row: row as u32, code, event_time });
                routed.slot_of.push(Routed::REFUSED);
                continue;
            }
        };
        let now = match window {
            Some(now) if now.holds(event_time) => now,
            _ => *window.insert(WindowNow::of(event_time, &routing)),
        };
        let behind = watermark.current().is_some_and(|watermark| watermark >= now.late_from);
        let late = (now.closed || behind) && !planted::is_planted(planted::Bug::LateRowIntoOpen);
        watermark.observe(event_time, reference, routing.clock);
        let slot = index.slot((now.start, routing.combinations.of(row), late), event_time, &mut routed.slots);
        let entry = &mut routed.slots[slot as usize];
        entry.rows += 1;
        entry.event_time_min = entry.event_time_min.min(event_time);
        entry.event_time_max = entry.event_time_max.max(event_time);
        routed.slot_of.push(slot);
    }
    routed
}

fn check(
    limits: &EventTimeLimits,
    event_time: Option<Time>,
    timestamp: KafkaTimestamp,
    routing: &Routing<'_>,
    row: usize,
) -> Result<Time, RefusalCode> {
    if timestamp == KafkaTimestamp::OutOfRange {
        return Err(RefusalCode::EventTimeRange);
    }
    let event_time = limits.check(event_time, timestamp.or_clock(routing.clock))?;
    let fits = routing.combinations.fits.get(routing.combinations.of(row) as usize).copied().unwrap_or(true);
    if fits { Ok(event_time) } else { Err(RefusalCode::PartitionValueTooLong) }
}

#[cfg(test)]
mod tests;
