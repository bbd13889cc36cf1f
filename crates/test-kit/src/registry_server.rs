//! Apicurio Registry in its own process.
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    cache::made_once,
    keeper::Keeper,
    process::{Signal, run, tail},
    wait::try_wait_for,
};

const POM: &str = include_str!("../apicurio/pom.xml");
/// Starting takes about 5 s on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Path of Confluent's interface.
const INTERFACE: &str = "/apis/ccompat/v7";

/// A registry with the interface of Confluent's, in memory. It ends with this value, or with the test process, however that ends.
#[derive(Debug)]
pub struct RegistryServer {
    keeper: Keeper,
    port: u16,
}

impl RegistryServer {
    /// Starts a registry without schemas, and waits until it answers.
    ///
    /// # Errors
    /// `java` or `mvn` is missing, the download failed, or the registry did not start; the message says what to do or ends with its log.
    pub fn start() -> Result<Self> {
        let jar = jar()?;
        let keeper = Keeper::new("tributary-registry-")?;
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).context("find a free port")?.port();
        let mut server = Self { keeper, port };
        server.launch(&jar)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// The registry that the tests of one process share; use [`crate::unique_name`] for subjects.
    ///
    /// # Panics
    /// If it does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<RegistryServer> = OnceLock::new();
        SHARED.get_or_init(|| match Self::start() {
            Ok(server) => server,
            Err(error) => panic!("the shared registry does not start: {error:#}"),
        })
    }

    /// Base URL of Confluent's interface.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{INTERFACE}", self.port)
    }

    /// Registers an Avro schema; returns its id.
    ///
    /// # Panics
    /// If the registry refuses it.
    pub fn register(&self, subject: &str, schema: &str) -> u32 {
        self.register_with(subject, &json!({ "schema": schema }))
    }

    /// Registers a schema given as the body of the call: with references, or of another type. Returns its id.
    ///
    /// # Panics
    /// If the registry refuses it.
    pub fn register_with(&self, subject: &str, body: &Value) -> u32 {
        let answer = match self.call("POST", &format!("/subjects/{subject}/versions"), &body.to_string()) {
            Ok(answer) => answer,
            Err(error) => panic!("register a schema of `{subject}`: {error:#}"),
        };
        answer["id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or_else(|| panic!("`{answer}` has no id"))
    }

    /// Freezes or thaws it, or sends another signal.
    ///
    /// # Errors
    /// It is not running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.keeper.signal(signal)
    }

    fn launch(&mut self, jar: &Path) -> Result<()> {
        let java = ["java", "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1"].map(str::to_owned);
        let program = [format!("-Dquarkus.http.port={}", self.port), "-jar".to_owned(), jar.display().to_string()];
        self.keeper.launch(&[&java[..], &program].concat(), "")
    }

    fn wait_until_ready(&self) -> Result<()> {
        let answered = try_wait_for(START_TIMEOUT, || {
            let ready = self.call("GET", "/subjects", "").is_ok();
            (ready || !self.keeper.is_running()).then_some(ready)
        });
        if answered == Some(true) {
            return Ok(());
        }
        bail!("the registry did not start; its log ends with:\n{}", tail(&self.keeper.log()))
    }

    /// One call on a connection of its own.
    fn call(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, self.port).into(), CALL_TIMEOUT).context("connect")?;
        stream.set_read_timeout(Some(CALL_TIMEOUT)).context("set the time-out")?;
        let length = body.len();
        let head = format!("{method} {INTERFACE}{path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", self.port);
        let request = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).context("send the call")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("read the answer")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no head")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "answered `{answer}`");
        serde_json::from_str(body).with_context(|| format!("parse `{body}`"))
    }
}

/// The program; downloaded by the first test that needs it.
fn jar() -> Result<PathBuf> {
    let version = POM
        .split_once("<registry.version>")
        .and_then(|(_, rest)| rest.split_once("</registry.version>"))
        .map(|(version, _)| version)
        .context("read the version in apicurio/pom.xml")?;
    let folder = made_once(&format!("apicurio-{version}"), |folder| {
        let pom = folder.join("pom.xml");
        fs::write(&pom, POM).context("write the pom")?;
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "-f"]).arg(&pom).arg("dependency:unpack-dependencies");
        maven.arg(format!("-DoutputDirectory={}", folder.display()));
        run(&mut maven, "maven").context("download Apicurio Registry")?;
        Ok(())
    })?;
    Ok(folder.join(format!("apicurio-registry-app-{version}-runner.jar")))
}
