//! The command line: one file per command group, one enum variant per command.
mod check;
mod demo;
mod flush;
mod inspect;
mod produce;
mod quarantine;
mod repair;
mod run;
mod settings;
mod source;
mod sql;
mod status;
mod table;
mod topics;
mod transform;
mod vacuum;
mod verify;

pub use check::CheckArgs;
pub use demo::DemoArgs;
pub use flush::FlushArgs;
pub use inspect::InspectArgs;
pub use produce::{ProduceArgs, RowFormat};
pub use quarantine::{ExportFormat, QuarantineArgs, QuarantineCommand};
pub use repair::{FilesArgs, GapArgs, How, LostOffsets, PartitionOffset, RepairArgs, RepairCommand, RestartArgs, StartAt, Who};
pub use run::{RunArgs, Service};
pub use settings::{SettingsArgs, SettingsCommand};
pub use source::{SourceArgs, SourceCommand};
pub use sql::SqlArgs;
pub use status::StatusArgs;
pub use table::{TableArgs, TableCommand};
pub use topics::{TopicsArgs, TopicsCommand};
pub use transform::{TestArgs, TransformArgs, TransformCommand, TransformRunArgs};
pub use vacuum::VacuumArgs;
pub use verify::VerifyArgs;

use crate::context::Context;
use crate::output::{ExitCode, Mode, Output};
use clap::{Args, Parser, Subcommand};
use service_runtime::telemetry::LogFormat;
use std::path::PathBuf;

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed: a service or I/O did not answer as it should
  2  settings or usage are wrong
  3  verify found a violation
  4  a table is stopped and a person must act";

/// Device events from Kafka into a Parquet lake, exactly once.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Clone, Debug, Args)]
pub struct GlobalArgs {
    /// Settings file
    #[arg(short, long = "settings", value_name = "FILE", env = "TRIBUTARY_SETTINGS", default_value = "tributary.yaml", global = true)]
    pub settings_file: PathBuf,
    /// Tables for people, or JSON for programs
    #[arg(short, long, value_enum, default_value_t = Mode::Table, global = true)]
    pub output: Mode,
    /// Form of log lines, on stderr
    #[arg(long, value_enum, env = "TRIBUTARY_LOG_FORMAT", default_value_t = LogFormatArg::Text, global = true)]
    pub log_format: LogFormatArg,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormatArg {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl From<LogFormatArg> for LogFormat {
    fn from(format: LogFormatArg) -> Self {
        match format {
            LogFormatArg::Text => Self::Text,
            LogFormatArg::Json => Self::Json,
        }
    }
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try it: a year of weather through Kafka into a lake, in one process
    Demo(DemoArgs),
    /// Run a service until SIGTERM or SIGINT
    Run(RunArgs),
    /// Check settings and schemas; prints all faults at once
    Check(CheckArgs),
    /// Check or create the Kafka topics that the tables read
    Topics(TopicsArgs),
    /// Send rows of a file to a topic as Avro
    Produce(ProduceArgs),
    /// Query tables with SQL
    Sql(SqlArgs),
    /// Show rows, offsets, lag, delay and watermark of each table
    Status(StatusArgs),
    /// Prove from the lake that every record is in it exactly once
    Verify(VerifyArgs),
    /// Show a log record, a file, or where a Kafka record is
    Inspect(InspectArgs),
    /// Compare a table's settings with its log, or apply them
    Table(TableArgs),
    /// List or retire the topics that feed tables
    Source(SourceArgs),
    /// Put right what stopped a table: lost offsets, topics made again, lost files
    Repair(RepairArgs),
    /// List transforms, or make or show one window of a derived table
    Transform(TransformArgs),
    /// Run the tests of transforms: rows in, expected rows out
    Test(TestArgs),
    /// Look at refused records
    Quarantine(QuarantineArgs),
    /// Commit what is buffered now, and revise closed windows now
    Flush(FlushArgs),
    /// Delete files that newer revisions replaced, once their time is over
    Vacuum(VacuumArgs),
    /// About the settings file
    Settings(SettingsArgs),
}

/// Parses the command line, runs the command and reports its error.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Usage } else { ExitCode::Done };
        }
    };
    let output = Output::new(cli.global.output);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.error(&anyhow::Error::from(error).context("start the async runtime")),
    };
    let exit = match runtime.block_on(dispatch(&cli, output)) {
        Ok(exit) => exit,
        Err(error) => output.error(&error),
    };
    // A blocking read of stdin must not hold the exit back.
    runtime.shutdown_background();
    exit
}

async fn dispatch(cli: &Cli, output: Output) -> anyhow::Result<ExitCode> {
    let file = &cli.global.settings_file;
    match &cli.command {
        Command::Run(args) => return crate::run::run(args, &cli.global).await,
        Command::Check(args) => return crate::check::run(args, file, output).await,
        Command::Demo(args) => {
            crate::run::start_quiet_telemetry(&cli.global);
            return crate::demo::run(args, output).await;
        }
        Command::Settings(args) => return crate::settings::run(args, output),
        Command::Test(args) => {
            crate::run::start_quiet_telemetry(&cli.global);
            return crate::test_transforms::run(args, file, output).await;
        }
        _ => {}
    }
    crate::run::start_quiet_telemetry(&cli.global);
    let context = Context::load(file, output)?;
    match &cli.command {
        Command::Topics(args) => crate::topics::run(args, &context).await,
        Command::Produce(args) => crate::produce::run(args, &context).await,
        Command::Sql(args) => crate::sql::run(args, &context).await,
        Command::Status(args) => crate::status::run(args, &context).await,
        Command::Verify(args) => crate::verify::run(args, &context).await,
        Command::Inspect(args) => crate::inspect::run(args, &context).await,
        Command::Table(args) => crate::table::run(args, &context).await,
        Command::Source(args) => crate::source::run(args, &context).await,
        Command::Repair(args) => crate::repair::run(args, &context).await,
        Command::Quarantine(args) => crate::quarantine::run(args, &context).await,
        Command::Transform(args) => crate::transform::run(args, &context).await,
        Command::Flush(args) => crate::flush::run(args, &context).await,
        Command::Vacuum(args) => crate::vacuum::run(args, &context).await,
        Command::Run(_) | Command::Demo(_) | Command::Check(_) | Command::Settings(_) | Command::Test(_) => Ok(ExitCode::Done),
    }
}
