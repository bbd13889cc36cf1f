//! The only place that prints: tables for people, JSON for programs, progress on a terminal, errors and exit codes.
mod exit;
mod failure;
mod progress;
mod table;

pub use exit::ExitCode;
pub use failure::Failure;
pub use progress::Progress;
pub use table::Align;

use serde::Serialize;
use service_runtime::settings::SettingsError;
use std::io::{IsTerminal, Write};

/// Tables for people or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Aligned text.
    Table,
    /// JSON.
    Json,
}

/// Where a command's results go. Results are on stdout; notes, progress and errors on stderr.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    mode: Mode,
}

impl Output {
    /// Output in the given mode.
    pub fn new(mode: Mode) -> Self {
        Self { mode }
    }

    /// Whether programs read it.
    pub fn is_json(self) -> bool {
        self.mode == Mode::Json
    }

    /// Prints one JSON object on one line.
    pub fn json(self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(value)?;
        self.line(&text);
        Ok(())
    }

    /// Prints a table with aligned columns. Numbers are aligned to the right when the header's [`Align`] says so.
    pub fn table(self, header: &[(&str, Align)], rows: impl IntoIterator<Item = Vec<String>>) {
        self.line(&table::render(header, rows));
    }

    /// Prints a line (or several) on stdout. A closed pipe is no error: the reader has seen enough.
    pub fn line(self, text: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// A note for people, on stderr; programs are not told.
    pub fn note(self, text: &str) {
        if !self.is_json() {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Progress of long work: drawn on stderr if that is a terminal and people read, else silent.
    pub fn progress(self, label: &'static str, total: Option<u64>) -> Progress {
        Progress::new(label, total, !self.is_json() && std::io::stderr().is_terminal())
    }

    /// Reports an error on stderr (what, where, what to do) and says which exit code it has.
    pub fn error(self, error: &anyhow::Error) -> ExitCode {
        let exit = failure::exit_of(error);
        let text = match error.downcast_ref::<SettingsError>() {
            Some(faults) if self.is_json() => {
                serde_json::json!({ "error": faults.to_string(), "exit": exit.code(), "faults": faults.faults }).to_string()
            }
            Some(faults) => faults.report(),
            None if self.is_json() => failure::to_json(error, exit).to_string(),
            None => failure::to_text(error),
        };
        let _ = writeln!(std::io::stderr().lock(), "{text}");
        exit
    }
}
