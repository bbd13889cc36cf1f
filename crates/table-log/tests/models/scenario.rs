//! Who takes part in a model, and how often what may happen.
use crate::log::Log;
use crate::offer::{Offer, Rows};
use std::ops::Range;
use std::sync::Arc;

/// A record of Kafka: event time in ticks (also its window and its Kafka timestamp), value of the partition column, dedupe key.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub tick: u8,
    pub value: u8,
    pub key: u8,
    pub refused: bool,
}

/// A row whose key is its own.
pub fn row(tick: u8) -> Row {
    Row { tick, value: 0, key: u8::MAX, refused: false }
}

/// One step of a person's script.
#[derive(Clone, Debug)]
pub enum Step {
    Lateness(u8),
    Declare(Vec<u8>),
    Restart,
    /// The next record of a kafka_partition is lost.
    Gap(u8),
}

/// What a process does.
#[derive(Clone, Debug)]
pub enum Role {
    /// Takes so many records of such kafka_partitions at once; reports such kafka_partitions idle up to such a tick.
    Writer {
        takes: Vec<Vec<(u8, u8)>>,
        idle: Vec<(u8, u8)>,
    },
    Sealer {
        seals: bool,
        vacuums: bool,
    },
    Sweeper,
    Registrar,
    Person {
        steps: Vec<Step>,
    },
    Deriver,
}

/// A process and its bounds: proposals; crashes and unanswered requests; proposals queued behind each other.
#[derive(Clone, Debug)]
pub struct Actor {
    pub role: Role,
    pub offers: u8,
    pub faults: u8,
    pub pipeline: u8,
}

/// Who takes part, in what.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    pub name: &'static str,
    /// Per kafka_partition; each generation of the topic has the same.
    pub rows: Vec<Vec<Row>>,
    pub windows: u8,
    /// Number of values of the partition column.
    pub values: u8,
    pub actors: Vec<Actor>,
    pub preset: Vec<Arc<Offer>>,
    /// Records publish in any order, or oldest first (a reduction where order cannot matter).
    pub publish_in_any_order: bool,
    /// Whether proposals name the records whose files are in place.
    pub names_published: bool,
    /// How often an overlapping registrar sets the catalog back.
    pub drifts: u8,
    /// Log of the source table of a derived one.
    pub upstream: Option<Arc<Log>>,
    /// What must have happened somewhere, else the model proves less than it says.
    pub must_happen: &'static [&'static str],
}

impl Scenario {
    pub fn partitions(&self) -> u8 {
        self.rows.len() as u8
    }

    /// The bits of a range of offsets.
    pub fn bits(&self, generation: u8, kafka_partition: u8, offsets: Range<u8>) -> Rows {
        offsets.fold(0, |bits, offset| bits | 1 << self.bit(generation, kafka_partition, offset))
    }

    /// The bit of a record of Kafka, in the order in which duplicates are kept.
    pub fn bit(&self, generation: u8, kafka_partition: u8, offset: u8) -> u32 {
        let longest = self.rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
        (u32::from(generation - 1) * u32::from(self.partitions()) + u32::from(kafka_partition)) * longest + u32::from(offset)
    }

    /// The record behind a bit.
    pub fn row_of(&self, bit: u32) -> Row {
        let longest = self.rows.iter().map(Vec::len).max().unwrap_or(1) as u32;
        let kafka_partition = (bit / longest) % u32::from(self.partitions());
        self.rows[kafka_partition as usize][(bit % longest) as usize]
    }

    pub fn has_sweeper(&self) -> bool {
        self.actors.iter().any(|actor| matches!(actor.role, Role::Sweeper))
    }

    pub fn has_registrar(&self) -> bool {
        self.actors.iter().any(|actor| matches!(actor.role, Role::Registrar))
    }
}
