use super::{Check, Refusal, distinct, require};
use crate::TableState;
use crate::plan::Stale;
use crate::record::{TableBody, TableSettings};
use windowing::Micros;

/// Folders that every layout uses; a partition column of this name would be ambiguous.
const TIME_FOLDERS: [&str; 3] = ["dt", "hr", "mi"];

/// `table`: versions are dense from 1; window, partition columns and event-time column never change.
pub(super) fn check(state: &TableState, body: &TableBody) -> Check {
    check_settings(body)?;
    let Some(current) = &state.table else {
        require(state.next_seq.0 == 0, || "a log without a `table` record is empty".to_owned())?;
        return require(body.schema_version == 1, || format!("the first schema version is 1, not `{}`", body.schema_version));
    };
    if current == body {
        return Err(Refusal::AlreadyDone);
    }
    if current.schema_version.checked_add(1) != Some(body.schema_version) {
        let (found, version) = (current.schema_version, body.schema_version);
        return Err(Stale::Table(format!("schema version `{version}` does not follow the log's `{found}`")).into());
    }
    match changed_for_good(&current.settings, &body.settings) {
        Some(what) => Err(Stale::Table(format!("`{what}` of a table never changes")).into()),
        None => Ok(()),
    }
}

/// The setting that must not change and does.
fn changed_for_good(old: &TableSettings, new: &TableSettings) -> Option<&'static str> {
    if old.window != new.window {
        return Some("window");
    }
    if old.partition_by != new.partition_by {
        return Some("partition_by");
    }
    (old.event_time != new.event_time).then_some("event_time")
}

fn check_settings(body: &TableBody) -> Check {
    let settings = &body.settings;
    let lengths = [
        ("allowed_lateness", settings.allowed_lateness),
        ("out_of_orderness", settings.out_of_orderness),
        ("max_future", settings.max_future),
        ("max_past", settings.max_past),
        ("idle_timeout", settings.idle_timeout.unwrap_or(Micros::ZERO)),
    ];
    for (name, length) in lengths {
        require(length >= Micros::ZERO, || format!("`{name}` of `{length}` is negative"))?;
    }
    let columns = || body.columns.iter().map(|column| column.name.as_str());
    let partition_by = || settings.partition_by.iter().map(String::as_str);
    require(partition_by().all(|column| !column.is_empty()), || "a partition column has no name".to_owned())?;
    require(distinct(columns().chain(partition_by()).chain(TIME_FOLDERS)), || {
        "a column is named twice, in `columns`, `partition_by` or the folders `dt`, `hr` and `mi`".to_owned()
    })
}
