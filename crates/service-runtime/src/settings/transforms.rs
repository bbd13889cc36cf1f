//! Settings of transforms: derived tables made by SQL.
use super::Settings;
use super::meaning::{Checker, column_list, table_name};
use super::shape::closest;
use super::table::CatalogSetting;
use super::units::{ByteSize, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use table_log::record::TableSettings;
use windowing::{Grouping, Micros, WindowSize};

/// Column of a derived table with the beginning of a row's grouping window.
pub const WINDOW_START: &str = "window_start";
/// Column of a derived table with the end of a row's grouping window: by it the row lies in its window.
pub const WINDOW_END: &str = "window_end";
/// Begins the place of a reference table that lies in the lake; a key under its root follows.
pub const IN_LAKE: &str = "lake:";

const SECOND: Duration = Duration::from_secs(1);
const MONTH: Duration = Duration::from_secs(31 * 86_400);
const MIN_FILE: ByteSize = ByteSize(1 << 20);
const MAX_FILE: ByteSize = ByteSize(4 << 30);

/// A derived table, made by SQL from complete windows of its source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["source", "sql", "size"]))]
pub struct TransformConfig {
    /// The table that it reads: one of `tables`, or another transform's. Example: `readings`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// File with the SQL: one SELECT, whose result has `window_start` and `window_end`. Example: `site_averages.sql`.
    #[serde(skip_serializing)]
    pub sql: PathBuf,
    /// Length of the grouping windows: 1s to 31d, a multiple of `every`. Example: `10s`.
    #[serde(skip_serializing)]
    pub size: Duration,
    /// A grouping window begins at each multiple of this length; when it is less than `size`, windows hop and a row is in several. Default: `size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// Length of the derived table's own windows, as for tables, and a multiple of `every`. Results are as fresh as it is short. Never changes once the table exists.
    pub window: Duration,
    /// Columns of the result, lower-case, that divide each window's folder further. Never change once the table exists. Example: `[site]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// Columns of the result, lower-case, that files are sorted by. Example: `[site]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sort_by: Vec<String>,
    /// Reference tables by their names in the SQL: each a CSV or Parquet file, a path or `lake:` and a key under the lake's root. Example: `{devices: devices.csv}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, String>,
    /// Size that files are made about as large as: 1MiB to 4GiB.
    pub target_file_bytes: ByteSize,
    /// The catalog that shows the derived table.
    pub catalog: CatalogSetting,
}

impl Default for TransformConfig {
    fn default() -> Self {
        Self {
            source: String::new(),
            sql: PathBuf::new(),
            size: Duration::default(),
            every: None,
            window: Duration::from_secs(3_600),
            partition_by: Vec::new(),
            sort_by: Vec::new(),
            references: BTreeMap::new(),
            target_file_bytes: ByteSize(256 << 20),
            catalog: CatalogSetting::default(),
        }
    }
}

impl TransformConfig {
    /// Distance of the beginnings of two grouping windows.
    pub fn every(&self) -> Duration {
        self.every.unwrap_or(self.size)
    }

    /// Length of the derived table's windows.
    pub fn window(&self) -> WindowSize {
        WindowSize::new(self.window.into()).expect("loading the settings refuses other windows")
    }

    /// Its grouping windows.
    pub fn grouping(&self) -> Grouping {
        let grouping = Grouping::new(self.size.into(), self.every().into(), self.window());
        grouping.expect("loading the settings refuses lengths that do not fit")
    }

    /// What of it stands in the derived table's log.
    pub fn to_log(&self) -> TableSettings {
        TableSettings {
            event_time: Some(WINDOW_END.to_owned()),
            window: self.window(),
            partition_by: self.partition_by.clone(),
            allowed_lateness: Micros::ZERO,
            out_of_orderness: Micros::ZERO,
            idle_timeout: None,
            max_future: Micros::ZERO,
            max_past: Micros::ZERO,
            dedupe_by: Vec::new(),
            sort_by: self.sort_by.clone(),
            catalog: self.catalog.to_log(),
        }
    }

    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        self.sql = folder.join(&self.sql);
        for place in self.references.values_mut().filter(|place| !place.starts_with(IN_LAKE)) {
            *place = folder.join(&*place).to_string_lossy().into_owned();
        }
    }
}

impl Settings {
    /// The transforms, each after the one that makes its source.
    pub fn transforms_in_order(&self) -> Vec<(&String, &TransformConfig)> {
        let mut ordered: Vec<(&String, &TransformConfig)> = Vec::new();
        let mut left: Vec<_> = self.transforms.iter().collect();
        while !left.is_empty() {
            let (ready, later): (Vec<_>, Vec<_>) =
                left.iter().partition(|(_, config)| !left.iter().any(|(name, _)| **name == config.source));
            if ready.is_empty() {
                // A circle, which loading the settings refuses: nothing is left out.
                ordered.extend(later);
                break;
            }
            ordered.extend(ready);
            left = later;
        }
        ordered
    }
}

/// All faults of the transforms.
pub(super) fn check(checker: &mut Checker<'_>, settings: &Settings) {
    for (name, config) in &settings.transforms {
        let at = |key: &str| format!("transforms.{name}.{key}");
        table_name(checker, "transforms", name);
        if settings.tables.contains_key(name) {
            checker.fault(&format!("transforms.{name}"), "a table of `tables` has this name", "give the derived table another name");
        }
        source(checker, settings, name, config);
        if config.sql.as_os_str().is_empty() {
            checker.fault(&at("sql"), "is empty", "name a file, such as `averages.sql`");
        }
        lengths(checker, name, config);
        columns(checker, name, config);
        references(checker, name, config);
        checker.size(&at("target_file_bytes"), config.target_file_bytes, MIN_FILE, MAX_FILE);
    }
}

fn source(checker: &mut Checker<'_>, settings: &Settings, name: &str, config: &TransformConfig) {
    let at = format!("transforms.{name}.source");
    if settings.tables.contains_key(&config.source) {
        return;
    }
    if !settings.transforms.contains_key(&config.source) {
        let known = settings.tables.keys().chain(settings.transforms.keys()).filter(|known| *known != name);
        let known = known.map(String::as_str).collect::<Vec<_>>();
        let suggestion = closest(&config.source, &known).unwrap_or_else(|| "name a table".to_owned());
        checker.fault(&at, format!("there is no table `{}`", config.source.escape_debug()), suggestion);
        return;
    }
    let mut seen = BTreeSet::from([name]);
    let mut next = config.source.as_str();
    while let Some(config) = settings.transforms.get(next) {
        if next == name {
            checker.fault(&at, "it is made from itself", "name a table of `tables`, or a transform that does not rest on this one");
            return;
        }
        if !seen.insert(next) {
            return;
        }
        next = &config.source;
    }
}

fn lengths(checker: &mut Checker<'_>, name: &str, config: &TransformConfig) {
    let at = |key: &str| format!("transforms.{name}.{key}");
    let Ok(window) = WindowSize::new(config.window.into()) else {
        let what = format!("`{}` is no length of a window", config.window);
        checker.fault(&at("window"), what, "write 1m to 1d in whole minutes that divide a day, such as `15m`, `1h` or `1d`");
        return;
    };
    let (size, every) = (config.size, config.every());
    if size < SECOND || size > MONTH {
        checker.duration(&at("size"), size, SECOND, MONTH);
    } else if every < SECOND || every > size {
        checker.duration(&at("every"), every, SECOND, size);
    } else if let Err(error) = Grouping::new(size.into(), every.into(), window) {
        let key = match &error {
            windowing::GroupingError::WindowNotMultiple { .. } => "window",
            _ => "size",
        };
        let what = match &error {
            windowing::GroupingError::WindowNotMultiple { .. } => format!("`{}` is not a multiple of `every` ({every})", config.window),
            windowing::GroupingError::TooMany { per_row } => format!("each row would be in {per_row} grouping windows"),
            _ => format!("`{size}` is not a multiple of `every` ({every})"),
        };
        checker.fault(
            &at(key),
            what,
            format!("`size` and `window` are multiples of `every`, `size` of at most {} of it", Grouping::MOST_PER_ROW),
        );
    }
}

fn columns(checker: &mut Checker<'_>, name: &str, config: &TransformConfig) {
    for (key, columns) in [("partition_by", &config.partition_by), ("sort_by", &config.sort_by)] {
        column_list(checker, &format!("transforms.{name}.{key}"), columns);
    }
    for (index, column) in config.partition_by.iter().enumerate() {
        let at = format!("transforms.{name}.partition_by[{index}]");
        if ["dt", "hr", "mi"].contains(&column.as_str()) {
            checker.fault(&at, format!("`{column}` is a partition column of every table"), "name a column of the result");
        } else if column == WINDOW_START || column == WINDOW_END {
            checker.fault(&at, "the grouping window divides the table already", "remove it");
        }
    }
}

fn references(checker: &mut Checker<'_>, name: &str, config: &TransformConfig) {
    for (reference, place) in &config.references {
        let at = format!("transforms.{name}.references.{reference}");
        let valid = table_log::TableName(reference.clone()).is_valid();
        if !valid {
            let what = format!("`{}` is no name of a table", reference.escape_debug());
            checker.fault(&at, what, "use lower-case letters, digits and `_`, beginning with a letter");
        } else if *reference == config.source {
            checker.fault(&at, "is the name of the source", "give the reference table another name");
        }
        let path = place.strip_prefix(IN_LAKE).unwrap_or(place);
        let ending = Path::new(path).extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if !matches!(ending.as_deref(), Some("csv" | "parquet")) {
            checker.fault(
                &at,
                format!("`{}` is no file of a known form", place.escape_debug()),
                "name a file that ends in `.csv` or `.parquet`",
            );
        } else if place.starts_with(IN_LAKE) && (path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | ".."))) {
            checker.fault(
                &at,
                format!("`{}` is no key", path.escape_debug()),
                "write a key under the lake's root, such as `lake:reference/devices.csv`",
            );
        }
    }
}

#[cfg(test)]
mod tests;
