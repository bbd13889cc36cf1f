use schemars::JsonSchema;
use serde::Serialize;
use std::fmt::{self, Write};

/// One fault: where in the file, what, and a suggestion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SettingsFault {
    /// Path in the file, such as `tables.readings.topics[0].start`; empty for the file as a whole.
    pub path: String,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl SettingsFault {
    /// `path: what (suggestion)`, without the place in the file.
    pub fn text(&self) -> String {
        let mut text = if self.path.is_empty() { self.what.clone() } else { format!("{}: {}", self.path, self.what) };
        if let Some(suggestion) = &self.suggestion {
            let _ = write!(text, " ({suggestion})");
        }
        text
    }
}

/// All faults of a file, in the order of their lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The file as it was named.
    pub file: String,
    /// At least one.
    pub faults: Vec<SettingsFault>,
}

impl SettingsError {
    pub(super) fn whole_file(file: &str, what: String, suggestion: &str) -> Self {
        let fault = SettingsFault { path: String::new(), line: None, what, suggestion: Some(suggestion.to_owned()) };
        Self { file: file.to_owned(), faults: vec![fault] }
    }

    /// One line per fault: `file:line: path: what (suggestion)`.
    pub fn report(&self) -> String {
        let line = |fault: &SettingsFault| match fault.line {
            Some(line) => format!("{}:{line}: {}", self.file, fault.text()),
            None => format!("{}: {}", self.file, fault.text()),
        };
        self.faults.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.len() {
            1 => write!(f, "1 fault in settings file `{}`", self.file),
            n => write!(f, "{n} faults in settings file `{}`", self.file),
        }
    }
}

impl std::error::Error for SettingsError {}
