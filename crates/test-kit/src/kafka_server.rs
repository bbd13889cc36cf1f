//! Apache Kafka in its own process.
use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use kafka_io::{Admin, KafkaConfig, Security};

use crate::{
    kafka_files::{Ports, jars, write_properties},
    process::{Signal, is_running, missing_program, run, send, tail},
    wait::try_wait_for,
};

/// Starting takes about 6 s on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// A port may be taken between choosing and binding it.
const START_ATTEMPTS: u32 = 3;
const JAVA_PACKAGES: &str = "openjdk-17-jre-headless maven";

/// Runs the broker and watches standard input. Its end, by drop or because the test process died, ends the broker and removes its data; the
/// line `keep` ends only the broker. The broker stays a child that nobody waits for until then, so its process id cannot be another's.
pub(crate) const KEEPER: &str = r#"
"$@" </dev/null >>"$BROKER_FOLDER/broker.log" 2>&1 &
echo $! >"$BROKER_FOLDER/broker.pid.new" && mv "$BROKER_FOLDER/broker.pid.new" "$BROKER_FOLDER/broker.pid"
read -r line
kill -9 $! 2>/dev/null
wait
[ "$line" = keep ] || rm -rf "$BROKER_FOLDER"
"#;

/// One broker of Apache Kafka (KRaft mode) with data of its own. It ends with this value, or with the test process, however that ends.
#[derive(Debug)]
pub struct KafkaServer {
    folder: PathBuf,
    jars: PathBuf,
    ports: Ports,
    keeper: Option<Child>,
    process_id: u32,
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
        self.process_id
    }

    /// Folder of the broker's data: one folder `<topic>-<kafka_partition>` each. To be changed only while it is stopped.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Stops it in order; data and ports stay.
    ///
    /// # Errors
    /// It was not running, or did not stop in a minute.
    pub fn stop(&mut self) -> Result<()> {
        send(Signal::Terminate, self.process_id)?;
        let stopped = try_wait_for(STOP_TIMEOUT, || (!is_running(self.process_id)).then_some(()));
        self.end(true);
        stopped.with_context(|| format!("the broker did not stop in {} s", STOP_TIMEOUT.as_secs()))
    }

    /// Kills it; data and ports stay.
    pub fn kill(&mut self) {
        self.end(true);
    }

    /// Freezes or thaws it, or sends another signal.
    ///
    /// # Errors
    /// It is not running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(self.keeper.is_some(), "the broker is not running");
        send(signal, self.process_id)
    }

    /// Starts it again on the same ports and data after [`Self::stop`] or [`Self::kill`], and waits until it answers.
    ///
    /// # Errors
    /// As in [`Self::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.end(true);
        self.launch()?;
        self.wait_until_ready()
    }

    fn start_once(jars: &Path, overrides: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tributary-kafka-").tempdir().context("create the broker's folder")?.keep();
        let ports = free_ports()?;
        let mut server = Self { folder, jars: jars.to_owned(), ports, keeper: None, process_id: 0 };
        write_properties(&server.folder, ports, overrides)?;
        server.format()?;
        server.launch()?;
        server.wait_until_ready()?;
        Ok(server)
    }

    fn java(&self) -> Vec<String> {
        let logging = format!("-Dlog4j2.configurationFile={}", self.folder.join("log4j2.properties").display());
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
        let properties = self.folder.join("server.properties").display().to_string();
        tool(&["format", "--standalone", "-t", id, "-c", &properties]).context("format the broker's data")?;
        Ok(())
    }

    fn launch(&mut self) -> Result<()> {
        let pid_file = self.folder.join("broker.pid");
        let _ = fs::remove_file(&pid_file);
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).args(self.java()).arg("kafka.Kafka").arg(self.folder.join("server.properties"));
        keeper.env("BROKER_FOLDER", &self.folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: an interrupt in the terminal ends the test, and by that the keeper's input.
        keeper.process_group(0);
        self.keeper = Some(keeper.spawn().with_context(|| missing_program("sh", "dash"))?);
        let read = || fs::read_to_string(&pid_file).ok()?.trim().parse().ok();
        self.process_id = try_wait_for(START_TIMEOUT, read).context("the broker's process did not start")?;
        Ok(())
    }

    /// Ready is: it takes connections and says which cluster it is.
    fn wait_until_ready(&self) -> Result<()> {
        let address = (Ipv4Addr::LOCALHOST, self.ports.broker).into();
        let connected = try_wait_for(START_TIMEOUT, || {
            let ready = TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
            (ready || !is_running(self.process_id)).then_some(ready)
        });
        if connected == Some(true) && try_wait_for(START_TIMEOUT, || self.admin().cluster_id().ok()).is_some() {
            return Ok(());
        }
        let log = fs::read_to_string(self.folder.join("broker.log")).unwrap_or_default();
        bail!("the broker did not start; its log ends with:\n{}", tail(&log))
    }

    /// Ends the broker's process and the keeper.
    fn end(&mut self, keep_data: bool) {
        let Some(mut keeper) = self.keeper.take() else { return };
        if let Some(mut input) = keeper.stdin.take()
            && keep_data
        {
            // If the keeper is gone, so is the broker.
            let _ = input.write_all(b"keep\n");
        }
        let _ = keeper.wait();
    }
}

impl Drop for KafkaServer {
    fn drop(&mut self) {
        self.end(false);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_ports() -> Result<Ports> {
    // Both are held until both are known, so they differ.
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port");
    let (broker, controller) = (listen()?, listen()?);
    Ok(Ports { broker: broker.local_addr()?.port(), controller: controller.local_addr()?.port() })
}
