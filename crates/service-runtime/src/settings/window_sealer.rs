//! Settings of the window-sealer.
use super::Settings;
use super::meaning::Checker;
use super::units::{ByteSize, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Less does not hold the rows of one slice beside their sort keys and one row group.
const MIN_MEMORY_BUDGET: ByteSize = ByteSize(64 << 20);

/// The window-sealer. Its memory is that of one process, all tables together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WindowSealerSettings {
    /// Unique and stable name of this process. Default: the environment variable `HOSTNAME`, else the host's name. Example: `${HOSTNAME}`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Bound of the rows in memory: at least 64MiB. A lake partition that is larger is sealed in slices, through `spill_dir`.
    pub memory_budget: ByteSize,
    /// Folder for rows that do not fit in the memory budget; needs room for the largest lake partition. Default: the system's folder for temporary files. Example: `/var/tmp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spill_dir: Option<PathBuf>,
    /// Late rows wait this long for others before they make the next revision of their window; doubles with each revision, up to 1d: 0s to 1d.
    pub amend_delay: Duration,
    /// Files that a newer revision replaced are kept this long for readers that still use them, by the store's time: 0s to 366d.
    pub retain_superseded: Duration,
    /// Staged files and records older than this, by the store's time, belong to nobody: 1m to 366d.
    pub orphan_age: Duration,
    /// How often the table logs are looked at: 100ms to 1h.
    pub poll_interval: Duration,
}

impl Default for WindowSealerSettings {
    fn default() -> Self {
        Self {
            instance: String::new(),
            memory_budget: ByteSize(512 << 20),
            spill_dir: None,
            amend_delay: Duration::from_secs(300),
            retain_superseded: Duration::from_secs(86_400),
            orphan_age: Duration::from_secs(86_400),
            poll_interval: Duration::from_secs(5),
        }
    }
}

impl WindowSealerSettings {
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        if let Some(spill_dir) = &mut self.spill_dir {
            *spill_dir = folder.join(&*spill_dir);
        }
    }
}

/// Adds the faults of meaning.
pub(super) fn check(checker: &mut Checker<'_>, settings: &Settings) {
    let sealer = &settings.window_sealer;
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let year = Duration::from_secs(366 * 86_400);
    checker.instance("window_sealer.instance", &sealer.instance);
    checker.at_least("window_sealer.memory_budget", sealer.memory_budget, MIN_MEMORY_BUDGET);
    checker.duration("window_sealer.amend_delay", sealer.amend_delay, Duration::from_secs(0), day);
    checker.duration("window_sealer.retain_superseded", sealer.retain_superseded, Duration::from_secs(0), year);
    checker.duration("window_sealer.orphan_age", sealer.orphan_age, Duration(second.0 * 60), year);
    checker.duration("window_sealer.poll_interval", sealer.poll_interval, Duration::from_millis(100), Duration::from_secs(3_600));
}
