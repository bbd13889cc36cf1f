//! Jars and property files of the broker.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{cache::made_once, process::run};

const POM: &str = include_str!("../kafka/pom.xml");
const LOG_PROPERTIES: &str = include_str!("../kafka/log4j2.properties");

/// Folder with all jars of the broker; downloaded by the first test that needs them.
pub(crate) fn jars() -> Result<PathBuf> {
    let version = POM
        .split_once("<kafka.version>")
        .and_then(|(_, rest)| rest.split_once("</kafka.version>"))
        .map(|(version, _)| version)
        .context("read the version in kafka/pom.xml")?;
    made_once(&format!("kafka-{version}"), |folder| {
        let pom = folder.join("pom.xml");
        fs::write(&pom, POM).context("write the pom")?;
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "-f"]).arg(&pom).arg("dependency:copy-dependencies");
        maven.arg(format!("-DoutputDirectory={}", folder.display()));
        run(&mut maven, "maven").context("download Kafka's jars")?;
        Ok(())
    })
}

/// Ports of one broker on the loopback interface.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) broker: u16,
    pub(crate) controller: u16,
}

/// Writes `server.properties` and the log configuration into the broker's folder.
pub(crate) fn write_properties(folder: &Path, ports: Ports, overrides: &[(&str, &str)]) -> Result<()> {
    let mut properties = defaults(folder, ports);
    for (name, value) in overrides {
        properties.insert((*name).to_owned(), (*value).to_owned());
    }
    let text: String = properties.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    fs::write(folder.join("server.properties"), text).context("write server.properties")?;
    fs::write(folder.join("log4j2.properties"), LOG_PROPERTIES).context("write log4j2.properties")
}

fn defaults(folder: &Path, ports: Ports) -> BTreeMap<String, String> {
    let Ports { broker, controller } = ports;
    let listeners = format!("PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}");
    let own = [
        ("controller.quorum.bootstrap.servers", format!("127.0.0.1:{controller}")),
        ("listeners", listeners.clone()),
        ("advertised.listeners", listeners),
        ("log.dirs", folder.join("data").display().to_string()),
    ];
    let fixed = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.listener.names", "CONTROLLER"),
        ("inter.broker.listener.name", "PLAINTEXT"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("offsets.topic.replication.factor", "1"),
        ("offsets.topic.num.partitions", "4"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("transaction.state.log.num.partitions", "4"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("group.min.session.timeout.ms", "1000"),
        ("auto.create.topics.enable", "false"),
        // Tests choose their own times: no record is too old to keep or too new to take.
        ("log.retention.ms", "-1"),
        ("log.message.timestamp.after.max.ms", "9223372036854775807"),
        // Compaction and retention at test speed.
        ("log.cleaner.backoff.ms", "100"),
        ("log.cleaner.dedupe.buffer.size", "4194304"),
        ("log.retention.check.interval.ms", "500"),
        ("log.initial.task.delay.ms", "500"),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    own.chain(fixed.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
}
