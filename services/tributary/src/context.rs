//! What commands work with: settings, lake, Kafka and output.
use crate::cli::Who;
use crate::output::{Failure, Output};
use anyhow::Context as _;
use lake_store::{LakeStore, LocalStore, TableLog, TableLogOptions};
use service_runtime::settings::{Settings, TableConfig};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use table_log::TableName;

/// Settings and output of one command; opens the lake and logs on request.
#[derive(Debug)]
pub struct Context {
    /// The settings, checked.
    pub settings: Settings,
    /// Where results go.
    pub output: Output,
}

impl Context {
    /// Loads the settings file. A fault in it ends with exit code 2 and all faults shown.
    pub fn load(file: &Path, output: Output) -> anyhow::Result<Self> {
        let settings = Settings::load(file)?;
        Ok(Self { settings, output })
    }

    /// The lake, for reading: a folder that is missing is an error, never created.
    pub fn store(&self) -> anyhow::Result<Arc<dyn LakeStore>> {
        let root = Path::new(&self.settings.lake);
        if !root.is_dir() {
            let what = format!("lake `{}` does not exist", root.display());
            return Err(Failure::failed(what, "run the lake-writer first, or correct `lake` in the settings").into());
        }
        let store = LocalStore::open(root).with_context(|| format!("open lake `{}`", root.display()))?;
        Ok(Arc::new(store))
    }

    /// The named table's settings. An unknown name is a usage error that lists the tables.
    pub fn table(&self, name: &str) -> anyhow::Result<(TableName, &TableConfig)> {
        match self.settings.tables.get(name) {
            Some(table) => Ok((TableName(name.to_owned()), table)),
            None => {
                let known = self.settings.tables.keys().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ");
                Err(Failure::usage(format!("table `{name}` is not in the settings"), format!("the tables are {known}")).into())
            }
        }
    }

    /// The named tables, or all when `names` is empty.
    pub fn tables(&self, names: &[String]) -> anyhow::Result<Vec<(TableName, &TableConfig)>> {
        if names.is_empty() {
            return Ok(self.settings.tables.iter().map(|(name, table)| (TableName(name.clone()), table)).collect());
        }
        names.iter().map(|name| self.table(name)).collect()
    }

    /// All tables, then the derived tables, each after the one that it is made from.
    pub fn all_tables(&self) -> Vec<TableName> {
        let derived = self.settings.transforms_in_order().into_iter().map(|(name, _)| name);
        self.settings.tables.keys().chain(derived).map(|name| TableName(name.clone())).collect()
    }

    /// A table or derived table by its name. An unknown name is a usage error that lists them.
    pub fn any_table(&self, name: &str) -> anyhow::Result<TableName> {
        let all = self.all_tables();
        if let Some(found) = all.iter().find(|table| table.0 == name) {
            return Ok(found.clone());
        }
        let known = all.iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ");
        Err(Failure::usage(format!("table `{name}` is not in the settings"), format!("the tables are {known}")).into())
    }

    /// The named tables and derived tables, or all when `names` is empty.
    pub fn any_tables(&self, names: &[String]) -> anyhow::Result<Vec<TableName>> {
        if names.is_empty() { Ok(self.all_tables()) } else { names.iter().map(|name| self.any_table(name)).collect() }
    }

    /// A table's log, folded to its tail. With `read_only` it writes no caches and publishes nothing.
    pub async fn log(&self, table: &TableName, read_only: bool) -> anyhow::Result<TableLog> {
        let options = TableLogOptions {
            writer: self.settings.lake_writer.instance.clone(),
            help_after: Duration::from_secs(10),
            read_only,
            ..TableLogOptions::default()
        };
        TableLog::open(self.store()?, table.clone(), options).await.with_context(|| format!("read the log of table `{}`", table.0))
    }

    /// A table's log for a command of a person, whose records carry their name; read-only unless it applies.
    pub async fn log_by(&self, table: &TableName, who: &Who) -> anyhow::Result<TableLog> {
        let options = TableLogOptions { read_only: !who.apply, ..TableLogOptions::new(&who.actor) };
        TableLog::open(self.store()?, table.clone(), options).await.with_context(|| format!("read the log of table `{}`", table.0))
    }

    /// How to reach Kafka.
    pub fn kafka(&self) -> kafka_io::KafkaConfig {
        self.settings.kafka.to_config()
    }
}
