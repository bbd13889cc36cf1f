//! A transform's SQL and reference tables, as they are now.
use super::TransformSettings;
use crate::error::SealerError;
use bytes::Bytes;
use lake_query::LakeQueryError;
use lake_query::transform::{MAX_REFERENCE_BYTES, Reference, Transform};
use lake_store::LakeStore;
use service_runtime::settings::IN_LAKE;
use std::path::Path;
use std::sync::Arc;

/// Largest SQL file that is read.
const MAX_SQL_BYTES: u64 = 1 << 20;

/// Reads the SQL file and all reference tables; `store` is the lake, if there is one already.
///
/// # Errors
/// A file cannot be read.
pub async fn load(settings: &TransformSettings, store: Option<&Arc<dyn LakeStore>>) -> Result<Transform, SealerError> {
    let sql = read(&settings.sql, MAX_SQL_BYTES).map_err(|detail| cannot_read_sql(settings, &detail))?;
    let sql = String::from_utf8(sql.to_vec()).map_err(|_| cannot_read_sql(settings, "it is not UTF-8"))?;
    let mut references = Vec::new();
    for (name, place) in &settings.references {
        references.push(reference(name, place, store).await?);
    }
    Ok(Transform {
        name: settings.table.0.clone(),
        source: settings.source.0.clone(),
        sql,
        grouping: settings.grouping,
        window: settings.log.window,
        partition_by: settings.log.partition_by.clone(),
        sort_by: settings.log.sort_by.clone(),
        references,
    })
}

fn cannot_read_sql(settings: &TransformSettings, detail: &str) -> SealerError {
    SealerError::Settings(format!("cannot read SQL of transform `{}` from `{}`: {detail}", settings.table, settings.sql.display()))
}

/// Reads one reference table: a file, or an object of the lake.
async fn reference(name: &str, place: &str, store: Option<&Arc<dyn LakeStore>>) -> Result<Reference, SealerError> {
    let failed = |detail: String| LakeQueryError::Reference { name: name.to_owned(), place: place.to_owned(), detail };
    let bytes = match place.strip_prefix(IN_LAKE) {
        None => read(Path::new(place), MAX_REFERENCE_BYTES).map_err(failed)?,
        Some(key) => {
            let store = store.ok_or_else(|| failed("the lake does not exist".to_owned()))?;
            let found = store.head(key).await?.ok_or_else(|| failed("the lake has no such object".to_owned()))?;
            if found.bytes > MAX_REFERENCE_BYTES {
                return Err(failed(too_large(found.bytes, MAX_REFERENCE_BYTES)).into());
            }
            store.get(key, None).await?.ok_or_else(|| failed("the lake has no such object".to_owned()))?
        }
    };
    Ok(Reference::parse(name, place, bytes)?)
}

/// Small files of the settings' folder: read at once.
fn read(path: &Path, limit: u64) -> Result<Bytes, String> {
    let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > limit {
        return Err(too_large(bytes, limit));
    }
    std::fs::read(path).map(Bytes::from).map_err(|error| error.to_string())
}

fn too_large(bytes: u64, limit: u64) -> String {
    format!("it has {bytes} bytes, more than {limit}")
}
