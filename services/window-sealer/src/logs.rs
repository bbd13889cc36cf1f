//! The logs of the process, each opened once and shared by all that work on it or read it.
use crate::backoff::ItemBackoff;
use crate::settings::SealerSettings;
use crate::{Components, open_log};
use lake_store::TableLog;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use table_log::TableName;
use tokio::sync::watch;

/// Logs that are being opened. One that cannot be opened keeps back only those who wait for it.
#[derive(Clone, Debug)]
pub(crate) struct OpenedLogs {
    logs: BTreeMap<TableName, watch::Receiver<Option<TableLog>>>,
}

impl OpenedLogs {
    /// Begins to open the logs of these tables, each until it succeeds or the process stops.
    pub(crate) fn open(tables: BTreeSet<TableName>, settings: &Arc<SealerSettings>, components: &Components) -> Self {
        let begin = |table: TableName| {
            let (opened, waiting) = watch::channel(None);
            let (settings, components, name) = (Arc::clone(settings), components.clone(), table.clone());
            tokio::spawn(async move {
                let log = open(&name, &settings, &components).await;
                opened.send_replace(log);
            });
            (table, waiting)
        };
        Self { logs: tables.into_iter().map(begin).collect() }
    }

    /// A log, once it is open. `None`: the process stops.
    pub(crate) async fn get(&self, table: &TableName) -> Option<TableLog> {
        let mut waiting = self.logs.get(table)?.clone();
        let opened = waiting.wait_for(Option::is_some).await.ok()?;
        opened.clone()
    }
}

/// Opens a log, waiting out trouble. `None`: the process stops.
async fn open(table: &TableName, settings: &SealerSettings, components: &Components) -> Option<TableLog> {
    let mut backoff = ItemBackoff::default();
    while !components.shutdown.is_triggered() {
        let opened = tokio::select! {
            opened = open_log(Arc::clone(&components.store), table, settings) => opened,
            () = components.shutdown.triggered() => return None,
        };
        match opened {
            Ok(log) => return Some(log),
            Err(error) => {
                let wait = backoff.failed(&());
                tracing::warn!(table = table.0, %error, ?wait, "log cannot be opened, trying again");
                let _ = tokio::time::timeout(wait, components.shutdown.triggered()).await;
            }
        }
    }
    None
}
