//! `tributary`: the one binary of all services and commands.
mod check;
mod cli;
mod context;
mod demo;
mod inspect;
mod output;
mod produce;
mod quarantine;
mod repair;
mod run;
mod schemas;
mod settings;
mod source;
mod sql;
mod status;
mod table;
mod topics;
mod verify;

// Half of the writer's time on two cores goes into malloc if glibc serves it; the feature `override` makes librdkafka's C code use this
// one too (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main().into()
}
