//! What a table's settings file says otherwise than its log.
use crate::context::Context;
use event_schema::{SchemaFolder, TableSchema};
use serde::Serialize;
use service_runtime::settings::TableConfig;
use std::fmt;
use table_log::TableName;
use table_log::record::{Catalog, TableBody, TableSettings};

/// What applying a difference does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Acts on windows that are not closed yet; closed is for good.
    WindowsNotClosed,
    /// Acts on records taken from then on.
    RecordsFromThenOn,
    /// Acts on revisions made from then on.
    RevisionsFromThenOn,
    /// Cannot be changed.
    Refused,
}

impl Effect {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::WindowsNotClosed => "acts on windows not yet closed",
            Self::RecordsFromThenOn => "acts on records taken from then on",
            Self::RevisionsFromThenOn => "acts on revisions made from then on",
            Self::Refused => "refused: it never changes; make a new table",
        }
    }
}

/// A setting that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name.
    pub setting: &'static str,
    /// Value in the log.
    pub log: String,
    /// Value in the settings file.
    pub file: String,
    /// What applying it does.
    pub effect: Effect,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is `{}` in the log, `{}` in the settings file", self.setting, self.log, self.file)
    }
}

/// All differences, schema included; a derived table's columns are its SQL's.
///
/// # Errors
/// The table is not in the settings.
pub fn differences(body: &TableBody, table: &TableName, context: &Context) -> anyhow::Result<Vec<Difference>> {
    if let Some(config) = context.settings.transforms.get(&table.0) {
        return Ok(of_settings(&body.settings, &config.to_log()));
    }
    let (_, config) = context.table(&table.0)?;
    let mut all = of_settings(&body.settings, &config.to_log());
    all.extend(of_schema(body, config, context));
    Ok(all)
}

/// Differences between two sets of settings.
pub fn of_settings(log: &TableSettings, file: &TableSettings) -> Vec<Difference> {
    let optional = |value: Option<&dyn fmt::Display>, none: &str| value.map_or_else(|| none.to_owned(), ToString::to_string);
    let event_time = |s: &TableSettings| optional(s.event_time.as_ref().map(|c| c as &dyn fmt::Display), "kafka_timestamp");
    let idle = |s: &TableSettings| optional(s.idle_timeout.as_ref().map(|t| t as &dyn fmt::Display), "none");
    let list = |values: &[String]| if values.is_empty() { "none".to_owned() } else { values.join(", ") };
    let pairs = [
        ("event_time", event_time(log), event_time(file), Effect::Refused),
        ("window", log.window.micros().to_string(), file.window.micros().to_string(), Effect::Refused),
        ("partition_by", list(&log.partition_by), list(&file.partition_by), Effect::Refused),
        ("allowed_lateness", log.allowed_lateness.to_string(), file.allowed_lateness.to_string(), Effect::WindowsNotClosed),
        ("out_of_orderness", log.out_of_orderness.to_string(), file.out_of_orderness.to_string(), Effect::WindowsNotClosed),
        ("idle_timeout", idle(log), idle(file), Effect::WindowsNotClosed),
        ("max_future", log.max_future.to_string(), file.max_future.to_string(), Effect::RecordsFromThenOn),
        ("max_past", log.max_past.to_string(), file.max_past.to_string(), Effect::RecordsFromThenOn),
        ("dedupe_by", list(&log.dedupe_by), list(&file.dedupe_by), Effect::RevisionsFromThenOn),
        ("sort_by", list(&log.sort_by), list(&file.sort_by), Effect::RevisionsFromThenOn),
        ("catalog", catalog(log.catalog).to_owned(), catalog(file.catalog).to_owned(), Effect::RevisionsFromThenOn),
    ];
    let different = pairs.into_iter().filter(|(_, log, file, _)| log != file);
    different.map(|(setting, log, file, effect)| Difference { setting, log, file, effect }).collect()
}

fn catalog(catalog: Catalog) -> &'static str {
    match catalog {
        Catalog::None => "none",
        Catalog::File => "file",
        Catalog::Glue => "glue",
    }
}

/// A schema in the folder that the table cannot take up; what it can, the lake-writer does with the first record. A folder or schema that
/// cannot be read is `check`'s business, and a registry's newest schema need not have any record.
fn of_schema(body: &TableBody, config: &TableConfig, context: &Context) -> Option<Difference> {
    if context.settings.schema_registry.is_some() {
        return None;
    }
    let folder = SchemaFolder::load(&context.settings.schemas).ok()?;
    let latest = folder.latest(&config.subject)?;
    let in_log = TableSchema::parse(&body.avro_schema).ok()?;
    if in_log.evolve(&latest.avro_json).is_ok() {
        return None;
    }
    let file = format!("`{}` version {}", latest.subject, latest.version);
    Some(Difference { setting: "schema", log: format!("version {}", body.schema_version), file, effect: Effect::Refused })
}

#[cfg(test)]
mod tests {
    use super::*;
    use windowing::{Micros, WindowSize};

    fn settings() -> TableSettings {
        TableSettings {
            event_time: Some("at".to_owned()),
            window: WindowSize::HOUR,
            partition_by: Vec::new(),
            allowed_lateness: Micros(0),
            out_of_orderness: Micros(1_000_000),
            idle_timeout: None,
            max_future: Micros::HOUR,
            max_past: Micros::DAY,
            dedupe_by: Vec::new(),
            sort_by: Vec::new(),
            catalog: Default::default(),
        }
    }

    #[test]
    fn equal_settings_do_not_differ() {
        assert_eq!(of_settings(&settings(), &settings()), vec![]);
    }

    #[test]
    fn window_partition_columns_and_event_time_are_refused_and_the_rest_is_not() {
        let file = TableSettings {
            event_time: None,
            window: WindowSize::DAY,
            partition_by: vec!["site".to_owned()],
            allowed_lateness: Micros::HOUR,
            out_of_orderness: Micros(0),
            idle_timeout: Some(Micros::HOUR),
            max_future: Micros::DAY,
            max_past: Micros::HOUR,
            dedupe_by: vec!["id".to_owned()],
            sort_by: vec!["id".to_owned()],
            catalog: Default::default(),
        };
        let found = of_settings(&settings(), &file);
        let refused: Vec<_> = found.iter().filter(|d| d.effect == Effect::Refused).map(|d| d.setting).collect();
        assert_eq!(refused, ["event_time", "window", "partition_by"]);
        assert_eq!(found.len(), 10);
    }
}
