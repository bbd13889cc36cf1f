//! Runs a transform again on the revisions that a record names: what the record holds must come out again (TM-3).
use super::{TransformSettings, load, named_files};
use crate::error::SealerError;
use lake_query::LakeQueryError;
use lake_query::transform::{DerivedRows, RunOptions, SourceRows, SourceTable, run};
use lake_store::TableLog;
use std::sync::Arc;
use table_log::record::DeriveBody;

/// What came of running a transform again.
#[derive(Debug)]
pub enum Rerun {
    /// The rows, to be compared: those of the files of the record.
    Rows(Box<DerivedRows>),
    /// The SQL, the grouping windows or a reference table are others now.
    OtherVersion(String),
    /// Inputs were vacuumed, or their log does not go back so far.
    InputsGone(String),
}

/// Runs the transform of `settings` again for the window and on the revisions that `body` names. Nothing is written.
///
/// # Errors
/// The log, the SQL or an input cannot be read.
pub async fn rerun(settings: &TransformSettings, source: &TableLog, body: &DeriveBody, options: &RunOptions) -> Result<Rerun, SealerError> {
    let transform = load(settings, Some(source.store())).await?;
    if transform.sha256() != body.transform_sha256 {
        let versions = transform.reference_versions();
        let other = versions.iter().find(|(name, version)| body.references.get(*name) != Some(version));
        let what = other.map_or_else(|| "the SQL or its grouping windows".to_owned(), |(name, _)| format!("reference table `{name}`"));
        return Ok(Rerun::OtherVersion(format!("{what} changed since")));
    }
    let state = source.state();
    let Some(table) = &state.table else { return Ok(Rerun::InputsGone(format!("table `{}` has no log", settings.source))) };
    if let Some(other) = body.inputs.iter().find(|input| input.table != settings.source.0) {
        return Ok(Rerun::OtherVersion(format!("it was made from table `{}`", other.table)));
    }
    let Some(files) = named_files(source, &state, &body.inputs).await? else {
        return Ok(Rerun::InputsGone("a source revision is not in the log of its table".to_owned()));
    };
    let store = Arc::clone(source.store());
    for file in &files {
        if store.head(&file.entry.key).await?.is_none() {
            return Ok(Rerun::InputsGone(format!("`{}` is not there", file.entry.key)));
        }
    }
    let source_table = SourceTable::new(&settings.source.0, table)?;
    match run(&transform, &source_table, SourceRows::Files(store, files), body.window_start, options).await {
        Ok(rows) => Ok(Rerun::Rows(Box::new(rows))),
        Err(LakeQueryError::FileMissing { key, .. }) => Ok(Rerun::InputsGone(format!("`{key}` is not there"))),
        Err(error) => Err(error.into()),
    }
}
