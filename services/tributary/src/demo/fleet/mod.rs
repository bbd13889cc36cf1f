//! Simulated devices beside the weather stations: MQTT broker, bridge, Kafka, lake.
#[cfg(not(feature = "demo"))]
mod absent;
#[cfg(feature = "demo")]
mod broker;
mod ledger;
mod model;
#[cfg(feature = "demo")]
mod publish;

#[cfg(not(feature = "demo"))]
use absent::{self as broker, self as publish};

pub(super) use ledger::{Account, Line};

use super::folder::Plan;
use crate::{context::Context, output::Failure};
use anyhow::Context as _;
use arrow::{
    array::AsArray,
    datatypes::{DataType, Int64Type},
};
use lake_store::TableLog;
use model::Fleet;
use prometheus::Registry;
use service_runtime::{
    clock::{Clock, SystemClock},
    health::Health,
    shutdown::Shutdown,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use table_log::{TableName, TableState};
use tokio::{sync::watch, time::interval};

/// The devices' table, and the name of its schema's subject.
pub(super) const TABLE: &str = "telemetry";
/// The table of the sites' means, derived from it.
pub(super) const DERIVED: &str = "site_averages";
/// Its SQL.
pub(super) const TRANSFORM: &str = include_str!("site_averages.sql");
/// The subject's schema.
pub(super) const SCHEMA: &str = include_str!("../../../../../schemas/telemetry/v1.avsc");
/// The bridge's MQTT side in readiness.
const MQTT: &str = "bridge/mqtt";
/// The whole span of the simulation takes about this long.
const REPLAY: Duration = Duration::from_secs(12);
/// How long the bridge may take to be connected and subscribed.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long bridge and lake-writer may take for what was published last.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// The devices and their broker.
#[derive(Debug)]
pub(super) struct Devices {
    fleet: Fleet,
    ports: broker::Ports,
}

/// What the devices sent.
#[derive(Debug)]
pub(super) struct Published {
    fleet: Fleet,
    sent: usize,
}

impl Devices {
    /// Starts the broker and makes up what the devices will send in half an hour that ends now.
    ///
    /// # Errors
    /// The broker does not start.
    pub(super) fn start(count: usize, seed: u64) -> anyhow::Result<Self> {
        let start_ms = SystemClock.now().0 / 1_000 - model::SPAN_MS;
        Ok(Self { fleet: Fleet::simulate(count, seed, start_ms), ports: broker::start()? })
    }

    /// Where the bridge finds the broker.
    pub(super) fn bridge_address(&self) -> SocketAddr {
        self.ports.bridge
    }

    /// Where each device stands, as CSV: the sites in turns.
    pub(super) fn csv(&self) -> String {
        let lines = self.fleet.devices.iter().zip(model::SITES.iter().cycle()).map(|(id, site)| format!("{id},{site}\n"));
        std::iter::once("device_id,site\n".to_owned()).chain(lines).collect()
    }

    /// Lets the bridge run and the devices send, until all that they sent is in the table's log.
    ///
    /// # Errors
    /// The bridge or a device cannot go on; the log does not get it all.
    pub(super) async fn run(self, context: &Context, plan: &Plan, limit: Option<Duration>) -> anyhow::Result<Published> {
        let (health, shutdown) = (Arc::new(Health::default()), Shutdown::manual());
        // The bridge takes it back when it is subscribed: a broker drops what nobody subscribed to.
        health.set_not_ready(MQTT, Some("the bridge has not begun".to_owned()));
        let bridge = {
            let (settings, health, shutdown) = (context.settings.clone(), Arc::clone(&health), shutdown.clone());
            tokio::spawn(async move { crate::run::bridge(&settings, Registry::new(), health, shutdown).await })
        };
        let work = async {
            ready(&health).await?;
            let (report, _) = watch::channel(0);
            let sent = publish::publish(&self.fleet, self.ports.devices, (REPLAY, limit), &report).await?;
            let log = context.log(&TableName(TABLE.to_owned()), true).await?;
            in_log(&log, &plan.telemetry_topics(), sent as u64).await?;
            anyhow::Ok(sent)
        };
        let sent = work.await;
        shutdown.trigger();
        let ended = bridge.await.context("wait for the bridge")?;
        let sent = sent?;
        ended.context("the bridge did not end well")?;
        Ok(Published { fleet: self.fleet, sent })
    }
}

/// Waits until the bridge is ready.
async fn ready(health: &Health) -> anyhow::Result<()> {
    let mut tick = interval(Duration::from_millis(20));
    let subscribed = async {
        while !health.not_ready().is_empty() {
            tick.tick().await;
        }
    };
    let not_in_time = |_| {
        let reasons: Vec<String> = health.not_ready().into_values().collect();
        Failure::failed(format!("the bridge is not ready: {}", reasons.join("; ")), "look at the log lines above")
    };
    tokio::time::timeout(READY_TIMEOUT, subscribed).await.map_err(not_in_time)?;
    Ok(())
}

/// Waits until the log has taken so many records of the topics.
async fn in_log(log: &TableLog, topics: &[String], records: u64) -> anyhow::Result<()> {
    let mut tick = interval(Duration::from_millis(200));
    let mut found = 0;
    let all = async {
        while found < records {
            tick.tick().await;
            found = taken(&*log.refresh().await?, topics);
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(DRAIN_TIMEOUT, all).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let what = format!("of {records} messages of the devices {found} are in the lake after {} s", DRAIN_TIMEOUT.as_secs());
            Err(Failure::failed(what, "look at the log lines above").into())
        }
    }
}

/// Records of the topics that the table's log has taken. The topics are new, so their offsets start at 0.
fn taken(state: &TableState, topics: &[String]) -> u64 {
    let sources = state.sources().filter(|(topic, ..)| topics.iter().any(|other| other == topic));
    let offsets = sources.flat_map(|(_, _, source)| source.partitions.values()).map(|partition| partition.next_offset.0);
    offsets.map(|offset| u64::try_from(offset).unwrap_or(0)).sum()
}

impl Published {
    /// Devices, and how many of them fell silent with an empty battery.
    pub(super) fn devices(&self) -> (usize, usize) {
        (self.fleet.devices.len(), self.fleet.died)
    }

    /// What became of the messages, by SQL.
    ///
    /// # Errors
    /// A query fails.
    pub(super) async fn account(&self, context: &Context) -> anyhow::Result<Account> {
        let mut rows = Vec::new();
        for batch in crate::sql::query(context, "SELECT device_id, seq, count(*) FROM telemetry GROUP BY device_id, seq").await? {
            let devices = arrow::compute::cast(batch.column(0), &DataType::Utf8)?;
            let (seqs, counts) = (batch.column(1).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Int64Type>());
            let row = |at| (devices.as_string::<i32>().value(at).to_owned(), seqs.value(at), counts.value(at).unsigned_abs());
            rows.extend((0..batch.num_rows()).map(row));
        }
        let mut refused = Vec::new();
        for batch in crate::sql::query(context, "SELECT reason, count(*) FROM telemetry_quarantine GROUP BY reason").await? {
            let reasons = arrow::compute::cast(batch.column(0), &DataType::Utf8)?;
            let counts = batch.column(1).as_primitive::<Int64Type>();
            refused
                .extend((0..batch.num_rows()).map(|at| (reasons.as_string::<i32>().value(at).to_owned(), counts.value(at).unsigned_abs())));
        }
        let dropped = context.log(&TableName(TABLE.to_owned()), true).await?.state().totals().duplicates;
        Ok(ledger::account(&self.fleet, self.sent, &rows, &refused, dropped))
    }
}
