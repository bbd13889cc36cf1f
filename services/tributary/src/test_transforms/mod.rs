//! `tributary test`: tests of transforms, rows in and expected rows out, in YAML files. Nothing but the settings and these files is read.
mod compare;
mod file;
mod rows;

use crate::cli::TestArgs;
use crate::output::{Align, ExitCode, Failure, Output};
use crate::schemas::Schemas;
use crate::transform::{Planned, plan_all, raw_table};
use anyhow::Context as _;
use file::{Case, TestFile};
use lake_query::transform::{RunOptions, SourceRows, run as run_transform};
use lake_store::{LakeStore, LocalStore};
use serde::Serialize;
use service_runtime::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use window_sealer::SealerError;

/// How one test ended.
#[derive(Debug, Serialize)]
struct Outcome {
    file: String,
    transform: String,
    test: String,
    /// Windows that were made.
    windows: usize,
    /// What differs; empty: the test passed.
    differences: Vec<String>,
}

/// Runs the command: exit code 1 if a test fails.
pub async fn run(args: &TestArgs, settings_file: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(settings_file)?;
    let files = if args.files.is_empty() { beside_the_sql(&settings) } else { args.files.clone() };
    if files.is_empty() {
        let fix = "write `<name>.test.yaml` beside a transform's `<name>.sql`, or name files";
        return Err(Failure::usage("there are no tests", fix).into());
    }
    let planned = plan(&settings).await?;
    let mut outcomes = Vec::new();
    for path in files {
        let found = TestFile::read(&path).map_err(|what| Failure::usage(what, "docs/transforms.md shows a file of tests"))?;
        let name = path.display().to_string();
        let transform = match planned.get(&found.transform) {
            Some(Ok(planned)) => planned,
            Some(Err(error)) => return Err(Failure::usage(error.to_string(), "`tributary check` shows all faults").into()),
            None => {
                let what = format!("{name}: there is no transform `{}`, or its source has faults", found.transform);
                return Err(Failure::usage(what, "`tributary check` shows all faults").into());
            }
        };
        for case in &found.tests {
            let (windows, differences) = run_case(transform, case).await.with_context(|| format!("{name}: test `{}`", case.name))?;
            outcomes.push(Outcome {
                file: name.clone(),
                transform: found.transform.clone(),
                test: case.name.clone(),
                windows,
                differences,
            });
        }
    }
    show(&outcomes, output)?;
    Ok(if outcomes.iter().all(|outcome| outcome.differences.is_empty()) { ExitCode::Done } else { ExitCode::Failed })
}

fn beside_the_sql(settings: &Settings) -> Vec<PathBuf> {
    let files: BTreeSet<PathBuf> = settings.transforms.values().map(|config| config.sql.with_extension("test.yaml")).collect();
    files.into_iter().filter(|file| file.is_file()).collect()
}

/// All transforms against the newest schemas of the tables.
async fn plan(settings: &Settings) -> anyhow::Result<BTreeMap<String, Result<Planned, SealerError>>> {
    let schemas = Schemas::open(settings)?;
    let mut tables = BTreeMap::new();
    for (name, config) in &settings.tables {
        let schema = schemas.latest(&config.subject, settings).await?;
        tables.insert(name.clone(), raw_table(config, &schema.avro_json));
    }
    let lake = Path::new(&settings.lake);
    let store = lake.is_dir().then(|| LocalStore::open(lake)).transpose().with_context(|| format!("open lake `{}`", lake.display()))?;
    let store = store.map(|store| Arc::new(store) as Arc<dyn LakeStore>);
    Ok(plan_all(settings, tables, store.as_ref()).await)
}

/// Makes the windows of a test. How many, and what differs.
async fn run_case(planned: &Planned, case: &Case) -> anyhow::Result<(usize, Vec<String>)> {
    let mut transform = planned.transform.clone();
    for (name, rows) in &case.references {
        let reference = transform.references.iter_mut().find(|reference| reference.name == *name);
        let reference = reference.with_context(|| format!("the transform has no reference table `{name}`"))?;
        let rows = rows::batch(rows, &reference.schema).with_context(|| format!("rows of reference table `{name}`"))?;
        *reference = lake_query::transform::Reference::of_rows(name, rows);
    }
    let input = rows::batch(&case.rows, &planned.source.test_columns()).context("rows")?;
    let expected = rows::batch(&case.expect, planned.result.columns()).context("expected rows")?;
    let windows = match case.window {
        Some(window) => BTreeSet::from([window]),
        None => rows::windows(&input, planned)?,
    };
    let mut made = Vec::new();
    for window_start in &windows {
        let rows = SourceRows::Rows(vec![input.clone()]);
        let found = run_transform(&transform, &planned.source, rows, *window_start, &RunOptions::default()).await?;
        made.extend(found.collect().await?);
    }
    let columns: BTreeSet<&str> = case.expect.iter().flat_map(|row| row.keys().map(String::as_str)).collect();
    Ok((windows.len(), compare::differences(&made, &expected, &columns)?))
}

fn show(outcomes: &[Outcome], output: Output) -> anyhow::Result<()> {
    let failed = outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).count();
    if output.is_json() {
        return output.json(&serde_json::json!({ "ok": failed == 0, "tests": outcomes }));
    }
    let header = [("transform", Align::Left), ("test", Align::Left), ("windows", Align::Right), ("outcome", Align::Left)];
    let text = |outcome: &Outcome| if outcome.differences.is_empty() { "passed" } else { "failed" }.to_owned();
    output.table(&header, outcomes.iter().map(|o| vec![o.transform.clone(), o.test.clone(), o.windows.to_string(), text(o)]));
    for outcome in outcomes.iter().filter(|outcome| !outcome.differences.is_empty()) {
        output.line(&format!("\n{}: test `{}` of `{}`:", outcome.file, outcome.test, outcome.transform));
        outcome.differences.iter().for_each(|difference| output.line(&format!("  {difference}")));
    }
    output.line(&format!("\n{} passed, {failed} failed", outcomes.len() - failed));
    Ok(())
}

#[cfg(test)]
mod tests;
