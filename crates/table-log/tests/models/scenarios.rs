//! The exhaustive models. Each is as small as its question allows, and names what must have happened for it to count.
use crate::check::{actor, declared, holds, record};
use crate::log::preset;
use crate::offer::{Folder, StagedFile, Taken, What};
use crate::scenario::{Actor, Role, Row, Scenario, Step, row};
use std::sync::Arc;

/// Two writers take the same kafka_partitions, one of them with two proposals behind each other; replies get lost, creates land late or never.
pub fn two_writers() -> Scenario {
    let takes = vec![vec![(0, 1)], vec![(0, 2)], vec![(0, 1), (1, 1)]];
    let writer = |offers, faults, pipeline| Actor { role: Role::Writer { takes: takes.clone(), idle: vec![] }, offers, faults, pipeline };
    Scenario {
        name: "two writers",
        rows: vec![vec![row(0), row(0), row(0)], vec![Row { refused: true, ..row(0) }]],
        windows: 1,
        values: 1,
        actors: vec![writer(3, 1, 2), writer(2, 1, 1), actor(Role::Person { steps: vec![Step::Gap(0)] }, 1, 0)],
        preset: declared(0, 2),
        must_happen: &[
            "fenced: discontinuous",
            "landed after its process was gone",
            "lost reply found to be ours",
            "lost the slot",
            "walked away",
        ],
        ..Scenario::default()
    }
}

/// A window closes while its rows are under way: pipelined commits, an idle report by another owner, a sealer, a reader of the catalog.
pub fn late_rows() -> Scenario {
    let writer = |takes, idle, offers, faults, pipeline| Actor { role: Role::Writer { takes, idle }, offers, faults, pipeline };
    Scenario {
        name: "late rows",
        rows: vec![vec![row(0), row(1), row(0)], vec![row(1), Row { value: 1, ..row(0) }]],
        windows: 2,
        values: 2,
        actors: vec![
            writer(vec![vec![(0, 1)], vec![(0, 2)]], vec![], 3, 1, 2),
            writer(vec![vec![(1, 1)]], vec![(0, 1)], 2, 0, 1),
            actor(Role::Sealer { seals: true, vacuums: false }, 2, 0),
            actor(Role::Registrar, 0, 0),
        ],
        preset: declared(0, 2),
        must_happen: &["fenced: window closed"],
        ..Scenario::default()
    }
}

/// A closed window with an open and a late file, whose rows have one key.
fn closed_window() -> Vec<Arc<crate::offer::Offer>> {
    let mut records = declared(0, 1);
    let taken = |start, end, watermark| What::Append {
        taken: vec![Taken { kafka_partition: 0, generation: 1, start, end, quarantined: 0, watermark: Some(watermark) }],
    };
    let file = |folder, rows, staged_on| StagedFile { window: 0, value: 0, folder, rows, staged_on };
    records.push(record(2, taken(0, 1, 0), vec![file(Folder::Open, 1, 1)]));
    records.push(record(3, taken(1, 1, 1), vec![]));
    records.push(record(4, taken(1, 2, 1), vec![file(Folder::Late, 2, 3)]));
    records
}

fn equal_rows(count: usize) -> Vec<Vec<Row>> {
    vec![vec![Row { key: 1, ..row(0) }; count]]
}

/// Two sealers make revisions of one window, each with lost replies of its own, while late rows still come.
pub fn two_sealers() -> Scenario {
    let sealer = |offers, faults| actor(Role::Sealer { seals: true, vacuums: false }, offers, faults);
    Scenario {
        name: "two sealers",
        rows: equal_rows(4),
        windows: 1,
        values: 1,
        actors: vec![sealer(3, 1), sealer(2, 1), actor(Role::Writer { takes: vec![vec![(0, 1)]], idle: vec![] }, 2, 1)],
        preset: closed_window(),
        must_happen: &["already done", "stale: revision", "lost reply found to be ours", "lost the slot", "duplicates dropped"],
        ..Scenario::default()
    }
}

/// A sweeper among a writer and a sealer whose creates are unanswered, land late, or are given up.
pub fn sweeping() -> Scenario {
    Scenario {
        name: "sweeping",
        rows: vec![vec![row(0), row(1), row(1)]],
        windows: 2,
        values: 1,
        actors: vec![
            Actor { role: Role::Writer { takes: vec![vec![(0, 1)], vec![(0, 2)]], idle: vec![] }, offers: 3, faults: 1, pipeline: 2 },
            actor(Role::Sealer { seals: true, vacuums: false }, 1, 0),
            actor(Role::Sweeper, 1, 2),
        ],
        preset: declared(0, 1),
        publish_in_any_order: true,
        names_published: true,
        must_happen: &["fenced: swept", "swept", "landed after its process was gone", "crashed with an unknown outcome"],
        ..Scenario::default()
    }
}

/// A window that has revision 1 and a late file.
fn sealed_window() -> Vec<Arc<crate::offer::Offer>> {
    let mut records = closed_window();
    let file = |folder, rows| StagedFile { window: 0, value: 0, folder, rows, staged_on: 0 };
    let seal = What::Seal { window: 0, revision: 1, through: 4, values: vec![0], dropped: 2 };
    records.push(record(5, seal, vec![file(Folder::Revision(1), 1), file(Folder::Duplicates, 2)]));
    let taken = Taken { kafka_partition: 0, generation: 1, start: 2, end: 3, quarantined: 0, watermark: Some(1) };
    records.push(record(6, What::Append { taken: vec![taken] }, vec![file(Folder::Late, 4)]));
    records
}

/// Vacuum behind a registrar, with zombies that publish, a sealer that reads, and an overlapping registrar's late update.
pub fn vacuuming() -> Scenario {
    Scenario {
        name: "vacuuming",
        rows: equal_rows(3),
        windows: 1,
        values: 1,
        actors: vec![
            actor(Role::Sealer { seals: true, vacuums: true }, 3, 1),
            actor(Role::Sealer { seals: false, vacuums: true }, 1, 0),
            actor(Role::Registrar, 2, 1),
        ],
        preset: sealed_window(),
        publish_in_any_order: true,
        names_published: true,
        drifts: 1,
        must_happen: &["vacuumed", "catalog set back", "drift healed", "already done", "stale: revision"],
        ..Scenario::default()
    }
}

/// Registrars overlap, the older one's catalog update and comparison come late, and a vacuum follows.
pub fn registrars() -> Scenario {
    Scenario {
        name: "registrars",
        rows: equal_rows(3),
        windows: 1,
        values: 1,
        actors: vec![actor(Role::Registrar, 2, 1), actor(Role::Registrar, 2, 1), actor(Role::Sealer { seals: false, vacuums: true }, 1, 0)],
        preset: sealed_window(),
        publish_in_any_order: true,
        names_published: true,
        drifts: 1,
        must_happen: &["vacuumed", "catalog set back", "drift healed", "fenced: old register"],
        ..Scenario::default()
    }
}

/// Settings change under a writer and a sealer: less lateness closes windows at once, more never opens one again.
pub fn settings() -> Scenario {
    Scenario {
        name: "settings",
        rows: vec![vec![row(0), row(1), row(0)]],
        windows: 2,
        values: 1,
        actors: vec![
            Actor { role: Role::Writer { takes: vec![vec![(0, 1)]], idle: vec![(0, 1)] }, offers: 3, faults: 1, pipeline: 2 },
            actor(Role::Person { steps: vec![Step::Lateness(0), Step::Lateness(2)] }, 2, 1),
            actor(Role::Sealer { seals: true, vacuums: false }, 1, 0),
            actor(Role::Registrar, 0, 0),
        ],
        preset: declared(2, 1),
        must_happen: &["fenced: window closed"],
        ..Scenario::default()
    }
}

/// The topic is made anew (`repair restart`) under two writers, and kafka_partitions are added.
pub fn restart() -> Scenario {
    let writer = |offers, faults, pipeline, takes| Actor { role: Role::Writer { takes, idle: vec![] }, offers, faults, pipeline };
    Scenario {
        name: "restart",
        rows: vec![vec![row(0), row(1)], vec![row(1)]],
        windows: 2,
        values: 1,
        actors: vec![
            writer(3, 1, 2, vec![vec![(0, 1)], vec![(0, 1), (1, 1)]]),
            writer(2, 0, 1, vec![vec![(0, 1)], vec![(1, 1)]]),
            actor(Role::Person { steps: vec![Step::Declare(vec![1]), Step::Restart] }, 2, 1),
        ],
        preset: declared(0, 1),
        must_happen: &["fenced: source ended", "lost the slot"],
        ..Scenario::default()
    }
}

/// Two derivers over a source table whose windows get revisions one after the other.
pub fn derives() -> Scenario {
    let mut scenario = Scenario { name: "derives", rows: vec![vec![row(0); 4]], windows: 2, values: 1, ..Scenario::default() };
    scenario.upstream = Some(source_table(&scenario));
    scenario.windows = 1;
    scenario.actors = vec![actor(Role::Deriver, 3, 1), actor(Role::Deriver, 2, 1)];
    scenario.preset = vec![record(0, What::Table { version: 1, lateness: 0 }, vec![])];
    scenario.publish_in_any_order = true;
    scenario.must_happen = &["already done", "stale: revision", "lost the slot", "lost reply found to be ours"];
    scenario
}

/// A source table in which the windows 0 and 1 close empty or not, and window 0 is sealed and amended twice.
fn source_table(scenario: &Scenario) -> Arc<crate::log::Log> {
    let mut records = closed_window();
    let append = |start, end, watermark| What::Append {
        taken: vec![Taken { kafka_partition: 0, generation: 1, start, end, quarantined: 0, watermark: Some(watermark) }],
    };
    let revision = |number| Folder::Revision(number);
    let file = |folder, rows, staged_on| StagedFile { window: 0, value: 0, folder, rows, staged_on };
    let seal = |revision, through| What::Seal { window: 0, revision, through, values: vec![0], dropped: 0 };
    records.push(record(5, seal(1, 4), vec![file(revision(1), 3, 4)]));
    records.push(record(6, append(2, 2, 2), vec![]));
    records.push(record(7, append(2, 3, 2), vec![file(Folder::Late, 4, 6)]));
    records.push(record(8, seal(2, 7), vec![file(revision(2), 7, 7)]));
    records.push(record(9, append(3, 4, 2), vec![file(Folder::Late, 8, 8)]));
    records.push(record(10, seal(3, 9), vec![file(revision(3), 15, 9)]));
    preset(scenario, &records)
}

macro_rules! model {
    ($($name:ident),*) => {
        $(mod $name {
            #[test]
            fn holds() {
                super::holds(super::$name());
            }
        })*
    };
}
model!(two_writers, late_rows, two_sealers, sweeping, vacuuming, registrars, settings, restart, derives);
