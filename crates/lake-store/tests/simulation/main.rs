//! Seeded simulation of a table and one derived from it: writers, sealers that also derive and vacuum, a registrar, sweepers, a person with
//! settings and flushes, and a reader, over a faulty store, with crashes at random and at every fail point, pauses, and clocks that are off.
//! After each run auditors walk the raw records and objects, without the fold of `table-log`.
//!
//! `SIM_SEED=<n>` runs one seed and prints its trace; `SIM_SEEDS=<n>` runs that many from 0 (300 otherwise).
mod actor;
mod auditor;
mod crash;
mod derive;
mod derived_auditor;
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

/// What all runs came to.
#[cfg(not(feature = "planted-bugs"))]
#[derive(Default)]
struct Totals {
    counts: run::Counts,
    crashed_at: std::collections::BTreeMap<&'static str, u64>,
}

/// Runs the seeds, on all cores. Panics on the first violation.
#[cfg(not(feature = "planted-bugs"))]
fn run_all(seeds: std::ops::Range<u64>) -> Totals {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    let (next, failed, totals) = (AtomicU64::new(seeds.start), AtomicBool::new(false), Mutex::new(Totals::default()));
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let report = run(seed);
            let text: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
            failed.fetch_or(!text.is_empty(), Ordering::Relaxed);
            assert!(text.is_empty(), "replay with SIM_SEED={seed}:\n{}", text.join("\n"));
            let mut totals = totals.lock().expect("no panic while locked");
            totals.counts.add(report.counts);
            report.crashed_at.into_iter().for_each(|(point, count)| *totals.crashed_at.entry(point).or_default() += count);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|threads| (0..cores).for_each(|_| drop(threads.spawn(work))));
    totals.into_inner().expect("no panic while locked")
}

#[cfg(not(feature = "planted-bugs"))]
#[test]
fn seeds_hold_the_invariants() {
    if let Some(seed) = number("SIM_SEED") {
        let report = run(seed);
        report.trace.iter().for_each(|line| println!("{line}"));
        let text: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(text.is_empty(), "{}", text.join("\n"));
        return;
    }
    let seeds = number("SIM_SEEDS").unwrap_or(300);
    let totals = run_all(0..seeds);
    println!("{seeds} seeds: {:?}\ncrashes: {:?}", totals.counts, totals.crashed_at);
    let unmet: Vec<_> = crash::POINTS.iter().filter(|point| !totals.crashed_at.contains_key(*point)).collect();
    let loud = totals.counts.all_happened() && unmet.is_empty();
    assert!(loud || seeds < 300, "the runs were too quiet to show anything: {:?}; no crash at {unmet:?}", totals.counts);
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
