//! All transforms planned against the columns of their sources, without a lake.
use lake_query::LakeQueryError;
use lake_query::transform::{ResultSchema, SourceTable, Transform, plan};
use lake_store::LakeStore;
use service_runtime::settings::{Settings, TableConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use table_log::record::TableBody;
use window_sealer::SealerError;
use window_sealer::derive::{TransformSettings, load};

/// A transform that plans.
#[derive(Debug)]
pub struct Planned {
    /// The transform with its SQL and references.
    pub transform: Transform,
    /// The table that it reads.
    pub source: SourceTable,
    /// Columns of its result.
    pub result: ResultSchema,
}

/// The `table` record that a table made of Kafka's records has with this schema.
pub fn raw_table(config: &TableConfig, avro_schema: &str) -> TableBody {
    TableBody { schema_version: 1, avro_schema: avro_schema.to_owned(), columns: Vec::new(), settings: config.to_log() }
}

/// Plans all transforms of the settings whose sources are known: `tables` has those that can be used. A transform that does not plan takes with it
/// those that rest on it, of which nothing is said.
pub async fn plan_all(
    settings: &Settings,
    tables: BTreeMap<String, TableBody>,
    store: Option<&Arc<dyn LakeStore>>,
) -> BTreeMap<String, Result<Planned, SealerError>> {
    let (mut tables, mut planned) = (tables, BTreeMap::new());
    for (name, config) in settings.transforms_in_order() {
        let Some(body) = tables.get(&config.source) else { continue };
        let outcome = plan_one(&TransformSettings::new(name, config), body, store).await;
        if let Ok(found) = &outcome {
            tables.insert(name.clone(), found.result.first_table(config.to_log()));
        }
        planned.insert(name.clone(), outcome);
    }
    planned
}

async fn plan_one(settings: &TransformSettings, source: &TableBody, store: Option<&Arc<dyn LakeStore>>) -> Result<Planned, SealerError> {
    let transform = load(settings, store).await?;
    let source = SourceTable::new(&transform.source, source)?;
    let taken = transform.references.iter().find(|reference| reference.schema.fields().is_empty());
    if let Some(empty) = taken {
        let detail = "it has no columns".to_owned();
        let place = settings.references.get(&empty.name).cloned().unwrap_or_default();
        return Err(LakeQueryError::Reference { name: empty.name.clone(), place, detail }.into());
    }
    let result = plan(&transform, &source).await?;
    Ok(Planned { transform, source, result })
}
