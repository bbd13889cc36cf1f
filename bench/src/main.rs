//! `make bench`: how fast and how large the release binary is, on a real broker.
//!
//! Nothing here is a test. Each benchmark prints a table and writes its figures to `target/bench/<name>.json`.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time and waits for real processes")]

mod bridge;
mod ingest;
mod process;
mod seal;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

// The allocator of the `tributary` binary: both must pay the same for memory.
#[global_allocator]
static ALLOCATOR: allocator::MiMalloc = allocator::MiMalloc;

#[derive(Debug, Parser)]
#[command(about = "Benchmarks of Tributary")]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// Kafka to a committed lake, against a bare loop that only consumes, decodes and encodes.
    Ingest(ingest::Options),
    /// MQTT and HTTP to Kafka, against a bare produce loop of the same records.
    Bridge(bridge::Options),
    /// A closed window made clean, against DuckDB.
    Seal(seal::Options),
    /// The bare produce loop itself, as a process of its own.
    #[command(hide = true)]
    BareProduce(bridge::BareOptions),
    /// The bare reading loop itself, as a process of its own.
    #[command(hide = true)]
    Ceiling(ingest::CeilingOptions),
}

fn main() -> Result<()> {
    allocator::give_back_soon();
    match Arguments::parse().benchmark {
        Benchmark::Bridge(options) => bridge::run(&options),
        Benchmark::BareProduce(options) => bridge::run_bare(&options),
        Benchmark::Ingest(options) => ingest::run(&options),
        Benchmark::Seal(options) => seal::run(&options),
        Benchmark::Ceiling(options) => ingest::run_ceiling(&options),
    }
}

/// The release binary beside this program.
fn tributary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let binary = own.with_file_name("tributary");
    anyhow::ensure!(binary.exists(), "`{}` is missing: `make build` makes it", binary.display());
    Ok(binary)
}
