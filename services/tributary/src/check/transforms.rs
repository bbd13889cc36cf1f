//! Whether each transform's SQL plans against the columns of its source.
use super::Fault;
use crate::transform::{plan_all, raw_table};
use event_schema::SchemaFolder;
use lake_query::LakeQueryError;
use lake_query::transform::SqlFault;
use lake_store::{LakeStore, LocalStore};
use serde::Serialize;
use service_runtime::settings::{Places, Settings, TransformConfig};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use window_sealer::SealerError;

/// A transform without faults, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct CheckedTransform {
    /// The derived table.
    pub(super) table: String,
    /// The table that it reads.
    pub(super) source: String,
    /// Length of a grouping window.
    pub(super) size: String,
    /// Distance of two.
    pub(super) every: String,
    /// Length of the derived table's windows.
    pub(super) window: String,
    /// Columns of the result with their types in the catalog.
    pub(super) columns: Vec<String>,
}

/// All transforms whose sources are without faults, or the faults of all.
pub(super) async fn check(
    file: &str,
    settings: &Settings,
    places: &Places,
    schemas: &SchemaFolder,
) -> Result<Vec<CheckedTransform>, Vec<Fault>> {
    let usable = |avro_json: &str| event_schema::TableSchema::parse(avro_json).is_ok();
    let tables = settings.tables.iter().filter_map(|(name, config)| {
        let subject = schemas.latest(&config.subject).filter(|subject| usable(&subject.avro_json))?;
        Some((name.clone(), raw_table(config, &subject.avro_json)))
    });
    let lake = Path::new(&settings.lake);
    let store = lake.is_dir().then(|| LocalStore::open(lake).ok()).flatten().map(|store| Arc::new(store) as Arc<dyn LakeStore>);
    let planned = plan_all(settings, tables.collect::<BTreeMap<_, _>>(), store.as_ref()).await;
    let (mut checked, mut faults) = (Vec::new(), Vec::new());
    for (name, outcome) in planned {
        let config = &settings.transforms[&name];
        match outcome {
            Ok(planned) => checked.push(CheckedTransform {
                table: name,
                source: config.source.clone(),
                size: config.size.to_string(),
                every: config.every().to_string(),
                window: config.window.to_string(),
                columns: planned.result.catalog_columns().iter().map(|c| format!("{} {}", c.name, c.glue_type)).collect(),
            }),
            Err(error) => faults.extend(faults_of(file, places, (&name, config), error)),
        }
    }
    if faults.is_empty() { Ok(checked) } else { Err(faults) }
}

fn faults_of(file: &str, places: &Places, (name, config): (&str, &TransformConfig), error: SealerError) -> Vec<Fault> {
    let in_settings = |key: &str, what: String| {
        let path = format!("transforms.{name}.{key}");
        vec![Fault { file: file.to_owned(), line: places.line(&path), path, what, suggestion: None }]
    };
    match error {
        SealerError::Query(LakeQueryError::Transform { faults, .. }) => faults.into_iter().map(|fault| in_sql(config, fault)).collect(),
        SealerError::Query(LakeQueryError::Reference { name, place, detail }) => {
            in_settings(&format!("references.{name}"), format!("cannot read `{place}`: {detail}"))
        }
        other => in_settings("sql", other.to_string()),
    }
}

/// A fault at its place in the SQL file.
fn in_sql(config: &TransformConfig, fault: SqlFault) -> Fault {
    let what = match fault.place {
        Some((_, column)) => format!("column {column}: {}", fault.what),
        None => fault.what,
    };
    let line = fault.place.and_then(|(line, _)| usize::try_from(line).ok());
    Fault { file: config.sql.display().to_string(), line, path: String::new(), what, suggestion: fault.suggestion }
}
