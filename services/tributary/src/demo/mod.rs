//! `tributary demo`: a year of weather through Kafka, and half an hour of devices through MQTT and the bridge, into a lake whose windows
//! close, are sealed and amended, and feed a derived table; in one process.
mod feed;
mod fleet;
mod folder;
mod summary;
mod weather;
mod windows;

use crate::{
    cli::DemoArgs,
    context::Context,
    output::{ExitCode, Failure, Output},
};
use anyhow::Context as _;
use feed::{Feed, Sent, taken};
use fleet::{Devices, Published};
use folder::Plan;
use kafka_io::{Admin, KafkaConfig, MockBroker, Security};
use lake_store::TableLog;
use prometheus::Registry;
use service_runtime::shutdown::Shutdown;
use std::{sync::Arc, time::Duration};
use table_log::{TableName, TableState};
use tokio::{
    sync::watch,
    time::{Instant, interval},
};
use weather::{Observation, STATIONS};

const TABLE: &str = "weather";
/// kafka_partitions of the devices' topic.
const TELEMETRY_PARTITIONS: i32 = 3;
/// How long the lake-writer may take to commit what was sent last.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Kafka as the demo uses it.
#[derive(Debug)]
struct Broker {
    config: KafkaConfig,
    /// The weather stations' topic.
    topic: String,
    /// The devices' topic.
    telemetry: String,
    /// Lives as long as the demo.
    mock: Option<MockBroker>,
}

/// Runs the demo.
///
/// # Errors
/// A folder that no demo made; a broker that cannot be reached; a service that stops.
pub async fn run(args: &DemoArgs, output: Output) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let broker = Broker::start(args)?;
    let devices = if args.devices > 0 { Some(Devices::start(args.devices, args.seed)?) } else { None };
    let plan = Plan {
        kafka: broker.config.bootstrap_servers.clone(),
        weather: broker.topic.clone(),
        telemetry: broker.telemetry.clone(),
        mqtt: devices.as_ref().map(Devices::bridge_address),
        devices_csv: devices.as_ref().map(Devices::csv).unwrap_or_default(),
    };
    let settings_file = folder::prepare(&args.dir, &plan, output)?;
    let context = Context::load(&settings_file, output)?;
    output.note(&broker.introduction(args));

    let observations = weather::observations()?;
    let (sent, published) = replay(args, &context, (&broker, &plan), (&observations, devices)).await?;
    let summary = summary::Summary::make(&context, (sent.total(), published), started.elapsed()).await?;
    summary.print(&context, &settings_file, broker.mock.is_none()).await
}

impl Broker {
    fn start(args: &DemoArgs) -> anyhow::Result<Self> {
        let stations = i32::try_from(STATIONS.len()).expect("there are three stations");
        let (topic, telemetry, refused) = match args.kafka {
            // Topics of its own: an earlier demo's records belong to an earlier demo's lake.
            Some(_) => {
                let name = |what: &str| format!("tributary_demo_{what}_{}", uuid::Uuid::now_v7().simple());
                let telemetry = name(fleet::TABLE);
                (name(TABLE), telemetry.clone(), format!("{telemetry}.refused"))
            }
            None => (TABLE.to_owned(), fleet::TABLE.to_owned(), format!("{}.refused", fleet::TABLE)),
        };
        let topics = [(&topic, stations), (&telemetry, TELEMETRY_PARTITIONS), (&refused, 1)];
        let wanted = if args.devices > 0 { &topics[..] } else { &topics[..1] };
        if let Some(servers) = &args.kafka {
            let config = KafkaConfig { bootstrap_servers: servers.clone(), security: Security::Plaintext };
            let help =
                || Failure::failed(format!("cannot create a topic on `{servers}`"), "check the address, and that topics may be created");
            // The observations are of 2013: with a retention by time the broker would delete them at once.
            let keep = [("retention.ms".to_owned(), "-1".to_owned())];
            let admin = Admin::new(&config)?;
            for (topic, partitions) in wanted {
                admin.create_topic(topic, *partitions, 1, &keep).with_context(help)?;
            }
            return Ok(Self { config, topic, telemetry, mock: None });
        }
        let mock = MockBroker::start()?;
        for (topic, partitions) in wanted {
            mock.create_topic(topic, *partitions)?;
        }
        let config = KafkaConfig { bootstrap_servers: mock.bootstrap_servers(), security: Security::Plaintext };
        Ok(Self { config, topic, telemetry, mock: Some(mock) })
    }

    fn introduction(&self, args: &DemoArgs) -> String {
        let topics =
            if args.devices > 0 { format!("topics {} and {}", self.topic, self.telemetry) } else { format!("topic {}", self.topic) };
        let kafka = match &self.mock {
            Some(_) => "librdkafka's mock cluster, inside this process (no real broker; `--kafka HOST:PORT` uses one)".to_owned(),
            None => format!("{topics} on {} (kept: delete them when you are done)", self.config.bootstrap_servers),
        };
        let mut text = "Replaying 2013 of three weather stations, an observation an hour each.\n".to_owned();
        if args.devices > 0 {
            text.push_str(&format!(
                "Simulating half an hour of {} devices over MQTT, a message in ten seconds each (seed {}).\n  MQTT   rumqttd, inside this process\n",
                args.devices, args.seed
            ));
        }
        text + &format!("  Kafka  {kafka}\n  Lake   {}\n", args.dir.display())
    }
}

/// Runs the lake-writer, the window-sealer, the feed and the devices side by side until everything sent is committed and every closed window
/// is sealed.
async fn replay(
    args: &DemoArgs,
    context: &Context,
    (broker, plan): (&Broker, &Plan),
    (observations, devices): (&[Observation], Option<Devices>),
) -> anyhow::Result<(Sent, Option<Published>)> {
    let shutdown = Shutdown::manual();
    let (settings, stop) = (context.settings.clone(), shutdown.clone());
    let writer = tokio::spawn(async move { crate::run::lake_writer(&settings, Registry::new(), Arc::default(), stop).await });
    let (settings, stop) = (context.settings.clone(), shutdown.clone());
    let sealer = tokio::spawn(async move { crate::run::window_sealer(&settings, Registry::new(), Arc::default(), stop).await });
    let log = context.log(&TableName(TABLE.to_owned()), true).await?;
    let (state_sender, state) = watch::channel(log.state());
    let (report, progress) = watch::channel(Sent::default());
    let limit = args.seconds.map(Duration::from_secs);
    let feed = Feed { kafka: broker.config.clone(), topic: broker.topic.clone(), limit };
    let stations = async {
        let sent = feed.run(observations, state.clone(), &report).await?;
        drained(&sent, broker, state).await?;
        anyhow::Ok(sent)
    };
    let fleet_work = async {
        match devices {
            Some(devices) => devices.run(context, plan, limit).await.map(Some),
            None => Ok(None),
        }
    };
    let has_devices = plan.mqtt.is_some();
    let tables = if has_devices { &[TABLE, fleet::TABLE][..] } else { &[TABLE] };
    let all = async {
        let sent = tokio::try_join!(stations, fleet_work)?;
        windows::settled(context, tables, has_devices).await?;
        Ok(sent)
    };
    let result = tokio::select! {
        result = all => result,
        result = follow(&log, state_sender, progress, broker, context.output) => Err(result),
    };
    shutdown.trigger();
    let ended = writer.await.context("wait for the lake-writer")?;
    let sealed = sealer.await.context("wait for the window-sealer")?;
    let sent = result?;
    anyhow::ensure!(ended? == ExitCode::Done, "the lake-writer did not end well");
    anyhow::ensure!(sealed? == ExitCode::Done, "the window-sealer did not end well");
    Ok(sent)
}

/// Folds the log and shows how far it has come; ends only with an error.
async fn follow(
    log: &TableLog,
    state: watch::Sender<Arc<TableState>>,
    sent: watch::Receiver<Sent>,
    broker: &Broker,
    output: Output,
) -> anyhow::Error {
    let progress = output.progress("in the lake", None);
    let mut tick = interval(Duration::from_millis(200));
    let mut shown = 0;
    loop {
        tick.tick().await;
        match log.refresh().await {
            Ok(newest) => {
                let in_lake = (0..STATIONS.len()).map(|station| taken(&newest, &broker.topic, station)).sum::<u64>();
                progress.add(in_lake.saturating_sub(shown));
                shown = in_lake;
                let sent = sent.borrow();
                let day =
                    jiff::Timestamp::from_millisecond(sent.time_ms).map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
                progress.label(format!("{day}  sent {}  in the lake", sent.total()));
                state.send_replace(newest);
            }
            Err(error) => return error.into(),
        }
    }
}

/// Waits until the log has taken everything sent.
async fn drained(sent: &Sent, broker: &Broker, mut state: watch::Receiver<Arc<TableState>>) -> anyhow::Result<()> {
    let all_taken =
        |state: &Arc<TableState>| (0..STATIONS.len()).all(|station| taken(state, &broker.topic, station) >= sent.records[station]);
    match tokio::time::timeout(DRAIN_TIMEOUT, state.wait_for(all_taken)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => {
            let what = format!("the lake-writer did not commit everything within {} s", DRAIN_TIMEOUT.as_secs());
            Err(Failure::failed(what, "look at the log lines above").into())
        }
    }
}
