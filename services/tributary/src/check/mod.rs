//! `tributary check`: settings, schemas and the SQL of transforms, all faults at once; nobody is called but a schema registry of the settings.
mod tables;
mod transforms;

use crate::cli::CheckArgs;
use crate::output::{Align, ExitCode, Output};
use crate::schemas::Schemas;
use event_schema::{LatestError, SchemaFolder};
use serde::Serialize;
use service_runtime::settings::{Places, Settings};
use std::collections::BTreeMap;
use std::path::Path;
use transforms::CheckedTransform;

/// A fault and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Fault {
    /// Settings file or schema file.
    file: String,
    /// Line in the file, from 1.
    line: Option<usize>,
    /// Path in the file; empty: the file as a whole.
    path: String,
    /// What is wrong.
    what: String,
    /// What to write instead.
    suggestion: Option<String>,
}

impl Fault {
    /// `file:line: path: what (suggestion)`
    fn text(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        let suggestion = self.suggestion.as_ref().map(|suggestion| format!(" ({suggestion})")).unwrap_or_default();
        format!("{}{line}: {path}{}{suggestion}", self.file, self.what)
    }
}

/// A table without faults, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct CheckedTable {
    table: String,
    topics: Vec<String>,
    subject: String,
    schema_version: u32,
    schema_id: u32,
    event_time: String,
    window: String,
    columns: usize,
}

/// Runs the command: exit code 2 if there is any fault.
pub async fn run(_: &CheckArgs, file: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let outcome = check(file).await;
    let (tables, transforms, faults) = match &outcome {
        Ok((tables, transforms)) => (tables.as_slice(), transforms.as_slice(), &[][..]),
        Err(faults) => (&[][..], &[][..], faults.as_slice()),
    };
    if output.is_json() {
        output.json(
            &serde_json::json!({ "settings": file, "ok": faults.is_empty(), "faults": faults, "tables": tables, "transforms": transforms }),
        )?;
    } else if faults.is_empty() {
        let header = [
            ("table", Align::Left),
            ("topics", Align::Left),
            ("schema", Align::Left),
            ("event time", Align::Left),
            ("window", Align::Right),
            ("columns", Align::Right),
        ];
        output.table(&header, tables.iter().map(row));
        show_transforms(transforms, output);
        output.line(&format!("\n{}: no faults", file.display()));
    } else {
        faults.iter().for_each(|fault| output.line(&fault.text()));
        let count = faults.len();
        output.note(&format!("{count} {}", if count == 1 { "fault" } else { "faults" }));
    }
    Ok(if faults.is_empty() { ExitCode::Done } else { ExitCode::Usage })
}

fn show_transforms(transforms: &[CheckedTransform], output: Output) {
    if transforms.is_empty() {
        return;
    }
    let header = [
        ("derived table", Align::Left),
        ("source", Align::Left),
        ("size", Align::Right),
        ("every", Align::Right),
        ("window", Align::Right),
        ("columns", Align::Left),
    ];
    let row = |t: &CheckedTransform| {
        vec![t.table.clone(), t.source.clone(), t.size.clone(), t.every.clone(), t.window.clone(), t.columns.join(", ")]
    };
    output.line("");
    output.table(&header, transforms.iter().map(row));
}

fn row(table: &CheckedTable) -> Vec<String> {
    vec![
        table.table.clone(),
        table.topics.join(", "),
        format!("{} v{} (id {})", table.subject, table.schema_version, table.schema_id),
        table.event_time.clone(),
        table.window.clone(),
        table.columns.to_string(),
    ]
}

/// Tables and transforms without faults.
type Checked = (Vec<CheckedTable>, Vec<CheckedTransform>);

/// The tables and transforms, or all faults. Schemas are looked at once the settings have no fault: before that, nobody knows which are meant.
async fn check(file: &Path) -> Result<Checked, Vec<Fault>> {
    let name = file.display().to_string();
    let (settings, places) = Settings::load_with_places(file).map_err(|error| {
        let place = |fault: &service_runtime::settings::SettingsFault| Fault {
            file: name.clone(),
            line: fault.line,
            path: fault.path.clone(),
            what: fault.what.clone(),
            suggestion: fault.suggestion.clone(),
        };
        error.faults.iter().map(place).collect::<Vec<_>>()
    })?;
    let schemas = match settings.schema_registry {
        None => SchemaFolder::load(&settings.schemas).map_err(|faults| folder_faults(&name, &settings, &places, &faults))?,
        Some(_) => registry_subjects(&name, &settings, &places).await?,
    };
    let tables = tables::check(&name, &settings, &places, &schemas);
    let transforms = transforms::check(&name, &settings, &places, &schemas).await;
    match (tables, transforms) {
        (Ok(tables), Ok(transforms)) => Ok((tables, transforms)),
        (tables, transforms) => Err(tables.err().into_iter().chain(transforms.err()).flatten().collect()),
    }
}

/// The newest schema of each table's subject, as a folder would have it.
async fn registry_subjects(name: &str, settings: &Settings, places: &Places) -> Result<SchemaFolder, Vec<Fault>> {
    let fault = |path: &str, what: String, suggestion: &str| Fault {
        file: name.to_owned(),
        line: places.line(path),
        path: path.to_owned(),
        what,
        suggestion: Some(suggestion.to_owned()),
    };
    let schemas = Schemas::open(settings).map_err(|error| vec![fault("schema_registry", format!("{error:#}"), "correct it")])?.source();
    let (mut found, mut faults) = (BTreeMap::new(), Vec::new());
    for (table, config) in &settings.tables {
        if found.contains_key(&config.subject) {
            continue;
        }
        match schemas.latest(&config.subject).await {
            Ok(schema) => {
                found.insert(config.subject.clone(), schema);
            }
            Err(error @ LatestError::Unavailable(_)) => {
                return Err(vec![fault("schema_registry", error.to_string(), "check its `url`, who asks, and whether it is well")]);
            }
            Err(error) => {
                faults.push(fault(&format!("tables.{table}.subject"), error.to_string(), "register an Avro schema of the subject"));
            }
        }
    }
    if faults.is_empty() { Ok(SchemaFolder::from_subjects(found.into_values())) } else { Err(faults) }
}

/// Faults of the schema folder begin with the path of their file.
fn folder_faults(name: &str, settings: &Settings, places: &Places, faults: &[String]) -> Vec<Fault> {
    if !settings.schemas.is_dir() {
        let what = format!("folder `{}` does not exist", settings.schemas.display());
        let suggestion = Some("make it, with `<subject>/v1.avsc` for each table".to_owned());
        return vec![Fault { file: name.to_owned(), line: places.line("schemas"), path: "schemas".to_owned(), what, suggestion }];
    }
    let split = |fault: &String| {
        let (file, what) = fault.split_once(": ").unwrap_or((name, fault));
        Fault { file: file.to_owned(), line: None, path: String::new(), what: what.to_owned(), suggestion: None }
    };
    faults.iter().map(split).collect()
}

#[cfg(test)]
mod tests;
