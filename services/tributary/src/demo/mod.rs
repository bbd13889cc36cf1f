//! `tributary demo`: a year of weather through Kafka into a lake, in one process.
mod feed;
mod folder;
mod summary;
mod weather;

use crate::{
    cli::DemoArgs,
    context::Context,
    output::{ExitCode, Failure, Output},
};
use anyhow::Context as _;
use feed::{Feed, Sent, taken};
use kafka_io::{Admin, KafkaConfig, MockBroker, Security};
use lake_store::TableLog;
use service_runtime::{admin::Health, shutdown::Shutdown};
use std::{sync::Arc, time::Duration};
use table_log::{TableName, TableState};
use tokio::{
    sync::watch,
    time::{Instant, interval},
};
use weather::{Observation, STATIONS};

const TABLE: &str = "weather";
/// How long the lake-writer may take to commit what was sent last.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Kafka as the demo uses it.
#[derive(Debug)]
struct Broker {
    config: KafkaConfig,
    topic: String,
    /// Lives as long as the demo.
    mock: Option<MockBroker>,
}

/// Runs the demo.
///
/// # Errors
/// A folder that no demo made; a broker that cannot be reached; a lake-writer that stops.
pub async fn run(args: &DemoArgs, output: Output) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let broker = Broker::start(args)?;
    let plan = folder::Plan { kafka: &broker.config.bootstrap_servers, topic: &broker.topic };
    let settings_file = folder::prepare(&args.dir, &plan, output)?;
    let context = Context::load(&settings_file, output)?;
    output.note(&broker.introduction(&args.dir));

    let observations = weather::observations()?;
    let sent = replay(args, &context, &broker, &observations).await?;
    let summary = summary::Summary::make(&context, sent.total(), started.elapsed()).await?;
    summary.print(&context, &settings_file, broker.mock.is_none()).await
}

impl Broker {
    fn start(args: &DemoArgs) -> anyhow::Result<Self> {
        let partitions = i32::try_from(STATIONS.len()).expect("there are three stations");
        if let Some(servers) = &args.kafka {
            let config = KafkaConfig { bootstrap_servers: servers.clone(), security: Security::Plaintext };
            // A topic of its own: an earlier demo's records belong to an earlier demo's lake.
            let topic = format!("tributary_demo_weather_{}", uuid::Uuid::now_v7().simple());
            let help =
                || Failure::failed(format!("cannot create a topic on `{servers}`"), "check the address, and that topics may be created");
            // The observations are of 2013: with a retention by time the broker would delete them at once.
            let keep = [("retention.ms".to_owned(), "-1".to_owned())];
            Admin::new(&config)?.create_topic(&topic, partitions, 1, &keep).with_context(help)?;
            return Ok(Self { config, topic, mock: None });
        }
        let mock = MockBroker::start()?;
        mock.create_topic(TABLE, partitions)?;
        let config = KafkaConfig { bootstrap_servers: mock.bootstrap_servers(), security: Security::Plaintext };
        Ok(Self { config, topic: TABLE.to_owned(), mock: Some(mock) })
    }

    fn introduction(&self, dir: &std::path::Path) -> String {
        let kafka = match &self.mock {
            Some(_) => "librdkafka's mock cluster, inside this process (no real broker; `--kafka HOST:PORT` uses one)".to_owned(),
            None => format!("topic {} on {} (it is kept: delete it when you are done)", self.topic, self.config.bootstrap_servers),
        };
        format!("Replaying 2013 of three weather stations, an observation an hour each.\n  Kafka  {kafka}\n  Lake   {}\n", dir.display())
    }
}

/// Runs the lake-writer and the feed side by side until everything sent is committed.
async fn replay(args: &DemoArgs, context: &Context, broker: &Broker, observations: &[Observation]) -> anyhow::Result<Sent> {
    let shutdown = Shutdown::manual();
    let writer = {
        let (settings, shutdown) = (context.settings.clone(), shutdown.clone());
        tokio::spawn(
            async move { crate::run::lake_writer(&settings, prometheus::Registry::new(), Arc::new(Health::default()), shutdown).await },
        )
    };
    let log = context.log(&TableName(TABLE.to_owned()), true).await?;
    let (state_sender, state) = watch::channel(log.state());
    let (report, progress) = watch::channel(Sent::default());
    let feed = Feed { kafka: broker.config.clone(), topic: broker.topic.clone(), limit: args.seconds.map(Duration::from_secs) };
    let work = async {
        let sent = feed.run(observations, state.clone(), &report).await?;
        drained(&sent, broker, state).await?;
        anyhow::Ok(sent)
    };
    let result = tokio::select! {
        result = work => result,
        result = follow(&log, state_sender, progress, broker, context.output) => Err(result),
    };
    shutdown.trigger();
    let ended = writer.await.context("wait for the lake-writer")?;
    let sent = result?;
    anyhow::ensure!(ended? == ExitCode::Done, "the lake-writer did not end well");
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
