//! Apache Kafka in its own process.
use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use kafka_io::{Admin, KafkaConfig, Security};

use crate::{
    kafka_files::{Ports, jars, write_properties},
    keeper::Keeper,
    process::{Signal, run, tail},
    wait::try_wait_for,
};

/// Starting takes about 6 s on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// A port may be taken between choosing and binding it.
const START_ATTEMPTS: u32 = 3;
const JAVA_PACKAGES: &str = "openjdk-17-jre-headless maven";

/// One broker of Apache Kafka (KRaft mode) with data of its own. It ends with this value, or with the test process, however that ends.
#[derive(Debug)]
pub struct KafkaServer {
    keeper: Keeper,
    jars: PathBuf,
    ports: Ports,
}

impl KafkaServer {
    /// Starts a broker with `overrides` of its properties, and waits until it answers.
    ///
    /// # Errors
    /// `java` or `mvn` is missing, the download failed, or the broker did not start; the message says what to do or ends with its log.
    pub fn start(overrides: &[(&str, &str)]) -> Result<Self> {
        let jars = jars()?;
        let mut attempt = 1;
        loop {
            match Self::start_once(&jars, overrides) {
                Err(error) if attempt < START_ATTEMPTS && format!("{error:#}").contains("Address already in use") => attempt += 1,
                other => return other,
            }
        }
    }

    /// The broker that the tests of one process share, with default properties; use [`crate::unique_name`] for topics and groups.
    ///
    /// # Panics
    /// If it does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<KafkaServer> = OnceLock::new();
        SHARED.get_or_init(|| match Self::start(&[]) {
            Ok(server) => server,
            Err(error) => panic!("the shared broker does not start: {error:#}"),
        })
    }

    /// `host:port`, the same after a restart.
    pub fn bootstrap_servers(&self) -> String {
        format!("127.0.0.1:{}", self.ports.broker)
    }

    /// How to reach it.
    pub fn config(&self) -> KafkaConfig {
        KafkaConfig { bootstrap_servers: self.bootstrap_servers(), security: Security::Plaintext }
    }

    /// A client for questions and topics.
    ///
    /// # Panics
    /// If the client cannot be created.
    pub fn admin(&self) -> Admin {
        Admin::new(&self.config()).expect("the configuration is valid")
    }

    /// Process id of the broker; another one after a restart.
    pub fn process_id(&self) -> u32 {
        self.keeper.process_id()
    }

    /// Folder of the broker's data: one folder `<topic>-<kafka_partition>` each. To be changed only while it is stopped.
    pub fn data_folder(&self) -> PathBuf {
        self.keeper.folder().join("data")
    }

    /// Stops it in order; data and ports stay.
    ///
    /// # Errors
    /// It was not running, or did not stop in a minute.
    pub fn stop(&mut self) -> Result<()> {
        self.keeper.stop(STOP_TIMEOUT)
    }

    /// Kills it; data and ports stay.
    pub fn kill(&mut self) {
        self.keeper.end();
    }

    /// Freezes or thaws it, or sends another signal.
    ///
    /// # Errors
    /// It is not running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.keeper.signal(signal)
    }

    /// Starts it again on the same ports and data after [`Self::stop`] or [`Self::kill`], and waits until it answers.
    ///
    /// # Errors
    /// As in [`Self::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.keeper.end();
        self.launch()?;
        self.wait_until_ready()
    }

    fn start_once(jars: &Path, overrides: &[(&str, &str)]) -> Result<Self> {
        let (keeper, ports) = (Keeper::new("tributary-kafka-")?, free_ports()?);
        write_properties(keeper.folder(), ports, overrides)?;
        let mut server = Self { keeper, jars: jars.to_owned(), ports };
        server.format()?;
        server.launch()?;
        server.wait_until_ready()?;
        Ok(server)
    }

    fn java(&self) -> Vec<String> {
        let logging = format!("-Dlog4j2.configurationFile={}", self.keeper.folder().join("log4j2.properties").display());
        let class_path = format!("{}/*", self.jars.display());
        ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", &logging, "-cp", &class_path].map(str::to_owned).to_vec()
    }

    fn format(&self) -> Result<()> {
        let java = self.java();
        let tool = |arguments: &[&str]| {
            let mut command = Command::new(&java[0]);
            run(command.args(&java[1..]).arg("kafka.tools.StorageTool").args(arguments), JAVA_PACKAGES)
        };
        let output = tool(&["random-uuid"]).context("make a cluster id")?;
        let id = output.lines().last().unwrap_or_default().trim();
        let properties = self.keeper.folder().join("server.properties").display().to_string();
        tool(&["format", "--standalone", "-t", id, "-c", &properties]).context("format the broker's data")?;
        Ok(())
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = self.java();
        command.extend(["kafka.Kafka".to_owned(), self.keeper.folder().join("server.properties").display().to_string()]);
        self.keeper.launch(&command, "")
    }

    /// Ready is: it takes connections and says which cluster it is.
    fn wait_until_ready(&self) -> Result<()> {
        let address = (Ipv4Addr::LOCALHOST, self.ports.broker).into();
        let connected = try_wait_for(START_TIMEOUT, || {
            let ready = TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
            (ready || !self.keeper.is_running()).then_some(ready)
        });
        if connected == Some(true) && try_wait_for(START_TIMEOUT, || self.admin().cluster_id().ok()).is_some() {
            return Ok(());
        }
        bail!("the broker did not start; its log ends with:\n{}", tail(&self.keeper.log()))
    }
}

fn free_ports() -> Result<Ports> {
    // Both are held until both are known, so they differ.
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port");
    let (broker, controller) = (listen()?, listen()?);
    Ok(Ports { broker: broker.local_addr()?.port(), controller: controller.local_addr()?.port() })
}
