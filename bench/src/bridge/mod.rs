//! The bridge: MQTT and HTTP to Kafka, against a bare produce loop of the same records.
mod bare;
mod client;
mod documents;

use crate::process::{Measured, Usage};
use anyhow::{Context, Result, ensure};
pub use bare::{BareOptions, run as run_bare};
use client::{Client, TOKEN};
use documents::{KAFKA_PARTITIONS, TOPIC};
use kafka_io::{Admin, OffsetQuery};
use serde::Serialize;
use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use test_kit::{KafkaServer, MosquittoServer};

/// Options of `bench bridge`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Records posted, and produced by the bare loop.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Messages published.
    #[arg(long, default_value_t = 200_000)]
    messages: u64,
    /// Runs of each; the best counts.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Where the figures go.
    #[arg(long, default_value = "target/bench/bridge.json")]
    output: PathBuf,
}

/// Records of one request.
const RECORDS_PER_REQUEST: u64 = 1_000;
const CLIENTS: u64 = 2;
const CONNECTIONS: u32 = 4;
/// How long half of the load is kept up for the acknowledgement times.
const PACED: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The figures, as docs/benchmarks.md shows them.
#[derive(Debug, Default, Serialize)]
struct Figures {
    records: u64,
    messages: u64,
    mqtt_messages_per_cpu_second: f64,
    mqtt_messages_per_second: f64,
    http_records_per_cpu_second: f64,
    http_records_per_second: f64,
    bare_produce_records_per_cpu_second: f64,
    share_of_bare_produce: f64,
    ack_p50_seconds: f64,
    ack_p99_seconds: f64,
    peak_rss_bytes: u64,
}

/// Runs everything, prints a table, writes the file.
pub fn run(options: &Options) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("tributary-bench").tempdir()?;
    let kafka = KafkaServer::start(&[])?;
    for topic in [TOPIC.to_owned(), format!("{TOPIC}.refused")] {
        kafka.admin().create_topic(&topic, KAFKA_PARTITIONS, 1, &[])?;
    }
    let mosquitto = MosquittoServer::start(&[])?;
    let bench = Bench::new(options, folder.path(), kafka, mosquitto)?;
    let mut figures = Figures { records: options.records, messages: options.messages, ..Figures::default() };
    bench.bare_and_http(&mut figures)?;
    bench.acknowledgements(&mut figures)?;
    bench.mqtt(&mut figures)?;
    if let Some(parent) = options.output.parent() {
        fs::create_dir_all(parent)?;
    }
    let text = serde_json::to_string_pretty(&figures)?;
    fs::write(&options.output, format!("{text}\n"))?;
    say(&format!("{text}\nwritten to {}", options.output.display()))
}

struct Bench<'a> {
    options: &'a Options,
    folder: &'a Path,
    kafka: KafkaServer,
    admin: Admin,
    mosquitto: MosquittoServer,
    address: String,
    settings: PathBuf,
    bodies: Vec<String>,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options, folder: &'a Path, kafka: KafkaServer, mosquitto: MosquittoServer) -> Result<Self> {
        documents::write_schema(&folder.join("schemas"))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let settings = folder.join("tributary.yaml");
        let text = format!(
            "lake: ./lake\nadmin: \"127.0.0.1:0\"\nkafka: {{bootstrap_servers: \"{}\"}}\ntables: {{readings: {{topics: [{TOPIC}]}}}}\n\
             bridge:\n  instance: bench\n  routes: [{{filter: \"devices/{{device_id}}/readings\", topic: {TOPIC}}}]\n\
             \x20 mqtt: {{url: \"mqtt://127.0.0.1:{}\", connections: {CONNECTIONS}}}\n\
             \x20 http: {{listen: \"{address}\", tokens_file: tokens.yaml, topics: {{{TOPIC}: {{key: device_id}}}}}}\n",
            kafka.bootstrap_servers(),
            mosquitto.port()
        );
        fs::write(&settings, text)?;
        fs::write(folder.join("tokens.yaml"), format!("tokens: [{{name: bench, token: {TOKEN}, topics: \"*\"}}]\n"))?;
        let requests = options.records / RECORDS_PER_REQUEST;
        let bodies = (0..requests).map(|request| {
            let mut body = String::new();
            for number in request * RECORDS_PER_REQUEST..(request + 1) * RECORDS_PER_REQUEST {
                documents::add(&mut body, number, true);
                body.push('\n');
            }
            body
        });
        let bodies = bodies.collect();
        let admin = kafka.admin();
        Ok(Self { options, folder, kafka, admin, mosquitto, address, settings, bodies })
    }

    /// In turns, so that both meet the same machine.
    fn bare_and_http(&self, figures: &mut Figures) -> Result<()> {
        let records = self.options.records as f64;
        for _ in 0..self.options.rounds {
            let seconds = self.bare()?;
            self.show("bare produce loop", seconds, records, None)?;
            figures.bare_produce_records_per_cpu_second = figures.bare_produce_records_per_cpu_second.max(records / seconds);
            let mut bridge = self.start()?;
            let before = bridge.cpu_seconds()?;
            let began = Instant::now();
            self.post_all()?;
            let (cpu_seconds, seconds) = (bridge.cpu_seconds()? - before, began.elapsed().as_secs_f64());
            let usage = self.end(bridge)?;
            self.show("HTTP, lines of JSON", cpu_seconds, records, Some((seconds, usage)))?;
            figures.http_records_per_cpu_second = figures.http_records_per_cpu_second.max(records / cpu_seconds);
            figures.http_records_per_second = figures.http_records_per_second.max(records / seconds);
            figures.peak_rss_bytes = figures.peak_rss_bytes.max(usage.peak_rss_bytes);
        }
        figures.share_of_bare_produce = figures.http_records_per_cpu_second / figures.bare_produce_records_per_cpu_second;
        Ok(())
    }

    fn bare(&self) -> Result<f64> {
        let log = self.folder.join("bare.log");
        let arguments = ["bare-produce", "--bootstrap", &self.kafka.bootstrap_servers(), "--records", &self.options.records.to_string()];
        let ended = Measured::start(&std::env::current_exe()?, &arguments, None, &log)?.end(LIMIT, false);
        let text = fs::read_to_string(&log)?;
        ended.with_context(|| text.clone())?;
        text.lines().last().and_then(|line| line.trim().parse().ok()).with_context(|| format!("the loop printed `{text}`"))
    }

    fn post_all(&self) -> Result<()> {
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    scope.spawn(move || -> Result<()> {
                        let mut client = Client::connect(&self.address)?;
                        self.bodies.iter().skip(number as usize).step_by(CLIENTS as usize).try_for_each(|body| client.post(body))
                    })
                })
                .collect();
            clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
        })
    }

    /// Times from a request to its answer at half of the highest rate, each client sending at fixed times whatever the answers take.
    fn acknowledgements(&self, figures: &mut Figures) -> Result<()> {
        let mut bridge = self.start()?;
        let per_client = figures.http_records_per_second / 2.0 / CLIENTS as f64;
        let pause = Duration::from_secs_f64(RECORDS_PER_REQUEST as f64 / per_client);
        let mut times: Vec<f64> = std::thread::scope(|scope| -> Result<Vec<f64>> {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| self.paced(pause))).collect();
            let times = clients.into_iter().map(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?);
            Ok(times.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        })?;
        ensure!(bridge.look()?, "the bridge ended");
        self.end(bridge)?;
        times.sort_by(f64::total_cmp);
        let quantile = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        (figures.ack_p50_seconds, figures.ack_p99_seconds) = (quantile(0.5), quantile(0.99));
        say(&format!(
            "acknowledged at half of the load: p50 {:.1} ms, p99 {:.1} ms, {} requests",
            figures.ack_p50_seconds * 1e3,
            figures.ack_p99_seconds * 1e3,
            times.len()
        ))
    }

    fn paced(&self, pause: Duration) -> Result<Vec<f64>> {
        let mut client = Client::connect(&self.address)?;
        let began = Instant::now();
        let mut times = Vec::new();
        for body in self.bodies.iter().cycle() {
            let due = began + pause * u32::try_from(times.len())?;
            if due >= began + PACED {
                return Ok(times);
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            client.post(body)?;
            // From when it was due, not from when the client came to it: a slow answer delays the next, which must show.
            times.push(due.elapsed().as_secs_f64());
        }
        Ok(times)
    }

    /// Messages wait in the MQTT broker for the bridge, so that devices cost nothing while it works.
    fn mqtt(&self, figures: &mut Figures) -> Result<()> {
        // Makes the sessions.
        self.end(self.start()?)?;
        let messages = self.options.messages;
        for _ in 0..self.options.rounds {
            self.publish()?;
            let before = self.kafka_records()?;
            let began = Instant::now();
            let mut bridge = self.start()?;
            while self.kafka_records()? < before + messages {
                ensure!(bridge.look()? && began.elapsed() < LIMIT, "not all messages came; the log:\n{}", fs::read_to_string(self.log())?);
                std::thread::sleep(LOOK_EVERY);
            }
            let seconds = began.elapsed().as_secs_f64();
            let usage = self.end(bridge)?;
            self.show("MQTT", usage.cpu_seconds, messages as f64, Some((seconds, usage)))?;
            figures.mqtt_messages_per_cpu_second = figures.mqtt_messages_per_cpu_second.max(messages as f64 / usage.cpu_seconds);
            figures.mqtt_messages_per_second = figures.mqtt_messages_per_second.max(messages as f64 / seconds);
            figures.peak_rss_bytes = figures.peak_rss_bytes.max(usage.peak_rss_bytes);
        }
        Ok(())
    }

    fn publish(&self) -> Result<()> {
        const PUBLISHING_DEVICES: u64 = 20;
        let each = self.options.messages / PUBLISHING_DEVICES;
        for device in 0..PUBLISHING_DEVICES {
            let mut lines = String::new();
            for number in 0..each {
                documents::add(&mut lines, number * PUBLISHING_DEVICES + device, false);
                lines.push('\n');
            }
            self.mosquitto.publish_lines(&format!("devices/device-{device:05}/readings"), &lines)?;
        }
        Ok(())
    }

    fn kafka_records(&self) -> Result<u64> {
        let ends = self.admin.offsets(TOPIC, KAFKA_PARTITIONS, OffsetQuery::Latest)?;
        Ok(ends.iter().map(|end| end.unsigned_abs()).sum())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("bridge.log")
    }

    /// Starts the bridge and waits until both sides work.
    fn start(&self) -> Result<Measured> {
        let arguments = ["run", "bridge", "--settings", &self.settings.to_string_lossy()].map(str::to_owned);
        let mut bridge = Measured::start(&crate::tributary()?, &arguments, None, &self.log())?;
        let began = Instant::now();
        loop {
            let log = fs::read_to_string(self.log())?;
            if log.matches("is subscribed").count() >= CONNECTIONS as usize && Client::connect(&self.address).is_ok() {
                return Ok(bridge);
            }
            ensure!(bridge.look()? && began.elapsed() < LIMIT, "the bridge does not start; its log:\n{log}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn end(&self, bridge: Measured) -> Result<Usage> {
        bridge.signal("TERM")?;
        bridge.end(LIMIT, false).with_context(|| fs::read_to_string(self.log()).unwrap_or_default())
    }

    fn show(&self, what: &str, cpu_seconds: f64, records: f64, run: Option<(f64, Usage)>) -> Result<()> {
        let mut line =
            format!("{what:<20} {:>6.3} CPU-s per million, {:>9.0} per CPU-s", cpu_seconds / records * 1e6, records / cpu_seconds);
        if let Some((seconds, usage)) = run {
            write!(line, ", {:>9.0} per s, {:>4} MiB", records / seconds, usage.peak_rss_bytes >> 20)?;
        }
        say(&line)
    }
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
