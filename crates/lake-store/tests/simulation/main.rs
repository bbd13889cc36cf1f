//! Seeded simulation of a whole table: writers, sealers, a registrar, a sweeper, changing settings and a reader over a faulty store, with
//! crashes and pauses. After each run an auditor walks the raw records and objects, without the fold of `table-log`.
//!
//! `SIM_SEED=<n>` runs one seed and prints its trace; `SIM_SEEDS=<n>` runs that many from 0 (300 otherwise).
mod actor;
mod auditor;
mod kafka;
#[path = "../lake/mod.rs"]
mod lake;
mod maintenance;
mod reader;
mod run;
mod sealer;
mod sim;
mod writer;

use run::run;

/// Seeds of the environment.
#[cfg(not(feature = "planted-bugs"))]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("`{name}` is a number, not `{text}`")))
}

#[cfg(not(feature = "planted-bugs"))]
#[test]
fn seeds_hold_the_invariants() {
    let seeds: Vec<u64> = match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SIM_SEEDS").unwrap_or(300)).collect(),
    };
    let one = seeds.len() == 1;
    let mut totals = run::Counts::default();
    for seed in seeds {
        let report = run(seed);
        if one {
            report.trace.iter().for_each(|line| println!("{line}"));
        }
        let text: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(text.is_empty(), "replay with SIM_SEED={seed}:\n{}", text.join("\n"));
        totals.add(report.counts);
    }
    println!("{totals:?}");
    assert!(
        one || (totals.crashes > 0 && totals.fenced > 0 && totals.abandoned > 0),
        "the runs were too quiet to show anything: {totals:?}"
    );
}

#[cfg(not(feature = "planted-bugs"))]
#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 17] {
        let (one, two) = (run(seed), run(seed));
        assert!(one.trace.len() > 100, "the trace says too little: {} lines", one.trace.len());
        for (line, (first, second)) in one.trace.iter().zip(&two.trace).enumerate() {
            assert_eq!(first, second, "line {line} of seed {seed}");
        }
        assert_eq!(one.trace.len(), two.trace.len(), "seed {seed}");
    }
}

/// One test, as a planted bug is planted in the whole process.
#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_are_found() {
    use table_log::planted::{Bug, plant};
    const SEEDS: u64 = 60;
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        plant(Some(bug));
        match (0..SEEDS).find_map(|seed| run(seed).violations.into_iter().next().map(|violation| (seed, violation))) {
            Some((seed, violation)) => println!("{bug:?}: seed {seed}: {violation}"),
            None => missed.push(bug),
        }
    }
    plant(None);
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
    let quiet = run(0).violations;
    assert!(quiet.is_empty(), "without a bug: {}", quiet[0]);
}
