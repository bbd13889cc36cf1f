//! A writer: takes records from where its fold and its own earlier proposals end, gives each row its folder, reports idleness.
//! Any writer may take any kafka_partition at any time, which is more than a consumer group allows.
use crate::offer::{Folder, Rows, StagedFile, TICK_MICROS, Taken, What, tick};
use crate::world::{Choice, Lake, World};
use std::collections::BTreeMap;
use table_log::planted::{Bug, is_planted};
use windowing::Watermark;

/// Where a writer stands in a kafka_partition.
struct Position {
    generation: u8,
    next: u8,
    watermark: Watermark,
}

impl Lake {
    /// What a writer may do now.
    pub fn writer_choices(&self, world: &World, process: usize, takes: &[Vec<(u8, u8)>], idle: &[(u8, u8)]) -> Vec<Choice> {
        let ready = |kafka_partition: u8, count: u8| {
            let position = self.position(world, process, kafka_partition);
            position.is_some_and(|position| usize::from(position.next + count) <= self.scenario.rows[usize::from(kafka_partition)].len())
        };
        let later = |kafka_partition: u8, to: u8| {
            let position = self.position(world, process, kafka_partition);
            position.is_some_and(|position| position.watermark < Some(tick(to)))
        };
        let takes = takes.iter().filter(|take| take.iter().all(|(p, count)| ready(*p, *count))).map(|take| Choice::Take(take.clone()));
        takes.chain(idle.iter().filter(|(p, to)| later(*p, *to)).map(|(p, to)| Choice::Idle(*p, *to))).collect()
    }

    fn position(&self, world: &World, process: usize, kafka_partition: u8) -> Option<Position> {
        let me = &world.processes[process];
        let view = world.log.view(me.fold);
        let mut position = Position {
            generation: view.generation,
            next: view.next[usize::from(kafka_partition)]?,
            watermark: view.partition_watermarks[usize::from(kafka_partition)].filter(|_| !is_planted(Bug::WatermarkBackOnReassignment)),
        };
        for offer in &me.queue {
            let What::Append { taken } = &offer.what else { continue };
            for range in taken {
                if range.generation != position.generation {
                    return None;
                }
                if range.kafka_partition == kafka_partition {
                    position.next = range.end;
                    position.watermark = position.watermark.max(range.watermark.map(tick));
                }
            }
        }
        Some(position)
    }

    /// The proposal for one batch.
    pub fn take(&self, world: &World, process: usize, take: &[(u8, u8)]) -> (What, Vec<StagedFile>) {
        let me = &world.processes[process];
        let staged_on = self.staged_on(me.fold);
        let mut files: BTreeMap<(u8, Folder, u8), Rows> = BTreeMap::new();
        let mut taken = vec![];
        for (kafka_partition, count) in take {
            let position = self.position(world, process, *kafka_partition).expect("the choice was made on the same state");
            let (start, end) = (position.next, position.next + count);
            let mut watermark = position.watermark;
            let mut quarantined = 0;
            for offset in start..end {
                let row = self.scenario.rows[usize::from(*kafka_partition)][usize::from(offset)];
                let bit = 1 << self.scenario.bit(position.generation, *kafka_partition, offset);
                if row.refused {
                    quarantined += 1;
                    *files.entry((0, Folder::Quarantine, 0)).or_default() |= bit;
                    continue;
                }
                let late = self.is_late(world, process, row.tick, position.watermark);
                let folder = if late && !is_planted(Bug::LateRowIntoOpen) { Folder::Late } else { Folder::Open };
                *files.entry((row.tick, folder, row.value)).or_default() |= bit;
                watermark = watermark.max(Some(tick(row.tick)));
            }
            let watermark = watermark.map(|time| (time.0 / TICK_MICROS) as u8);
            taken.push(Taken { kafka_partition: *kafka_partition, generation: position.generation, start, end, quarantined, watermark });
        }
        let (quarantine, data): (Vec<_>, Vec<_>) = files.into_iter().partition(|((_, folder, _), _)| *folder == Folder::Quarantine);
        let staged = |((window, folder, value), rows)| StagedFile { window, value, folder, rows, staged_on };
        (What::Append { taken }, data.into_iter().chain(quarantine).map(staged).collect())
    }

    /// The proposal of an idle report: an empty range with a watermark.
    pub fn report_idle(&self, world: &World, process: usize, (kafka_partition, to): (u8, u8)) -> (What, Vec<StagedFile>) {
        let position = self.position(world, process, kafka_partition).expect("the choice was made on the same state");
        let (start, end) = (position.next, position.next);
        let taken = Taken { kafka_partition, generation: position.generation, start, end, quarantined: 0, watermark: Some(to) };
        (What::Append { taken: vec![taken] }, vec![])
    }

    /// Behind, in the writer's fold plus its own earlier proposals.
    fn is_late(&self, world: &World, process: usize, window: u8, watermark: Watermark) -> bool {
        let fold = world.processes[process].fold;
        let closed = world.log.view(fold).closed[usize::from(window)];
        closed || watermark >= Some(tick(window + 1 + world.lateness(fold)))
    }
}
