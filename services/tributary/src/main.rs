//! `tributary`: the one binary of all services and commands.
mod check;
mod cli;
mod context;
mod demo;
mod inspect;
mod output;
mod produce;
mod quarantine;
mod run;
mod settings;
mod sql;
mod status;
mod table;
mod topics;
mod verify;

fn main() -> std::process::ExitCode {
    cli::main().into()
}
