//! `tributary`: the one binary of all services and commands.
mod check;
mod cli;
mod context;
mod demo;
mod flush;
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
mod test_transforms;
mod topics;
mod transform;
mod vacuum;
mod verify;

#[global_allocator]
static ALLOCATOR: allocator::MiMalloc = allocator::MiMalloc;

fn main() -> std::process::ExitCode {
    allocator::give_back_soon();
    cli::main().into()
}
